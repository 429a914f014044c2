//! A disk that is taken out in the middle of a read: `device_del`, and a kernel that switches its slot off without a word to the driver.
//!
//! PCI Express Base Specification, §6.7 PCI Express Hot-Plug Support. The kernel marks the slot as in use beforehand; then QEMU, when the power goes, takes the right to access memory first, and
//! what is in flight does not come back. (Else it would finish that, and take the disk away then.)

use qemu_tests::pattern::{SECTOR, fill};
use qemu_tests::{Connection, DiskDevice, Ended, Image, Machine, Qemu, random_seed};
use serde_json::json;

/// 4 MiB on the disk that is taken out, little on the other one, some of which is overwritten with its first sector.
const SECTORS: u64 = 8192;
const OTHER_SECTORS: u64 = 64;
const ROUNDS: u64 = 4;

/// Interrupts, as the guest's command line has them.
const POLLING: &str = "polling";
const LINE: &str = "line";
const MESSAGES: &str = "msi-x";

/// What registers of a function read that is gone: all ones, but for QEMU's q35. The library has to tell either from a device that answers.
fn gone_registers(machine: Machine) -> &'static str {
    match machine {
        Machine::Q35 => "features=0x0 queues=0x0 status=0x0 isr=0x0 config=0x0",
        _ => "features=0xffffffff queues=0xffff status=0xff isr=0xff config=0xffffffff",
    }
}

/// Takes a disk with this connection out while the kernel reads from it, and looks at both disks from outside.
fn take_out(machine: Machine, connection: Connection, packed: bool, command_line: &str) {
    let [seed, other_seed] = [(); 2].map(|()| random_seed());
    let (taken, other) = (Image::random(SECTORS, seed), Image::random(OTHER_SECTORS, other_seed));
    // As slow as this, and one by one, a read takes seconds.
    let disk = DiskDevice {
        connection: Some(connection),
        id: Some("taken"),
        bus: Some("hot"),
        packed,
        requests_per_second: Some(200),
        request_merging: false,
        ..DiskDevice::default()
    };
    let mut qemu = Qemu::new(machine, "kernel-removal-check")
        .append(command_line)
        .with(&["-device", "pcie-root-port,id=hot,chassis=1"])
        .disk(&other, DiskDevice::default())
        .disk(&taken, disk);
    if machine == Machine::Q35 {
        // Or slots are ACPI's business.
        qemu = qemu.with(&["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]);
    }

    let mut guest = qemu.boot();
    guest.wait_for("in the middle of a call");
    let mut qmp = guest.qmp();
    qmp.execute("device_del", &json!({ "id": "taken" }));
    let output = guest.finish(Ended::Success, "removal check: done");
    qmp.wait_for("DEVICE_DELETED", "taken");

    println!("{}, packed={packed}, {command_line}:\n{output}", machine.name());
    let layout = if packed { "Packed" } else { "Split" };
    assert!(output.contains(&format!("layout={layout} interrupts=")), "{output}");
    assert_eq!(output.contains("interrupts: 0"), command_line.contains(POLLING), "{output}");
    assert!(output.contains("slot switched off: device=false"), "{output}");
    if connection == Connection::Pci {
        assert!(output.contains(gone_registers(machine)), "{output}");
    }
    let calls = if command_line.contains("by=tasks") {
        ["read", "flush", "close"].as_slice()
    } else {
        ["the read", "read", "write", "flush", "id", "close"].as_slice()
    };
    for call in calls {
        assert!(output.contains(&format!("\n{call}: the device is gone")), "{call}\n{output}");
    }
    assert!(output.contains("memory that it may still use is leaked\ndropped"), "{output}");

    let sector_of = |seed, sector| {
        let mut expected = [0; SECTOR];
        fill(seed, sector, &mut expected);
        expected
    };
    for sector in 0..SECTORS {
        assert!(taken.read(sector, 1) == sector_of(seed, sector), "sector {sector} was never written");
    }
    for sector in 0..OTHER_SECTORS {
        let source = if sector <= ROUNDS { 0 } else { sector };
        assert!(other.read(sector, 1) == sector_of(other_seed, source), "sector {sector}\n{output}");
    }
}

/// With both layouts, and with each of these interrupts.
fn check(machine: Machine, interrupts: &[&str]) {
    for interrupts in interrupts {
        for packed in [false, true] {
            take_out(machine, Connection::Pci, packed, &format!("interrupts={interrupts}"));
        }
    }
}

#[test]
fn a_disk_that_is_taken_out_of_a_pc_ends_every_call_and_the_kernel_goes_on() {
    check(Machine::Q35, &[POLLING, LINE, MESSAGES]);
}

#[test]
fn a_disk_that_is_taken_out_of_an_arm_machine_ends_every_call_and_the_kernel_goes_on() {
    check(Machine::Aarch64Virt, &[POLLING, LINE, MESSAGES]);
}

#[test]
fn a_disk_that_is_taken_out_of_a_risc_v_machine_ends_every_call_and_the_kernel_goes_on() {
    check(Machine::Riscv64Virt, &[POLLING, LINE]);
    check(Machine::Riscv64VirtAia, &[MESSAGES]);
}

/// Tasks end, those that the disk had requests of and those that waited for a place.
#[test]
fn tasks_of_a_disk_that_is_taken_out_end_and_the_kernel_goes_on() {
    for machine in [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64VirtAia] {
        for (packed, interrupts) in [(false, MESSAGES), (true, LINE)] {
            take_out(machine, Connection::Pci, packed, &format!("interrupts={interrupts} by=tasks"));
        }
    }
}

/// Registers that are reached through configuration space read all ones on every machine.
#[test]
fn a_disk_that_is_driven_through_configuration_space_can_be_taken_out() {
    for machine in [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64Virt] {
        take_out(machine, Connection::Pci, false, "interrupts=polling registers=config-space");
    }
}

#[test]
fn a_legacy_disk_that_is_taken_out_ends_every_call_and_the_kernel_goes_on() {
    for machine in [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64Virt] {
        take_out(machine, Connection::PciLegacy, false, "interrupts=line");
    }
}

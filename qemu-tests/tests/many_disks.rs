//! Several disks in one machine: behind bridges, above 4 GiB, ten at once.

use std::time::Duration;

use qemu_tests::pattern::{SECTOR, fill};
use qemu_tests::{Connection, DiskDevice, Image, Machine, Qemu, random_seed};

/// Sectors that are copied, each to the next one.
const ROUNDS: u64 = 8;
const SECTORS: u64 = 64;

/// Boots a machine with these disks, and expects each disk's first sector in the sectors behind it afterwards. Returns what was printed.
fn check(
    machine: Machine,
    devices: &[DiskDevice],
    interrupts: &str,
    arguments: &[&str],
    memory_mib: u32,
) -> String {
    let seeds: Vec<u64> = devices.iter().map(|_| random_seed()).collect();
    let images: Vec<Image> = seeds.iter().map(|seed| Image::random(SECTORS, *seed)).collect();
    let mut qemu = Qemu::new(machine, "kernel-many-disks")
        .append(format!("rounds={ROUNDS} interrupts={interrupts}"))
        .memory_mib(memory_mib)
        .limit(Duration::from_mins(2))
        .with(arguments);
    for (image, device) in images.iter().zip(devices) {
        qemu = qemu.disk(image, device.clone());
    }

    let output = qemu.run_to("many disks: done");

    assert_eq!(output.matches("disk at ").count(), devices.len(), "{output}");
    for (image, seed) in images.iter().zip(seeds) {
        let mut first = [0; SECTOR];
        fill(seed, 0, &mut first);
        for sector in 0..SECTORS {
            let mut expected = first;
            if sector > ROUNDS {
                fill(seed, sector, &mut expected);
            }
            assert!(
                image.read(sector, 1) == expected,
                "sector {sector} of the disk with seed {seed}\n{output}"
            );
        }
    }
    output
}

fn plain() -> DiskDevice {
    DiskDevice::default()
}

/// How disks can interrupt on a machine, in its usual connection.
fn ways(machine: Machine) -> &'static [&'static str] {
    let has_messages = machine.default_connection() == Connection::Pci && machine.lacks_messages().is_none();
    &["line", "polling", "msi-x"][..if has_messages { 3 } else { 2 }]
}

/// More disks than there are lines, so that some share one; with messages, more vectors than the machine has lines.
#[test]
fn ten_disks_work_at_once() {
    for machine in Machine::ALL {
        for interrupts in ways(machine) {
            // `microvm` has no more slots.
            let count = if machine.default_connection() == Connection::Mmio { 8 } else { 10 };
            check(machine, &vec![plain(); count], interrupts, &[], 256);
        }
    }
}

/// A transitional, a legacy and a modern disk in one list; on Arm and RISC-V with MMIO beside them.
#[test]
fn disks_of_all_connections_work_side_by_side() {
    let pci = [Connection::Pci, Connection::PciTransitional, Connection::PciLegacy];
    for machine in [Machine::Q35, Machine::Pc, Machine::Aarch64Virt, Machine::Riscv64VirtAia] {
        let mmio = if machine.lacks(Connection::Mmio).is_none() {
            &[Connection::Mmio, Connection::Mmio][..]
        } else {
            &[]
        };
        let connections = pci.iter().chain(mmio);
        let devices: Vec<_> =
            connections.map(|connection| DiskDevice { connection: Some(*connection), ..plain() }).collect();

        let output = check(machine, &devices, "line", &[], 256);

        assert_eq!(output.matches("(PCI, Legacy interface").count(), 1, "{output}");
        assert_eq!(output.matches("(PCI, Modern interface").count(), 2, "{output}");
        assert_eq!(output.matches("(MMIO, Modern interface").count(), mmio.len(), "{output}");
    }
}

/// The second disk is behind a bridge; its messages have the number of another bus in them, which some controllers look at. On q35 there is so much memory that firmware puts
/// 64-bit BARs far above 4 GiB, on `virt` the host bridge has them there anyway.
#[test]
fn a_second_disk_behind_a_bridge_works() {
    for machine in Machine::ALL.into_iter().filter(|machine| machine.default_connection() == Connection::Pci)
    {
        for interrupts in ways(machine) {
            let memory_mib = if machine == Machine::Q35 { 5 << 10 } else { 512 };
            let devices = [plain(), DiskDevice { behind_bridge: true, ..plain() }];

            let output = check(machine, &devices, interrupts, &[], memory_mib);

            let places: Vec<&str> =
                output.lines().filter_map(|line| line.strip_prefix("disk at 0000:")).collect();
            assert!(places[0].starts_with("00:") && !places[1].starts_with("00:"), "{output}");
        }
    }
}

/// A bridge behind a bridge behind a bridge: buses are numbered and windows opened on the way, and the line's pin turns with each.
#[test]
fn a_disk_behind_three_bridges_works() {
    let switch = [
        "-device",
        "pcie-root-port,id=top,chassis=7",
        "-device",
        "x3130-upstream,id=up,bus=top",
        "-device",
        "xio3130-downstream,id=unused,bus=up,chassis=8,slot=8",
        "-device",
        "xio3130-downstream,id=bridge,bus=up,chassis=9,slot=9",
    ];
    for machine in [
        Machine::Q35,
        Machine::Aarch64Virt,
        Machine::Aarch64VirtGic2,
        Machine::Riscv64Virt,
        Machine::Riscv64VirtAia,
    ] {
        for interrupts in ways(machine) {
            check(
                machine,
                &[plain(), DiskDevice { bus: Some("bridge"), ..plain() }],
                interrupts,
                &switch,
                256,
            );
        }
    }
}

/// A function that has the machine's bridge register far up says so: the window that the driver maps is above 4 GiB.
#[test]
fn a_64_bit_bar_above_4_gib_works() {
    for (machine, memory_mib) in
        [(Machine::Q35, 5 << 10), (Machine::Aarch64Virt, 256), (Machine::Riscv64Virt, 256)]
    {
        let output = check(machine, &[plain()], "polling", &[], memory_mib);

        let window =
            output.lines().find_map(|line| line.strip_prefix("registers at 0x")).expect("it says where");
        let address = u64::from_str_radix(window, 16).expect("a number");
        assert!(address >= 1 << 32, "{output}");
    }
}

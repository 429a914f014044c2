//! What the block example shows a person, on the serial line and on the image.

use qemu_tests::{
    Accelerator, Asked, Connection, DiskDevice, Ended, Fault, Image, Machine, Qemu, random_seed,
};
use std::path::Path;
use std::time::Duration;

const CLOSING_LINE: &str = "block example: done";

fn run(machine: Machine, accelerator: Accelerator, device: DiskDevice) {
    let place = match (machine, device.connection_on(machine)) {
        (_, Connection::Mmio) => "(MMIO, Modern interface)",
        (_, Connection::MmioLegacy) => "(MMIO, Legacy interface)",
        (Machine::Pc, _) => "configuration through ports 0xcf8 and 0xcfc)",
        _ => "configuration through ECAM)",
    };
    let seed = random_seed();
    let (name, text) =
        (format!("F{:07X}.TXT", seed & 0x0fff_ffff), format!("random text {seed:x}\nsecond line\n"));
    let image = Image::fat(&[(name.as_str(), text.as_str()), ("DATA.BIN", "x")]);
    let qemu = Qemu::new(machine, "example-block").accelerator(accelerator).limit(Duration::from_mins(2));

    let output = qemu.disk(&image, device).run_to(CLOSING_LINE);

    for expected in
        [place, name.as_str(), "DATA.BIN", text.trim_end(), "capacity: 65536 sectors", "wrote GUEST.TXT"]
    {
        assert!(output.contains(expected), "no {expected:?} in:\n{output}");
    }
    let written = image.file("GUEST.TXT");
    assert!(written.contains("The disk has 65536 sectors."), "{written:?}");
    assert!(output.contains(&format!("wrote GUEST.TXT ({} bytes)", written.len())), "{output}");
    assert_eq!(image.file(&name), text, "the other file is as it was");
}

#[test]
fn a_file_written_by_the_guest_is_on_the_image_q35() {
    run(Machine::Q35, Accelerator::Tcg, DiskDevice::default());
}

#[test]
fn a_file_written_by_the_guest_is_on_the_image_pc() {
    run(Machine::Pc, Accelerator::Tcg, DiskDevice::default());
}

#[test]
fn a_file_written_by_the_guest_is_on_the_image_microvm() {
    run(Machine::Microvm, Accelerator::Tcg, DiskDevice::default());
    let legacy = DiskDevice { connection: Some(Connection::MmioLegacy), ..DiskDevice::default() };
    run(Machine::Microvm, Accelerator::Tcg, legacy);
}

#[test]
fn a_file_written_by_the_guest_is_on_the_image_aarch64_and_riscv64() {
    for machine in
        [Machine::Aarch64Virt, Machine::Aarch64VirtGic2, Machine::Riscv64Virt, Machine::Riscv64VirtAia]
    {
        for connection in [Connection::Pci, Connection::Mmio] {
            let device = DiskDevice { connection: Some(connection), ..DiskDevice::default() };
            run(machine, Accelerator::Tcg, device);
        }
    }
}

#[test]
fn the_ring_makes_no_difference_to_the_files() {
    for (packed, in_order) in [(true, false), (false, true), (true, true)] {
        for (event_idx, indirect_desc) in [(false, false), (false, true), (true, false), (true, true)] {
            let ring = DiskDevice { packed, in_order, event_idx, indirect_desc, ..DiskDevice::default() };
            run(Machine::Q35, Accelerator::Tcg, ring);
        }
    }
}

/// An addition where the host has KVM that runs such guests; elsewhere there is nothing to be promised.
#[test]
fn under_kvm_the_example_does_the_same() {
    if !Path::new("/dev/kvm").exists() {
        println!("no /dev/kvm on this host");
        return;
    }
    let silent =
        Qemu::new(Machine::Q35, "example-block").accelerator(Accelerator::Kvm).limit(Duration::from_mins(1));
    let runs = std::panic::catch_unwind(|| silent.run_to_failure("error: no virtio block device"));
    if let Err(failure) = runs {
        let text = failure.downcast_ref::<String>().map_or("", String::as_str);
        // The first line that the platform prints: from there on it is the platform that fails, and not the host, unless that is too slow.
        let is_the_host = !text.contains("memory: ") || text.contains("within its time limit");
        assert!(is_the_host, "the platform starts under KVM, and fails: {text}");
        println!("this host's KVM does not run the platform");
        return;
    }
    run(Machine::Q35, Accelerator::Kvm, DiskDevice::default());
}

#[test]
fn without_a_disk_the_guest_says_what_to_add_and_fails() {
    let output = Qemu::new(Machine::Q35, "example-block").run_to_failure("error: no virtio block device");

    assert!(output.contains("-device virtio-blk-pci"), "{output}");
}

#[test]
fn an_unformatted_disk_is_named_as_such_and_left_alone() {
    let image = Image::random(4096, random_seed());
    let before = image.bytes();

    let output = Qemu::new(Machine::Q35, "example-block")
        .disk(&image, DiskDevice::default())
        .run_to_failure("error: no FAT file system");

    assert!(output.contains("scripts/image.sh"), "{output}");
    assert!(image.bytes() == before, "the image changed");
}

#[test]
fn the_example_flushes_and_says_when_that_fails() {
    let image = Image::fat(&[("A.TXT", "text")]);

    Qemu::new(Machine::Q35, "example-block")
        .disk(&image, DiskDevice { faults: vec![Fault::always(Asked::Flush)], ..DiskDevice::default() })
        .run_to_failure("error: the disk failed: the device reports an input/output error");
}

/// What a long file and a folder do: the first part is printed, the folder is none.
#[test]
fn a_long_text_is_shown_in_part() {
    let text = "0123456789abcdef".repeat(1000);
    let image = Image::fat(&[("LONG.TXT", text.as_str())]);

    let output =
        Qemu::new(Machine::Q35, "example-block").disk(&image, DiskDevice::default()).run_to(CLOSING_LINE);

    assert!(output.contains("--- 4096 of 16000 bytes"), "{output}");
}

/// The harness itself: a paused machine waits for QMP, and runs when told to.
#[test]
fn a_paused_machine_runs_when_qmp_says_so() {
    let mut machine = Qemu::new(Machine::Q35, "example-block").paused().boot();
    let mut qmp = machine.qmp();
    let nothing = serde_json::json!({});
    assert_eq!(qmp.execute("query-status", &nothing)["status"], "prelaunch");

    qmp.execute("cont", &nothing);

    machine.finish(Ended::Failure, "error: no virtio block device");
}

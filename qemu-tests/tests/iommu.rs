//! The block driver behind an IOMMU.
//!
//! A disk reaches what its driver mapped for it, as long as it is mapped, and nothing else.

mod common;

use common::{SECTORS, check_guest};
use qemu_tests::{DiskDevice, Image, Machine, Qemu, random_seed};

/// A machine whose IOMMU has these properties.
fn machine(properties: &str) -> Qemu {
    let unit = format!("intel-iommu,intremap=off{properties}");
    Qemu::new(Machine::Q35, "kernel-iommu-check").with(&["-device", &unit])
}

/// Runs the test kernel with one disk, or with two, the second of which reaches nothing. Checks the first one from outside.
fn check(machine: &Qemu, device: DiskDevice, other: Option<&Image>, more: &str) -> String {
    let device = DiskDevice { iommu_platform: true, ..device };
    let output = check_guest(SECTORS, &device, |seed, image| {
        let mut machine = machine.clone().append(format!("seed={seed}{more}")).disk(image, device.clone());
        if let Some(other) = other {
            machine = machine.disk(other, DiskDevice { iommu_platform: true, ..DiskDevice::default() });
        }
        machine.run_to("iommu check: done")
    });

    assert!(output.contains("access_platform=true"), "{output}");
    // Once to what was mapped, once to what is mapped to be read.
    assert_eq!(output.matches(" no write to 0x1").count(), 2, "{output}");
    output
}

#[test]
fn a_disk_reaches_nothing_in_no_domain_and_nothing_that_is_not_mapped_in_its_own() {
    let other = Image::random(64, random_seed());

    let output = check(&machine(""), DiskDevice::default(), Some(&other), "");

    for reason in ["a disk in no domain: Err", "(reason 2)", "a disk in an empty domain: Err", "(reason 6)"] {
        assert!(output.contains(reason), "{reason}\n{output}");
    }
}

#[test]
fn a_packed_ring_with_messages_serves_every_request() {
    let device = DiskDevice { packed: true, ..DiskDevice::default() };
    let output = check(&machine(""), device, None, " interrupts=msi-x");

    assert!(output.contains("layout=Packed") && output.contains("interrupts: msi-x"), "{output}");
}

#[test]
fn a_disk_behind_a_bridge_with_an_interrupt_line_serves_every_request() {
    let device = DiskDevice { behind_bridge: true, ..DiskDevice::default() };
    let output = check(&machine(""), device, None, " interrupts=line");

    assert!(output.contains("disk at 0000:01:") && output.contains("interrupts: line"), "{output}");
}

#[test]
fn page_tables_of_three_levels_do_the_same() {
    check(&machine(",aw-bits=39"), DiskDevice::default(), None, "");
}

#[test]
fn a_unit_that_remembers_what_was_not_mapped_does_the_same() {
    check(&machine(",caching-mode=on"), DiskDevice::default(), None, "");
}

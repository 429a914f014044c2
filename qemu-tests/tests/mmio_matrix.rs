//! The block driver over MMIO registers, in both versions of the interface.
//!
//! On `microvm`, which has neither PCI nor ACPI: its command line says where devices are. Contents right in both directions, and the paths that were asked for.

mod common;

use common::{SECTORS, check, check_with};
use qemu_tests::{Connection, DiskDevice, Machine};

fn check_through(connection: Connection, device: &DiskDevice, interface: &str, paths: &str) {
    let device = DiskDevice { connection: Some(connection), ..device.clone() };
    let output = check(Machine::Microvm, SECTORS, &device);
    assert!(output.contains(&format!("(MMIO, {interface} interface)")), "{output}");
    assert!(output.contains(paths), "{output}");
}

fn modern(device: &DiskDevice, paths: &str) {
    check_through(Connection::Mmio, device, "Modern", paths);
}

fn legacy(device: &DiskDevice, paths: &str) {
    check_through(Connection::MmioLegacy, device, "Legacy", paths);
}

#[test]
fn version_2_serves_every_request() {
    modern(&DiskDevice::default(), "layout=Split in_order=false event_index=true indirect=true");
}

#[test]
fn version_2_without_event_index_and_indirect_descriptors_loses_nothing() {
    let device = DiskDevice { event_idx: false, indirect_desc: false, ..DiskDevice::default() };
    modern(&device, "layout=Split in_order=false event_index=false indirect=false");
}

/// QEMU's MMIO devices know two words of features, and take any other for the second.
#[test]
fn version_2_with_a_packed_ring_serves_every_request() {
    let device = DiskDevice { packed: true, ..DiskDevice::default() };
    modern(&device, "layout=Packed in_order=false event_index=true indirect=true");
}

#[test]
fn version_2_with_a_packed_ring_in_order_serves_every_request() {
    let device = DiskDevice { packed: true, in_order: true, ..DiskDevice::default() };
    modern(&device, "layout=Packed in_order=true event_index=true indirect=true");
}

/// QEMU's MMIO devices offer 1024 descriptors, whatever was asked for; the driver takes fewer.
#[test]
fn version_2_with_a_queue_of_4_serves_every_request() {
    let output = check_with(Machine::Microvm, SECTORS, &DiskDevice::default(), " queue=4");
    assert!(output.contains("queue_size=4 "), "{output}");
}

#[test]
fn version_1_serves_every_request() {
    legacy(&DiskDevice::default(), "layout=Split in_order=false event_index=true indirect=true");
}

#[test]
fn version_1_without_event_index_and_indirect_descriptors_loses_nothing() {
    let device = DiskDevice { event_idx: false, indirect_desc: false, ..DiskDevice::default() };
    legacy(&device, "layout=Split in_order=false event_index=false indirect=false");
}

/// What a device of version 1 offers beyond bit 31 is not for it to offer.
#[test]
fn version_1_has_no_packed_ring() {
    let device = DiskDevice { packed: true, in_order: true, ..DiskDevice::default() };
    legacy(&device, "layout=Split in_order=false event_index=true indirect=true");
}

#[test]
fn version_1_with_a_read_only_disk_is_never_asked_to_write() {
    let device = DiskDevice { read_only: true, ..DiskDevice::default() };
    legacy(&device, "read_only=true");
}

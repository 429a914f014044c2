//! The walk along PCI buses, whatever bridges say.
//!
//! PCI Local Bus Specification 3.0, chapter 6; PCI-to-PCI Bridge Architecture Specification 1.2.

use std::ops::RangeInclusive;

use virtio_guest::transport::pci::bus::{Bus, Found, LineAtRoot};
use virtio_guest::wire::device_type::DeviceType;
use virtio_model::pci::{Bridge, Bus as Model, PciDevice};
use virtio_test_hal::segment;

fn disk() -> PciDevice {
    PciDevice::builder().device_id(0x1042).class(0x01_0000).build()
}

/// A function that is no virtio device's.
fn other() -> PciDevice {
    PciDevice::builder().vendor_id(0x8086).device_id(0x10d3).build()
}

/// One of several functions of its device.
fn one_of_several(device: PciDevice) -> PciDevice {
    device.poke_config(0x0e, &[0x80]);
    device
}

fn walk(model: &Model, buses: RangeInclusive<u8>) -> Vec<Found> {
    Bus::new(segment(model), buses).functions().collect()
}

fn places(model: &Model, buses: RangeInclusive<u8>) -> Vec<(u8, u8, u8)> {
    let place = |found: Found| (found.address.bus(), found.address.device(), found.address.function());
    walk(model, buses).into_iter().map(place).collect()
}

#[test]
fn functions_are_found_behind_bridges_and_beside_each_other() {
    let behind = Bridge::new().numbered(6, 6).with(31, 0, disk());
    let beside = Bridge::new().numbered(7, 7).with(0, 0, other());
    let model = Model::new(0)
        .with(0, 0, other())
        .with(2, 0, Bridge::new().numbered(5, 7).with(1, 0, behind).with(2, 0, beside).with(3, 0, disk()))
        .with(4, 0, one_of_several(disk()))
        .with(4, 3, other())
        .with(4, 7, Bridge::new().numbered(8, 8).with(0, 0, disk()))
        .with(31, 0, disk());

    let expected = [
        (0, 0, 0),
        (0, 2, 0),
        (0, 4, 0),
        (0, 4, 3),
        (0, 4, 7),
        (0, 31, 0),
        (5, 1, 0),
        (5, 2, 0),
        (5, 3, 0),
        (6, 31, 0),
        (7, 0, 0),
        (8, 0, 0),
    ];
    assert_eq!(places(&model, 0..=255), expected);
    assert_eq!(places(&model, 0..=6), expected[..10], "as far as the host bridge goes");
    assert_eq!(places(&model, 0..=0), expected[..6]);
}

#[test]
fn a_function_says_what_it_is() {
    let transitional = PciDevice::builder().device_id(0x1001).build();
    let model = Model::new(3).with(0, 0, disk()).with(1, 0, other()).with(2, 0, transitional);

    let found = walk(&model, 3..=3);

    let types: Vec<_> = found.iter().map(Found::device_type).collect();
    assert_eq!(types, [Some(DeviceType::BLOCK), None, Some(DeviceType::BLOCK)]);
    assert_eq!((found[0].vendor_id, found[0].device_id, found[0].class), (0x1af4, 0x1042, 0x01_0000));
}

/// PCI Local Bus Specification 3.0, §3.2.2.3.4 — a device has a first function, and others only if that says so.
#[test]
fn a_device_without_a_first_function_or_with_one_only_has_no_others() {
    let model = Model::new(0).with(1, 1, disk()).with(2, 0, disk()).with(2, 1, disk());

    assert_eq!(places(&model, 0..=0), [(0, 2, 0)]);
}

/// PCI-to-PCI Bridge Architecture Specification 1.2, §9.1 — pin p of device d comes out of a bridge at (p + d) modulo 4.
#[test]
fn a_line_is_turned_by_each_bridge_on_its_way() {
    let with_pin = |pin| PciDevice::builder().device_id(0x1042).interrupt_pin(pin).build();
    let silent = with_pin(1);
    silent.poke_config(0x3c, &[11]);
    let inner = Bridge::new().numbered(3, 3).with(6, 0, with_pin(1)).with(7, 0, with_pin(4));
    let outer =
        Bridge::new().numbered(2, 3).with(1, 0, inner).with(2, 0, with_pin(2)).with(5, 0, with_pin(0));
    let model = Model::new(0).with(4, 0, outer).with(9, 0, silent).with(10, 0, with_pin(5));

    let found = walk(&model, 0..=255);

    let line = |bus, device| {
        let at = |found: &&Found| (found.address.bus(), found.address.device()) == (bus, device);
        found.iter().find(at).expect("it was found").line
    };
    let at_root = |device, pin, register| Some(LineAtRoot { device, pin, register });
    assert_eq!(line(0, 9), at_root(9, 1, 11));
    assert_eq!(line(0, 10), None, "there are four pins");
    assert_eq!(line(2, 5), None, "no pin");
    assert_eq!(line(2, 2), at_root(4, 4, 0), "B, turned by 2");
    assert_eq!(line(3, 6), at_root(4, 4, 0), "A, turned by 6 and by 1");
    assert_eq!(line(3, 7), at_root(4, 4, 0), "D, turned by 7 and by 1");
}

/// Each function is found once, each bus is walked once, and the walk ends, wherever bridges say that they lead.
#[test]
fn bridges_that_lie_do_not_mislead_the_walk() {
    for (what, bridge) in [
        ("to the root bus", Bridge::new().lying(0, 255)),
        ("to its own bus", Bridge::new().lying(1, 255)),
        ("back", Bridge::new().lying(0, 1)),
        ("nowhere", Bridge::new().lying(2, 0)),
        ("beyond the range", Bridge::new().lying(200, 255)),
        ("to the last bus", Bridge::new().lying(255, 255)),
        ("where another leads", Bridge::new().lying(5, 5)),
    ] {
        let lying = bridge.with(0, 0, other());
        let outer = Bridge::new().numbered(1, 4).with(3, 0, lying).with(4, 0, disk());
        let honest = Bridge::new().numbered(5, 5).with(7, 0, disk());
        let model = Model::new(0).with(1, 0, outer).with(2, 0, honest);

        let found = places(&model, 0..=100);

        assert_eq!(found, [(0, 1, 0), (0, 2, 0), (1, 3, 0), (1, 4, 0), (5, 7, 0)], "{what}");
    }
}

/// Of several bridges that say that they lead to a bus, the first one's way counts, for lines too.
#[test]
fn a_second_way_to_a_bus_is_none() {
    let honest = Bridge::new().numbered(2, 2).with(1, 0, disk());
    let outer = Bridge::new().numbered(1, 1).with(9, 0, Bridge::new().lying(2, 2));
    let model = Model::new(0).with(3, 0, honest).with(4, 0, outer);

    let found = walk(&model, 0..=255);

    let disks: Vec<_> = found.iter().filter(|found| found.device_type().is_some()).collect();
    assert_eq!(disks.len(), 1);
    assert_eq!(disks[0].line, Some(LineAtRoot { device: 3, pin: 2, register: 0 }));
}

/// What reads all ones is no function.
#[test]
fn places_where_nobody_answers_are_passed_by() {
    let gone = disk();
    gone.misbehave(|lies| lies.all_ones = true);
    let model = Model::new(0).with(1, 0, gone).with(2, 0, disk());

    assert_eq!(places(&model, 0..=255), [(0, 2, 0)]);
    assert!(walk(&Model::new(0), 0..=255).is_empty());
}

//! Promises of the ports of a legacy device.

use super::{ACKNOWLEDGE, DRIVER, DRIVER_OK, VERSION_1, builder, expect_complaint, negotiate, write};
use crate::pci::{Builder, PciDevice};

const STATUS: u64 = 0x12;

fn powered(builder: Builder) -> PciDevice {
    let device = builder.device_id(0x1001).build();
    device.config_write(0x04, 0b111);
    device
}

fn out(device: &PciDevice, port: u64, width: u8, value: u32) {
    device.bar_write(0, port, width, value);
}

fn inp(device: &PciDevice, port: u64, width: u8) -> u32 {
    device.bar_read(0, port, width)
}

/// Resets, and says that there is a driver.
fn begin(device: &PciDevice) {
    for status in [0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER] {
        out(device, STATUS, 1, status.into());
        assert_eq!(inp(device, STATUS, 1), status.into());
    }
}

/// Spec: §4.1.4.10, §2.7.2 — a queue is where its page is, and as large as the device says.
#[test]
fn a_correct_bring_up_by_ports_earns_no_complaint() {
    let device = powered(builder().features(VERSION_1 | 1 << 29).legacy());
    assert_eq!(device.config_read(0x08) & 0xff, 0, "revision 0");
    begin(&device);
    assert_eq!(inp(&device, 0, 4), 1 << 29);
    out(&device, 4, 4, 1 << 29);
    out(&device, 0x0e, 2, 2);
    assert_eq!([inp(&device, 0x0c, 2), inp(&device, 8, 4)], [8, 0]);
    out(&device, 8, 4, 0x12345);
    out(&device, STATUS, 1, (ACKNOWLEDGE | DRIVER | DRIVER_OK).into());
    out(&device, 0x10, 2, 2);

    device.assert_driver_was_correct();
    assert_eq!((inp(&device, 8, 4), device.notifications(2)), (0x12345, 1));
    let queue = device.queue(2).unwrap();
    let areas = [queue.descriptor_area, queue.driver_area, queue.device_area];
    assert_eq!(areas, [0x1234_5000, 0x1234_5080, 0x1234_6000]);
    device.raise_used(2);
    assert_eq!([(); 2].map(|()| inp(&device, 0x13, 1)), [1, 0]);
}

/// Spec: §4.1.4.10 — with MSI-X on there are two more registers, and what follows has moved.
#[test]
fn the_configuration_moves_when_msi_x_is_switched_on() {
    let device = powered(builder().legacy().msi_x(2));
    begin(&device);
    assert_eq!([inp(&device, 0x14, 1), inp(&device, 0x14, 4)], [1, 0x0403_0201]);

    device.config_write(0x40, 1 << 31);
    assert_eq!([0x14, 0x16].map(|port| inp(&device, port, 2)), [0xffff, 0xffff]);
    out(&device, 0x14, 2, 0);
    out(&device, 0x16, 2, 1);

    assert_eq!([0x14, 0x16].map(|port| inp(&device, port, 2)), [0, 1]);
    assert_eq!(inp(&device, 0x18, 2), 0x0201);
    device.assert_driver_was_correct();
}

#[test]
fn each_broken_rule_about_ports_is_named() {
    type Break = fn(&PciDevice);
    let cases: [(&str, Break); 6] = [
        ("write of 1 bytes at port 0x8", |device| out(device, 8, 1, 1)),
        ("write of 2 bytes at port 0xc", |device| out(device, 0x0c, 2, 4)),
        ("read of 2 bytes at port 0x12", |device| {
            inp(device, 0x12, 2);
        }),
        ("taken away without a reset", |device| out(device, 8, 4, 0)),
        ("FEATURES_OK set on a legacy device", |device| out(device, STATUS, 1, 0x0b)),
        ("accepted but not offered", |device| {
            out(device, 4, 4, 1);
            out(device, STATUS, 1, 7);
        }),
    ];
    for (text, break_rule) in cases {
        let device = powered(builder().legacy());
        begin(&device);

        break_rule(&device);

        expect_complaint(&device, text);
    }
}

/// Spec: §4.1.4.10 — a transitional device has both interfaces; between two resets it is driven by one.
#[test]
fn a_transitional_device_is_driven_by_one_interface_at_a_time() {
    let device = powered(builder().transitional());
    begin(&device);
    out(&device, STATUS, 1, 0);
    assert_eq!(inp(&device, STATUS, 1), 0);
    negotiate(&device, VERSION_1);
    device.assert_driver_was_correct();

    out(&device, 0x0e, 2, 0);
    expect_complaint(&device, "both interfaces");

    let device = powered(builder().transitional());
    begin(&device);
    write(&device, 0x16, 2, 0);
    expect_complaint(&device, "both interfaces");
}

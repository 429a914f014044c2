//! What the registers promise: strict about widths and order, and a test can see what a driver did wrong.

use super::MmioDevice;
use crate::pci::PciDevice;

fn device() -> MmioDevice {
    MmioDevice::new(PciDevice::builder().features(1 << 32).queue_sizes(&[8]).config([1, 2, 3, 4]).build(), 62)
}

fn legacy() -> MmioDevice {
    MmioDevice::legacy(
        PciDevice::builder().features(1 << 29).queue_sizes(&[8]).config([1, 2, 3, 4]).build(),
        62,
    )
}

/// Spec: §4.2.2 — where the registers are, and what identifies a device.
#[test]
fn a_device_says_what_it_is() {
    for (device, version) in [(device(), 2), (legacy(), 1)] {
        assert_eq!([device.read(0, 4), device.read(4, 4), device.read(8, 4)], [0x7472_6976, version, 62]);
    }
}

/// Spec: §4.2.2.2 — registers are accessed with 32 bits.
#[test]
fn a_register_is_accessed_with_its_own_width() {
    for (offset, width) in [(0x70, 1), (0x34, 2), (0x72, 2)] {
        let device = device();
        device.read(offset, width);
        assert_eq!(device.device().driver_errors().len(), 1, "read of {width} bytes at {offset:#x}");
        device.write(offset, width, 0);
        assert_eq!(device.device().driver_errors().len(), 2, "write of {width} bytes at {offset:#x}");
    }
}

/// Spec: §4.2.4 — each interface has registers of its own.
#[test]
fn a_register_of_the_other_interface_is_a_mistake() {
    for (device, offsets) in
        [(device(), &[0x028, 0x03c, 0x040][..]), (legacy(), &[0x044, 0x080, 0x0ac, 0x0c0])]
    {
        for (count, offset) in (1..).zip(offsets) {
            device.write(*offset, 4, 0);
            assert_eq!(device.device().driver_errors().len(), count, "{offset:#x}");
        }
    }
}

/// Spec: §4.2.4 — the configuration of a legacy device is read byte by byte.
#[test]
fn a_legacy_configuration_is_read_byte_by_byte() {
    let device = legacy();
    assert_eq!(device.read(0x101, 1), 2);
    device.device().assert_driver_was_correct();
    device.read(0x100, 4);
    assert_eq!(device.device().driver_errors().len(), 1);
}

/// Spec: §4.2.3.4.1 — what was not raised is not acknowledged.
#[test]
fn only_what_was_raised_is_acknowledged() {
    let device = device();
    device.device().raise_used(0);
    assert_eq!(device.read(0x60, 4), 1);
    device.write(0x64, 4, 1);
    assert_eq!(device.read(0x60, 4), 0);
    device.device().assert_driver_was_correct();
    device.write(0x64, 4, 2);
    assert_eq!(device.device().driver_errors().len(), 1);
}

//! Promises of the table of messages, and of the interrupt line.

use super::{DRIVER_OK, VERSION_1, add_status, builder, decoding, enable_queue, expect_complaint};
use super::{negotiate, read, write};
use crate::pci::PciDevice;

const TABLE_BAR: u8 = 1;
const CONTROL: u16 = 0x98;
const ON: u32 = 1 << 31;
const ALL_MASKED: u32 = 1 << 30;

fn with_table() -> PciDevice {
    let device = decoding(builder().msi_x(3));
    assert_eq!(device.config_read(CONTROL) & 0xffff_00ff, 0x0002_0011, "three entries, all off");
    device
}

/// Writes an entry; `masked` is its control word.
fn entry(device: &PciDevice, index: u64, address: u64, data: u32, masked: u32) {
    let words = [address & 0xffff_ffff, address >> 32, data.into(), masked.into()];
    for (offset, word) in (16 * index..).step_by(4).zip(words) {
        device.bar_write(TABLE_BAR, offset, 4, u32::try_from(word).unwrap());
    }
}

fn vectors(device: &PciDevice, config: u32, queue: u32) -> [u32; 2] {
    write(device, 0x10, 2, config);
    write(device, 0x1a, 2, queue);
    [read(device, 0x10, 2), read(device, 0x1a, 2)]
}

/// Spec: §4.1.5.1.2 — what happened says which message is sent, unless something masks it.
#[test]
fn a_message_is_sent_for_what_has_its_vector() {
    let device = with_table();
    device.config_write(CONTROL, ON);
    entry(&device, 0, 0xfee0_0000, 0x20, 0);
    entry(&device, 2, 0x1_fee0_1000, 0x22, 0);
    negotiate(&device, VERSION_1);
    assert_eq!(vectors(&device, 0, 2), [0, 2]);
    enable_queue(&device, 0);
    add_status(&device, DRIVER_OK);

    device.raise_used(0);
    device.raise_config();
    device.raise_used(2);

    assert_eq!(device.take_messages(), [(0x1_fee0_1000, 0x22), (0xfee0_0000, 0x20)]);
    assert_eq!((device.isr(), device.line_is_raised()), (2, false), "buffers are the message's to tell of");
    device.config_write(CONTROL, ON | ALL_MASKED);
    device.raise_used(0);
    device.config_write(CONTROL, ON);
    entry(&device, 2, 0, 0, 1);
    device.raise_used(0);
    assert_eq!((device.take_messages(), device.withheld_messages()), (vec![], 2));
    expect_complaint(&device, "MSI-X entry 2 changed while it was not masked");
}

#[test]
fn a_vector_is_granted_as_the_builder_says() {
    for (builder, granted) in [
        (builder().vectors(2), [1, 0xffff]),
        (builder().vectors(0), [0xffff, 0xffff]),
        (builder().vector_registers(1), [1, 0xffff]),
    ] {
        let device = decoding(builder.msi_x(3));
        device.config_write(CONTROL, ON);
        negotiate(&device, VERSION_1);
        assert_eq!(vectors(&device, 1, 2), granted);
        device.assert_driver_was_correct();

        device.misbehave(|lies| lies.vector_read_back = Some(7));
        assert_eq!(vectors(&device, 1, 2), [7, 7]);
    }
}

/// Spec: §4.1.5.1.2.2 Driver Requirements: MSI-X Vector Configuration.
#[test]
fn each_broken_rule_about_vectors_is_named() {
    type Break = fn(&PciDevice);
    let cases: [(&str, bool, Break); 6] = [
        ("written with MSI-X off", false, |device| write(device, 0x10, 2, 0)),
        ("not in the MSI-X table", true, |device| write(device, 0x10, 2, 3)),
        ("not read back", true, |device| {
            write(device, 0x10, 2, 0);
            add_status(device, DRIVER_OK);
        }),
        ("not read back", true, |device| {
            write(device, 0x1a, 2, 0);
            enable_queue(device, 0);
        }),
        ("of the MSI-X table", true, |device| device.bar_write(TABLE_BAR, 0, 2, 0)),
        ("where no register is", true, |device| device.bar_write(TABLE_BAR, 0x38, 4, 0)),
    ];
    for (text, is_on, break_rule) in cases {
        let device = with_table();
        device.config_write(CONTROL, if is_on { ON } else { 0 });
        negotiate(&device, VERSION_1);

        break_rule(&device);

        expect_complaint(&device, text);
    }
}

/// PCI Local Bus Specification 3.0, §6.2.2 and §6.2.3.
#[test]
fn the_line_is_raised_until_the_isr_is_read_and_only_if_it_may_be() {
    let device = with_table();
    device.raise_used(0);

    assert!(device.line_is_raised() && device.config_read(0x04) & 1 << 19 != 0);
    device.config_write(0x04, 0x406);
    assert!(!device.line_is_raised() && device.config_read(0x04) & 1 << 19 != 0);
    device.config_write(0x04, 0x006);
    device.config_write(CONTROL, ON);
    assert!(!device.line_is_raised(), "messages instead");
    device.config_write(CONTROL, 0);
    assert!(device.line_is_raised());
    read(&device, 0x1000, 1);
    assert!(!device.line_is_raised() && device.config_read(0x04) & 1 << 19 == 0);

    let without_pin = decoding(builder().interrupt_pin(0));
    without_pin.raise_used(0);
    assert!(!without_pin.line_is_raised());
}

//! Promises of a function that loses power.

use super::{ACKNOWLEDGE, DRIVER_OK, STATUS, VERSION_1};
use super::{add_status, builder, decoding, enable_queue, expect_complaint, negotiate, write};
use crate::pci::MSI_X;

const COMMAND: u16 = 0x04;
const BARS: [u16; 6] = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24];
const TABLE_BAR: u8 = 1;
/// The data of the window capability, which is a register of the BAR that it names; the switches of MSI-X.
const WINDOW: u16 = 0x94;
const CONTROL: u16 = 0x98;

/// Whatever software wrote is gone: addresses, the right to decode them and to access memory, messages; whatever the function is stays.
#[test]
fn a_function_that_loses_power_forgets_what_it_was_told() {
    let built = builder().msi_x(3).build();
    let before = (0..64).map(|word| built.config_read(4 * word)).collect::<Vec<_>>();
    let device = decoding(builder().msi_x(3));
    device.config_write(CONTROL, 1 << 31);
    for (offset, word) in [(0, 0x1000), (4, 0), (8, 0x20), (12, 0)] {
        device.bar_write(TABLE_BAR, offset, 4, word);
    }
    assert_eq!(device.config_read(CONTROL) & 0xff, MSI_X.into());
    negotiate(&device, VERSION_1);
    enable_queue(&device, 0);
    add_status(&device, DRIVER_OK);

    device.lose_power();

    for (offset, word) in (0..).step_by(4).zip(before) {
        if !BARS.contains(&offset) && offset != WINDOW {
            assert_eq!(device.config_read(offset), word, "{offset:#x}");
        }
    }
    assert!(BARS.iter().all(|bar| device.config_read(*bar) & !0xf == 0));
    assert_eq!((device.command(), device.msi_x_is_on(), device.status()), (0, false, 0));
    device.config_write(COMMAND, 2);
    assert_eq!([0, 12].map(|offset| device.bar_read(TABLE_BAR, offset, 4)), [0, 1], "no message, masked");
    assert!(!device.is_live() && device.queue_setup(0).is_none());
    device.assert_driver_was_correct();
}

/// Spec: §3.1.1 step 1 — who drives it next resets it, as after power-up.
#[test]
fn a_function_that_lost_power_is_to_be_reset_first() {
    let device = decoding(builder());
    negotiate(&device, VERSION_1);
    device.lose_power();
    device.config_write(BARS[4], 0x4000_0000);
    device.config_write(COMMAND, 2);

    write(&device, STATUS, 1, ACKNOWLEDGE.into());

    expect_complaint(&device, "the device was not reset first");
}

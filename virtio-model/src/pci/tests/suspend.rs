//! Promises of a device that can be suspended.

use super::{
    ACKNOWLEDGE, Completion, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET, NOTIFY, STATUS, VERSION_1,
};
use super::{add_status, builder, decoding, enable_queue, expect_complaint, negotiate, read, write};
use crate::pci::{PciDevice, SUSPEND};

const F_SUSPEND: u128 = 1 << 43;
const RUNNING: u8 = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
const SUSPENDED: u8 = ACKNOWLEDGE | DRIVER | FEATURES_OK | SUSPEND;
const BETWEEN: u8 = RUNNING | SUSPEND;
const DEVICE_CONFIG: u64 = 0x2000;

/// A device that runs, with these features agreed on.
fn running(features: u128) -> PciDevice {
    let device = decoding(builder().features(VERSION_1 | features));
    negotiate(&device, VERSION_1 | features);
    enable_queue(&device, 0);
    add_status(&device, DRIVER_OK);
    device
}

fn statuses(device: &PciDevice, reads: usize) -> Vec<u8> {
    (0..reads).map(|_| u8::try_from(read(device, STATUS, 1)).unwrap()).collect()
}

/// Spec: §3.4 — SUSPEND without DRIVER_OK says that it is suspended, DRIVER_OK without SUSPEND that it runs; before that it shows both.
#[test]
fn a_device_is_suspended_and_runs_again() {
    for (time, shown) in [(Completion::Prompt, 0), (Completion::AfterReads(2), 2)] {
        let device = running(F_SUSPEND);
        device.misbehave(|lies| (lies.suspend, lies.resume) = (time, time));

        write(&device, STATUS, 1, BETWEEN.into());
        assert_eq!((device.is_suspending(), device.is_live()), (shown > 0, shown > 0));
        assert_eq!(statuses(&device, shown + 1), [vec![BETWEEN; shown], vec![SUSPENDED]].concat());
        assert_eq!((device.is_suspended(), device.is_suspending(), device.is_live()), (true, false, false));

        write(&device, STATUS, 1, BETWEEN.into());
        assert_eq!((device.is_suspended(), device.is_live()), (shown > 0, shown == 0));
        assert_eq!(statuses(&device, shown + 1), [vec![BETWEEN; shown], vec![RUNNING]].concat());
        assert_eq!((device.is_suspended(), device.is_live()), (false, true));
        device.assert_driver_was_correct();
    }
}

/// Spec: §3.4.2 — one that fails says so.
#[test]
fn a_device_that_cannot_be_suspended_or_resumed_needs_a_reset() {
    let device = running(F_SUSPEND);
    device.misbehave(|lies| lies.fails_suspension = true);
    write(&device, STATUS, 1, BETWEEN.into());
    assert_eq!(statuses(&device, 2), [BETWEEN | NEEDS_RESET; 2]);
    assert_eq!((device.is_live(), device.config_interrupts()), (false, 1));

    let device = running(F_SUSPEND);
    write(&device, STATUS, 1, BETWEEN.into());
    device.misbehave(|lies| lies.fails_suspension = true);
    write(&device, STATUS, 1, BETWEEN.into());
    assert_eq!(statuses(&device, 2), [BETWEEN | NEEDS_RESET; 2]);
    write(&device, STATUS, 1, 0);
    assert_eq!((read(&device, STATUS, 1), device.is_suspended()), (0, false));
    device.assert_driver_was_correct();
}

/// Spec: §3.4.2 — what changes meanwhile is told when the device runs again, once.
#[test]
fn a_configuration_change_is_told_after_the_resumption() {
    let device = running(F_SUSPEND);
    write(&device, STATUS, 1, BETWEEN.into());

    device.raise_config();
    device.raise_config();
    assert_eq!((device.config_interrupts(), device.isr()), (0, 0));
    write(&device, STATUS, 1, BETWEEN.into());

    assert_eq!((device.config_interrupts(), device.isr()), (1, 2));
}

/// Spec: §3.4.1 Driver Requirements: Device Suspend. What is not allowed has no effect, either.
#[test]
fn each_broken_rule_about_suspension_is_named() {
    type Break = fn(&PciDevice);
    let suspended: fn() -> PciDevice = || {
        let device = running(F_SUSPEND);
        write(&device, STATUS, 1, BETWEEN.into());
        device
    };
    let asked: fn() -> PciDevice = || {
        let device = running(F_SUSPEND);
        device.misbehave(|lies| lies.suspend = Completion::Never);
        write(&device, STATUS, 1, BETWEEN.into());
        device
    };
    let resuming: fn() -> PciDevice = || {
        let device = running(F_SUSPEND);
        device.misbehave(|lies| lies.resume = Completion::Never);
        write(&device, STATUS, 1, BETWEEN.into());
        write(&device, STATUS, 1, BETWEEN.into());
        device
    };
    let rules: [(&str, Break); 4] = [
        ("notification after SUSPEND", |device| write(device, NOTIFY, 2, 0)),
        ("device configuration written after SUSPEND", |device| write(device, DEVICE_CONFIG, 1, 9)),
        ("queue 2 configured after SUSPEND", |device| enable_queue(device, 2)),
        ("bits were dropped", |device| write(device, STATUS, 1, RUNNING.into())),
    ];
    for state in [suspended, asked, resuming] {
        for (text, break_rule) in rules {
            let device = state();
            device.assert_driver_was_correct();
            break_rule(&device);
            expect_complaint(&device, text);
            assert_eq!((device.config(), device.queue(2).unwrap().enabled), (vec![1, 2, 3, 4], false));
        }
    }

    for (device, status) in
        [(running(0), BETWEEN), (decoding(builder().features(VERSION_1 | F_SUSPEND)), SUSPENDED)]
    {
        if device.status() == 0 {
            negotiate(&device, VERSION_1 | F_SUSPEND);
        }
        let before = device.status();
        write(&device, STATUS, 1, status.into());
        expect_complaint(&device, "SUSPEND set without the feature, or before DRIVER_OK");
        assert_eq!(device.status(), before);
    }
}

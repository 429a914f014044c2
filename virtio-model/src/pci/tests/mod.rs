//! Promises of the PCI function.
//!
//! Configuration space, register semantics, and the complaints about a driver.

mod interrupts;
mod legacy;
mod power;
mod suspend;

use super::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET};
use super::{Bar, Builder, Capability, Completion, PciDevice, STANDARD_BAR};

const STATUS: u64 = 0x14;
const NOTIFY: u64 = 0x3000;
const VERSION_1: u128 = 1 << 32;

fn builder() -> Builder {
    PciDevice::builder().device_id(0x1042).queue_sizes(&[16, 0, 8]).config([1, 2, 3, 4])
}

/// Powers up, and lets the function decode memory and reach it.
fn decoding(builder: Builder) -> PciDevice {
    let device = builder.build();
    device.config_write(0x04, 0b110);
    device
}

fn write(device: &PciDevice, offset: u64, width: u8, value: u32) {
    device.bar_write(STANDARD_BAR, offset, width, value);
}

fn read(device: &PciDevice, offset: u64, width: u8) -> u32 {
    device.bar_read(STANDARD_BAR, offset, width)
}

fn add_status(device: &PciDevice, bit: u8) -> u32 {
    let status = read(device, STATUS, 1);
    write(device, STATUS, 1, status | u32::from(bit));
    read(device, STATUS, 1)
}

/// Climbs to `FEATURES_OK` with the given features.
fn negotiate(device: &PciDevice, features: u128) -> u32 {
    write(device, STATUS, 1, 0);
    assert_eq!(read(device, STATUS, 1), 0);
    add_status(device, ACKNOWLEDGE);
    add_status(device, DRIVER);
    for word in 0..4 {
        write(device, 0x08, 4, word);
        let value = features >> (32 * word) & u128::from(u32::MAX);
        write(device, 0x0c, 4, u32::try_from(value).unwrap());
    }
    add_status(device, FEATURES_OK)
}

fn enable_queue(device: &PciDevice, index: u32) {
    write(device, 0x16, 2, index);
    for (offset, low) in [(0x20, 0x1000), (0x28, 0x2000), (0x30, 0x3000)] {
        write(device, offset, 4, low);
        write(device, offset + 4, 4, 1);
    }
    write(device, 0x1c, 2, 1);
}

fn expect_complaint(device: &PciDevice, text: &str) {
    let errors = device.driver_errors();
    assert!(errors.iter().any(|error| error.contains(text)), "{errors:?} should say {text:?}");
}

/// Spec: §3.1.1 Driver Requirements: Device Initialization.
#[test]
fn a_correct_bring_up_earns_no_complaint() {
    let high = VERSION_1 | 1 << 100;
    let device = decoding(builder().features(high));

    assert_eq!(negotiate(&device, high), 0x0b);
    enable_queue(&device, 2);
    add_status(&device, DRIVER_OK);
    write(&device, NOTIFY + 2 * 4, 2, 2);

    device.assert_driver_was_correct();
    assert_eq!(device.negotiated_features(), high);
    assert_eq!(device.notifications(2), 1);
    let queue = device.queue(2).unwrap();
    assert_eq!((queue.size, queue.descriptor_area), (8, 0x1_0000_1000));
}

#[test]
fn features_are_shown_word_by_word_over_128_bits() {
    let device = decoding(builder().features(VERSION_1 | 1 << 70 | 1 << 127));
    let words = [0, 1, 2, 3, 4].map(|word| {
        write(&device, 0x00, 4, word);
        read(&device, 0x04, 4)
    });

    assert_eq!(words, [0, 1, 1 << 6, 1 << 31, 0]);
}

#[test]
fn a_feature_that_was_not_offered_is_refused() {
    let device = decoding(builder());

    assert_eq!(negotiate(&device, VERSION_1 | 1), 3);

    expect_complaint(&device, "accepted but not offered");
}

#[test]
fn each_broken_rule_is_named() {
    type Break = fn(&PciDevice);
    let cases: [(&str, Break); 14] = [
        ("set in one step", |device| write(device, STATUS, 1, 0x8f)),
        ("bits were dropped", |device| write(device, STATUS, 1, 4)),
        ("features written after", |device| write(device, 0x0c, 4, 1)),
        ("queue_enable written 0", |device| write(device, 0x1c, 2, 0)),
        ("after it was enabled", |device| {
            enable_queue(device, 0);
            write(device, 0x18, 2, 8);
        }),
        ("does not exist", |device| enable_queue(device, 1)),
        ("queue size 12", |device| write(device, 0x18, 2, 12)),
        ("queue size 32", |device| write(device, 0x18, 2, 32)),
        ("not a multiple of 16", |device| {
            write(device, 0x20, 4, 8);
            write(device, 0x1c, 2, 1);
        }),
        ("after DRIVER_OK", |device| {
            add_status(device, DRIVER_OK);
            enable_queue(device, 0);
        }),
        ("notification before DRIVER_OK", |device| write(device, NOTIFY, 2, 0)),
        ("names no queue", |device| write(device, NOTIFY + 4, 2, 0)),
        ("during a reset", |device| {
            write(device, STATUS, 1, 0);
            write(device, 0x16, 2, 0);
        }),
        ("read of 4 bytes at 0x10 of the common", |device| {
            read(device, 0x10, 4);
        }),
    ];
    for (text, break_rule) in cases {
        let device = decoding(builder());
        negotiate(&device, VERSION_1);

        break_rule(&device);

        expect_complaint(&device, text);
    }
}

#[test]
fn a_driver_that_was_ready_without_bus_mastering_is_told_so() {
    let device = decoding(builder());
    negotiate(&device, VERSION_1);
    device.config_write(0x04, 0b010);

    add_status(&device, DRIVER_OK);

    expect_complaint(&device, "bus master");
}

#[test]
fn registers_read_all_ones_while_memory_is_not_decoded() {
    let device = builder().build();

    assert_eq!(read(&device, STATUS, 1), 0xff);

    expect_complaint(&device, "not decoded");
}

#[test]
fn a_bar_tells_its_size() {
    let device = builder().bar(0, Bar::memory32(0x1000, 0)).bar(1, Bar::io(0x20, 0xc000)).build();
    for register in 0..6 {
        device.config_write(0x10 + 4 * register, u32::MAX);
    }

    let sizes = [0, 1, 2, 3, 4, 5].map(|register| device.config_read(0x10 + 4 * register));

    assert_eq!(sizes, [0xffff_f000, 0xffff_ffe1, 0, 0, 0xffff_c00c, 0xffff_ffff]);
    device.config_write(0x20, 0x8000_0000);
    device.config_write(0x24, 0x12);
    assert_eq!(device.memory_bar_at(0x12_8000_1004), Some((4, 0x1004)));
    assert_eq!(device.bar_writes_while_decoding(), 0);
}

#[test]
fn the_capability_list_is_linked_as_scripted() {
    let loops = Capability::raw(0x05, &[0; 6]).placed_at(0x80).linked_to(0x80);
    let device = builder().edit_capabilities(|list| list.insert(1, loops)).build();

    assert_eq!(device.config_read(0x34) & 0xff, 0x40);
    assert_eq!(device.config_read(0x40), 0x0110_8009);
    assert_eq!(device.config_read(0x80) & 0xffff, 0x8005);
}

#[test]
fn registers_can_be_reached_through_the_window() {
    let device = builder().build();
    let mut at = 0x40;
    while device.config_read(at) >> 24 != 5 {
        at = u16::try_from(device.config_read(at) >> 8 & 0xff).unwrap();
    }

    device.config_write(at + 4, u32::from(STANDARD_BAR));
    device.config_write(at + 8, 0x2000);
    device.config_write(at + 12, 2);

    assert_eq!(device.config_read(at + 16), 0x0201);
    device.assert_driver_was_correct();
}

#[test]
fn a_reset_takes_as_long_as_it_is_told_to() {
    let device = decoding(builder());
    negotiate(&device, VERSION_1);
    enable_queue(&device, 0);
    device.misbehave(|lies| lies.reset = Completion::AfterReads(2));

    write(&device, STATUS, 1, 0);

    assert!(device.queue(0).unwrap().enabled);
    let reads = [(); 3].map(|()| read(&device, STATUS, 1));
    assert_eq!(reads, [0x0b, 0x0b, 0]);
    assert!(!device.queue(0).unwrap().enabled);
    device.misbehave(|lies| lies.reset = Completion::Never);
    add_status(&device, ACKNOWLEDGE);
    write(&device, STATUS, 1, 0);
    assert_eq!([(); 9].map(|()| read(&device, STATUS, 1)), [1; 9]);
}

/// Spec: §2.6.1 Virtqueue Reset.
#[test]
fn a_queue_that_was_reset_can_be_enabled_again() {
    let ring_reset = VERSION_1 | 1 << 40;
    let device = decoding(builder().features(ring_reset));
    negotiate(&device, ring_reset);
    enable_queue(&device, 0);
    add_status(&device, DRIVER_OK);
    device.misbehave(|lies| lies.queue_reset = Completion::AfterReads(1));

    write(&device, 0x3a, 2, 1);

    assert_eq!([(); 2].map(|()| read(&device, 0x3a, 2)), [1, 0]);
    assert_eq!(read(&device, 0x1c, 2), 0);
    enable_queue(&device, 0);
    assert_eq!(read(&device, 0x1c, 2), 1);
    device.assert_driver_was_correct();
    assert_eq!(device.queue(0).unwrap().epoch, 2);
}

/// Spec: §4.1.5.2 Available Buffer Notifications.
#[test]
fn a_notification_with_data_has_four_bytes_and_is_remembered() {
    let with_data = VERSION_1 | 1 << 38;
    let device = decoding(builder().features(with_data));
    negotiate(&device, with_data);
    enable_queue(&device, 2);
    add_status(&device, DRIVER_OK);
    assert_eq!(device.last_notification(2), None);

    write(&device, NOTIFY + 2 * 4, 4, 0x8005_0002);

    assert_eq!(device.last_notification(2), Some(0x8005_0002));
    device.assert_driver_was_correct();
    write(&device, NOTIFY + 2 * 4, 2, 2);
    expect_complaint(&device, "notification of 2 bytes");
}

/// Spec: §2.6 Virtqueues — one layout or the other, by negotiation.
#[test]
fn a_queue_is_taken_over_as_it_was_negotiated() {
    let memory = crate::AddressSpace::new();
    for (features, packed, setup) in [
        (0, false, (false, false, false)),
        (1 << 28, false, (false, true, false)),
        (1 << 29 | 1 << 34, true, (true, false, false)),
        (1 << 34 | 1 << 35, true, (false, false, true)),
    ] {
        let device = decoding(builder().features(VERSION_1 | features));
        negotiate(&device, VERSION_1 | features);
        assert!(device.device_queue(2, &memory).is_none(), "not enabled yet");

        enable_queue(&device, 2);

        let queue = device.device_queue(2, &memory).unwrap().unwrap();
        assert_eq!((queue.is_packed(), queue.size()), (packed, 8));
        let found = device.queue_setup(2).unwrap();
        assert_eq!((found.event_idx, found.indirect, found.in_order), setup);
    }
}

#[test]
fn reading_the_isr_clears_it() {
    let device = decoding(builder());
    device.raise_used(0);
    device.raise_config();

    assert_eq!([(); 2].map(|()| read(&device, 0x1000, 1)), [3, 0]);
}

#[test]
fn a_configuration_that_changes_between_reads_shows_in_the_generation() {
    let device = decoding(builder());
    device.set_config_after_reads(1, [9, 9, 9, 9]);
    let before = read(&device, 0x15, 1);

    let halves = [read(&device, 0x2000, 2), read(&device, 0x2002, 2)];

    assert_eq!(halves, [0x0201, 0x0909]);
    assert_ne!(read(&device, 0x15, 1), before);
}

#[test]
fn a_removed_device_reads_all_ones() {
    let device = decoding(builder());
    device.misbehave(|lies| lies.removed_after = Some(1));

    assert_eq!([(); 2].map(|()| read(&device, STATUS, 1)), [0, 0xff]);
    assert_eq!(device.config_read(0), u32::MAX);
    device.assert_driver_was_correct();
}

#[test]
fn a_removed_device_reads_zeros_where_its_bridge_gives_them() {
    let device = decoding(builder());
    device.misbehave(|lies| (lies.all_ones, lies.gone_bars_read_zero) = (true, true));

    assert_eq!((read(&device, STATUS, 1), read(&device, 0, 4)), (0, 0));
    assert_eq!(device.config_read(4), u32::MAX);
    device.assert_driver_was_correct();
}

#[test]
fn the_other_lies_are_told() {
    let device = decoding(builder());
    device.misbehave(|lies| {
        lies.drops_features_ok = true;
        lies.queue_size = Some(7);
        lies.queue_already_enabled = true;
        lies.notify_off = Some(0xffff);
        lies.num_queues = Some(0);
        lies.generation_never_rests = true;
    });

    assert_eq!(negotiate(&device, VERSION_1), 3);
    assert_eq!([0x12, 0x18, 0x1c, 0x1e].map(|at| read(&device, at, 2)), [0, 7, 1, 0xffff]);
    assert_ne!(read(&device, 0x15, 1), read(&device, 0x15, 1));
    device.set_needs_reset();
    assert_eq!(read(&device, STATUS, 1), 3 | u32::from(NEEDS_RESET));
    device.misbehave(|lies| *lies = super::Misbehaviour::default());
    device.misbehave(|lies| lies.features_after_ok = Some(0));
    negotiate(&device, VERSION_1);
    write(&device, 0x00, 4, 1);
    assert_eq!(read(&device, 0x04, 4), 0);
}

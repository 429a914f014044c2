//! How wide registers behind PCI are accessed, and in which order.
//!
//! Spec: §4.1.3.1 Driver Requirements: PCI Device Layout, §4.1.5.1.3 Virtqueue Configuration. The model refuses accesses to the common
//! configuration that have another width than their register; here is what it does not judge.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::record::{Access, Recorder};
use support::{Mapper, Pci, TestHal, claim};
use virtio_guest::hal::AccessWidth::{Byte, Long, Word};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Installing, Negotiating, Wants};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{QueueSettings, Slots};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::field::Field;
use virtio_guest::wire::pci::device_type;
use virtio_model::pci::{Bar, Builder, PciDevice, STANDARD_BAR, cfg_type};

const VERSION_1: u128 = 1 << 32;
const BASE: u64 = 0x38_0000_0000;
/// Where the common configuration has `queue_select`, `queue_size`, `queue_enable`.
const QUEUE_SELECT: u64 = 0x16;
const QUEUE_SIZE: u64 = 0x18;
const QUEUE_ENABLE: u64 = 0x1c;
const SETTINGS: QueueSettings = QueueSettings { size_max: 8, indirect_segments: 0, memory_bytes: 64 };

fn builder() -> Builder {
    let builder = PciDevice::builder().device_id(0x1042).features(VERSION_1).queue_sizes(&[8, 0, 4]);
    builder.config((0..16).collect::<Vec<u8>>()).bar(STANDARD_BAR, Bar::memory64(0x4000, BASE))
}

/// Where a structure of the standard list is.
fn place(device: &PciDevice, kind: u8) -> u64 {
    let mut at = device.config_read(0x34) as u16 & 0xff;
    while device.config_read(at) & 0xff != 0x09 || device.config_read(at) >> 24 != u32::from(kind) {
        at = (device.config_read(at) >> 8) as u16 & 0xff;
        assert_ne!(at, 0, "no structure {kind}");
    }
    BASE + u64::from(device.config_read(at + 8))
}

fn open(device: &PciDevice) -> (Recorder<Mapper>, Pci) {
    let recorder = Recorder::new(Mapper(device.clone()));
    let transport = Pci::open(claim(device), &recorder).unwrap();
    (recorder, transport)
}

fn negotiate(transport: Pci) -> Installing<Pci, BlockFeatures> {
    Negotiating::begin(transport, Attempts(10)).unwrap().negotiate(Wants::none()).unwrap()
}

/// Spec: §4.1.3.1 — fields of the configuration are accessed with their own width; those of 64 bits as two halves.
#[test]
fn configuration_fields_are_accessed_with_their_own_width() {
    let device = builder().build();
    let (recorder, transport) = open(&device);
    let mut installing = negotiate(transport);
    recorder.take();

    installing.config().read(Field::<u8>::at(3)).unwrap();
    installing.config().read(Field::<u16>::at(6)).unwrap();
    installing.config().read(Field::<u64>::at(8)).unwrap();
    installing.write_config(Field::<u8>::at(3), 1).unwrap();
    installing.write_config(Field::<u64>::at(8), 0x1_0000_0002).unwrap();

    let at = place(&device, cfg_type::DEVICE);
    let accesses = recorder.take().into_iter().filter(|access| (at..at + 16).contains(&access.address()));
    let expected = [
        Access::Read(at + 3, Byte),
        Access::Read(at + 6, Word),
        Access::Read(at + 8, Long),
        Access::Read(at + 12, Long),
        Access::Write(at + 3, Byte, 1),
        Access::Write(at + 8, Long, 2),
        Access::Write(at + 12, Long, 1),
    ];
    assert_eq!(accesses.collect::<Vec<_>>(), expected);
}

/// Spec: §4.1.5.1.3 — a queue is selected, looked at, told of, and enabled last.
#[test]
fn a_queue_is_told_of_in_order_and_enabled_last() {
    let (device, hal) = (builder().build(), TestHal::default());
    let (recorder, transport) = open(&device);
    let common = place(&device, cfg_type::COMMON);
    let mut installing = negotiate(transport);
    recorder.take();

    let _queue = installing.install_queue(2, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(8)).unwrap();

    let accesses = recorder.take();
    let at = |wanted| accesses.iter().position(|access| *access == wanted).expect("it is there");
    assert!(at(Access::Write(common + QUEUE_SELECT, Word, 2)) < at(Access::Read(common + QUEUE_SIZE, Word)));
    let is_size =
        |access: &&Access| matches!(access, Access::Write(address, ..) if *address == common + QUEUE_SIZE);
    let sizes: Vec<_> = accesses.iter().filter(is_size).collect();
    assert_eq!(sizes, [&Access::Write(common + QUEUE_SIZE, Word, 4)], "what the device can have");
    assert_eq!(accesses.last(), Some(&Access::Write(common + QUEUE_ENABLE, Word, 1)));
    let queue = device.queue(2).unwrap();
    let areas = [queue.descriptor_area, queue.driver_area, queue.device_area];
    for (field, address) in (0x20..).step_by(8).zip(areas) {
        for (half, value) in [(0, address & 0xffff_ffff), (4, address >> 32)] {
            let value = u32::try_from(value).expect("a half");
            at(Access::Write(common + field + half, Long, value));
        }
    }
    device.assert_driver_was_correct();
}

/// Spec: §4.1.2.1, §4.1.2.2 — all ids of the range, and of transitional devices those that there are; whatever else the header says.
#[test]
fn devices_are_known_by_vendor_and_device_id_alone() {
    for number in 0..=u16::MAX {
        let expected = match number {
            0x1000 => Some(1),
            0x1001 => Some(2),
            0x1002 => Some(5),
            0x1003 => Some(3),
            0x1004 => Some(8),
            0x1005 => Some(4),
            0x1009 => Some(9),
            0x1041..=0x107f => Some(number - 0x1040),
            _ => None,
        };
        assert_eq!(device_type(0x1af4, number), expected.map(DeviceType), "{number:#x}");
        assert_eq!(device_type(0x1af5, number), None);
    }
    for (revision, subsystem) in [(0, [0; 4]), (1, [0xff; 4]), (0xff, [0x34, 0x12, 0x78, 0x56])] {
        let device = builder().build();
        device.poke_config(0x08, &[revision]);
        device.poke_config(0x2c, &subsystem);

        assert_eq!(device.config_read(0x08) & 0xff, u32::from(revision));
        open(&device);
        device.assert_driver_was_correct();
    }
}

//! virtio over MMIO, in both versions: what is there is recognized, what is told the device is what it must be told, and in the right order.
//!
//! Spec: §4.2 Virtio Over MMIO, §4.2.4 Legacy interface. The model is strict about widths and order, so each test ends with asking it.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

use virtio_guest::device::block::{Block, Sector, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{
    Config, ConfigError, Installing, NegotiateError, Negotiating, ResetError, Wants,
};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, QueueSettings, Slots};
use virtio_guest::transport::mmio::{MmioTransport, OpenError};
use virtio_guest::transport::{Interface, InterruptCause, QueueError, SharedMemory, Transport};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::field::Field;
use virtio_model::Disk;
use virtio_model::mmio::MmioDevice;
use virtio_model::pci::{Builder, Completion, PciDevice};
use virtio_test_hal::{TestHal, registers};

const VERSION_1: u128 = 1 << 32;
const NOTIFY_ON_EMPTY: u128 = 1 << 24;
const ANY_LAYOUT: u128 = 1 << 27;
const EVENT_IDX: u128 = 1 << 29;
const UNUSED: u128 = 1 << 30;
const RING_PACKED: u128 = 1 << 34;
const RING_RESET: u128 = 1 << 40;
const PATIENCE: Attempts = Attempts(10);
const WINDOW_BYTES: usize = 0x200;
const SETTINGS: QueueSettings = QueueSettings { size_max: 8, indirect_segments: 0, memory_bytes: 64 };
const CHAIN: Chain<'_> =
    Chain { readable: &[Portion { offset: 0, len: 16 }], writable: &[Portion { offset: 32, len: 8 }] };

fn builder(features: u128) -> Builder {
    PciDevice::builder().features(features).queue_sizes(&[8, 0, 4]).config((0..16).collect::<Vec<u8>>())
}

fn modern(features: u128) -> MmioDevice {
    MmioDevice::new(builder(features | VERSION_1).build(), 62)
}

fn legacy(features: u128) -> MmioDevice {
    MmioDevice::legacy(builder(features).build(), 62)
}

fn open(device: &MmioDevice) -> MmioTransport {
    MmioTransport::open(registers(device, WINDOW_BYTES)).expect("it is one").expect("and not empty")
}

fn negotiate(device: &MmioDevice) -> Installing<MmioTransport, BlockFeatures> {
    let device = Negotiating::begin(open(device), PATIENCE).unwrap();
    device.negotiate(Wants::none()).unwrap()
}

/// Spec: §4.2.2.2 — a window is a device's if its magic value and its version say so, and a slot without a device is no mistake.
#[test]
fn what_is_behind_a_window_is_recognized() {
    let device = modern(0);
    assert_eq!(open(&device).device_type(), DeviceType(62));
    assert_eq!(
        (open(&device).interface(), open(&legacy(0)).interface()),
        (Interface::Modern, Interface::Legacy)
    );

    let empty = MmioDevice::new(builder(0).build(), 0);
    assert!(MmioTransport::open(registers(&empty, WINDOW_BYTES)).unwrap().is_none());

    for (magic, version, error) in [
        (0, 2, OpenError::BadMagic { magic: 0 }),
        (u32::MAX, 2, OpenError::BadMagic { magic: u32::MAX }),
        (0x7472_6976, 0, OpenError::UnsupportedVersion { version: 0 }),
        (0x7472_6976, 3, OpenError::UnsupportedVersion { version: 3 }),
    ] {
        let device = modern(0);
        device.pretend(magic, version);
        assert_eq!(MmioTransport::open(registers(&device, WINDOW_BYTES)).unwrap_err(), error);
    }
    let odd = MmioDevice::new(builder(0).build(), 0x1_0000);
    let error = MmioTransport::open(registers(&odd, WINDOW_BYTES)).unwrap_err();
    assert_eq!(error, OpenError::BadDeviceType { device_type: 0x1_0000 });
    let error = MmioTransport::open(registers(&device, 0xff)).unwrap_err();
    assert_eq!(error, OpenError::TooSmall { size_bytes: 0xff });
    device.device().assert_driver_was_correct();
}

/// Brings a queue up, and sends a chain to the device and back.
fn round_trip(device: &MmioDevice) -> u128 {
    let (model, hal) = (device.device(), TestHal::default());
    hal.put_memory_at(0x7_0000_0000);
    let mut installing = negotiate(device);
    let queue = installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<u32>>::allocate(8)).unwrap();
    let error =
        installing.install_queue(1, &hal, &SETTINGS, Slots::<Tag<u32>>::allocate(8)).unwrap_err().error;
    assert!(error.to_string().contains("no such queue"), "{error}");
    let running = installing.start();
    let mut queue = running.activate(queue);
    assert_eq!(queue.size(), 8);
    queue.write_memory(0, b"to the device...").unwrap();

    queue.make_available(CHAIN, Tag(7)).unwrap();
    assert!(queue.publish());
    assert_eq!((model.notifications(0), model.last_notification(0).unwrap() & 0xffff), (1, 0));
    let mut other_side = model.device_queue(0, &hal.space).unwrap().unwrap();
    let chain = other_side.pop().unwrap().unwrap();
    assert_eq!(chain.read_all(&hal.space).unwrap(), b"to the device...");
    other_side.complete(chain.head, 8).unwrap();
    let used = queue.take_used().unwrap().unwrap();
    assert_eq!((used.payload, used.written_len), (Tag(7), 8));

    let features = model.negotiated_features();
    let (_, reset) = running.reset(PATIENCE).unwrap();
    assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
    model.assert_driver_was_correct();
    hal.assert_all_returned();
    features
}

/// Spec: §4.2.3 — the queue is where the driver says, in either layout.
#[test]
fn a_chain_goes_to_a_device_and_comes_back() {
    for ring in [0, EVENT_IDX, RING_PACKED, RING_PACKED | EVENT_IDX, 1 << 38, 1 << 38 | RING_PACKED] {
        assert_eq!(round_trip(&modern(ring)), ring | VERSION_1, "features {ring:#x}");
    }
}

/// Spec: §4.2.4, §2.7.2 — the queue is where its first page is; no feature beyond bit 31 is agreed on, and `FEATURES_OK` is not set.
#[test]
fn a_chain_goes_to_a_legacy_device_and_comes_back() {
    for (offered, agreed) in [
        (0, 0),
        (ANY_LAYOUT | EVENT_IDX, ANY_LAYOUT | EVENT_IDX),
        (EVENT_IDX | VERSION_1 | RING_PACKED | UNUSED | NOTIFY_ON_EMPTY, EVENT_IDX),
    ] {
        let device = legacy(offered);
        assert_eq!(round_trip(&device), agreed);
        assert_eq!(device.device().statuses_written(), [0, 1, 3, 7, 0]);
    }
}

/// Spec: §4.2.2 `DeviceFeaturesSel` — QEMU's devices have two words, and show the second one for each selector that they do not know.
#[test]
fn a_device_that_knows_two_feature_words_is_understood() {
    for (is_short, high) in [(true, 0), (false, 0), (false, 1 << 70 | 1 << 64)] {
        let device = MmioDevice::new(builder(VERSION_1 | RING_PACKED | high).build(), 62);
        device.device().misbehave(|lies| lies.knows_two_feature_words = is_short);

        let negotiating = Negotiating::begin(open(&device), PATIENCE).unwrap();
        assert_eq!(negotiating.offered().bits(), VERSION_1 | RING_PACKED | high);
        let installing = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap();

        assert_eq!(installing.features().common, CommonFeatures::VERSION_1 | CommonFeatures::RING_PACKED);
        assert_eq!(device.device().negotiated_features(), VERSION_1 | RING_PACKED);
        device.device().assert_driver_was_correct();
    }
}

/// What is defined for PCI alone is not accepted here, nor what is for legacy devices (§6.3).
#[test]
fn features_of_other_transports_are_not_accepted() {
    let device = modern(ANY_LAYOUT | 1 << 37 | 1 << 39 | 1 << 41);

    let installing = negotiate(&device);

    assert_eq!(installing.features().common, CommonFeatures::VERSION_1);
}

/// Spec: §3.1.1 — without `VERSION_1` a device of version 2 has nothing to offer.
#[test]
fn a_modern_device_without_version_1_is_refused() {
    let device = MmioDevice::new(builder(0).build(), 62);
    let negotiating = Negotiating::begin(open(&device), PATIENCE).unwrap();

    let error = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap_err();

    assert_eq!(error, NegotiateError::Legacy);
    assert_eq!(device.device().status(), 0, "it was reset");
}

/// Spec: §4.2.4 — the number of a page has 32 bits, and page 0 is none.
#[test]
fn a_legacy_device_is_not_told_of_a_page_that_it_cannot_be_told_of() {
    for (address, is_told) in [(0, false), (4096, true), (0xffff_ffff << 12, true), (1 << 44, false)] {
        let device = legacy(0);
        let hal = TestHal::default();
        hal.put_memory_at(address);
        let mut installing = negotiate(&device);
        let settings = QueueSettings { memory_bytes: 0, ..SETTINGS };

        match installing.install_queue(0, &hal, &settings, Slots::<Tag<()>>::allocate(8)) {
            Ok(_) => assert!(is_told, "{address:#x}"),
            Err(failed) => {
                assert!(!is_told, "{address:#x}");
                assert_eq!(failed.error.to_string(), format!("queue 0: {}", QueueError::AddressOutOfReach));
            }
        }
        assert_eq!(device.device().queue(0).unwrap().enabled, is_told);
        assert!(!is_told || device.device().queue(0).unwrap().descriptor_area == address);
        device.device().assert_driver_was_correct();
    }
}

/// Spec: §4.2.3.2 — a queue that is in use though nobody said so is left alone.
#[test]
fn a_queue_that_is_in_use_already_is_refused() {
    for device in [modern(0), legacy(0)] {
        let hal = TestHal::default();
        let mut installing = negotiate(&device);
        device.device().misbehave(|lies| lies.queue_already_enabled = true);

        let failed = installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(8)).unwrap_err();

        assert_eq!(failed.error.to_string(), format!("queue 0: {}", QueueError::AlreadyEnabled));
        device.device().assert_driver_was_correct();
        hal.assert_all_returned();
    }
}

/// Spec: §4.2.3.4.1 — what was handled is acknowledged, and nothing else; a device that is gone has no reason.
#[test]
fn interrupts_are_acknowledged_for_what_was_handled() {
    for device in [modern(0), legacy(0)] {
        let (transport, model) = (open(&device), device.device());
        assert_eq!(transport.acknowledge_interrupt(), InterruptCause::default(), "nothing was raised");
        for (raise_used, raise_config) in [(true, false), (false, true), (true, true)] {
            if raise_used {
                model.raise_used(0);
            }
            if raise_config {
                model.raise_config();
            }
            let cause = transport.acknowledge_interrupt();
            let expected = InterruptCause { used_buffer: raise_used, configuration_change: raise_config };
            assert_eq!((cause, model.isr()), (expected, 0));
        }
        model.assert_driver_was_correct();

        model.raise_used(0);
        model.misbehave(|lies| lies.all_ones = true);
        assert_eq!(transport.acknowledge_interrupt(), InterruptCause::default());
    }
}

fn read_pair(config: &Config<'_, MmioTransport>) -> Result<(u32, u16), ConfigError> {
    config.read_together(|fields| Ok((fields.get(Field::at(0))?, fields.get(Field::at(4))?)))
}

/// Spec: §2.5.1 — fields are of one moment; §2.5.4 — without a generation they are read until they are twice the same.
#[test]
fn a_configuration_that_changes_in_the_middle_is_read_again() {
    for device in [modern(0), legacy(0)] {
        let negotiating = Negotiating::begin(open(&device), PATIENCE).unwrap();
        assert_eq!(read_pair(&negotiating.config()), Ok((0x0302_0100, 0x0504)));

        for reads in 1..=6 {
            device.device().set_config((0..16).collect::<Vec<u8>>());
            device.device().set_config_after_reads(reads, [0xff; 16]);
            let pair = read_pair(&negotiating.config()).unwrap();
            let is_whole = [(0x0302_0100, 0x0504), (u32::MAX, u16::MAX)].contains(&pair);
            assert!(is_whole, "{pair:x?} after {reads} reads");
        }
        device.device().assert_driver_was_correct();
    }
}

/// Spec: §2.5.1 — a configuration that never rests is an error, not a loop.
#[test]
fn a_configuration_that_never_comes_to_rest_is_an_error() {
    let device = modern(0);
    device.device().misbehave(|lies| lies.generation_never_rests = true);
    let negotiating = Negotiating::begin(open(&device), PATIENCE).unwrap();
    assert_eq!(read_pair(&negotiating.config()), Err(ConfigError::Unstable));

    let device = legacy(0);
    let negotiating = Negotiating::begin(open(&device), PATIENCE).unwrap();
    let count = std::cell::Cell::new(0);
    let read = negotiating.config().read_together(|fields| {
        count.set(count.get() + 1);
        device.device().set_config([count.get(); 16]);
        fields.get(Field::<u8>::at(3))
    });
    assert_eq!((read, count.get()), (Err(ConfigError::Unstable), 16));
}

/// Spec: §2.6.1, §4.2.2.1 — one queue can be reset by itself, and come back.
#[test]
fn a_queue_is_reset_by_itself() {
    for ring in [0, RING_PACKED] {
        let (device, hal) = (modern(RING_RESET | ring), TestHal::default());
        device.device().misbehave(|lies| lies.queue_reset = Completion::AfterReads(3));
        let mut installing = negotiate(&device);
        let queue = installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<u32>>::allocate(8)).unwrap();
        let mut running = installing.start();
        let mut queue = running.activate(queue);
        queue.make_available(CHAIN, Tag(3)).unwrap();
        queue.publish();

        let mut reset = running.reset_queue(queue, PATIENCE).unwrap();
        assert_eq!(reset.returned.next(), Some(Tag(3)));
        let slots = reset.returned.into_slots();
        let queue = running.reinstall_queue(reset.vacancy, &hal, &SETTINGS, slots).unwrap();
        assert_eq!(device.device().queue(0).unwrap().epoch, 2);

        let (_, reset) = running.reset(PATIENCE).unwrap();
        assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
        device.device().assert_driver_was_correct();
        hal.assert_all_returned();
    }
}

/// Spec: §4.2.2 `SHMLen`, `SHMBase` — a region that is all ones, empty or beyond the last address is none.
#[test]
fn shared_memory_regions_are_found_by_number() {
    let device = modern(0);
    device.add_region(1, 0x12_3456_7000, 0x1_0000_0000);
    device.add_region(2, 0x1000, 0);
    device.add_region(3, u64::MAX - 4095, 8192);
    let mut transport = open(&device);

    let found = [0, 1, 2, 3].map(|number| transport.shared_memory(number));

    let region = SharedMemory { physical_address: 0x12_3456_7000, size_bytes: 0x1_0000_0000 };
    assert_eq!(found, [None, Some(region), None, None]);
    assert_eq!(open(&legacy(0)).shared_memory(1), None);
    device.device().assert_driver_was_correct();
}

/// A device that is gone answers all ones: every call ends with an error, and the way down ends, too.
#[test]
fn a_device_that_is_removed_is_given_up() {
    for (is_legacy, after) in
        [false, true].into_iter().flat_map(|legacy| (0..40).map(move |after| (legacy, after)))
    {
        let device = if is_legacy { legacy(EVENT_IDX) } else { modern(EVENT_IDX) };
        let transport = open(&device);
        device.device().misbehave(|lies| lies.removed_after = Some(after));
        let hal = TestHal::default();

        let Ok(negotiating) = Negotiating::begin(transport, PATIENCE) else { continue };
        let negotiating = negotiating.with_drop_attempts(PATIENCE);
        let Ok(mut installing) = negotiating.negotiate(Wants::<BlockFeatures>::none()) else { continue };
        drop(installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(8)));
        let running = installing.start();
        device.device().misbehave(|lies| lies.all_ones = true);
        assert!(running.is_removed() && !running.needs_reset());
        let error = running.reset(PATIENCE).unwrap_err().error;
        assert_eq!(error, ResetError::Removed, "removed after {after} accesses");
    }
}

/// The block driver does not know what it is behind.
#[test]
fn a_disk_behind_mmio_is_read_and_written() {
    for is_legacy in [false, true] {
        let disk = Disk::with_sectors(8);
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        let device = PciDevice::block(&disk);
        let device = if is_legacy { MmioDevice::legacy(device, 2) } else { MmioDevice::new(device, 2) };
        let serving = || {
            disk.serve(device.device(), &hal.space);
            true
        };
        let mut storage = Storage::<16>::new();
        let mut block = Block::start(open(&device), hal.clone(), &mut storage, PATIENCE).unwrap();

        block.write_blocking(Sector(3), &[0xa5; 512], serving).unwrap();
        let mut sector = [0; 512];
        block.read_blocking(Sector(3), &mut sector, serving).unwrap();

        assert_eq!((block.capacity_sectors(), sector), (8, [0xa5; 512]));
        drop(block);
        device.device().assert_driver_was_correct();
        hal.assert_all_returned();
    }
}

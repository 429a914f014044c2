//! Legacy devices behind PCI: all registers are ports, and the rest is as it was before version 1.
//!
//! Spec: §4.1.4.10 Legacy Interfaces: A Note on PCI Device Layout, §3.1.2, §2.7.2. The model is strict about widths and order, so each test ends with asking it.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{CHAIN, ConfigSpace, Mapper, Meddler, SETTINGS, TestHal, claim, message};
use virtio_guest::device::block::{Block, RequestError, Sector, Settings, StartError, Storage};
use virtio_guest::hal::{AccessWidth, Attempts, MapMmio, RegisterWindow};
use virtio_guest::lifecycle::{InstallError, Installing, Negotiating, ResetError, VectorRouting, Wants};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{QueueSettings, Slots};
use virtio_guest::transport::pci::{LegacyPciTransport, OpenError, PciTransport};
use virtio_guest::transport::{AnyTransport, Interface, QueueError, Transport};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::field::Field;

use virtio_model::Disk;
use virtio_model::block::WrittenLen;
use virtio_model::pci::{Bar, Builder, PciDevice};

type Legacy = LegacyPciTransport<ConfigSpace>;

const PATIENCE: Attempts = Attempts(10);
const NOTIFY_ON_EMPTY: u128 = 1 << 24;
const ANY_LAYOUT: u128 = 1 << 27;
const EVENT_IDX: u128 = 1 << 29;
const UNUSED: u128 = 1 << 30;
const VERSION_1: u128 = 1 << 32;
const RING_PACKED: u128 = 1 << 34;

fn builder(features: u128) -> Builder {
    let builder = PciDevice::builder().device_id(0x1001).features(features).queue_sizes(&[8, 0, 4]);
    builder.config((0..16).collect::<Vec<u8>>())
}

fn legacy(features: u128) -> PciDevice {
    builder(features).legacy().build()
}

fn try_open(device: &PciDevice) -> Result<Legacy, OpenError> {
    Legacy::open(claim(device), &Mapper(device.clone()))
}

fn negotiate(device: &PciDevice) -> Installing<Legacy, BlockFeatures> {
    let negotiating = Negotiating::begin(try_open(device).unwrap(), PATIENCE).unwrap();
    negotiating.with_drop_attempts(PATIENCE).negotiate(Wants::none()).unwrap()
}

/// Memory that a legacy device can be told of.
fn low_memory() -> TestHal {
    let hal = TestHal::default();
    hal.put_memory_at(0x7_0000_0000);
    hal
}

/// Spec: §4.1.2.3 — the ids that have the interface; it is in I/O space, behind BAR 0.
#[test]
fn a_function_has_the_legacy_interface_by_its_id_and_its_ports() {
    let device = legacy(0);
    device.poke_config(0x04, &[0b11, 0]); // firmware left it decoding
    let transport = try_open(&device).unwrap();
    assert_eq!((transport.device_type(), transport.interface()), (DeviceType::BLOCK, Interface::Legacy));
    assert_eq!(device.command() & 0x407, 0x403, "answers ports, line off");
    assert_eq!(device.bar_writes_while_decoding(), 0, "BARs are sized with decoding off");
    device.assert_driver_was_correct();

    for (what, builder) in [
        ("a modern id", builder(0).legacy().device_id(0x1042)),
        ("memory instead of ports", builder(0).legacy().bar(0, Bar::memory32(64, 0xfe00_0000))),
        ("memory where ports might be", builder(0).legacy().bar(0, Bar::memory32(64, 0xc000))),
        ("too few ports", builder(0).legacy().bar(0, Bar::io(16, 0xc000))),
        ("no BAR at all", builder(0)),
    ] {
        let device = builder.build();
        assert_eq!(try_open(&device).unwrap_err(), OpenError::NotLegacy, "{what}");
        assert_eq!(device.command() & 0b100, 0, "a refused function gets no access to memory");
    }
    for (what, bar) in [("none", Bar::io(64, 0)), ("beyond I/O space", Bar::io(64, 0x1_0000))] {
        let device = builder(0).legacy().bar(0, bar).build();
        assert_eq!(try_open(&device).unwrap_err(), OpenError::PortsWithoutAddress, "{what}");
    }
    let other = builder(0).legacy().vendor_id(0x8086).build();
    assert!(matches!(try_open(&other), Err(OpenError::NotVirtio { .. })));
}

struct NoPorts(Mapper);

// SAFETY: the mapper inside made the promise.
unsafe impl MapMmio for NoPorts {
    unsafe fn map_mmio(&self, physical_address: u64, size_bytes: usize) -> Option<RegisterWindow> {
        // SAFETY: the caller's promise.
        unsafe { self.0.map_mmio(physical_address, size_bytes) }
    }
    unsafe fn map_ports(&self, _: u32, _: usize) -> Option<RegisterWindow> {
        None
    }
}

#[test]
fn ports_that_the_kernel_cannot_reach_are_an_error() {
    let device = legacy(0);
    let error = Legacy::open(claim(&device), &NoPorts(Mapper(device.clone()))).unwrap_err();
    assert_eq!(error, OpenError::NotMapped { physical_address: 0xc000 });
}

/// Spec: §4.1.2.3 — of two interfaces the modern one is used; a device that has only the legacy one is driven by that.
#[test]
fn the_modern_interface_is_preferred_to_the_legacy_one() {
    for (builder, expected) in [
        (builder(VERSION_1).transitional(), Interface::Modern),
        (builder(VERSION_1).legacy(), Interface::Legacy),
        (builder(VERSION_1).device_id(0x1042), Interface::Modern),
    ] {
        let device = builder.build();
        let transport =
            AnyTransport::<ConfigSpace>::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
        assert_eq!(transport.interface(), expected);
        let negotiating = Negotiating::begin(transport, PATIENCE).unwrap();
        negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap();
        device.assert_driver_was_correct();
    }
    // Either can be asked for, one after the other.
    let device = builder(VERSION_1).transitional().build();
    negotiate(&device);
    let modern = PciTransport::open(claim(&device), &Mapper(device.clone())).unwrap();
    Negotiating::begin(modern, PATIENCE).unwrap().negotiate(Wants::<BlockFeatures>::none()).unwrap();
    device.assert_driver_was_correct();
}

/// Spec: §3.1.2, §2.2.3 — features beyond bit 31 do not exist there, so there is no packed ring; and FEATURES_OK does not, either. §6.3 — ANY_LAYOUT is accepted.
#[test]
fn a_chain_goes_to_a_legacy_device_by_ports_and_comes_back() {
    for (offered, agreed) in [
        (0, 0),
        (ANY_LAYOUT | EVENT_IDX, ANY_LAYOUT | EVENT_IDX),
        (EVENT_IDX | VERSION_1 | RING_PACKED | UNUSED | NOTIFY_ON_EMPTY, EVENT_IDX),
    ] {
        let (device, hal) = (legacy(offered), low_memory());
        let mut installing = negotiate(&device);
        assert_eq!(installing.features().common, CommonFeatures::from_bits_truncate(agreed));
        let mut install =
            |index| installing.install_queue(index, &hal, &SETTINGS, Slots::<Tag<u32>>::allocate(8));
        let queue = install(2).unwrap();
        let absent = InstallError::Queue { index: 1, error: QueueError::Absent };
        assert_eq!(install(1).unwrap_err().error, absent);
        assert_eq!(install(3).unwrap_err().error.to_string(), "queue 3: the device has no such queue");
        let running = installing.start();
        let mut queue = running.activate(queue);
        queue.write_memory(0, b"to the device...").unwrap();

        queue.make_available(CHAIN, Tag(7)).unwrap();
        assert!(queue.publish());
        assert_eq!((device.notifications(2), device.last_notification(2)), (1, Some(2)));
        let mut other_side = device.split_queue(2, &hal.space).unwrap().unwrap();
        let chain = other_side.pop().unwrap().unwrap();
        assert_eq!(chain.read_all(&hal.space).unwrap(), b"to the device...");
        other_side.complete(chain.head, 8).unwrap();
        assert_eq!(queue.take_used().unwrap().unwrap().payload, Tag(7));

        let (_, reset) = running.reset(PATIENCE).unwrap();
        assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
        assert_eq!(device.statuses_written(), [0, 1, 3, 7, 0]);
        device.assert_driver_was_correct();
        hal.assert_all_returned();
    }
}

/// Spec: §4.1.5.1.3.1 — a legacy device is not told a size: a queue has the one that it says, or is refused with it.
#[test]
fn a_queue_has_the_size_that_the_device_says_or_none() {
    for (size_max, slots, fits) in
        [(8, 8, true), (100, 100, true), (8, 7, false), (4, 8, false), (0, 8, false)]
    {
        let (device, hal) = (legacy(0), low_memory());
        let mut installing = negotiate(&device);
        let settings = QueueSettings { size_max, ..SETTINGS };

        let size = installing.queue_size_for(0, &settings, usize::from(slots));
        let installed = installing.install_queue(0, &hal, &settings, Slots::<Tag<()>>::allocate(slots));

        let error = InstallError::NoStorage { index: 0, size_max: 8 };
        match installed {
            Ok(queue) => assert_eq!((size, queue.size(), fits), (Ok(8), 8, true)),
            Err(failed) => assert_eq!((size, failed.error, fits), (Err(error), error, false)),
        }
        assert!(error.to_string().contains("(8 at most)"), "{error}");
        device.assert_driver_was_correct();
    }
    for size in [3, 12, 0x8001] {
        let (device, hal) = (legacy(0), low_memory());
        let mut installing = negotiate(&device);
        device.misbehave(|lies| lies.queue_size = Some(size));
        let failed = installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(u16::MAX));
        assert!(failed.is_err(), "size {size}");
        hal.assert_all_returned();
    }
}

/// A size that is another one when the driver looks again: the device would use memory that is no queue's.
#[test]
fn a_queue_whose_size_changes_is_not_set_up() {
    let mut installed = 0;
    for (before, size) in (0..16).flat_map(|before| [(before, 4), (before, 16)]) {
        let (device, hal) = (legacy(0), low_memory());
        let meddler = Meddler::new(&device, move |device, at| {
            if at == before {
                device.misbehave(|lies| lies.queue_size = Some(size));
            }
        });
        let transport = Legacy::open(claim(&device), &meddler).unwrap();
        let negotiating = Negotiating::begin(transport, PATIENCE).unwrap();
        let mut installing = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap();

        meddler.begin();
        if let Ok(queue) = installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(8)) {
            assert_eq!(
                meddler.last_read(0x0c),
                Some(u32::from(queue.size())),
                "{size} before access {before}"
            );
            installed += 1;
        }
        assert!(device.queue(0).unwrap().enabled || hal.dma_regions() == 0);
    }
    assert!(installed > 0);
}

/// Spec: §4.1.4.10 — a page has a number of 32 bits, and page 0 is none.
#[test]
fn a_page_that_the_device_cannot_be_told_of_is_refused() {
    for (address, is_told) in [(0, false), (4096, true), (0xffff_ffff << 12, true), (1 << 44, false)] {
        let (device, hal) = (legacy(0), TestHal::default());
        hal.put_memory_at(address);
        let mut installing = negotiate(&device);
        let settings = QueueSettings { memory_bytes: 0, ..SETTINGS };

        let installed = installing.install_queue(0, &hal, &settings, Slots::<Tag<()>>::allocate(8));

        let queue = device.queue(0).unwrap();
        let expected = if is_told { address } else { 0 };
        assert_eq!((installed.is_ok(), queue.enabled, queue.descriptor_area), (is_told, is_told, expected));
        if let Err(failed) = installed {
            let error = QueueError::AddressOutOfReach;
            assert_eq!(failed.error, InstallError::Queue { index: 0, error });
            hal.assert_all_returned();
        }
        device.assert_driver_was_correct();
    }
}

/// Spec: §4.1.4.10 — a size of all ones is that of a device that is gone.
#[test]
fn a_device_that_is_gone_has_no_queues() {
    let device = legacy(0);
    let mut installing = negotiate(&device);
    assert_eq!([0, 1, 2].map(|index| installing.queue_size_max(index)), [8, 0, 4]);

    device.misbehave(|lies| lies.all_ones = true);

    assert_eq!(installing.queue_size_max(0), 0);
}

#[test]
fn a_queue_that_is_set_up_already_is_refused() {
    let (device, hal) = (legacy(0), low_memory());
    let mut installing = negotiate(&device);
    device.misbehave(|lies| lies.queue_already_enabled = true);

    let failed = installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(8)).unwrap_err();

    assert_eq!(failed.error, InstallError::Queue { index: 0, error: QueueError::AlreadyEnabled });
    device.assert_driver_was_correct();
    hal.assert_all_returned();
}

/// Spec: §4.1.4.10 — the configuration moves when MSI-X is switched on, and moves back.
#[test]
fn the_configuration_is_found_with_msi_x_and_without() {
    let read =
        |device: &Installing<Legacy, BlockFeatures>| device.config().read(Field::<u64>::at(4)).unwrap();
    for granted in [0, 4] {
        let device = builder(0).legacy().msi_x(4).vectors(granted).build();
        assert_eq!(read(&negotiate(&device)), 0x0b0a_0908_0706_0504);
        let mut transport = try_open(&device).unwrap();
        transport.enable_msi_x(&[message(1), message(2)]).unwrap();

        let negotiating = Negotiating::begin(transport, PATIENCE).unwrap();
        let mut installing = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap();
        assert_eq!(read(&installing), 0x0b0a_0908_0706_0504);
        let routing = installing.route_vectors(1);
        assert_eq!(routing == VectorRouting::PerQueue, granted == 4);
        installing.write_config(Field::<u16>::at(6), 0xbeef).unwrap();
        assert_eq!(read(&installing), 0x0b0a_0908_beef_0504);
        assert_eq!(device.config()[5..9], [5, 0xef, 0xbe, 8]);

        let transport = try_open(&device).unwrap();
        let (end, beyond) = (transport.config_bytes(), transport.config_bytes() - 2);
        assert!(end >= 16 && transport.read_config(beyond, AccessWidth::Long) | 0xffff == u32::MAX);
        assert_eq!(transport.read_config(usize::MAX, AccessWidth::Byte), 0xff);
    }
}

/// The block driver does not know what it is behind.
#[test]
fn a_disk_behind_ports_is_read_and_written() {
    for messages in [0, 2] {
        let disk = Disk::with_sectors(8);
        let device = disk.builder().device_id(0x1001).legacy().msi_x(2).build();
        let hal = low_memory();
        let serving = || disk.serve(&device, &hal.space) > 0;
        let mut transport = try_open(&device).unwrap();
        if messages > 0 {
            transport.enable_msi_x(&[message(0), message(1)]).unwrap();
        }
        let mut storage = Storage::<16>::new();
        let mut block = Block::start(transport, hal.clone(), &mut storage, PATIENCE).unwrap();

        block.write_blocking(Sector(3), &[0xa5; 1024], serving).unwrap();
        let mut sectors = [0; 1536];
        block.read_blocking(Sector(2), &mut sectors, serving).unwrap();

        assert_eq!((block.capacity_sectors(), sectors[511], sectors[512], sectors[1535]), (8, 0, 0xa5, 0xa5));
        drop(block);
        device.assert_driver_was_correct();
        hal.assert_all_returned();
    }
    let device = Disk::with_sectors(8).builder().device_id(0x1001).legacy().build();
    let mut storage = Storage::<8>::new();
    let failed = Block::start(try_open(&device).unwrap(), low_memory(), &mut storage, PATIENCE).unwrap_err();
    assert_eq!(failed.error, StartError::Queue(InstallError::NoStorage { index: 0, size_max: 16 }));
}

/// A device that is gone answers all ones, or zeros: every call ends with an error, and the way down ends, too.
#[test]
fn a_legacy_device_that_is_removed_is_given_up() {
    for (after, zeros) in
        (0..if cfg!(miri) { 6 } else { 60 }).flat_map(|after| [(after, false), (after, true)])
    {
        let disk = Disk::with_sectors(8);
        let device = disk.builder().device_id(0x1001).legacy().build();
        let transport = try_open(&device).unwrap();
        let mut storage = Storage::<16>::new();
        device.misbehave(|lies| (lies.removed_after, lies.gone_bars_read_zero) = (Some(after), zeros));

        let settings = Settings { drop_attempts: PATIENCE, ..Settings::default() };
        let wants = Wants::features(BlockFeatures::all());
        let hal = low_memory();
        if let Ok(mut block) = Block::start_with(transport, hal, &mut storage, &settings, wants, PATIENCE) {
            device.misbehave(|lies| lies.all_ones = true);
            let error = block.read_blocking(Sector(0), &mut [0; 512], PATIENCE).unwrap_err();
            assert_eq!(error, RequestError::Removed);
            assert_eq!(block.close(PATIENCE).unwrap_err().error, ResetError::Removed);
        }
    }
}

/// Spec: §2.7.8.1 — what a legacy device says that it wrote is better ignored: less, nothing, or more than there is room for.
#[test]
fn lengths_that_legacy_devices_make_up_do_no_harm() {
    for written in
        [WrittenLen::Less(100), WrittenLen::Exactly(0), WrittenLen::More(1), WrittenLen::Exactly(u32::MAX)]
    {
        let disk = Disk::with_sectors(8);
        disk.misbehave(|lies| lies.written = written);
        let device = disk.builder().device_id(0x1001).legacy().build();
        let hal = low_memory();
        let serving = || {
            disk.serve(&device, &hal.space);
            true
        };
        let mut storage = Storage::<16>::new();
        let transport = try_open(&device).unwrap();
        let mut block = Block::start(transport, hal.clone(), &mut storage, PATIENCE).unwrap();

        assert_eq!(block.write_blocking(Sector(3), &[0xa5; 512], serving), Ok(()), "{written:?}");
        let mut sector = [0; 512];
        assert_eq!(block.read_blocking(Sector(3), &mut sector, serving), Ok(()), "{written:?}");

        assert_eq!(sector, [0xa5; 512]);
        drop(block);
        hal.assert_all_returned();
    }
}

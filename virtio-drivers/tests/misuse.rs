//! What a caller's mistakes come to: an error that says why, and nothing done.
//!
//! Spec: §2.7.5.2 (chains of at most 2^32 bytes), §2.5 Device Configuration Space, §2.2 Feature Bits.

mod support;

use support::{Bench, DiskBench, RING_SETTINGS, Ring, RingBench, TestHal};
use virtio_guest::device::block::{Block, RequestError, Sector, Settings, StartError, Storage};
use virtio_guest::hal::{Attempts, DeviceAddress, Direction, Hal};
use virtio_guest::lifecycle::{ConfigError, InstallError, NegotiateError, Negotiating, Wants};
use virtio_guest::raw::{MappedBuffer, Payload, Segment, SegmentVisitor, Tag};
use virtio_guest::ring::{Chain, Portion, QueueSettings, RefusedReason, Slots};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::field::Field;
use virtio_model::pci::PciDevice;

const PATIENCE: Attempts = Attempts(10);

/// A device of one DMA domain must not be given addresses of another.
#[test]
fn a_buffer_that_was_mapped_for_another_domain_is_refused() {
    let mut bench = RingBench::<MappedBuffer<TestHal, Box<[u8]>>>::new(4, false, false);
    let other = TestHal::default();
    let buffer = MappedBuffer::map(&other, Box::from([7; 16]), Direction::DeviceReadable).unwrap();

    let refused = bench.queue.make_available(Chain::default(), buffer).unwrap_err();

    assert_eq!(refused.reason, RefusedReason::OtherDomain);
    assert_eq!(*refused.payload.unmap(), [7; 16]);
    assert!(bench.finish().is_empty());
    other.assert_all_returned();
}

/// A payload of two long segments.
struct Huge([Segment; 2]);

// SAFETY: no device is ever shown the segments, for nothing is published.
unsafe impl Payload for Huge {
    fn segment_count(&self) -> usize {
        2
    }

    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        self.0.iter().for_each(|segment| visitor.segment(segment));
    }
}

/// Spec: §2.7.5.2 — all segments of a chain count, in either direction; 4 GiB - 1 is the most.
#[test]
fn a_chain_of_more_than_4_gib_is_refused() {
    for direction in [Direction::DeviceReadable, Direction::DeviceWritable] {
        for (lens, expected) in [
            ([0x8000_0000, 0x8000_0000], Err(RefusedReason::TooLong)),
            ([u32::MAX, 1], Err(RefusedReason::TooLong)),
            ([u32::MAX - 1, 1], Ok(())),
        ] {
            let mut bench = RingBench::<Huge>::new(4, false, false);
            let (address, domain) = (DeviceAddress(0), bench.hal.domain());
            let huge = Huge(lens.map(|len| Segment { address, len, direction, domain }));

            let made = bench.queue.make_available(Chain::default(), huge).map_err(|refused| refused.reason);

            assert_eq!(made, expected, "{lens:?}");
            bench.finish();
        }
    }
}

/// What the queue could take when it is empty is refused for now, what it can never take for good.
#[test]
fn a_chain_as_long_as_the_queue_is_full_and_a_longer_one_too_long() {
    let mut bench = RingBench::<Tag<u8>>::new(4, false, false);
    let portions = [Portion { offset: 0, len: 16 }; 5];
    let long = |segments| Chain { readable: &portions[..segments], writable: &[] };
    bench.queue.make_available(long(1), Tag(0)).unwrap();

    for (segments, reason) in [(5, Some(RefusedReason::TooLong)), (4, Some(RefusedReason::Full)), (3, None)] {
        let refused = bench.queue.make_available(long(segments), Tag(1)).err().map(|refused| refused.reason);
        assert_eq!(refused, reason, "{segments} segments");
    }
    assert_eq!(bench.finish().len(), 2);
}

/// A table of one segment is none: such a chain takes one descriptor either way.
#[test]
fn tables_of_one_segment_are_not_made() {
    for (segments, expected) in [(0, None), (1, None), (2, Some(2)), (100, Some(8))] {
        let bench = Bench::with_queue(8, 1 << 28);
        let mut device = bench.install();
        let settings = QueueSettings { size_max: 8, indirect_segments: segments, memory_bytes: 0 };
        let queue = device.install_queue(0, &bench.hal, &settings, Slots::<Tag<()>>::allocate(8)).unwrap();
        let running = device.start();
        let queue = running.activate(queue);

        assert_eq!((queue.indirect_segments(), queue.active_path().indirect_segments), (expected, expected));
    }
}

/// A payload that says that it has so many segments, and has as many as it likes.
struct Miscounting {
    segment: Segment,
    says: usize,
    has: usize,
}

// SAFETY: it is not, which is the point; no device is ever shown the segments, for no queue takes them.
unsafe impl Payload for Miscounting {
    fn segment_count(&self) -> usize {
        self.says
    }

    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        (0..self.has).for_each(|_| visitor.segment(&self.segment));
    }
}

/// A chain that was cut short would run on into a descriptor of an earlier one; one that is longer has no room.
#[test]
fn a_payload_with_other_segments_than_it_says_is_refused() {
    for (has, len) in [(0, 16), (1, 16), (3, 16), (9, 16), (2, 0)] {
        let mut bench = RingBench::<Miscounting>::new(8, false, false);
        let (address, domain) = (DeviceAddress(0), bench.hal.domain());
        let segment = Segment { address, len, direction: Direction::DeviceWritable, domain };

        let payload = Miscounting { segment, says: 2, has };
        let refused = bench.queue.make_available(Chain::default(), payload).map_err(|refused| refused.reason);

        assert_eq!(refused, Err(RefusedReason::BadPayload), "{has} segments of {len} bytes");
        assert_eq!(bench.queue.free_descriptors(), 8);
        bench.finish();
    }
}

/// In the middle of a burst, with portions on either side, in every kind of ring: nothing of it is left, also not a lap later.
#[test]
fn a_payload_that_miscounts_between_portions_leaves_nothing_behind() {
    let (sizes, cases): (&[u16], &[(usize, usize)]) = if cfg!(miri) {
        (&[5], &[(1, 2), (2, 1)])
    } else {
        (&[4, 5, 8, 11], &[(0, 1), (0, 40), (1, 0), (1, 2), (2, 1), (1, 40), (2, 0), (usize::MAX, 1)])
    };
    for (ring, size) in Ring::all().flat_map(|ring| sizes.iter().map(move |size| (ring, *size))) {
        for &(says, has) in cases {
            let mut bench = RingBench::<Miscounting>::with(size, ring);
            let (address, domain) = (DeviceAddress(0x1000), bench.hal.domain());
            let direction = Direction::DeviceReadable;
            let segment = Segment { address, len: 16, direction, domain };
            let portion = |offset| Portion { offset, len: 16 };
            let (readable, writable) = ([portion(0)], [portion(64)]);
            let one = Chain { readable: &readable, writable: &[] };
            let whole = Chain { readable: &readable, writable: &writable };
            for _ in 0..if cfg!(miri) { 2 } else { 30 } {
                let good = || Miscounting { segment, says: 0, has: 0 };
                let chains = [(one, good()), (whole, Miscounting { segment, says, has }), (one, good())];
                let mut chains = chains.into_iter();
                let burst = bench.queue.make_available_burst(&mut chains).unwrap_err();
                let refused = burst.refused;
                assert_eq!(burst.made_available, 1);
                let expected = if says == usize::MAX {
                    RefusedReason::TooLong
                } else if 3 + says > usize::from(bench.queue.size()) && !ring.indirect {
                    RefusedReason::Full
                } else {
                    RefusedReason::BadPayload
                };
                assert_eq!(refused.reason, expected, "{ring:?}, {says}, {has}");
                assert_eq!(bench.queue.make_available_burst(chains).ok(), Some(1));
                bench.queue.publish();
                for _ in 0..2 {
                    let chain = bench.pop();
                    assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16], vec![]));
                    bench.complete(&chain, 0);
                }
                assert!(bench.other_side.pop().unwrap().is_none());
                assert_eq!(bench.queue.take_used_burst(9, drop), Ok(2));
                assert_eq!(bench.queue.free_descriptors(), bench.queue.size());
            }
            assert!(bench.finish().is_empty());
        }
    }
}

/// Spec: §2.5.3 — fields are accessed with their own width, which their place must allow.
#[test]
fn a_field_that_no_access_can_reach_is_an_error() {
    let device = PciDevice::builder().device_id(0x107e).config([3; 64]).build();
    let device = Negotiating::begin(Bench::new(device).transport(), PATIENCE).unwrap();

    assert_eq!(device.config().read(Field::<u32>::at(2)), Err(ConfigError::Misaligned { offset: 2 }));
    assert_eq!(device.config().read(Field::<u64>::at(6)), Err(ConfigError::Misaligned { offset: 6 }));
    assert_eq!(device.config().read(Field::<u16>::at(6)), Ok(0x0303));
}

fn start<'s>(
    bench: &DiskBench,
    storage: &'s mut Storage<16>,
    wants: Wants<BlockFeatures>,
) -> Result<support::Disk<'s>, StartError> {
    let transport = Bench { device: bench.device.clone(), hal: bench.hal.clone() }.transport();
    Ok(Block::start_with(transport, bench.hal.clone(), storage, &Settings::default(), wants, PATIENCE)?)
}

#[test]
fn what_the_driver_does_not_handle_cannot_be_required() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::new();

    let scsi_commands = BlockFeatures::from_bits_retain(1 << 7); // of legacy devices
    let error = start(&bench, &mut storage, Wants::none().require(scsi_commands)).unwrap_err();

    let bits = scsi_commands.bits();
    assert_eq!(error, StartError::Negotiate(NegotiateError::NotHandled { bits }));
    bench.assert_all_returned();
}

/// Spec: §6.1 — what is not behind the IOMMU gets physical addresses, or none.
#[test]
fn a_device_past_the_iommu_is_not_told_of_translated_addresses() {
    const ACCESS_PLATFORM: CommonFeatures = CommonFeatures::ACCESS_PLATFORM;
    let nothing = CommonFeatures::empty();
    for (offered, without, is_translated, is_told) in [
        (nothing, nothing, true, false),
        (ACCESS_PLATFORM, ACCESS_PLATFORM, true, false),
        (ACCESS_PLATFORM, nothing, true, true),
        (nothing, nothing, false, true),
        (ACCESS_PLATFORM, nothing, false, true),
    ] {
        let bench = Bench::with_queue(4, offered.bits());
        if is_translated {
            bench.hal.translate();
        }
        let negotiating = Negotiating::begin(bench.transport(), Attempts(10)).unwrap();
        let mut installing = negotiating.negotiate(Wants::<BlockFeatures>::none().without(without)).unwrap();

        let installed =
            installing.install_queue(0, &bench.hal, &RING_SETTINGS, Slots::<Tag<u8>>::allocate(4));

        assert_eq!(bench.device.queue_setup(0).is_some(), is_told);
        let error = installed.err().map(|failed| failed.error);
        assert_eq!(error, (!is_told).then_some(InstallError::NotPhysical { index: 0 }));
        assert!(is_told || bench.hal.dma_regions() == 0);
        bench.device.assert_driver_was_correct();
    }
}

/// Spec: §5.2.5.1 — read-only is what the disk is, and not what its driver's caller wants.
#[test]
fn a_read_only_disk_is_read_only_whatever_was_wanted() {
    let bench = DiskBench::new(|config| config.read_only = true);
    let mut storage = Storage::new();
    let mut disk = start(&bench, &mut storage, Wants::none()).unwrap();

    let refused = disk.write_blocking(Sector(0), &[0; 512], bench.working(10));

    assert_eq!(refused, Err(RequestError::ReadOnly));
    assert!(bench.disk.requests().is_empty());
}

/// Books that were left with chains in flight: what was in them is forgotten, and never handed out again.
#[test]
fn storage_that_was_left_with_chains_in_flight_serves_another_queue() {
    let mut storage = virtio_guest::ring::Storage::<Tag<u8>, 4>::new();
    let settings = QueueSettings { size_max: 4, indirect_segments: 0, memory_bytes: 64 };
    let portion = [Portion { offset: 0, len: 8 }];
    let bench = Bench::with_queue(4, 0);
    let mut installing = bench.install();
    let queue = installing.install_queue(0, &bench.hal, &settings, &mut storage).unwrap();
    let running = installing.start();
    let mut queue = running.activate(queue);
    for context in 0..4 {
        queue.make_available(Chain { readable: &portion, writable: &[] }, Tag(context)).unwrap();
    }
    drop((queue, running));

    let bench = Bench::with_queue(4, 0);
    let mut installing = bench.install();
    let queue = installing.install_queue(0, &bench.hal, &settings, Slots::from(&mut storage)).unwrap();
    let reset = installing.reset(PATIENCE).unwrap();

    assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
}

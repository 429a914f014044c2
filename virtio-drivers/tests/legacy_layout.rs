//! The layout of split queues for devices of before version 1.
//!
//! The device is told where the descriptor table is, and finds the rest by rule.
//!
//! Spec: §2.7.2 Legacy Interfaces: A Note on Virtqueue Layout.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{Altered, Bench, RING_SETTINGS};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{InstallError, Negotiating, Wants};
use virtio_guest::raw::{AreaPlacement, Tag};
use virtio_guest::ring::{Chain, Layout, Portion, Slots};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;

const RING_PACKED: u128 = 1 << 34;
const PATIENCE: Attempts = Attempts(10);

/// The specification's arithmetic: descriptors, then the available ring (flags, index, entries, `used_event`), then up to the next boundary.
fn used_ring_offset(size: u64, align: u64) -> u64 {
    (16 * size + 2 * (3 + size)).next_multiple_of(align)
}

/// All of it is one area, which ends at a boundary, too.
#[test]
fn the_used_ring_is_where_a_legacy_device_looks_for_it() {
    for (size, align) in [(1, 4096), (4, 4096), (256, 4096), (1024, 4096), (8, 64), (8, 4), (16, 16384)] {
        let bench = Bench::with_queue(size, 0);
        let mut transport = Altered::new(bench.transport());
        transport.placement = AreaPlacement::Contiguous { align };
        let mut installing = Negotiating::begin(transport, PATIENCE)
            .unwrap()
            .negotiate(Wants::<BlockFeatures>::none())
            .unwrap();
        let slots = Slots::<Tag<u8>>::allocate(size);
        let queue = installing.install_queue(0, &bench.hal, &RING_SETTINGS, slots).unwrap();
        let running = installing.start();
        let mut queue = running.activate(queue);

        let setup = bench.device.queue_setup(0).expect("enabled");
        let (size, align) = (u64::from(size), u64::from(align));
        assert_eq!(setup.descriptor_area % align, 0, "a device that is told a page number finds it");
        assert_eq!(setup.driver_area, setup.descriptor_area + 16 * size);
        assert_eq!(setup.device_area, setup.descriptor_area + used_ring_offset(size, align));
        let bytes = used_ring_offset(size, align) + (2 * 3 + 8 * size).next_multiple_of(align);
        assert_eq!(bench.hal.dma_addresses(bytes as usize), [setup.descriptor_area]);

        let portion = [Portion { offset: 0, len: 8 }];
        queue.make_available(Chain { readable: &portion, writable: &[] }, Tag(1)).unwrap();
        queue.publish();
        let mut other_side = bench.device.split_queue(0, &bench.hal.space).unwrap().unwrap();
        let chain = other_side.pop().unwrap().unwrap();
        other_side.complete(chain.head, 0).unwrap();
        assert_eq!(queue.take_used().unwrap().unwrap().payload, Tag(1));
    }
}

/// Spec: §2.7.2 — the rule by which such a device finds the other areas is the split layout's.
#[test]
fn a_device_that_finds_its_areas_by_rule_gets_split_queues() {
    let bench = Bench::with_queue(4, RING_PACKED);
    let mut transport = Altered::new(bench.transport());
    transport.placement = AreaPlacement::Contiguous { align: 4096 };
    let mut installing =
        Negotiating::begin(transport, PATIENCE).unwrap().negotiate(Wants::<BlockFeatures>::none()).unwrap();

    assert!(!installing.features().common.contains(CommonFeatures::RING_PACKED));
    let slots = Slots::<Tag<u8>>::allocate(4);
    let queue = installing.install_queue(0, &bench.hal, &RING_SETTINGS, slots).unwrap();
    assert_eq!(installing.start().activate(queue).active_path().layout, Layout::Split);
}

/// An alignment that is no power of two is no boundary that both sides would find; one below 4 would misalign the used ring.
#[test]
fn an_alignment_that_cannot_be_is_refused() {
    for align in [0, 1, 2, 3, 4095] {
        let bench = Bench::with_queue(4, 0);
        let mut transport = Altered::new(bench.transport());
        let placement = AreaPlacement::Contiguous { align };
        transport.placement = placement;
        let mut installing = Negotiating::begin(transport, PATIENCE)
            .unwrap()
            .negotiate(Wants::<BlockFeatures>::none())
            .unwrap();

        let refused = installing.install_queue(0, &bench.hal, &RING_SETTINGS, Slots::<Tag<u8>>::allocate(4));

        assert_eq!(refused.unwrap_err().error, InstallError::BadPlacement { index: 0, placement });
        assert_eq!(bench.hal.dma_regions(), 0);
    }
}

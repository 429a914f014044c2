//! What is written to a doorbell, and what a queue says of the paths that it uses.
//!
//! Spec: §2.9 Driver Notifications, §4.1.5.2 Available Buffer Notifications.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{Bench, Ring, RingBench};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Layout, Portion, Slots};
use virtio_model::pci::PciDevice;

const NOTIFICATION_DATA: u128 = 1 << 38;
const NOTIF_CONFIG_DATA: u128 = 1 << 39;
const VERSION_1: u128 = 1 << 32;
const PORTION: Portion = Portion { offset: 0, len: 8 };
const ONE: Chain<'_> = Chain { readable: &[PORTION], writable: &[] };

/// The value that the model tells drivers to use instead of the index of queue 0.
const CONFIG_DATA: u32 = 0x4100;

fn serve_one(bench: &mut RingBench<Tag<u32>>, context: u32) {
    bench.queue.make_available(ONE, Tag(context)).unwrap();
    bench.queue.publish();
    let chain = bench.other_side.pop().unwrap().unwrap();
    bench.other_side.enable_notifications().unwrap();
    bench.other_side.complete(chain.head, 0).unwrap();
    bench.queue.take_used().unwrap().unwrap();
}

/// Spec: §2.9 — split: the available index; packed: offset and wrap counter of what comes next.
#[test]
fn a_notification_carries_the_position_where_that_was_agreed_on() {
    let rounds = if cfg!(miri) { 9 } else { 70_000 };
    for ring in Ring::all().filter(|ring| !ring.in_order && !ring.indirect) {
        let mut bench = RingBench::offering(4, ring, NOTIFICATION_DATA);
        assert!(bench.queue.active_path().notification_data);
        for round in 1..=rounds {
            serve_one(&mut bench, round);

            let position = if ring.packed {
                let wrap_counter = u32::from(round / 4 % 2 == 0);
                (round % 4) | (wrap_counter << 15)
            } else {
                round & 0xffff
            };
            assert_eq!(bench.device.last_notification(0), Some(position << 16), "after {round} chains");
        }
        assert!(bench.finish().is_empty());
    }
}

/// Spec: §4.1.5.2 — the device's own name for the queue, with and without a position.
#[test]
fn a_notification_names_the_queue_as_the_device_wants_it() {
    for packed in [false, true] {
        // After one chain: index 1, or slot 1 in the lap of wrap counter 1.
        let position = if packed { 0x8001 << 16 } else { 1 << 16 };
        for (features, expected) in [
            (0, 0),
            (NOTIF_CONFIG_DATA, CONFIG_DATA),
            (NOTIFICATION_DATA, position),
            (NOTIFICATION_DATA | NOTIF_CONFIG_DATA, CONFIG_DATA | position),
        ] {
            let mut bench = RingBench::offering(4, Ring { packed, ..Ring::default() }, features);

            serve_one(&mut bench, 0);

            assert_eq!(bench.device.last_notification(0), Some(expected), "features {features:#x}");
            assert!(bench.finish().is_empty());
        }
    }
}

/// Each of several queues is notified by its own name, at its own place.
#[test]
fn every_queue_has_a_doorbell_of_its_own() {
    for features in [0, NOTIFICATION_DATA, NOTIF_CONFIG_DATA] {
        let device = PciDevice::builder()
            .device_id(0x107e)
            .queue_sizes(&[4, 8, 2])
            .features(VERSION_1 | features)
            .config([0; 64])
            .build();
        let bench = Bench::new(device);
        let mut installing = bench.install();
        let installed: Vec<_> = (0..3)
            .map(|index| {
                let slots = Slots::<Tag<u8>>::allocate(8);
                installing.install_queue(index, &bench.hal, &support::RING_SETTINGS, slots).unwrap()
            })
            .collect();
        let running = installing.start();

        for (index, queue) in installed.into_iter().enumerate() {
            assert_eq!(usize::from(queue.index()), index);
            let mut queue = running.activate(queue);
            queue.make_available(ONE, Tag(0)).unwrap();
            assert!(queue.publish());
            assert_eq!(bench.device.notifications(index as u16), 1, "queue {index}");
        }
        bench.device.assert_driver_was_correct();
    }
}

#[test]
fn a_queue_says_which_paths_it_uses() {
    for bench in RingBench::<Tag<u8>>::variants(16) {
        let path = bench.queue.active_path();

        assert_eq!(path.layout, if bench.ring.packed { Layout::Packed } else { Layout::Split });
        assert_eq!((path.in_order, path.event_index), (bench.ring.in_order, bench.ring.event_index));
        assert_eq!(path.indirect_segments, bench.ring.indirect.then_some(8));
        assert!(!path.platform_order && !path.notification_data);
        bench.finish();
    }
    // No chain is longer than the queue, so no table is, either.
    let small = RingBench::<Tag<u8>>::new(4, false, true);
    assert_eq!(small.queue.active_path().indirect_segments, Some(4));
}

//! What a virtqueue promises while the device keeps to the protocol.
//!
//! Spec: §2.6 Virtqueues, §2.7 Split Virtqueues, §2.8 Packed Virtqueues. Each promise holds for every kind of ring.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::RingBench;
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, Rearmed, RefusedReason, Used};

const HEADER: Portion = Portion { offset: 0, len: 16 };
const DATA: Portion = Portion { offset: 64, len: 32 };
const STATUS: Portion = Portion { offset: 128, len: 1 };
const ONE_READABLE: Chain<'_> = Chain { readable: &[HEADER], writable: &[] };
const ONE_WRITABLE: Chain<'_> = Chain { readable: &[], writable: &[STATUS] };
const THREE: Chain<'_> = Chain { readable: &[HEADER, DATA], writable: &[STATUS] };

/// Spec: §2.7.13 — the device sees what was written, in order, readable parts first.
#[test]
fn a_published_chain_reaches_the_device_as_it_was_described() {
    for mut bench in RingBench::<Tag<u8>>::variants(8) {
        bench.queue.write_memory(0, &[7; 16]).unwrap();
        bench.queue.make_available(THREE, Tag(1)).unwrap();
        assert!(bench.other_side.pop().unwrap().is_none(), "not before it is published");

        bench.queue.publish();

        let chain = bench.pop();
        assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16, 32], vec![1]));
        assert_eq!(chain.read_all(&bench.hal.space).unwrap()[..16], [7; 16]);
        assert_eq!(chain.indirect, bench.queue.indirect_segments().is_some());
        if chain.indirect && !bench.ring.packed {
            let reference = bench.other_side.split().read_descriptor(chain.head).unwrap();
            assert_eq!(reference.len, 3 * 16, "the chain's part of the table and no more");
        }
        assert_eq!(bench.finish(), [Tag(1)]);
    }
}

/// Spec: §2.7.14 — contexts come back with their own chains, whatever the order.
#[test]
fn a_completion_brings_back_the_context_of_its_chain() {
    for mut bench in RingBench::in_any_order(16) {
        for context in 0..4u32 {
            bench.queue.make_available(THREE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        let chains: Vec<_> = (0..4).map(|_| bench.pop()).collect();

        for index in [2usize, 0, 3, 1] {
            chains[index].write_all(&bench.hal.space, &[index as u8]).unwrap();
            bench.complete(&chains[index], 1);

            let used = bench.queue.take_used().unwrap().unwrap();

            assert_eq!(used, Used { payload: Tag(index as u32), written_len: 1 });
        }
        assert_eq!(bench.queue.take_used(), Ok(None));
        assert!(bench.finish().is_empty());
    }
}

#[test]
fn a_full_queue_hands_the_context_back_and_takes_it_after_a_completion() {
    for mut bench in RingBench::variants(4) {
        let per_chain: u16 = if bench.queue.indirect_segments().is_some() { 1 } else { 3 };
        for context in 0..4 / per_chain {
            bench.queue.make_available(THREE, Tag(context)).unwrap();
        }

        let refused = bench.queue.make_available(THREE, Tag(99)).unwrap_err();
        assert_eq!((refused.reason, refused.payload), (RefusedReason::Full, Tag(99)));

        bench.queue.publish();
        let chain = bench.pop();
        bench.complete(&chain, 0);
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(0));
        bench.queue.make_available(THREE, Tag(99)).unwrap();
        assert_eq!(bench.finish().len(), usize::from(4 / per_chain));
    }
}

/// Spec: §2.7.13.3.1 — indices run freely: full and empty are told apart at the 16-bit wrap.
#[test]
fn the_indices_wrap_at_65536_without_losing_a_completion() {
    let rounds = if cfg!(miri) { 6 } else { 40_000 };
    for mut bench in RingBench::variants(5) {
        for round in 0..rounds {
            bench.queue.make_available(ONE_READABLE, Tag(2 * round)).unwrap();
            bench.queue.make_available(ONE_WRITABLE, Tag(2 * round + 1)).unwrap();
            bench.queue.publish();
            let (first, second) = (bench.pop(), bench.pop());
            let mut order = [(first, 0, 2 * round), (second, 1, 2 * round + 1)];
            if !bench.ring.in_order {
                order.reverse();
            }
            for (chain, written, _) in &order {
                bench.complete(chain, *written);
            }

            for (_, _, context) in order {
                assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
            }
            assert_eq!(bench.queue.take_used(), Ok(None));
        }
        assert!(bench.finish().is_empty());
    }
}

/// Spec: §2.7.10 — with event index, a notification is sent exactly when the device asked for one of the chains just published.
#[test]
fn across_the_wrap_no_notification_is_lost_and_none_is_superfluous() {
    for bench in RingBench::split(8).filter(|bench| bench.ring.event_index) {
        expect_exact_notifications(bench);
    }
}

fn expect_exact_notifications(mut bench: RingBench<Tag<()>>) {
    let rounds: u32 = if cfg!(miri) { 12 } else { 16_000 };
    let mut available = 0u16;
    for round in 0..rounds {
        let batch = (round % 8 + 1) as u16;
        let ahead = (round / 8 % 10) as u16;
        let event = available.wrapping_add(ahead).wrapping_sub(1);
        bench.other_side.split().set_avail_event(event).unwrap();
        for _ in 0..batch {
            bench.queue.make_available(ONE_READABLE, Tag(())).unwrap();
        }
        let before = bench.device.notifications(0);

        let notified = bench.queue.publish();

        let expected = (1..=batch).contains(&ahead);
        assert_eq!(notified, expected, "index {available}, event {event}, batch {batch}");
        assert_eq!(bench.device.notifications(0) - before, usize::from(expected));
        available = available.wrapping_add(batch);
        for _ in 0..batch {
            let chain = bench.pop();
            bench.complete(&chain, 0);
            bench.queue.take_used().unwrap().unwrap();
        }
    }
    assert!(bench.finish().is_empty());
}

/// Spec: §2.7.10, §2.8.10 — a device that sleeps is notified, and one that polls is not.
#[test]
fn a_device_that_wants_no_notification_gets_none() {
    for bench in RingBench::variants(8) {
        expect_suppression(bench);
    }
}

fn expect_suppression(mut bench: RingBench<Tag<u8>>) {
    bench.other_side.disable_notifications().unwrap();
    bench.queue.make_available(ONE_READABLE, Tag(1)).unwrap();
    assert!(!bench.queue.publish());

    bench.pop();
    assert!(!bench.other_side.enable_notifications().unwrap(), "nothing is waiting");
    bench.queue.make_available(ONE_READABLE, Tag(2)).unwrap();
    assert!(bench.queue.publish());
    assert!(!bench.queue.publish(), "nothing new");

    let statistics = bench.queue.statistics();
    assert_eq!(
        (statistics.notifications_sent, statistics.notifications_suppressed, statistics.chains),
        (1, 1, 2)
    );
    assert_eq!(bench.device.notifications(0), 1);
    assert_eq!(bench.finish().len(), 2);
}

/// Spec: §2.7.10.1 — with event index the flag means nothing, and the index alone counts.
#[test]
fn with_event_index_the_devices_flag_is_ignored() {
    let mut bench = RingBench::new(8, true, false);
    bench.other_side.split().set_used_flags(1).unwrap();
    bench.queue.make_available(ONE_READABLE, Tag(1)).unwrap();

    assert!(bench.queue.publish());
    assert_eq!(bench.finish().len(), 1);
}

/// A device that says for ever that it needs no notification: more chains than an index can count.
#[test]
fn more_than_65535_chains_without_a_notification_lose_nothing() {
    let rounds: u32 = if cfg!(miri) { 4 } else { 70_000 };
    for mut bench in RingBench::variants(4) {
        for round in 0..rounds {
            bench.other_side.disable_notifications().unwrap();
            bench.queue.make_available(ONE_READABLE, Tag(round)).unwrap();
            assert!(!bench.queue.publish(), "round {round}");
            let chain = bench.pop();
            bench.complete(&chain, 0);
            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(round));
        }
        bench.other_side.enable_notifications().unwrap();
        bench.queue.make_available(ONE_READABLE, Tag(rounds)).unwrap();
        assert!(bench.queue.publish(), "and then one is asked for");
        assert_eq!(bench.finish().len(), 1);
    }
}

/// Spec: §2.7.7 — after a re-arm either a notification comes or the driver knows that chains are waiting.
#[test]
fn a_completion_in_the_window_of_a_rearm_is_not_missed() {
    for mut bench in RingBench::variants(8) {
        bench.queue.suppress_notifications();
        bench.queue.make_available(ONE_READABLE, Tag(1)).unwrap();
        bench.queue.make_available(ONE_READABLE, Tag(2)).unwrap();
        bench.queue.publish();
        let (first, second) = (bench.pop(), bench.pop());

        assert!(!bench.other_side.complete(first.head, 0).unwrap(), "suppressed");
        assert_eq!(bench.queue.rearm(), Rearmed::MoreWaiting);
        bench.queue.take_used().unwrap().unwrap();
        assert_eq!(bench.queue.rearm(), Rearmed::Quiet);
        assert!(bench.other_side.complete(second.head, 0).unwrap(), "armed");
        assert_eq!(bench.finish().len(), 1);
    }
}

/// Spec: §2.7.7 — looking at completions does not ask for notifications.
#[test]
fn taking_a_completion_does_not_rearm() {
    for mut bench in RingBench::variants(8) {
        bench.queue.suppress_notifications();
        for context in 0..if cfg!(miri) { 3 } else { 200 } {
            bench.queue.make_available(ONE_READABLE, Tag(context)).unwrap();
            bench.queue.publish();
            let chain = bench.pop();

            assert!(!bench.other_side.complete(chain.head, 0).unwrap());

            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
        }
        assert!(bench.finish().is_empty());
    }
}

/// Spec: §2.7, §2.8 — sizes from 1 to 32768, in the packed layout any; and never more than the device has.
#[test]
fn queues_of_every_size_serve_as_many_chains_as_they_have_descriptors() {
    let sizes: &[u16] = if cfg!(miri) { &[1, 7] } else { &[1, 2, 3, 4, 7, 1000, 1024, 32768] };
    for device_max in sizes {
        for mut bench in RingBench::variants(*device_max) {
            let size = if bench.ring.packed { *device_max } else { 1 << device_max.ilog2() };
            assert_eq!(bench.queue.size(), size);
            for _lap in 0..3 {
                serve_as_many_as_fit(&mut bench, size);
            }
            assert!(bench.finish().is_empty());
        }
    }
}

fn serve_as_many_as_fit(bench: &mut RingBench<Tag<u16>>, size: u16) {
    for context in 0..size {
        bench.queue.make_available(ONE_READABLE, Tag(context)).unwrap();
        if context == size / 3 {
            bench.queue.publish();
        }
    }
    let refused = bench.queue.make_available(ONE_READABLE, Tag(size)).unwrap_err();
    assert_eq!(refused.reason, RefusedReason::Full);
    let published = size / 3 + 1;
    for context in 0..published {
        let chain = bench.pop();
        bench.complete(&chain, 0);
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
    }
    assert!(bench.other_side.pop().unwrap().is_none(), "the others are not published");
    bench.queue.publish();
    for context in published..size {
        let chain = bench.pop();
        bench.complete(&chain, 0);
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
    }
}

/// Spec: §2.7.7.1, §2.8.10 — a driver that waits for several chains across the wrap of the index is woken by the last of them, not before and not never.
#[test]
fn a_delayed_rearm_across_the_wrap_waits_for_as_many_chains() {
    let before = if cfg!(miri) { 6 } else { 65_534 };
    for mut bench in RingBench::variants(8).filter(|bench| bench.ring.event_index) {
        for _ in 0..before {
            bench.queue.make_available(ONE_WRITABLE, Tag(())).unwrap();
            bench.queue.publish();
            let chain = bench.pop();
            bench.complete(&chain, 1);
            bench.queue.take_used().unwrap().unwrap();
        }
        for _ in 0..5 {
            bench.queue.make_available(ONE_WRITABLE, Tag(())).unwrap();
        }
        bench.queue.publish();
        let heads: Vec<_> = (0..5).map(|_| bench.pop().head).collect();

        assert_eq!(bench.queue.rearm_delayed(4), Rearmed::Quiet);

        let woken: Vec<_> =
            heads.into_iter().map(|head| bench.other_side.complete(head, 1).unwrap()).collect();
        assert_eq!(woken, [false, false, false, true, false], "{:?}", bench.ring);
        assert_eq!(bench.finish().len(), 5);
    }
}

#[test]
fn chains_that_cannot_be_are_refused_and_change_nothing() {
    for mut bench in RingBench::variants(4) {
        let outside = [Portion { offset: 4095, len: 2 }];
        let empty = [Portion { offset: 0, len: 0 }];
        let wrapping = [Portion { offset: u32::MAX, len: u32::MAX }];
        let many = [HEADER; 5];
        let cases = [
            (Chain::default(), RefusedReason::Empty),
            (Chain { readable: &outside, writable: &[] }, RefusedReason::BadPortion),
            (Chain { readable: &[], writable: &empty }, RefusedReason::BadPortion),
            (Chain { readable: &[], writable: &wrapping }, RefusedReason::BadPortion),
            (Chain { readable: &many, writable: &[] }, RefusedReason::TooLong),
        ];
        for (chain, reason) in cases {
            assert_eq!(bench.queue.make_available(chain, Tag(())).unwrap_err().reason, reason);
        }
        assert_eq!((bench.queue.free_descriptors(), bench.queue.in_flight()), (4, 0));
        assert!(!bench.queue.publish());
        assert!(bench.finish().is_empty());
    }
}

/// Spec: §2.7.8 — a device may hold a chain for as long as it likes, and return it while others are made available and not shown yet.
#[test]
fn a_chain_that_is_held_while_65536_others_come_and_go_comes_back() {
    for mut bench in RingBench::<Tag<u32>>::in_any_order(4).filter(|bench| !bench.ring.event_index) {
        bench.queue.make_available(ONE_READABLE, Tag(u32::MAX)).unwrap();
        bench.queue.publish();
        let held = bench.pop();
        let others = if cfg!(miri) { 9 } else { 65_535 };
        for context in 0..others {
            bench.queue.make_available(ONE_READABLE, Tag(context)).unwrap();
            bench.queue.publish();
            let chain = bench.pop();
            bench.complete(&chain, 0);
            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
        }
        bench.queue.make_available(ONE_READABLE, Tag(others)).unwrap();

        bench.complete(&held, 0);

        assert_eq!(
            bench.queue.take_used().map(|used| used.unwrap().payload),
            Ok(Tag(u32::MAX)),
            "{:?}",
            bench.ring
        );
    }
}

/// The queue's memory is the driver's to read and write, inside of its bounds.
#[test]
fn what_is_written_to_a_queues_memory_is_read_there() {
    let mut bench = RingBench::<Tag<()>>::new(8, false, true);
    assert_eq!((bench.queue.segments_max(), bench.queue.size()), (8, 8));
    bench.queue.write_memory(3, b"in between").unwrap();

    let mut bytes = [0xff; 12];
    bench.queue.read_memory(2, &mut bytes).unwrap();

    assert_eq!(&bytes, b"\0in between\0");
    assert!(
        bench.queue.read_memory(4096, &mut bytes).is_err() && bench.queue.write_memory(4095, b"xy").is_err()
    );
    bench.finish();
}

/// Spec: §2.7.10.1 — a device finds nothing in its own flags that it has not put there.
#[test]
fn the_flags_of_a_new_used_ring_are_zero() {
    for bench in RingBench::<Tag<u8>>::split(8) {
        let used_ring = bench.device.queue_setup(0).unwrap().device_area;
        let mut flags = [0xff; 2];
        bench.hal.space.read(used_ring, &mut flags).unwrap();
        assert_eq!(flags, [0; 2]);
    }
}

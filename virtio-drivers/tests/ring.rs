//! What a virtqueue promises while the device keeps to the protocol.
//!
//! Spec: §2.6 Virtqueues, §2.7 Split Virtqueues.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{RingBench, TestHal};
use virtio_guest::hal::Direction;
use virtio_guest::raw::{MappedBuffer, Payload, Tag};
use virtio_guest::ring::{Chain, Portion, Rearmed, RefusedReason, Used};
use virtio_model::chain::Chain as DeviceChain;

const HEADER: Portion = Portion { offset: 0, len: 16 };
const DATA: Portion = Portion { offset: 64, len: 32 };
const STATUS: Portion = Portion { offset: 128, len: 1 };
const ONE_READABLE: Chain<'_> = Chain { readable: &[HEADER], writable: &[] };
const ONE_WRITABLE: Chain<'_> = Chain { readable: &[], writable: &[STATUS] };
const THREE: Chain<'_> = Chain { readable: &[HEADER, DATA], writable: &[STATUS] };

fn pop<T: Payload + 'static>(bench: &mut RingBench<T>) -> DeviceChain {
    bench.other_side.pop().expect("the driver keeps to the protocol").expect("a chain is available")
}

fn complete<T: Payload + 'static>(bench: &mut RingBench<T>, chain: &DeviceChain, written: u32) {
    bench.other_side.complete(chain.head, written).expect("the used ring is there");
}

/// Spec: §2.7.13 — the device sees what was written, in order, readable parts first.
#[test]
fn a_published_chain_reaches_the_device_as_it_was_described() {
    for mut bench in RingBench::<Tag<u8>>::variants(8) {
        bench.queue.write_memory(0, &[7; 16]).unwrap();
        bench.queue.make_available(THREE, Tag(1)).unwrap();
        assert!(bench.other_side.pop().unwrap().is_none(), "not before it is published");

        bench.queue.publish();

        let chain = pop(&mut bench);
        assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16, 32], vec![1]));
        assert_eq!(chain.read_all(&bench.hal.space).unwrap()[..16], [7; 16]);
        assert_eq!(chain.indirect, bench.queue.indirect_segments().is_some());
        assert_eq!(bench.finish(), [Tag(1)]);
    }
}

/// Spec: §2.7.14 — contexts come back with their own chains, whatever the order.
#[test]
fn a_completion_brings_back_the_context_of_its_chain() {
    for mut bench in RingBench::variants(16) {
        for context in 0..4u32 {
            bench.queue.make_available(THREE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        let chains: Vec<_> = (0..4).map(|_| pop(&mut bench)).collect();

        for index in [2usize, 0, 3, 1] {
            chains[index].write_all(&bench.hal.space, &[index as u8]).unwrap();
            complete(&mut bench, &chains[index], 1);

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
        let chain = pop(&mut bench);
        complete(&mut bench, &chain, 0);
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(0));
        bench.queue.make_available(THREE, Tag(99)).unwrap();
        assert_eq!(bench.finish().len(), usize::from(4 / per_chain));
    }
}

/// Spec: §2.7.13.3.1 — indices run freely: full and empty are told apart at the 16-bit wrap.
#[test]
fn the_indices_wrap_at_65536_without_losing_a_completion() {
    let rounds = if cfg!(miri) { 40 } else { 40_000 };
    for mut bench in RingBench::variants(4) {
        for round in 0..rounds {
            bench.queue.make_available(ONE_READABLE, Tag(2 * round)).unwrap();
            bench.queue.make_available(ONE_WRITABLE, Tag(2 * round + 1)).unwrap();
            bench.queue.publish();
            let (first, second) = (pop(&mut bench), pop(&mut bench));
            complete(&mut bench, &second, 1);
            complete(&mut bench, &first, 0);

            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(2 * round + 1));
            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(2 * round));
            assert_eq!(bench.queue.take_used(), Ok(None));
        }
        assert!(bench.finish().is_empty());
    }
}

/// Spec: §2.7.10 — with event index, a notification is sent exactly when the device asked for one of the chains just published.
#[test]
fn across_the_wrap_no_notification_is_lost_and_none_is_superfluous() {
    let rounds: u32 = if cfg!(miri) { 60 } else { 70_000 };
    let mut bench = RingBench::new(8, true, false);
    let mut available = 0u16;
    for round in 0..rounds {
        let batch = (round % 8 + 1) as u16;
        let ahead = (round / 8 % 10) as u16;
        let event = available.wrapping_add(ahead).wrapping_sub(1);
        bench.other_side.set_avail_event(event).unwrap();
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
            let chain = pop(&mut bench);
            complete(&mut bench, &chain, 0);
            bench.queue.take_used().unwrap().unwrap();
        }
    }
    assert!(bench.finish().is_empty());
}

/// Spec: §2.7.10 — without event index the device's flag decides.
#[test]
fn a_device_that_wants_no_notification_gets_none() {
    let mut bench = RingBench::new(8, false, false);
    bench.other_side.disable_notifications().unwrap();
    bench.queue.make_available(ONE_READABLE, Tag(1)).unwrap();
    assert!(!bench.queue.publish());

    bench.other_side.enable_notifications().unwrap();
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

/// A device that says for ever that it needs no notification: more chains than an index can count.
#[test]
fn more_than_65535_chains_without_a_notification_lose_nothing() {
    let rounds: u32 = if cfg!(miri) { 50 } else { 70_000 };
    let mut bench = RingBench::new(4, true, false);
    for round in 0..rounds {
        bench.other_side.set_avail_event((round as u16).wrapping_sub(1)).unwrap();
        bench.queue.make_available(ONE_READABLE, Tag(round)).unwrap();
        assert!(!bench.queue.publish());
        let chain = pop(&mut bench);
        complete(&mut bench, &chain, 0);
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(round));
    }
    bench.other_side.set_avail_event(rounds as u16).unwrap();
    bench.queue.make_available(ONE_READABLE, Tag(rounds)).unwrap();
    assert!(bench.queue.publish(), "and then one is asked for");
    assert_eq!(bench.finish().len(), 1);
}

/// Spec: §2.7.7 — after a re-arm either a notification comes or the driver knows that chains are waiting.
#[test]
fn a_completion_in_the_window_of_a_rearm_is_not_missed() {
    for mut bench in RingBench::variants(8) {
        bench.queue.suppress_notifications();
        bench.queue.make_available(ONE_READABLE, Tag(1)).unwrap();
        bench.queue.make_available(ONE_READABLE, Tag(2)).unwrap();
        bench.queue.publish();
        let (first, second) = (pop(&mut bench), pop(&mut bench));

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
        for context in 0..2 {
            bench.queue.make_available(ONE_READABLE, Tag(context)).unwrap();
            bench.queue.publish();
            let chain = pop(&mut bench);

            assert!(!bench.other_side.complete(chain.head, 0).unwrap());

            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
        }
        assert!(bench.finish().is_empty());
    }
}

/// Spec: §2.7 — sizes from 1 to 32768, and never more than the device has.
#[test]
fn queues_of_every_size_serve_as_many_chains_as_they_have_descriptors() {
    let sizes: &[(u16, u16)] = if cfg!(miri) {
        &[(1, 1), (2, 2), (4, 4), (7, 4)]
    } else {
        &[(1, 1), (2, 2), (4, 4), (7, 4), (1024, 1024), (32768, 32768)]
    };
    for &(device_max, size) in sizes {
        for mut bench in RingBench::variants(device_max) {
            assert_eq!(bench.queue.size(), size);
            for context in 0..size {
                bench.queue.make_available(ONE_READABLE, Tag(context)).unwrap();
            }
            assert_eq!(
                bench.queue.make_available(ONE_READABLE, Tag(size)).unwrap_err().reason,
                RefusedReason::Full
            );
            bench.queue.publish();
            for context in 0..size {
                let chain = pop(&mut bench);
                complete(&mut bench, &chain, 0);
                assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(context));
            }
            assert!(bench.finish().is_empty());
        }
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

type Buffers = (Tag<u8>, [MappedBuffer<TestHal, Box<[u8]>>; 2]);

fn map(hal: &TestHal, bytes: &[u8], direction: Direction) -> MappedBuffer<TestHal, Box<[u8]>> {
    MappedBuffer::map(hal, bytes.into(), direction).unwrap()
}

/// Bounced memory: the device sees a copy, and what it writes is back when the buffer is.
#[test]
fn owned_buffers_travel_through_the_queue_and_come_back_filled() {
    for mut bench in RingBench::<Buffers>::variants(8) {
        let to_device = map(&bench.hal, b"to the device", Direction::DeviceReadable);
        let from_device = map(&bench.hal, &[0; 11], Direction::DeviceWritable);
        bench
            .queue
            .make_available(
                Chain { readable: &[HEADER], writable: &[STATUS] },
                (Tag(5), [from_device, to_device]),
            )
            .unwrap();
        bench.queue.publish();

        let chain = pop(&mut bench);
        assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16, 13], vec![11, 1]));
        assert_eq!(chain.read_all(&bench.hal.space).unwrap()[16..], *b"to the device");
        chain.write_all(&bench.hal.space, b"from device!").unwrap();
        complete(&mut bench, &chain, 12);

        let Used { payload: (tag, [from_device, to_device]), written_len } =
            bench.queue.take_used().unwrap().unwrap();
        assert_eq!((tag, written_len), (Tag(5), 12));
        assert_eq!(*from_device.unmap(), *b"from device");
        assert_eq!(*to_device.unmap(), *b"to the device");
        let hal = bench.hal.clone();
        assert!(bench.finish().is_empty());
        hal.assert_all_returned();
    }
}

/// A mapping that fails in the middle of a chain leaves nothing mapped and nothing exposed; a shorter chain is served later.
#[test]
fn a_failed_mapping_undoes_the_ones_before_it() {
    for mut bench in RingBench::<MappedBuffer<TestHal, Box<[u8]>>>::variants(8) {
        bench.hal.limit_maps(2);
        let buffers = [1u8, 2, 3].map(|byte| Box::<[u8]>::from([byte; 8]));
        let mapped: Result<Vec<_>, _> = buffers
            .into_iter()
            .map(|buffer| MappedBuffer::map(&bench.hal, buffer, Direction::DeviceReadable))
            .collect();
        assert_eq!(*mapped.unwrap_err().buffer, [3; 8]);
        assert_eq!(bench.hal.mapped_buffers(), 0);

        bench.hal.limit_maps(1);
        let one = map(&bench.hal, &[9; 8], Direction::DeviceReadable);
        bench.queue.make_available(Chain::default(), one).unwrap();
        bench.queue.publish();

        let chain = pop(&mut bench);
        assert_eq!(chain.read_all(&bench.hal.space).unwrap(), [9; 8]);
        let hal = bench.hal.clone();
        assert_eq!(bench.finish().len(), 1);
        hal.assert_all_returned();
    }
}

#[test]
fn buffers_that_no_descriptor_can_name_are_not_mapped() {
    let hal = TestHal::default();

    let refused = MappedBuffer::map(&hal, Box::<[u8]>::from([]), Direction::DeviceReadable).unwrap_err();

    assert!(refused.buffer.is_empty());
    hal.assert_all_returned();
}

/// Spec: §2.4 — a reset device uses nothing: every payload comes back once, every mapping can be undone.
#[test]
fn a_confirmed_reset_gives_back_every_payload_exactly_once() {
    for mut bench in RingBench::<(Tag<usize>, MappedBuffer<TestHal, Box<[u8]>>)>::variants(8) {
        for index in 0..5 {
            let buffer = map(&bench.hal, &[index as u8; 4], Direction::DeviceWritable);
            bench.queue.make_available(Chain::default(), (Tag(index), buffer)).unwrap();
        }
        bench.queue.publish();
        let chain = pop(&mut bench);
        complete(&mut bench, &chain, 4);
        let taken = bench.queue.take_used().unwrap().unwrap().payload.0;
        let hal = bench.hal.clone();

        let mut returned: Vec<_> = bench.finish().into_iter().map(|(Tag(index), _)| index).collect();

        returned.push(taken.0);
        returned.sort_unstable();
        assert_eq!(returned, [0, 1, 2, 3, 4]);
        hal.assert_all_returned();
    }
}

/// Without a confirmed reset the device may still write: nothing is freed.
#[test]
fn a_dropped_queue_leaks_what_the_device_may_still_use() {
    let mut bench = RingBench::<MappedBuffer<TestHal, Box<[u8]>>>::new(8, false, false);
    let buffer = map(&bench.hal, &[0; 4], Direction::DeviceWritable);
    bench.queue.make_available(Chain::default(), buffer).unwrap();
    bench.queue.publish();
    let before = (bench.hal.dma_regions(), bench.hal.mapped_buffers());

    drop(bench.queue);

    assert_eq!((bench.hal.dma_regions(), bench.hal.mapped_buffers()), before);
    let chain = bench.other_side.pop().unwrap().unwrap();
    chain.write_all(&bench.hal.space, &[1; 4]).expect("still mapped");
}

/// The reset of one device says nothing about another's memory.
#[test]
fn another_devices_reset_takes_nothing_back() {
    let mut one = RingBench::new(4, false, false);
    let other = RingBench::<Tag<u8>>::new(4, false, false);
    one.queue.make_available(ONE_READABLE, Tag(1u8)).unwrap();
    one.queue.publish();
    let (_, reset_of_other) = other.running.reset(virtio_guest::hal::Attempts(10)).unwrap();

    one.queue = one.queue.reclaim(&reset_of_other).expect_err("not its reset");

    let chain = pop(&mut one);
    complete(&mut one, &chain, 0);
    assert_eq!(one.queue.take_used().unwrap().unwrap().payload, Tag(1));
    assert!(one.finish().is_empty());
}

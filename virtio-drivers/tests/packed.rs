//! What is in the packed ring, word for word, and what only this layout can get wrong.
//!
//! Spec: §2.8 Packed Virtqueues.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{Ring, RingBench};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Broken, Chain, Portion, Rearmed, Used};
use virtio_model::packed::{AVAIL, Descriptor, INDIRECT, NEXT, Position, USED, WRITE};

const HEADER: Portion = Portion { offset: 0, len: 16 };
const DATA: Portion = Portion { offset: 64, len: 32 };
const STATUS: Portion = Portion { offset: 128, len: 1 };
const THREE: Chain<'_> = Chain { readable: &[HEADER, DATA], writable: &[STATUS] };
const ONE: Chain<'_> = Chain { readable: &[], writable: &[STATUS] };

const DIRECT: Ring = Ring { packed: true, in_order: false, event_index: false, indirect: false };

fn descriptors(bench: &mut RingBench<Tag<u16>>) -> Vec<Descriptor> {
    let size = bench.queue.size();
    (0..size).map(|slot| bench.other_side.packed().read_descriptor(slot).unwrap()).collect()
}

fn complete_next(bench: &mut RingBench<Tag<u16>>, written: u32) {
    let chain = bench.other_side.pop().unwrap().unwrap();
    bench.other_side.complete(chain.head, written).unwrap();
}

/// Spec: §2.8.6, §2.8.21.1 — NEXT on every descriptor of a chain but the last; the first one's flags come last.
#[test]
fn the_flags_of_a_burst_s_first_descriptor_are_written_last() {
    let mut bench = RingBench::with(8, DIRECT);
    bench.queue.make_available(THREE, Tag(1)).unwrap();
    bench.queue.make_available(ONE, Tag(2)).unwrap();

    let before: Vec<_> = descriptors(&mut bench).iter().map(|descriptor| descriptor.flags).collect();
    bench.queue.publish();
    let after: Vec<_> = descriptors(&mut bench).iter().map(|descriptor| descriptor.flags).collect();

    assert_eq!(before[..5], [0, NEXT | AVAIL, WRITE | AVAIL, WRITE | AVAIL, 0]);
    assert_eq!(after[..5], [NEXT | AVAIL, NEXT | AVAIL, WRITE | AVAIL, WRITE | AVAIL, 0]);
    assert_eq!(bench.finish().len(), 2);
}

/// Spec: §2.8.1 — a chain that crosses the end of the ring: each descriptor has the flags of its own lap.
#[test]
fn a_chain_across_the_end_of_the_ring_flips_the_wrap_counter_once() {
    let mut bench = RingBench::with(4, DIRECT);
    for context in 0..if cfg!(miri) { 6 } else { 20 } {
        bench.queue.make_available(THREE, Tag(context)).unwrap();
        bench.queue.publish();
        let chain = bench.other_side.pop().expect("sound").expect("available");
        assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16, 32], vec![1]));
        bench.other_side.complete(chain.head, 1).unwrap();

        assert_eq!(bench.queue.take_used().unwrap(), Some(Used { payload: Tag(context), written_len: 1 }));
    }
    assert!(bench.finish().is_empty());
}

/// Spec: §2.8.10 — a burst brings a notification exactly if the place that the device asked for is in it, in whatever lap that is.
#[test]
fn a_burst_notifies_exactly_if_the_event_is_in_it() {
    const SIZE: u16 = 7;
    let mut bench = RingBench::with(SIZE, Ring { event_index: true, ..DIRECT });
    // Places of two laps: the first one has the wrap counter 1.
    let mut next = 0;
    for round in 0..if cfg!(miri) { 30 } else { 1000 } {
        let (burst, ahead) = (1 + round % 3, round / 3 % (2 * SIZE));
        let event = (next + ahead) % (2 * SIZE);
        let wrap_counter = if event < SIZE { 1 << 15 } else { 0 };
        bench.other_side.packed().set_device_event((event % SIZE) | wrap_counter, 2).unwrap();

        bench.queue.make_available_burst((0..burst).map(|context| (ONE, Tag(context)))).unwrap();
        assert_eq!(
            bench.queue.publish(),
            ahead < burst,
            "{burst} chains from place {next} on, event {event}"
        );

        for _ in 0..burst {
            complete_next(&mut bench, 1);
        }
        assert_eq!(bench.queue.take_used_burst(9, drop), Ok(burst.into()));
        next = (next + burst) % (2 * SIZE);
    }
    assert!(bench.finish().is_empty());
}

/// A chain of one segment needs no table, though there are some.
#[test]
fn a_chain_of_one_segment_goes_into_the_ring_itself() {
    let mut bench = RingBench::with(4, Ring { indirect: true, ..DIRECT });
    bench.queue.make_available_burst([(ONE, Tag(1)), (THREE, Tag(2))]).unwrap();
    bench.queue.publish();

    let flags: Vec<_> = descriptors(&mut bench).iter().map(|descriptor| descriptor.flags).collect();

    assert_eq!(flags[..2], [WRITE | AVAIL, INDIRECT | AVAIL]);
    assert_eq!(bench.finish().len(), 2);
}

/// Spec: §2.8.2 — a burst that straddles the end of the ring, of chains of different lengths.
#[test]
fn a_burst_across_the_end_of_the_ring_is_taken_back_whole() {
    for ring in Ring::all().filter(|ring| ring.packed) {
        let mut bench = RingBench::with(7, ring);
        let mut context = 0;
        for _burst in 0..if cfg!(miri) { 4 } else { 30 } {
            for chain in [THREE, ONE, THREE] {
                bench.queue.make_available(chain, Tag(context)).unwrap();
                context += 1;
            }
            bench.queue.publish();
            (0..3).for_each(|_| complete_next(&mut bench, 1));
            let mut taken = Vec::new();
            assert_eq!(bench.queue.take_used_burst(9, |used| taken.push(used.payload.0)), Ok(3));
            assert_eq!(taken, [context - 3, context - 2, context - 1]);
        }
        assert!(bench.finish().is_empty());
    }
}

/// Spec: §2.8.22 — what was used is named by its id; where it is named says nothing.
#[test]
fn a_used_chain_is_found_by_its_id_and_not_by_its_slot() {
    let mut bench = RingBench::with(8, DIRECT);
    for context in 0..3 {
        bench.queue.make_available(ONE, Tag(context)).unwrap();
    }
    bench.queue.publish();
    let chains: Vec<_> = (0..3).map(|_| bench.other_side.pop().unwrap().unwrap()).collect();
    for chain in chains.iter().rev() {
        bench.other_side.complete(chain.head, 1).unwrap();
    }

    let mut taken = Vec::new();
    bench.queue.take_used_burst(3, |used| taken.push(used.payload.0)).unwrap();

    assert_eq!(taken, [2, 1, 0]);
    // The ids are free in another order now; each chain has its own all the same, in every descriptor that the device wrote over.
    for context in 3..6 {
        bench.queue.make_available(ONE, Tag(context)).unwrap();
    }
    bench.queue.publish();
    let mut ids: Vec<_> = descriptors(&mut bench)[3..6].iter().map(|descriptor| descriptor.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(bench.finish().len(), 3);
}

/// Spec: §2.8.7 — INDIRECT stands alone; the table's length is 16 bytes for each segment; its entries say nothing but their direction.
#[test]
fn an_indirect_chain_is_one_descriptor_and_a_table() {
    let mut bench = RingBench::with(4, Ring { indirect: true, ..DIRECT });
    bench.queue.make_available(THREE, Tag(1)).unwrap();
    bench.queue.publish();

    let head = descriptors(&mut bench)[0];
    assert_eq!((head.flags, head.len), (INDIRECT | AVAIL, 48));
    let mut table = [0; 48];
    bench.hal.space.read(head.addr, &mut table).unwrap();
    let flags_and_ids: Vec<_> =
        table.chunks(16).map(|entry| (entry[14], entry[15], entry[12], entry[13])).collect();
    assert_eq!(flags_and_ids, [(0, 0, 0, 0), (0, 0, 0, 0), (WRITE as u8, 0, 0, 0)]);
    assert_eq!(bench.finish().len(), 1);
}

/// Spec: §2.8.10 — a delayed re-arm looks at the descriptor that is used next, wherever the event is.
#[test]
fn a_delayed_rearm_sees_a_chain_that_is_waiting_already() {
    for bench in RingBench::variants(8) {
        expect_delay(bench);
    }
}

fn expect_delay(mut bench: RingBench<Tag<u16>>) {
    bench.queue.suppress_notifications();
    for context in 0..4 {
        bench.queue.make_available(ONE, Tag(context)).unwrap();
    }
    bench.queue.publish();
    complete_next(&mut bench, 1);

    assert_eq!(bench.queue.rearm_delayed(3), Rearmed::MoreWaiting);

    bench.queue.take_used().unwrap().unwrap();
    assert_eq!(bench.queue.rearm_delayed(3), Rearmed::Quiet);
    let interrupts: Vec<_> = (0..3)
        .map(|_| {
            let chain = bench.other_side.pop().unwrap().unwrap();
            bench.other_side.complete(chain.head, 1).unwrap()
        })
        .collect();
    if bench.ring.event_index {
        assert_eq!(interrupts, [false, false, true], "with the third of three");
    } else {
        assert!(interrupts[0], "with the first: there is no other way to ask");
    }
    assert_eq!(bench.finish().len(), 3);
}

/// A wait for more chains than the device holds would never end: the last one it holds ends it.
#[test]
fn a_delayed_rearm_waits_for_no_more_than_the_device_holds() {
    for mut bench in RingBench::<Tag<u16>>::variants(8) {
        bench.queue.make_available(ONE, Tag(0)).unwrap();
        bench.queue.publish();
        let chain = bench.other_side.pop().unwrap().unwrap();

        assert_eq!(bench.queue.rearm_delayed(u16::MAX), Rearmed::Quiet);

        assert!(bench.other_side.complete(chain.head, 1).unwrap());
        assert_eq!(bench.finish().len(), 1);
    }
}

/// Spec: §2.8.10 — for every batch and every place that the device can name, notified exactly when that place is in the batch.
#[test]
fn in_a_packed_ring_no_notification_is_lost_and_none_is_superfluous() {
    for bench in RingBench::packed(7).filter(|bench| bench.ring.event_index) {
        expect_exact_notifications(bench);
    }
}

fn expect_exact_notifications(mut bench: RingBench<Tag<u16>>) {
    let size = 7;
    let mut start = Position::START;
    let laps = if cfg!(miri) { 1 } else { 40 };
    for round in 0..laps * size {
        let batch = round % size + 1;
        let ahead = round / size % (2 * size);
        let event = start.advanced(ahead.min(size), size).advanced(ahead.saturating_sub(size), size);
        bench.other_side.packed().set_device_event(event.encoded(), 2).unwrap();
        for context in 0..batch {
            bench.queue.make_available(ONE, Tag(context)).unwrap();
        }

        let notified = bench.queue.publish();

        assert_eq!(notified, ahead < batch, "{batch} from {start:?}, event {event:?}");
        (0..batch).for_each(|_| complete_next(&mut bench, 1));
        assert_eq!(bench.queue.take_used_burst(usize::from(batch), |_| ()), Ok(usize::from(batch)));
        start = start.advanced(batch, size);
    }
    assert!(bench.finish().is_empty());
}

/// A device that asks for a notification at a place that is none, or with flags that are none, gets one: too many do no harm.
#[test]
fn nonsense_in_the_devices_event_suppression_brings_a_notification() {
    for (place, flags) in [(7, 2), (0x7fff, 2), (0xffff, 2), (0, 3), (0, 0xffff)] {
        let mut bench = RingBench::with(7, Ring { event_index: true, ..DIRECT });
        bench.other_side.packed().set_device_event(place, flags).unwrap();
        bench.queue.make_available(ONE, Tag(1)).unwrap();

        assert!(bench.queue.publish(), "place {place:#x}, flags {flags:#x}");
        assert_eq!(bench.finish().len(), 1);
    }
}

/// Spec: §2.8.10 — flags that only EVENT_IDX knows mean nothing without it.
#[test]
fn without_event_index_a_place_asks_for_nothing_in_particular() {
    let mut bench = RingBench::with(7, DIRECT);
    bench.other_side.packed().set_device_event(5, 2).unwrap();
    bench.queue.make_available(ONE, Tag(1)).unwrap();

    assert!(bench.queue.publish());
    assert_eq!(bench.finish().len(), 1);
}

/// Spec: §2.8.4 — without WRITE the length of a used descriptor means nothing; but devices exist that never set it.
#[test]
fn a_length_that_is_not_vouched_for_counts_where_it_is_possible() {
    for (claimed, counts) in [(0, 0), (1, 1), (2, 0), (u32::MAX, 0)] {
        let mut bench = RingBench::with(8, DIRECT);
        bench.queue.make_available(ONE, Tag(1)).unwrap();
        bench.queue.publish();
        bench.other_side.packed().put_used(0, 0, claimed, AVAIL | USED).unwrap();

        assert_eq!(bench.queue.take_used().unwrap().unwrap().written_len, counts);
        assert!(bench.finish().is_empty());
    }
}

/// A descriptor that is marked used though nothing is in flight names a chain that nobody holds.
#[test]
fn an_idle_packed_queue_with_a_used_descriptor_is_broken() {
    for mut bench in RingBench::<Tag<u16>>::packed(8) {
        bench.claim_used(0, 0);

        assert_eq!(bench.queue.take_used(), Err(Broken::UnknownChain { id: 0 }));
        assert!(bench.finish().is_empty());
    }
}

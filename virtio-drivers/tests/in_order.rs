//! What `IN_ORDER` adds: one used element for a batch of chains, from which the driver works out the others.
//!
//! Spec: §2.7.9 and §2.8.8 In-order use of descriptors.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{Ring, RingBench};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Broken, Chain, Portion, Rearmed, Used};
use virtio_model::packed::{AVAIL, Position, WRITE};
use virtio_model::queue::DeviceQueue;

const HEADER: Portion = Portion { offset: 0, len: 16 };
const ANSWER: Portion = Portion { offset: 64, len: 32 };
const READABLE: Chain<'_> = Chain { readable: &[HEADER], writable: &[] };
const WRITABLE: Chain<'_> = Chain { readable: &[], writable: &[ANSWER] };
const BOTH: Chain<'_> = Chain { readable: &[HEADER], writable: &[ANSWER, ANSWER] };

fn benches(size: u16) -> impl Iterator<Item = RingBench<Tag<u32>>> {
    Ring::all().filter(|ring| ring.in_order).map(move |ring| RingBench::with(size, ring))
}

fn pop_all(bench: &mut RingBench<Tag<u32>>) -> Vec<u16> {
    std::iter::from_fn(|| bench.other_side.pop().expect("the driver keeps to the protocol"))
        .map(|chain| chain.head)
        .collect()
}

/// Spec: §2.7.9, §2.8.8 — skipped buffers count as used completely, each with its own length; the last one as the device says.
#[test]
fn a_batch_gives_each_chain_its_own_length() {
    for mut bench in benches(16) {
        for (chain, context) in [READABLE, WRITABLE, BOTH, WRITABLE].into_iter().zip(0..) {
            bench.queue.make_available(chain, Tag(context)).unwrap();
        }
        bench.queue.publish();
        let batch: Vec<_> = pop_all(&mut bench).into_iter().zip([0, 32, 64, 5]).collect();
        bench.other_side.complete_batch(&batch).unwrap();

        let mut taken = Vec::new();
        bench
            .queue
            .take_used_burst(9, |Used { payload, written_len }| taken.push((payload.0, written_len)))
            .unwrap();

        assert_eq!(taken, [(0, 0), (1, 32), (2, 64), (3, 5)]);
        assert!(bench.finish().is_empty());
    }
}

/// Batches of every size, single completions between them, round the ring many times.
#[test]
fn batches_of_every_size_lose_no_chain() {
    let rounds = if cfg!(miri) { 4 } else { 600 };
    for mut bench in benches(7) {
        let (mut next, mut expected) = (0u32, 0u32);
        for round in 0..rounds {
            while bench.queue.make_available(WRITABLE, Tag(next)).is_ok() {
                next += 1;
            }
            bench.queue.publish();
            let heads = pop_all(&mut bench);
            let size = bench.queue.size();
            let first_batch = (round % u32::from(size) + 1) as usize;
            for batch in
                [&heads[..first_batch], &heads[first_batch..]].into_iter().filter(|batch| !batch.is_empty())
            {
                let batch: Vec<_> = batch.iter().map(|head| (*head, 32)).collect();
                bench.other_side.complete_batch(&batch).unwrap();
                while let Some(used) = bench.queue.take_used().unwrap() {
                    assert_eq!(used, Used { payload: Tag(expected), written_len: 32 });
                    expected += 1;
                }
            }
        }
        assert_eq!(next, expected);
        assert!(bench.finish().is_empty());
    }
}

/// A reset in the middle of a batch: what was taken is taken, the rest comes back once.
#[test]
fn a_reset_in_the_middle_of_a_batch_gives_the_rest_back_once() {
    for mut bench in benches(8) {
        for context in 0..4 {
            bench.queue.make_available(WRITABLE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        let batch: Vec<_> = pop_all(&mut bench).into_iter().map(|head| (head, 32)).collect();
        bench.other_side.complete_batch(&batch[..3]).unwrap();
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(0));

        let mut returned = bench.finish();

        returned.sort_unstable_by_key(|Tag(context)| *context);
        assert_eq!(returned, [Tag(1), Tag(2), Tag(3)]);
    }
}

/// Who waits for a notification in the middle of a batch waits for chains that are there.
#[test]
fn a_rearm_in_the_middle_of_a_batch_says_that_more_is_waiting() {
    for mut bench in benches(8) {
        for context in 0..3 {
            bench.queue.make_available(WRITABLE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        let batch: Vec<_> = pop_all(&mut bench).into_iter().map(|head| (head, 32)).collect();
        bench.other_side.complete_batch(&batch).unwrap();
        bench.queue.take_used().unwrap().unwrap();

        assert_eq!(bench.queue.rearm(), Rearmed::MoreWaiting);
        bench.finish();
    }
}

/// A batch whose last chain is none: the look-up ends, and the queue is broken.
#[test]
fn a_batch_that_ends_with_no_chain_breaks_the_queue() {
    for mut bench in benches(8) {
        for context in 0..3 {
            bench.queue.make_available(WRITABLE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        bench.claim_used(6, 32);

        assert_eq!(bench.queue.take_used(), Err(Broken::UnknownChain { id: 6 }));
        assert_eq!(bench.finish().len(), 3);
    }
}

/// Spec: §2.7.9 — the used index moves by the size of the batch; a batch that is longer is a lie.
#[test]
fn a_batch_longer_than_the_used_index_says_breaks_the_queue() {
    for mut bench in benches(8).filter(|bench| !bench.ring.packed) {
        for context in 0..3 {
            bench.queue.make_available(WRITABLE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        bench.claim_used(2, 32);

        assert_eq!(bench.queue.take_used(), Err(Broken::BatchTooLong { id: 2, chains: 3, covered: 1 }));
        assert_eq!(bench.finish().len(), 3);
    }
}

/// A lie about the last chain's length is noticed when its turn comes; the chains before it are the caller's already.
#[test]
fn a_batch_whose_last_length_is_a_lie_breaks_the_queue_at_its_end() {
    for mut bench in benches(8) {
        for context in 0..2 {
            bench.queue.make_available(WRITABLE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        match &mut bench.other_side {
            DeviceQueue::Split(ring) => {
                ring.put_used_element(0, 1, 33).unwrap();
                ring.set_used_idx(2).unwrap();
            }
            DeviceQueue::Packed(ring) => {
                ring.put_used(0, 1, 33, Position::START.used_flags() | WRITE | AVAIL).unwrap();
            }
        }

        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(0));
        assert_eq!(bench.queue.rearm(), Rearmed::MoreWaiting);
        let broken = Broken::WrittenTooMuch { id: 1, written_len: 33, writable_bytes: 32 };
        assert_eq!(bench.queue.take_used(), Err(broken));
        assert_eq!(bench.finish(), [Tag(1)]);
    }
}

/// Spec: §2.8.22 — a packed descriptor can be marked used before the device was shown it: it is the oldest one's, but not the device's to return, one by one or in a burst.
#[test]
fn the_oldest_chain_cannot_come_back_before_it_was_shown() {
    for (mut bench, in_burst) in
        benches(8).map(|bench| (bench, true)).chain(benches(8).map(|bench| (bench, false)))
    {
        bench.queue.make_available(WRITABLE, Tag(0)).unwrap();
        bench.queue.publish();
        bench.queue.make_available(WRITABLE, Tag(1)).unwrap();
        let unknown = Broken::UnknownChain { id: 1 };
        let broken = match &mut bench.other_side {
            DeviceQueue::Split(ring) => {
                ring.put_used_element(0, 0, 32).unwrap();
                ring.put_used_element(1, 1, 32).unwrap();
                ring.set_used_idx(1).unwrap();
                // What is beyond the used index is nothing.
                None
            }
            DeviceQueue::Packed(ring) => {
                let flags = Position::START.used_flags() | WRITE;
                ring.put_used(0, 0, 32, flags).unwrap();
                ring.put_used(1, 1, 32, flags).unwrap();
                Some(unknown)
            }
        };

        let mut taken = Vec::new();
        let outcome = if in_burst {
            bench.queue.take_used_burst(9, |used| taken.push(used.payload)).err()
        } else {
            taken.push(bench.queue.take_used().unwrap().unwrap().payload);
            bench.queue.take_used().err()
        };

        assert_eq!((taken, outcome), (vec![Tag(0)], broken));
        assert_eq!(bench.finish(), [Tag(1)]);
    }
}

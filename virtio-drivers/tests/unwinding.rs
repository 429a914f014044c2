//! A panic in the caller's own code, in the middle of a call: the queue is as before it, or as after it, and goes on.
//!
//! Spec: §2.7.13, §2.7.14, §2.8.21, §2.8.22. The library does not panic; what it calls may: a payload's segments, and what is done with a used chain.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use support::{Ring, RingBench};
use virtio_guest::raw::{Payload, SegmentVisitor, Tag};
use virtio_guest::ring::{Chain, Portion, RefusedChain, RefusedReason, Used};

const READABLE: Portion = Portion { offset: 0, len: 16 };
const WRITABLE: Portion = Portion { offset: 64, len: 8 };
const SIZE: u16 = 8;

/// A number, with a buffer that cannot be looked at.
#[derive(Debug)]
struct Fragile {
    number: u32,
    breaks: bool,
}

// SAFETY: no segment is ever given.
#[allow(unsafe_code, reason = "payloads are promises")]
unsafe impl Payload for Fragile {
    fn segment_count(&self) -> usize {
        usize::from(self.breaks)
    }

    fn visit_segments(&self, _: &mut (impl SegmentVisitor + ?Sized)) {
        assert!(!self.breaks, "the payload breaks");
    }
}

fn quietly<R>(work: impl FnOnce() -> R) -> std::thread::Result<R> {
    std::panic::set_hook(Box::new(|_| {}));
    catch_unwind(AssertUnwindSafe(work))
}

/// Returns everything that the device was shown, and says how many chains there were.
fn serve(bench: &mut RingBench<Fragile>) -> usize {
    let mut chains = Vec::new();
    while let Some(chain) = bench.other_side.pop().expect("the driver keeps to the protocol") {
        chains.push(chain);
    }
    for chain in &chains {
        bench.other_side.complete(chain.head, chain.writable_bytes() as u32).unwrap();
    }
    chains.len()
}

/// A payload that panics while its chain is written: the device never sees that chain, and sees all others of the burst.
#[test]
fn a_payload_that_panics_leaves_nothing_of_its_chain() {
    let rounds = if cfg!(miri) { 4 } else { 40 };
    for ring in Ring::all() {
        let mut bench = RingBench::<Fragile>::with(SIZE, ring);
        let size = bench.queue.size();
        for number in (0..rounds).map(|round| 2 * round) {
            let whole = Chain { readable: &[READABLE], writable: &[WRITABLE] };
            let broken = Chain { readable: &[READABLE, READABLE], writable: &[] };
            let unwound = quietly(|| {
                let chains = [(whole, false), (broken, true)];
                let chains = chains.map(|(chain, breaks)| (chain, Fragile { number, breaks }));
                drop(bench.queue.make_available_burst(chains));
            });
            assert!(unwound.is_err());
            let one = Chain { readable: &[READABLE], writable: &[] };
            bench.queue.make_available(one, Fragile { number: number + 1, breaks: false }).unwrap();
            bench.queue.publish();

            assert_eq!(serve(&mut bench), 2);

            for expected in [number, number + 1] {
                assert_eq!(bench.queue.take_used().unwrap().unwrap().payload.number, expected);
            }
            assert_eq!(bench.queue.free_descriptors(), size);
        }
        assert!(bench.finish().is_empty());
    }
}

/// A panic in what is done with a used chain: that chain is taken, the others come with the next calls, also in the middle of a batch and while more are made available.
#[test]
fn a_panic_with_a_used_chain_loses_no_other() {
    let rounds = if cfg!(miri) { 3 } else { 100 };
    for ring in Ring::all() {
        let mut bench = RingBench::<Tag<u32>>::with(7, ring);
        let chain = Chain { readable: &[READABLE], writable: &[WRITABLE] };
        let (mut made, mut taken) = (0, 0);
        for _ in 0..rounds {
            while bench.queue.make_available(chain, Tag(made)).is_ok() {
                made += 1;
            }
            bench.queue.publish();
            let mut heads = Vec::new();
            while let Some(chain) = bench.other_side.pop().unwrap() {
                heads.push((chain.head, 8));
            }
            if ring.in_order {
                bench.other_side.complete_batch(&heads).unwrap();
            } else {
                for (head, written) in &heads {
                    bench.other_side.complete(*head, *written).unwrap();
                }
            }
            for _ in &heads {
                let unwound = quietly(|| {
                    bench.queue.take_used_burst(9, |used| {
                        assert_eq!((used.payload, used.written_len), (Tag(taken), 8));
                        taken += 1;
                        panic!("with this one");
                    })
                });
                assert!(unwound.is_err());
                if taken % 2 == 0 && bench.queue.make_available(chain, Tag(made)).is_ok() {
                    made += 1;
                }
            }
        }
        assert_eq!(bench.finish().len() as u32, made - taken);
    }
}

const CHAINS: [Chain<'_>; 3] = [
    Chain { readable: &[READABLE], writable: &[] },
    Chain { readable: &[READABLE], writable: &[WRITABLE] },
    Chain { readable: &[READABLE, READABLE], writable: &[WRITABLE] },
];

/// Numbers that look as if drawn by chance.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % bound
    }
}

/// An iterator that panics in the middle of a burst, and a closure that panics in the middle of a (cut) batch: what was made available before is published, what was
/// taken is taken, and nothing else is lost, round and round the ring.
#[test]
fn panics_on_both_sides_of_a_queue_lose_nothing_else() {
    let sizes: &[u16] = if cfg!(miri) { &[5] } else { &[1, 2, 3, 5, 7, 8, 13] };
    for (ring, size) in Ring::all().flat_map(|ring| sizes.iter().map(move |size| (ring, *size))) {
        let mut bench = RingBench::<Tag<u32>>::with(size, ring);
        let mut numbers = Numbers(u64::from(size));
        let (mut made, mut hidden) = (0u32, 0usize);
        // In the order in which they come back: context, and what the device says it wrote.
        let mut out: VecDeque<(u16, u32, u32)> = VecDeque::new();
        let mut used: VecDeque<(u32, u32)> = VecDeque::new();
        for _ in 0..if cfg!(miri) { 10 } else { 1500 } {
            let (burst, breaks_at) = (numbers.below(6), numbers.below(8));
            let kinds: Vec<_> = (0..burst).map(|_| numbers.below(3) as usize).collect();
            let (first, before) = (made, bench.queue.in_flight());
            let mut at = 0;
            let supplied = quietly(|| {
                let chains = kinds.iter().map(|kind| {
                    assert!(at != breaks_at, "here");
                    at += 1;
                    (CHAINS[*kind], Tag(first + at - 1))
                });
                bench
                    .queue
                    .make_available_burst(chains)
                    .map_err(|burst| (burst.made_available, burst.refused))
            });
            made = first
                + match supplied {
                    Ok(Ok(count)) => count as u32,
                    Ok(Err((count, RefusedChain { reason, payload: Tag(context) }))) => {
                        assert!(matches!(reason, RefusedReason::Full | RefusedReason::TooLong));
                        assert_eq!(context - first, count as u32);
                        count as u32
                    }
                    Err(_) => breaks_at,
                };
            assert_eq!(u32::from(bench.queue.in_flight() - before), made - first);
            hidden += (made - first) as usize;
            assert_eq!(bench.queue.statistics().chains, u64::from(made));
            if numbers.below(3) > 0 {
                bench.queue.publish();
                for context in made - hidden as u32..made {
                    let chain = bench.pop();
                    out.push_back((chain.head, context, chain.writable_bytes() as u32));
                }
                hidden = 0;
            }
            assert!(bench.other_side.pop().unwrap().is_none());
            let returned = numbers.below(out.len() as u32 + 1) as usize;
            if ring.in_order {
                let batch: Vec<_> = out.drain(..returned).collect();
                if let Some(last) = batch.last() {
                    let written = last.2 / 2;
                    let mut heads: Vec<_> =
                        batch.iter().map(|(head, _, writable)| (*head, *writable)).collect();
                    heads.last_mut().unwrap().1 = written;
                    bench.other_side.complete_batch(&heads).unwrap();
                    used.extend(batch.iter().map(|(_, context, writable)| (*context, *writable)));
                    used.back_mut().unwrap().1 = written;
                }
            } else {
                for _ in 0..returned {
                    let index = numbers.below(out.len() as u32) as usize;
                    let (head, context, writable) = out.remove(index).unwrap();
                    bench.other_side.complete(head, writable).unwrap();
                    used.push_back((context, writable));
                }
            }
            for _ in 0..numbers.below(3) {
                let (limit, breaks_at) = (numbers.below(5) as usize, numbers.below(6) as usize);
                let (before, mut count) = (used.len(), 0);
                let taken = quietly(|| {
                    bench.queue.take_used_burst(limit, |Used { payload: Tag(context), written_len }| {
                        assert_eq!(used.pop_front(), Some((context, written_len)), "{ring:?}, size {size}");
                        count += 1;
                        assert!(count != breaks_at + 1, "here");
                    })
                });
                if let Ok(taken) = taken {
                    assert_eq!(taken.unwrap(), limit.min(before));
                } else {
                    assert_eq!(before - used.len(), breaks_at + 1, "{ring:?}, size {size}");
                }
            }
            if numbers.below(4) == 0
                && let Some(Used { payload, written_len }) = bench.queue.take_used().unwrap()
            {
                assert_eq!(used.pop_front(), Some((payload.0, written_len)));
            }
        }
        let left = hidden + out.len() + used.len();
        assert_eq!(bench.finish().len(), left);
    }
}

//! A panic in the caller's own code, in the middle of a call: the queue is as before it, or as after it, and goes on.
//!
//! Spec: §2.7.13, §2.7.14, §2.8.21, §2.8.22. The library does not panic; what it calls may: a payload's segments, and what is done with a used chain.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use support::{Ring, RingBench};
use virtio_guest::raw::{Payload, SegmentVisitor, Tag};
use virtio_guest::ring::{Chain, Portion};

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

    fn visit_segments(&self, _: &mut impl SegmentVisitor) {
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

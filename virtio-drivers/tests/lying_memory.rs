//! A device that changes any shared word between any two loads of the driver's.
//!
//! Thousands of short lives, each with lies of its own.
//!
//! Spec: §2.6 (both sides access the memory at any time). Runs with `--cfg virtio_guest_stand_in` (`make test-races`).

#![cfg(virtio_guest_stand_in)]
#![allow(clippy::cast_possible_truncation, reason = "lies may be of any size")]

mod support;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use support::{Ring, RingBench};
use virtio_guest::raw::Tag;
use virtio_guest::raw::stand_in::{self, StandIn};
use virtio_guest::ring::{Chain, Portion};

const REQUEST: Portion = Portion { offset: 0, len: 16 };
const ANSWER: Portion = Portion { offset: 64, len: 32 };
const CHAIN: Chain<'_> = Chain { readable: &[REQUEST], writable: &[ANSWER] };
const LIVES: u64 = 4000;
const STEPS: usize = 60;

/// xorshift64: as good as lies need to be, and the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

thread_local! {
    static NUMBERS: RefCell<Numbers> = const { RefCell::new(Numbers(1)) };
    static LIES: Cell<u64> = const { Cell::new(0) };
}

/// Answers one load in eight with something else than what is there.
struct Liar;

impl StandIn for Liar {
    fn share(&self, _: NonNull<u8>, _: usize) {}

    fn load(&self, _: NonNull<u8>, word: &mut [u8]) -> bool {
        NUMBERS.with_borrow_mut(|numbers| {
            if numbers.below(8) > 0 {
                return false;
            }
            LIES.set(LIES.get() + 1);
            let small = numbers.below(2) == 0;
            for (index, byte) in word.iter_mut().enumerate() {
                *byte = match (small, index) {
                    (true, 0) => numbers.below(12) as u8,
                    (true, _) => 0,
                    (false, _) => numbers.below(256) as u8,
                };
            }
            true
        })
    }

    fn store(&self, _: NonNull<u8>, _: &[u8]) -> bool {
        false
    }

    fn fence(&self, _: Ordering) -> bool {
        false
    }

    fn platform_barrier(&self, _: Ordering) -> bool {
        false
    }
}

fn number_below(bound: u64) -> u64 {
    NUMBERS.with_borrow_mut(|numbers| numbers.below(bound))
}

/// Spec: §2.6 — whatever the device writes and when: every context comes back exactly once, and every call ends.
#[test]
fn lies_between_any_two_loads_lose_no_context_and_double_none() {
    stand_in::install(&Liar);
    let (mut broken, mut completed) = (0, 0);
    for seed in 1..=LIVES {
        NUMBERS.set(Numbers(seed * 0x9e37_79b9_7f4a_7c15));
        let ring = Ring::all().nth(seed as usize % 16).expect("one of sixteen");
        let mut bench = RingBench::<Tag<u32>>::with(4, ring);
        let (mut accepted, mut returned) = (0, Vec::new());

        for _ in 0..STEPS {
            match number_below(6) {
                0 | 1 => accepted += u32::from(bench.queue.make_available(CHAIN, Tag(accepted)).is_ok()),
                2 => drop(bench.queue.publish()),
                3 => {
                    if let Ok(Some(chain)) = bench.other_side.pop() {
                        bench.other_side.complete(chain.head, 32).unwrap();
                    }
                }
                4 => {
                    if let Ok(Some(used)) = bench.queue.take_used() {
                        assert!(used.written_len <= ANSWER.len, "seed {seed}");
                        returned.push(used.payload);
                    }
                }
                _ => {
                    bench.queue.suppress_notifications();
                    let _ = bench.queue.rearm();
                }
            }
        }
        broken += u32::from(bench.queue.broken().is_some());
        completed += returned.len();

        returned.extend(bench.finish());
        returned.sort_unstable_by_key(|Tag(context)| *context);
        let all: Vec<_> = (0..accepted).map(Tag).collect();
        assert_eq!(returned, all, "seed {seed}");
    }
    assert!(LIES.get() > LIVES, "the device lied {} times", LIES.get());
    assert!(broken > 0 && completed > 0, "{broken} queues broke, {completed} chains were completed");
}

//! A disk that changes any shared word between any two loads of its driver's: no buffer is lost, and none comes back twice.
//!
//! Spec: §2.6 (both sides access the memory at any time). Bursts, calls that wait and other requests on one queue, whose places are kept while completions wait for their owners. Runs with
//! `--cfg virtio_guest_stand_in` (`make test-races`).

#![cfg(virtio_guest_stand_in)]
#![allow(clippy::cast_possible_truncation, reason = "lies may be of any size")]

mod support;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use support::bursts::{Asked, BurstBench};
use virtio_guest::device::block::{RequestError, Sector};
use virtio_guest::raw::stand_in::{self, StandIn};
use virtio_model::block::Order;

const FLUSH: u128 = 1 << 9;
const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const SIZE: u16 = 8;
const LIVES: u64 = 2000;
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

/// When to lie.
#[derive(Clone, Copy)]
enum Mood {
    Honest,
    /// One load in so many.
    Now(u64),
    /// At the load that comes after so many: this.
    Once(u32, u8),
}

thread_local! {
    static NUMBERS: RefCell<Numbers> = const { RefCell::new(Numbers(1)) };
    static MOOD: Cell<Mood> = const { Cell::new(Mood::Honest) };
    static LIES: Cell<u64> = const { Cell::new(0) };
}

struct Liar;

impl Liar {
    /// A small number, or anything.
    fn lie(word: &mut [u8]) {
        LIES.set(LIES.get() + 1);
        NUMBERS.with_borrow_mut(|numbers| {
            let small = numbers.below(2) == 0;
            word.fill(0);
            for byte in if small { &mut word[..1] } else { word } {
                *byte = numbers.below(if small { 12 } else { 256 }) as u8;
            }
        });
    }
}

impl StandIn for Liar {
    fn share(&self, _: NonNull<u8>, _: usize) {}

    fn load(&self, _: NonNull<u8>, word: &mut [u8]) -> bool {
        match MOOD.get() {
            Mood::Now(bound) if number_below(bound) == 0 => {
                Self::lie(word);
                true
            }
            Mood::Once(0, value) => {
                MOOD.set(Mood::Honest);
                word.fill(0);
                word[0] = value;
                true
            }
            Mood::Once(left, value) => {
                MOOD.set(Mood::Once(left - 1, value));
                false
            }
            Mood::Now(_) | Mood::Honest => false,
        }
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

/// Takes up to `limit` completions, each for a ticket that is out, and with its own buffer; says what became of them. What was read may be anything.
fn complete(bench: &mut BurstBench, limit: usize) -> Vec<Result<(), RequestError>> {
    let (mut results, out) = (Vec::new(), &mut bench.out);
    let count = bench.queue.complete_burst(limit, |done| {
        let (ticket, asked) = out.remove(&done.ticket.index()).expect("each comes back once");
        assert_eq!(ticket, done.ticket);
        let (Asked::Read(_, pages) | Asked::Write(_, pages, _)) = asked;
        assert_eq!(done.payload.into_iter().flatten().flatten().count(), pages);
        results.push(done.result);
    });
    assert!(results.len() <= limit && count.is_ok_and(|count| count == results.len()) || count.is_err());
    results
}

/// What has no buffer.
const NOTHING: Asked = Asked::Read(0, 0);

fn step(bench: &mut BurstBench) {
    match number_below(8) {
        0 | 1 => {
            let burst: Vec<_> = (0..number_below(4))
                .map(|_| match number_below(3) {
                    0 => Asked::Write(number_below(100), 1, 3),
                    pages => Asked::Read(100 + number_below(100), pages as usize),
                })
                .collect();
            bench.submit(&burst);
        }
        2 => {
            if let Ok(ticket) = bench.queue.submit_flush() {
                bench.note(ticket.expect("there is a cache"), NOTHING);
            }
        }
        3 => drop(bench.queue.publish()),
        4 => {
            bench.bench.disk.complete_in(if number_below(2) == 0 { Order::Fifo } else { Order::Reverse });
            bench.bench.disk.serve(&bench.bench.device, &bench.bench.hal.space);
        }
        5 => drop(complete(bench, number_below(4) as usize)),
        6 => {
            let (disk, mut waits) = (&bench.bench, 0);
            let serve = || {
                disk.disk.serve(&disk.device, &disk.hal.space);
                waits += 1;
                waits < 3
            };
            let _ = bench.queue.read_blocking(Sector(number_below(200)), &mut [0; 1024], serve);
            assert!(waits <= 3, "as long as its patience");
        }
        _ => {
            bench.queue.suppress_notifications();
            let _ = bench.queue.rearm();
        }
    }
    assert!(bench.queue.free_requests() + bench.out.len() <= SIZE.into());
}

#[test]
fn lies_between_any_two_loads_lose_no_buffer_and_double_none() {
    stand_in::install(&Liar);
    let (mut broken, mut completed, mut came_back) = (0, 0, 0);
    for seed in 1..=LIVES {
        NUMBERS.set(Numbers(seed * 0x9e37_79b9_7f4a_7c15));
        let ring = [0, RING_PACKED, EVENT_IDX, EVENT_IDX | RING_PACKED][seed as usize % 4];
        let mut bench = BurstBench::offering(SIZE, INDIRECT_DESC | FLUSH | ring);

        for _ in 0..STEPS {
            MOOD.set(Mood::Now(if seed % 8 < 4 { 8 } else { 60 }));
            let before = bench.out.len();
            step(&mut bench);
            completed += before.saturating_sub(bench.out.len());
        }

        MOOD.set(Mood::Honest);
        broken += u64::from(bench.queue.broken().is_some());
        // It was told to work on what it had said to be done with.
        bench.bench.hal.space.clear_faults();
        came_back += bench.take_down();
    }
    assert!(LIES.get() > LIVES, "the disk lied {} times", LIES.get());
    assert!(broken > LIVES / 10 && broken < LIVES, "{broken} queues broke");
    assert!(completed > 1000 && came_back > 1000, "{completed} and {came_back} requests came back");
}

/// A request is named once when the driver looks whose it is, and another one when it takes it: that one comes back, and did not succeed.
#[test]
fn a_used_element_that_changes_between_two_looks_gives_back_what_it_named_last() {
    stand_in::install(&Liar);
    for ring in [0, RING_PACKED] {
        let mut changed = 0;
        for (nth, value) in (0..40).flat_map(|nth| (0..u8::try_from(SIZE).unwrap()).map(move |id| (nth, id)))
        {
            let mut bench = BurstBench::offering(SIZE, INDIRECT_DESC | ring);
            let burst = [Asked::Write(5, 2, 5), Asked::Read(3, 1), Asked::Write(4, 1, 4), Asked::Read(1, 2)];
            assert_eq!(bench.submit(&burst), (4, None, 0));
            assert_eq!(bench.serve(), 4);

            MOOD.set(Mood::Once(nth, value));
            let results = complete(&mut bench, usize::MAX);
            MOOD.set(Mood::Honest);

            changed += usize::from(results.contains(&Err(RequestError::BadAnswer)));
            assert_eq!(bench.take_down(), 4 - results.len());
        }
        assert!(changed > 0, "the words that matter are among them");
    }
}

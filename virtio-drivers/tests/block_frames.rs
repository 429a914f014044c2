//! Reads and writes in bursts: they go in frames of the queue's where they can, and whoever hands them in sees no difference.
//!
//! Spec: §5.2.6 Device Operation, §2.7.5.3 and §2.8.7 (indirect descriptors). Each ticket and each buffer is watched by the bench (`support/bursts.rs`).

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use support::bursts::{Asked, BurstBench};
use support::tasks::Pool;
use virtio_guest::device::block::{Access, RequestError, Sector};
use virtio_guest::hal::Direction;
use virtio_guest::raw::MappedBuffer;
use virtio_guest::ring::{Rearmed, RefusedReason};
use virtio_model::block::Order;

const FLUSH: u128 = 1 << 9;
const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;
const SUSPEND: u128 = 1 << 43;
/// Descriptors, and requests in flight.
const SIZE: u16 = 8;
const PLACES: usize = SIZE as usize;

/// Numbers that look as if drawn by chance.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % bound
    }
}

/// With frames, and with what has none: requests in order, and chains without tables, three descriptors each.
fn with_and_without_frames() -> impl Iterator<Item = BurstBench> {
    let in_order = IN_ORDER | INDIRECT_DESC;
    let without = [(SIZE, in_order), (SIZE, in_order | RING_PACKED), (32, EVENT_IDX), (32, RING_PACKED)];
    let without = without.into_iter().take(if cfg!(miri) { 0 } else { 4 });
    BurstBench::each(SIZE, 0).chain(without.map(|(size, features)| BurstBench::offering(size, features)))
}

#[test]
fn a_burst_comes_back_each_with_its_ticket_its_buffer_and_its_data() {
    for mut bench in with_and_without_frames() {
        for round in 0..if cfg!(miri) { 2 } else { 40u8 } {
            let order = if round % 2 == 0 { Order::Fifo } else { Order::Reverse };
            bench.bench.disk.complete_in(order);
            let sector = u64::from(round);
            let burst = [
                Asked::Read(sector, 1),
                Asked::Write(100 + sector, 1, round),
                Asked::Read(200, 1),
                Asked::Write(150, 1, !round),
                Asked::Read(255, 1),
            ];
            assert_eq!(bench.submit(&burst), (5, None, 0));
            assert_eq!(bench.queue.free_requests(), bench.queue.requests() - 5);
            assert!(bench.complete(9).unwrap().is_empty(), "nobody was shown them");
            assert_eq!((bench.queue.rearm(), bench.serve()), (Rearmed::Quiet, 5));
            assert_eq!(bench.bench.device.take_messages().len(), 1, "one burst, one interrupt");
            assert_eq!(bench.bench.device.notifications(0), usize::from(round) + 1, "and one notification");

            let mut done = bench.complete(9).unwrap();

            done.sort_unstable_by_key(|(asked, _)| *asked);
            let mut all = burst.map(|asked| (asked, Ok(())));
            all.sort_unstable_by_key(|(asked, _)| *asked);
            assert_eq!(done, all);
            let written = [100 + usize::from(round), 150].map(|sector| bench.bench.disk.sector(sector)[511]);
            assert_eq!(written, [round, !round]);
        }
        bench.finish();
    }
}

#[test]
fn a_burst_ends_where_the_queue_is_full_and_leaves_the_rest_where_it_is() {
    for mut bench in with_and_without_frames() {
        let places = bench.queue.requests();
        let burst: Vec<_> = (0..places as u64 + 3).map(|sector| Asked::Read(sector, 1)).collect();

        assert_eq!(bench.submit(&burst), (places, Some(RequestError::Full), 2));

        assert_eq!((bench.queue.free_requests(), bench.pool.pages()), (0, 64 - places));
        assert_eq!(bench.submit(&burst), (0, Some(RequestError::Full), burst.len() - 1));
        assert_eq!((bench.serve(), bench.complete(places + 9).unwrap().len()), (places, places));
        assert_eq!(bench.submit(&burst[..places]), (places, None, 0));
        bench.serve();
        assert_eq!(bench.complete(places).unwrap().len(), places);
        bench.finish();
    }
}

#[test]
fn completions_are_taken_up_to_the_limit_and_no_more() {
    for mut bench in with_and_without_frames() {
        let burst: Vec<_> = (0..6).map(|sector| Asked::Read(sector, 1)).collect();
        bench.submit(&burst);
        bench.serve();

        for (limit, left) in [(0, 6), (1, 5), (3, 2), (usize::MAX, 0)] {
            bench.complete(limit).unwrap();
            assert_eq!(bench.out.len(), left);
            assert_eq!(bench.queue.free_requests(), bench.queue.requests() - left);
            let more = if left > 0 { Rearmed::MoreWaiting } else { Rearmed::Quiet };
            assert_eq!(bench.queue.rearm(), more);
        }
        bench.finish();
    }
}

/// A request of two segments goes the long way, and the burst goes on.
#[test]
fn what_does_not_fit_into_a_frame_goes_with_the_burst_all_the_same() {
    for mut bench in with_and_without_frames() {
        let burst = [
            Asked::Read(1, 1),
            Asked::Read(2, 2),
            Asked::Write(4, 1, 4),
            Asked::Write(5, 2, 5),
            Asked::Read(7, 1),
        ];
        for _ in 0..5 {
            assert_eq!(bench.submit(&burst), (5, None, 0));
            assert_eq!(bench.serve(), 5);
            let sent: Vec<_> = bench.bench.disk.requests().iter().map(|request| request.sector).collect();
            assert_eq!(sent, [1, 2, 4, 5, 7]);
            bench.bench.disk.clear_requests();
            // A limit in front of a long one, and of a short one.
            assert_eq!([1, 2, 9].map(|limit| bench.complete(limit).unwrap().len()), [1, 2, 2]);
        }
        bench.finish();
    }
}

/// The same errors as one by one: nothing of it is sent, what was before it is, and what was after it was not asked for.
#[test]
fn a_request_that_is_refused_ends_a_burst_and_comes_back() {
    let elsewhere = BurstBench::offering(SIZE, INDIRECT_DESC);
    for mut bench in with_and_without_frames() {
        let (writable, readable) = (Direction::DeviceWritable, Direction::DeviceReadable);
        let read = |from, into| Access::Read { from: Sector(from), into };
        let write = |to, from| Access::Write { to: Sector(to), from };
        let out_of_range =
            |sector, sectors| RequestError::OutOfRange { sector, sectors, capacity_sectors: 256 };
        let long = Pool::new(1, 1024).take(0);
        let long = MappedBuffer::map(&bench.bench.hal, long, writable).unwrap();
        let wrong = [
            (read(255, [Some(long), None]), out_of_range(255, 2)),
            (read(0, bench.buffer(0, 0, writable)), RequestError::Empty),
            (write(0, bench.buffer(0, 0, writable)), RequestError::Empty),
            (read(256, bench.buffer(1, 0, writable)), out_of_range(256, 1)),
            (write(u64::MAX, bench.buffer(1, 0, readable)), out_of_range(u64::MAX, 1)),
            (read(255, bench.buffer(2, 0, writable)), out_of_range(255, 2)),
            (read(0, bench.buffer(1, 0, readable)), RequestError::WrongDirection),
            (write(0, bench.buffer(1, 0, writable)), RequestError::WrongDirection),
            (read(0, elsewhere.buffer(1, 0, writable)), RequestError::Refused(RefusedReason::OtherDomain)),
        ];
        for (access, error) in wrong {
            let before = [Asked::Read(255, 1), Asked::Write(9, 1, 1)];
            let mut burst: Vec<_> = before.iter().map(|asked| bench.access(*asked)).collect();
            burst.push(access);
            burst.extend([bench.access(Asked::Read(3, 1)), bench.access(Asked::Read(4, 1))]);

            let (tickets, why, left) = bench.submit_accesses(burst);

            assert_eq!((tickets.len(), why, left), (2, Some(error), 2));
            tickets.into_iter().zip(before).for_each(|(ticket, asked)| bench.note(ticket, asked));
            assert_eq!(bench.queue.free_requests(), bench.queue.requests() - 2, "it has no place");
            assert_eq!((bench.serve(), bench.complete(9).unwrap().len()), (2, 2));
        }
        bench.finish();
    }
    elsewhere.finish();
}

/// Spec: §2.7.5.3 — in the split layout the descriptor of a chain that goes in a frame stays in its place, until another chain has that place.
#[test]
fn a_place_in_the_ring_is_a_short_requests_and_a_long_ones_in_turns() {
    for mut bench in BurstBench::each(4, FLUSH) {
        let mut numbers = Numbers(7);
        for round in 0..if cfg!(miri) { 3 } else { 200u64 } {
            let all = 1 + numbers.below(4);
            let mut flushes = 0;
            for index in 0..all {
                let sector = 2 * (round + index) % 250;
                let asked = match numbers.below(5) {
                    0 => Asked::Read(sector, 1),
                    1 => Asked::Write(sector, 1, round as u8),
                    2 => Asked::Read(sector, 2),
                    3 => Asked::Write(sector, 2, round as u8),
                    _ => {
                        bench.queue.submit_flush().unwrap().expect("it has a cache");
                        flushes += 1;
                        continue;
                    }
                };
                assert_eq!(bench.submit(&[asked]), (1, None, 0));
            }
            assert_eq!(bench.serve() as u64, all);
            let mut back = Vec::new();
            bench.queue.complete_burst(9, |done| back.push(done)).unwrap();
            assert_eq!(back.len() as u64, all);
            for done in back {
                if done.payload.is_none() {
                    assert_eq!(done.result, Ok(()));
                    flushes -= 1;
                } else {
                    assert_eq!(bench.take_note(done).1, Ok(()));
                }
            }
            assert_eq!(flushes, 0);
        }
        bench.finish();
    }
}

/// Whatever a queue is used for: bursts, calls that wait (and keep completions for others), other requests, in any order, for a long time.
#[test]
fn a_place_is_nobody_elses_until_its_completion_was_taken() {
    let bring_up = |seed: usize| {
        let rings = [INDIRECT_DESC, INDIRECT_DESC | RING_PACKED, INDIRECT_DESC | EVENT_IDX | RING_PACKED];
        BurstBench::offering(SIZE, rings[seed % 3] | FLUSH)
    };
    let mut kept = 0;
    // The one that miri has comes to all kinds of steps early.
    for seed in if cfg!(miri) { 3..4 } else { 0..60 } {
        let (mut bench, mut numbers) = (bring_up(seed), Numbers(seed as u64));
        for _ in 0..if cfg!(miri) { 12 } else { 300 } {
            let order = if numbers.below(2) == 0 { Order::Fifo } else { Order::Reverse };
            bench.bench.disk.complete_in(order);
            match numbers.below(6) {
                0 | 1 => {
                    let burst: Vec<_> = (0..numbers.below(5))
                        .map(|_| match numbers.below(3) {
                            0 => Asked::Write(numbers.below(100), 1, 3),
                            pages => Asked::Read(100 + numbers.below(100), pages as usize),
                        })
                        .collect();
                    let free = bench.queue.free_requests();
                    let (submitted, error, _) = bench.submit(&burst);
                    assert_eq!(submitted, free.min(burst.len()));
                    assert_eq!(error.is_some(), burst.len() > free);
                }
                2 => drop(bench.serve()),
                3 => drop(bench.complete(numbers.below(4) as usize).unwrap()),
                4 => {
                    let serve = bench.working();
                    let (sector, mut bytes) = (200 + numbers.below(50), [0; 1024]);
                    match bench.queue.read_blocking(Sector(sector), &mut bytes, serve) {
                        Ok(()) => assert!([bytes[0], bytes[1023]] == [sector as u8, sector as u8 + 1]),
                        Err(error) => {
                            assert_eq!((error, bench.out.len()), (RequestError::Full, PLACES));
                        }
                    }
                    kept += bench.out.len();
                }
                _ => {
                    // A call that gives up, and leaves its request behind.
                    let mut bytes = [0; 512];
                    let result = bench.queue.read_blocking(Sector(0), &mut bytes, || false);
                    assert!(matches!(result, Err(RequestError::TimedOut | RequestError::Full)), "{result:?}");
                    bench.serve();
                    bench.complete(PLACES).unwrap();
                }
            }
            assert_eq!(bench.queue.free_requests(), PLACES - bench.out.len());
        }
        bench.serve();
        bench.complete(PLACES).unwrap();
        bench.finish();
    }
    assert!(kept > 0, "calls have found completions of others");
}

/// What is in flight, kept, and not shown yet is so after a sleep.
#[test]
fn a_queue_that_was_parked_goes_on_with_its_frames() {
    for mut bench in BurstBench::each(SIZE, SUSPEND) {
        bench.submit(&[Asked::Read(1, 1), Asked::Read(2, 1)]);
        let serve = bench.working();
        bench.queue.read_blocking(Sector(0), &mut [0; 512], serve).unwrap();
        bench.submit(&[Asked::Write(3, 1, 3), Asked::Write(4, 1, 4)]);
        bench.queue.publish();
        bench.submit(&[Asked::Read(5, 1)]);

        let BurstBench { bench: disk, pool, mut control, queue, out } = bench;
        let queue = control.park(queue).unwrap();
        assert_eq!(queue.in_flight(), 5);
        let queue = control.unpark(queue).unwrap();
        let mut bench = BurstBench { bench: disk, pool, control, queue, out };

        assert_eq!(bench.submit(&[Asked::Read(6, 2), Asked::Read(8, 1)]), (2, None, 0));
        assert_eq!(bench.queue.free_requests(), 1);
        assert_eq!((bench.serve(), bench.complete(1).unwrap().len()), (5, 1));
        assert_eq!(bench.complete(9).unwrap().len(), 6);
        bench.finish();
    }
}

/// In flight, kept since a call found them, on the ring and not looked at, and not shown: once each.
#[test]
fn a_reset_gives_back_what_was_in_frames_once() {
    for mut bench in BurstBench::each(SIZE, 0) {
        bench.submit(&[Asked::Read(1, 1), Asked::Read(2, 1)]);
        let serve = bench.working();
        bench.queue.read_blocking(Sector(0), &mut [0; 512], serve).unwrap();
        bench.submit(&[Asked::Write(3, 1, 3), Asked::Write(4, 2, 4)]);
        bench.serve();
        bench.submit(&[Asked::Read(5, 1)]);
        bench.queue.publish();
        bench.submit(&[Asked::Read(6, 1)]);

        assert_eq!(bench.take_down(), 6);
    }
}

/// The disk may be using both.
#[test]
fn a_queue_that_is_dropped_takes_its_frames_and_buffers_with_it() {
    for mut bench in BurstBench::each(SIZE, 0) {
        bench.submit(&[Asked::Read(1, 1), Asked::Write(2, 1, 9)]);
        let BurstBench { bench: disk, pool, control, mut queue, .. } = bench;
        queue.publish();
        let regions = disk.hal.dma_regions();

        drop(queue);

        assert_eq!((disk.hal.dma_regions(), disk.hal.mapped_buffers(), pool.pages()), (regions, 2, 62));
        assert_eq!(disk.disk.serve(&disk.device, &disk.hal.space), 2, "they are there to be used");
        assert_eq!(disk.disk.sector(2), [9; 512]);
        drop(control);
        disk.device.assert_driver_was_correct();
    }
}

/// A panic in what hands a burst in, or is told of it: requests before it are in flight, and their tickets unlike all that follow; so it is with what takes completions.
#[test]
fn panics_around_a_burst_lose_nothing_and_give_no_ticket_twice() {
    for mut bench in BurstBench::each(SIZE, 0) {
        let mut tickets = Vec::new();
        for panics_at in 0..6 {
            let asked = Asked::Read(panics_at, 1);
            let mut accesses: Vec<_> = (0..3).map(|_| bench.access(asked)).collect();
            let (mut calls, mut new) = (0, Vec::new());
            let burst = catch_unwind(AssertUnwindSafe(|| {
                let accesses = accesses.drain(..).inspect(|_| {
                    calls += 1;
                    assert!(calls != panics_at + 1, "in the iterator");
                });
                let _ = bench.queue.submit_burst(accesses, |ticket| {
                    new.push(ticket);
                    assert!(new.len() as u64 + 2 != panics_at, "in what is told");
                });
            }));
            assert!(burst.is_err());
            for ticket in &new {
                assert!(!tickets.contains(ticket), "{ticket:?} was another request's");
                bench.note(*ticket, asked);
            }
            assert_eq!(bench.serve(), new.len());
            tickets.extend(new);

            let (mut back, count) = (Vec::new(), bench.out.len());
            for _ in 0..count {
                let taken = catch_unwind(AssertUnwindSafe(|| {
                    let _ = bench.queue.complete_burst(9, |done| {
                        back.push(done);
                        panic!("in what takes it");
                    });
                }));
                assert!(taken.is_err());
            }
            for done in back {
                assert_eq!(bench.take_note(done).1, Ok(()));
            }
            assert!(bench.out.is_empty());
        }
        bench.finish();
    }
}

//! Requests of all kinds in flight together: each gets its own answer, in whatever order, and nothing is lost where somebody does not wait.
//!
//! Spec: §5.2.6 Device Operation — requests are serviced in any order.

mod support;

use support::levels::{Ask, Got, Level, LevelBench, by_task, range};
use support::tasks::{Pool, Task, TaskBench, run_woken};
use virtio_guest::device::block::{Answer, RequestError, Sector, Ticket, Unmap};
use virtio_guest::hal::Direction;
use virtio_guest::raw::MappedBuffer;
use virtio_model::Disk;
use virtio_model::block::{DISCARDED, Order, RangeLimits, SECTOR_BYTES, status};

const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const LIMITS: RangeLimits = RangeLimits { sectors_max: 4, ranges_max: 4, alignment_sectors: 1 };

/// Sectors that hold their number.
fn disk() -> Disk {
    let sectors = (0..64u8).map(|sector| [sector; SECTOR_BYTES]).collect::<Vec<_>>();
    let disk = Disk::with_contents(sectors.concat()).with_id("of many").with_lifetime(2, 3, 4);
    disk.with_discard(LIMITS).with_write_zeroes(LIMITS, true).with_secure_erase(LIMITS)
}

#[test]
fn at_full_depth_each_ticket_gets_its_own_answer_in_any_order() {
    for order in [Order::Reverse, Order::Fifo].into_iter().take(if cfg!(miri) { 1 } else { 2 }) {
        for mut bench in LevelBench::at(&[Level::Burst], disk) {
            bench.disk().complete_in(order);
            for round in 0..if cfg!(miri) { 2 } else { 20 } {
                fill_the_queue(&mut bench, round);
            }
            bench.finish();
        }
    }
}

/// What a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Read(u64),
    Discard,
    Id,
    Lifetime,
    Flush,
}

fn fill_the_queue(bench: &mut LevelBench, round: u64) {
    let hal = bench.bench.hal.clone();
    let queue = bench.queue();
    let mut asked: Vec<(Ticket, Asked)> = Vec::new();
    let all = queue.requests() as u64;
    for turn in round..round + all {
        let sector = 32 + turn % 32;
        let what = [Asked::Read(sector), Asked::Discard, Asked::Id, Asked::Lifetime, Asked::Flush];
        let what = what[usize::try_from(turn).unwrap() % 5];
        let ticket = match what {
            Asked::Read(sector) => {
                let page = Pool::new(1, SECTOR_BYTES).take(0xee);
                let page = MappedBuffer::map(&hal, page, Direction::DeviceWritable).unwrap();
                queue.submit_read(Sector(sector), page).unwrap()
            }
            Asked::Discard => queue.submit_discard(&[range(turn % 16, 2), range(20, 1)]).unwrap(),
            Asked::Id => queue.submit_device_id().unwrap(),
            Asked::Lifetime => queue.submit_lifetime().unwrap(),
            Asked::Flush => queue.submit_flush().unwrap().unwrap(),
        };
        assert!(asked.iter().all(|(other, _)| other.index() != ticket.index()));
        asked.push((ticket, what));
    }
    assert_eq!(queue.submit_lifetime(), Err(RequestError::Full));
    assert_eq!(queue.submit_discard(&[range(0, 1)]), Err(RequestError::Full));
    queue.publish();
    bench.bench.disk.serve(&bench.bench.device, &bench.bench.hal.space);
    let queue = bench.queue();
    while let Some(done) = queue.next_completion().unwrap() {
        let place = asked.iter().position(|(ticket, _)| *ticket == done.ticket).expect("each comes once");
        let (_, what) = asked.swap_remove(place);
        assert_eq!(done.result, Ok(()));
        let answered = match (what, done.answer) {
            (Asked::Id, Some(Answer::DeviceId(id))) => id.as_bytes() == b"of many",
            (Asked::Lifetime, Some(Answer::Lifetime(lifetime))) => lifetime.multi_level_cells == Some(4),
            (Asked::Discard | Asked::Flush, None) => done.payload.is_none(),
            (Asked::Read(sector), None) => {
                let page = done.payload.unwrap().unmap();
                page.bytes() == vec![u8::try_from(sector).unwrap(); SECTOR_BYTES]
            }
            other => panic!("{other:?}"),
        };
        assert!(answered, "{what:?}");
    }
    assert_eq!((asked, queue.free_requests() as u64), (vec![], all));
}

/// The request that fails is the one that is told so.
#[test]
fn a_failure_is_told_to_the_request_that_failed() {
    for ring in [0, RING_PACKED, EVENT_IDX | RING_PACKED].into_iter().take(if cfg!(miri) { 1 } else { 3 }) {
        let bench = TaskBench::of(disk(), ring);
        let running = bench.start::<64>();
        let shape = running.control.shape();
        let count = if cfg!(miri) { 3 } else { 10 };
        for nth in 1..=count {
            bench.disk.complete_in(Order::Reverse);
            bench.disk.fail_nth(nth, status::IOERR);
            let ask = |index: u64| match index % 3 {
                0 => Ask::Discard(range(index, 1)),
                1 => Ask::Write(Sector(index), 9, SECTOR_BYTES),
                _ => Ask::Lifetime,
            };
            let mut tasks: Vec<_> =
                (0..count).map(|index| Task::new(by_task(&running.tasks, shape, ask(index)))).collect();
            bench.run_to_end(&running.handlers, &mut tasks);
            for (index, task) in (1..).zip(tasks) {
                let failed = task.result.unwrap() == Err(RequestError::Device);
                assert_eq!(failed, index == nth);
            }
            bench.disk.fail_none();
        }
        bench.finish(running);
    }
}

/// Dropped between two pieces, or while one is in flight: what goes on is the piece that was sent.
#[test]
fn a_dropped_call_sends_no_more_pieces_and_leaves_the_queue_in_order() {
    for ring in [0, RING_PACKED, EVENT_IDX | RING_PACKED].into_iter().take(if cfg!(miri) { 1 } else { 3 }) {
        for served in if cfg!(miri) { 2..3 } else { 0..4 } {
            let bench = TaskBench::of(disk(), ring);
            let running = bench.start::<16>();
            let shape = running.control.shape();
            let mut task = [Task::new(by_task(&running.tasks, shape, Ask::Discard(range(0, 30))))];
            run_woken(&mut task);
            for _ in 0..served {
                bench.serve(&running.handlers);
                run_woken(&mut task);
            }
            task[0].cancel();

            let mut next = [
                Task::new(by_task(&running.tasks, shape, Ask::WriteZeroes(range(40, 4), Unmap::Allowed))),
                Task::new(by_task(&running.tasks, shape, Ask::Lifetime)),
            ];
            bench.run_to_end(&running.handlers, &mut next);

            assert_eq!(next[0].result, Some(Ok(Got::Nothing)));
            assert!(matches!(next[1].result, Some(Ok(Got::Lifetime(_)))));
            let discards = bench.disk.requests().iter().filter(|request| request.request_type == 11).count();
            assert_eq!(discards, served + 1);
            let discarded = (served + 1) * 4;
            assert!((0..30).all(|at| (bench.disk.sector(at)[0] == DISCARDED) == (at < discarded)));
            assert_eq!((bench.disk.sector(40)[0], running.tasks.service()), (0, 0));
            drop((task, next));
            bench.finish(running);
        }
    }
}

/// Like every other request: while the queue is out they wait, and what ends all requests ends them.
#[test]
fn ranges_wait_for_the_queue_while_it_is_out() {
    let bench = TaskBench::of(disk(), RING_PACKED);
    let running = bench.start::<16>();
    let shape = running.control.shape();
    let discard = || Task::new(by_task(&running.tasks, shape, Ask::Discard(range(0, 8))));
    let queue = running.tasks.take_queue().unwrap();
    let mut waits = [discard()];
    run_woken(&mut waits);
    assert!(!waits[0].is_over(), "{:?}", waits[0].result);

    running.tasks.put_up(queue, running.control.interrupts()).unwrap();
    bench.run_to_end(&running.handlers, &mut waits);

    assert_eq!(waits[0].result, Some(Ok(Got::Nothing)));
    let queue = running.tasks.take_queue().unwrap();
    running.tasks.end(RequestError::Removed);
    let mut ended = [discard()];
    run_woken(&mut ended);
    assert_eq!(ended[0].result, Some(Err(RequestError::Removed)));
    running.tasks.put_up(queue, running.control.interrupts()).unwrap();
    drop((waits, ended));
    bench.finish(running);
}

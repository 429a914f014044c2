//! Tasks whose buffers are more than their disk takes in one request: they go part by part, and nobody notices but the disk.
//!
//! Spec: §5.2.4 `size_max`, §2.7.7 Used Buffer Notification Suppression. Each part is one more moment at which a wake-up, a page or the end of a pause could be lost.

mod support;

use support::tasks::{Page, Pool, Task, TaskBench, Tasks, run_woken};
use virtio_guest::device::block::{Failed, RequestError, Sector};
use virtio_model::Disk;
use virtio_model::pci::Builder;

const SIZE_MAX: u128 = 1 << 1;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
/// Parts of a page.
const PARTS: usize = 3;

fn sector_by_sector(builder: Builder) -> Builder {
    let limited = Disk::with_sectors(256).with_config(|config| config.size_max = 512);
    builder.config(limited.config().bytes())
}

/// With and without event index, in each layout.
fn benches() -> impl Iterator<Item = TaskBench> {
    let all = [EVENT_IDX | RING_PACKED, EVENT_IDX, RING_PACKED, 0];
    let all = all.into_iter().take(if cfg!(miri) { 1 } else { 4 });
    all.map(|features| TaskBench::new(SIZE_MAX | features, sector_by_sector))
}

fn read<'t>(tasks: &'t Tasks, pool: &Pool, sector: u64) -> Task<'t, Result<Page, Failed<Page>>> {
    Task::new(tasks.read(Sector(sector), pool.take(0xee)))
}

fn expected(sector: u8) -> Vec<u8> {
    (sector..).take(PARTS).map(|sector| [sector; 512]).collect::<Vec<_>>().concat()
}

/// More of them than there are places, so that some wait in between.
#[test]
fn pages_that_go_part_by_part_arrive_whole() {
    for bench in benches() {
        let (pool, running) = (Pool::new(8, PARTS * 512), bench.start::<16>());
        let mut tasks: Vec<_> = (0..8).map(|index| read(&running.tasks, &pool, 10 * index)).collect();

        bench.run_to_end(&running.handlers, &mut tasks);

        for (index, task) in (0..).zip(&tasks) {
            assert_eq!(task.result.as_ref().unwrap().as_ref().unwrap().bytes(), expected(10 * index));
        }
        drop(tasks);
        assert_eq!(bench.disk.requests().len(), 8 * PARTS);
        bench.finish(running);
        assert_eq!(pool.pages(), 8);
    }
}

/// One after the other, so that each part alone has to wake its task.
#[test]
fn each_part_wakes_whoever_sends_the_next_one() {
    for bench in benches() {
        let (pool, running) = (Pool::new(2, PARTS * 512), bench.start::<16>());
        let mut tasks = [read(&running.tasks, &pool, 0), read(&running.tasks, &pool, 100)];
        bench.disk.hold();
        run_woken(&mut tasks);
        for part in 0..2 * PARTS {
            assert!(tasks.iter().any(|task| !task.is_over()), "part {part}");
            bench.serve(&running.handlers);
            bench.disk.release(1);
            assert!(bench.serve(&running.handlers) > 0, "nobody is told of part {part}");
            run_woken(&mut tasks);
        }
        assert!(tasks.iter().all(Task::is_over));
        drop(tasks);
        bench.finish(running);
    }
}

/// Nothing new goes out, but what is in flight is finished, part by part.
#[test]
fn a_drain_waits_for_all_parts() {
    for bench in benches() {
        let (pool, running) = (Pool::new(2, PARTS * 512), bench.start::<16>());
        let mut tasks = [read(&running.tasks, &pool, 0)];
        run_woken(&mut tasks);
        let mut drained = Task::new(async {
            running.tasks.drain().await;
            running.tasks.in_flight()
        });
        drained.poll();
        let mut late = [read(&running.tasks, &pool, 50)];
        run_woken(&mut late);

        for _ in 0..PARTS {
            assert!(!drained.is_over());
            bench.serve(&running.handlers);
            run_woken(&mut tasks);
            drained.run();
        }

        assert_eq!((drained.result.take(), tasks[0].is_over(), late[0].is_over()), (Some(0), true, false));
        running.tasks.resume();
        bench.run_to_end(&running.handlers, &mut late);
        drop((tasks, late, drained));
        bench.finish(running);
    }
}

/// After a pause no part goes out, for the disk may be in the middle of a reset; the page comes back with that.
#[test]
fn a_pause_holds_back_the_next_part_and_a_reset_gives_the_page_back() {
    for bench in benches() {
        let (pool, running) = (Pool::new(1, PARTS * 512), bench.start::<16>());
        let mut tasks = [read(&running.tasks, &pool, 0)];
        run_woken(&mut tasks);
        bench.serve(&running.handlers);
        running.tasks.pause();

        let notified = running.tasks.statistics().notifications_sent;
        run_woken(&mut tasks);
        running.tasks.service();

        assert_eq!(running.tasks.statistics().notifications_sent, notified);
        assert_eq!((bench.disk.requests().len(), running.tasks.in_flight()), (1, 1));
        let down = running.control.take_down(virtio_guest::hal::Attempts(10)).unwrap();
        drop(running.tasks.take_down(&down.reset).unwrap());
        run_woken(&mut tasks);
        let failed = tasks[0].result.take().unwrap().unwrap_err();
        assert_eq!((failed.error, failed.payload.is_some()), (RequestError::Reset, true));
        drop(failed);
        assert_eq!(pool.pages(), 1);
        bench.hal.assert_all_returned();
    }
}

/// Dropped in the middle: the page comes back when the disk is through with it.
#[test]
fn a_future_that_is_dropped_between_two_parts_loses_nothing() {
    for bench in benches() {
        let (pool, running) = (Pool::new(1, PARTS * 512), bench.start::<16>());
        let mut tasks = [read(&running.tasks, &pool, 0)];
        run_woken(&mut tasks);
        bench.serve(&running.handlers);
        run_woken(&mut tasks);
        tasks[0].cancel();
        assert_eq!(pool.pages(), 0);

        let mut drain = Task::new(running.tasks.drain());
        for _ in 0..PARTS {
            drain.poll();
            bench.serve(&running.handlers);
        }
        drain.poll();

        assert_eq!((drain.is_over(), pool.pages()), (true, 1));
        drop((tasks, drain));
        bench.finish(running);
    }
}

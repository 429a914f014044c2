//! Tasks of a disk that breaks, is reset, is taken out or is emptied: each learns of it, and no page is lost or freed too early.
//!
//! Spec: §2.1.2 Device Requirements: Device Status Field (`DEVICE_NEEDS_RESET`), §2.4 Device Reset.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use support::tasks::{Flag, Page, Pool, Running, Task, TaskBench, handlers, run_woken};
use virtio_guest::device::block::{Down, Failed, QueueInUse, RequestError, Sector, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Condition, ResetError};
use virtio_guest::ring::Broken;
use virtio_guest::transport::InterruptCause;

/// Requests in flight with storage for 16 descriptors, three each.
const PLACES: usize = 5;

type Read<'t> = Task<'t, Result<Page, Failed<Page>>>;

fn read<'t>(running: &'t Running, pool: &Pool, sector: usize) -> Read<'t> {
    Task::new(running.tasks.read(Sector(sector as u64), pool.take(0xee)))
}

fn reads<'t>(running: &'t Running, pool: &Pool, count: usize) -> Vec<Read<'t>> {
    let mut tasks: Vec<_> = (0..count).map(|sector| read(running, pool, sector)).collect();
    run_woken(&mut tasks);
    tasks
}

/// The errors of tasks that are over, and whether each has its page.
fn errors(tasks: &[Read<'_>]) -> Vec<(RequestError, bool)> {
    let error = |task: &Read<'_>| {
        let failed = task.result.as_ref().expect("it is over").as_ref().expect_err("it failed");
        (failed.error, failed.payload.is_some())
    };
    tasks.iter().map(error).collect()
}

/// Polls once, with a waker that does nothing.
fn look<R>(future: std::pin::Pin<&mut impl Future<Output = R>>) -> Poll<R> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_disk_that_breaks_the_protocol_ends_every_request_and_pages_come_back_with_the_reset() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(9, 512), bench.start::<16>());
        let mut tasks = reads(&running, &pool, PLACES + 3);

        bench.disk.misbehave(|lies| lies.used_id = Some(0xff));
        bench.serve(&running.handlers);
        run_woken(&mut tasks);
        tasks.push(read(&running, &pool, 0));
        tasks[PLACES + 3].poll();

        let broken = RequestError::Broken(Broken::UnknownChain { id: 0xff });
        let errors = errors(&tasks);
        assert_eq!(errors[..PLACES], [(broken, false); PLACES], "the device may write there");
        assert_eq!(errors[PLACES..], [(broken, true); 4]);
        drop(tasks);
        assert_eq!((pool.pages(), bench.hal.mapped_buffers()), (4, PLACES));
        bench.finish(running);
        assert_eq!(pool.pages(), 9);
    }
}

/// The whole way: the disk says that it needs a reset, is reset, and comes up again in the same storage. Tasks keep their reference meanwhile.
#[test]
fn a_disk_that_needs_a_reset_comes_back_to_the_tasks_that_wait() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(9, 512), bench.start::<16>());
        let Running { mut control, tasks: shared, handlers: old, signals } = running;
        bench.disk.hold();
        let mut tasks: Vec<_> =
            (0..8).map(|sector| Task::new(shared.read(Sector(sector), pool.take(0xee)))).collect();
        run_woken(&mut tasks);
        tasks[0].cancel();

        let flag = Arc::new(Flag::default());
        let condition = {
            let mut change = pin!(control.configuration_change());
            let waker = Waker::from(Arc::clone(&flag));
            assert!(change.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            bench.device.set_needs_reset();
            bench.interrupt(&old);
            assert!(flag.wakes.load(std::sync::atomic::Ordering::Relaxed) > 0);
            change.as_mut().poll(&mut Context::from_waker(&waker))
        };
        assert_eq!(condition, Poll::Ready(Condition::NeedsReset));
        let Down { transport, reset, handlers: still } = control.take_down(Attempts(10)).unwrap();
        assert_eq!(still, Ok(()));
        assert_eq!(
            (pool.pages(), bench.hal.mapped_buffers()),
            (1, 8),
            "only the reset's proof gives them back"
        );
        let storage = shared.take_down(&reset).expect("the queue's own reset");
        assert_eq!((pool.pages(), shared.take_down(&reset).is_none()), (2, true));
        run_woken(&mut tasks);

        assert_eq!(errors(&tasks[1..PLACES]), [(RequestError::Reset, true); PLACES - 1]);
        assert!(tasks[PLACES..].iter().all(|task| !task.is_over()), "they wait for the disk");
        tasks.push(Task::new(shared.read(Sector(8), pool.take(0xee))));
        tasks[8].poll();
        assert!(!tasks[8].is_over());

        let (mut control, queue) = bench.bring_up(transport, storage);
        let new = handlers(control.connect_interrupts(signals).unwrap());
        shared.put_up(queue, control.interrupts()).unwrap();
        bench.disk.release_all();
        assert!(
            old.iter().all(|interrupt| interrupt.handle() == InterruptCause::default()),
            "of the bring-up before"
        );
        bench.run_to_end(&new, &mut tasks);
        for (sector, task) in (5..).zip(tasks.drain(PLACES..)) {
            assert_eq!(task.result.unwrap().unwrap().bytes(), [sector; 512]);
        }
        drop(tasks);
        let mut again = [Task::new(shared.read(Sector(1), pool.take(0xee)))];
        bench.run_to_end(&new, &mut again);
        drop(again);
        assert_eq!(pool.pages(), 9);
        bench.finish(Running { control, tasks: shared, handlers: new, signals });
    }
}

/// A queue that broke, and was reset, leaves nothing of its trouble to the next one.
#[test]
fn after_a_broken_queue_the_next_one_serves() {
    let bench = TaskBench::new(0, |builder| builder);
    let (pool, running) = (Pool::new(7, 512), bench.start::<16>());
    let mut tasks = reads(&running, &pool, PLACES + 2);
    bench.disk.misbehave(|lies| lies.used_id = Some(0xff));
    bench.serve(&running.handlers);
    // One only has looked when the recovery begins.
    tasks.iter_mut().find(|task| task.is_woken()).expect("the leader").poll();
    bench.disk.misbehave(|lies| lies.used_id = None);
    drop(tasks);
    assert_eq!(pool.pages(), 2);

    let Running { control, tasks: shared, signals, .. } = running;
    let down = control.take_down(Attempts(10)).unwrap();
    let storage = shared.take_down(&down.reset).unwrap();
    assert_eq!(pool.pages(), 7);
    let (mut control, queue) = bench.bring_up(down.transport, storage);
    let handlers = handlers(control.connect_interrupts(signals).unwrap());
    shared.put_up(queue, control.interrupts()).unwrap();
    let mut tasks = [Task::new(shared.read(Sector(9), pool.take(0)))];
    bench.run_to_end(&handlers, &mut tasks);

    assert_eq!(tasks.map(|task| task.result.unwrap().unwrap().bytes().to_vec()), [[9; 512]]);
    let down = control.take_down(Attempts(10)).unwrap();
    drop(shared.take_down(&down.reset).unwrap());
    bench.hal.assert_all_returned();
}

/// Spec: §2.1 — nothing is freed on the word of registers that nobody is behind, and nobody waits for what will not come.
#[test]
fn tasks_of_a_disk_that_was_taken_out_end_and_what_it_may_use_is_not_freed() {
    for (bench, zeros) in TaskBench::each().zip([false, true, false, true]) {
        let pool = Pool::new(9, 512);
        let Running { control, tasks: shared, .. } = bench.start::<16>();
        let mut tasks: Vec<_> =
            (0..8).map(|sector| Task::new(shared.read(Sector(sector), pool.take(0xee)))).collect();
        run_woken(&mut tasks);
        tasks[1].cancel();
        let memory = bench.hal.dma_regions();
        bench.device.misbehave(|lies| (lies.all_ones, lies.gone_bars_read_zero) = (true, zeros));
        assert_eq!(control.condition(), Condition::Removed);

        let failed = control.take_down(Attempts(3)).unwrap_err();
        assert_eq!(failed.error, ResetError::Removed);
        shared.end(RequestError::Removed);
        run_woken(&mut tasks);
        tasks.push(Task::new(shared.write(Sector(0), pool.take(0))));
        tasks[8].poll();

        tasks.remove(1);
        let errors = errors(&tasks);
        assert_eq!(errors[..PLACES - 1], [(RequestError::Removed, false); PLACES - 1]);
        assert_eq!(errors[PLACES - 1..], [(RequestError::Removed, true); 4]);
        drop(tasks);
        assert_eq!((pool.pages(), bench.hal.mapped_buffers()), (9 - PLACES, PLACES), "what it may use");
        drop((failed, shared));
        assert_eq!((pool.pages(), bench.hal.mapped_buffers(), bench.hal.dma_regions()), (4, PLACES, memory));
    }
}

#[test]
fn a_disk_that_is_drained_sends_nothing_until_it_goes_on() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(9, 512), bench.start::<16>());
        let mut tasks = reads(&running, &pool, PLACES + 3);
        tasks[0].cancel();
        let mut drain = [Task::new(running.tasks.drain())];
        drain[0].poll();
        tasks.push(read(&running, &pool, 8));
        tasks[8].poll();
        bench.serve(&running.handlers);
        // Whoever is woken first: in the end all that was in flight is done, and nothing else.
        run_woken(&mut tasks);
        run_woken(&mut drain);
        run_woken(&mut tasks);

        assert!(drain[0].is_over() && running.tasks.in_flight() == 0);
        assert_eq!((bench.disk.requests().len(), bench.serve(&running.handlers)), (PLACES, 0));
        assert!(tasks[PLACES..].iter().all(|task| !task.is_over()));
        running.tasks.resume();
        bench.run_to_end(&running.handlers, &mut tasks);
        let sectors: Vec<_> = bench.disk.requests()[PLACES..].iter().map(|request| request.sector).collect();
        assert_eq!(sectors, [5, 6, 7, 8], "in the order of coming");
        drop((tasks, drain));
        bench.finish(running);
    }
}

/// Nobody waits but the drain: what is left in flight was dropped by its tasks.
#[test]
fn a_drain_waits_for_what_dropped_futures_left_behind() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(3, 512), bench.start::<16>());
        drop(reads(&running, &pool, 3));

        let mut drain = [Task::new(running.tasks.drain())];
        drain[0].poll();
        assert!(!drain[0].is_over() && pool.pages() == 0);
        bench.run_to_end(&running.handlers, &mut drain);

        assert_eq!(pool.pages(), 3);
        drop(drain);
        bench.finish(running);
    }
}

/// One that was the only one to wait led; it does not lead from its grave.
#[test]
fn a_drain_that_is_dropped_leaves_the_lead_to_another() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(4, 512), bench.start::<16>());
        drop(reads(&running, &pool, 3));
        let mut drain = Task::new(running.tasks.drain());
        drain.poll();

        drop(drain);
        running.tasks.resume();
        let mut tasks = [read(&running, &pool, 3)];
        bench.run_to_end(&running.handlers, &mut tasks);

        assert_eq!(tasks[0].result.as_ref().unwrap().as_ref().unwrap().bytes(), [3; 512]);
        drop(tasks);
        assert_eq!(pool.pages(), 4);
        bench.finish(running);
    }
}

/// A device that is slow to be emptied may be taken down in the middle of it.
#[test]
fn a_drain_ends_with_the_queue_that_it_is_of() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(3, 512), bench.start::<16>());
        drop(reads(&running, &pool, 3));
        let Running { control, tasks: shared, .. } = running;
        let mut drain = [Task::new(shared.drain())];
        drain[0].poll();

        let down = control.take_down(Attempts(10)).unwrap();
        drop(shared.take_down(&down.reset).unwrap());

        assert!(drain[0].is_woken(), "asleep for ever");
        run_woken(&mut drain);
        assert!(drain[0].is_over());
        drop(drain);
        bench.hal.assert_all_returned();
    }
}

/// Somebody was called, and comes when nothing may go out: he has lost neither his turn nor his room.
#[test]
fn who_was_called_when_the_disk_is_drained_keeps_his_turn() {
    let bench = TaskBench::new(0, |builder| builder);
    let (pool, running) = (Pool::new(40, 512), bench.start::<16>());
    let mut tasks = reads(&running, &pool, PLACES + 16);
    bench.serve(&running.handlers);
    running.tasks.service();
    assert!(tasks[PLACES..2 * PLACES].iter().all(Task::is_woken), "they were called");
    let mut drain = [Task::new(running.tasks.drain())];
    drain[0].poll();
    for sector in 30..35 {
        tasks.push(read(&running, &pool, sector));
        tasks.last_mut().unwrap().poll();
    }
    run_woken(&mut tasks);
    run_woken(&mut drain);
    running.tasks.resume();
    bench.run_to_end(&running.handlers, &mut tasks);

    let refused = tasks[..PLACES + 16].iter().filter(|task| task.result.as_ref().unwrap().is_err()).count();
    assert_eq!(refused, 0, "they had a place to wait at");
    let mut sectors: Vec<_> = bench.disk.requests().iter().map(|request| request.sector).collect();
    // As many as are called together come in any order.
    sectors.chunks_mut(PLACES).for_each(<[u64]>::sort_unstable);
    assert!(sectors.iter().copied().eq(0..21), "{sectors:?}");
    drop((tasks, drain));
    bench.finish(running);
}

#[test]
fn another_disks_reset_and_a_second_queue_change_nothing() {
    let bench = TaskBench::new(0, |builder| builder);
    let (pool, running) = (Pool::new(1, 512), bench.start::<16>());
    let other = TaskBench::new(0, |builder| builder);
    let storage: &'static mut Storage<16, _> = Box::leak(Box::default());
    let (control, queue) = other.bring_up(other.open(0), storage);
    let mut tasks = [read(&running, &pool, 1)];
    tasks[0].poll();

    let QueueInUse { queue } = running.tasks.put_up(queue, None).unwrap_err();
    let down = control.take_down(Attempts(10)).unwrap();
    assert!(running.tasks.take_down(&down.reset).is_none());

    bench.run_to_end(&running.handlers, &mut tasks);
    assert!(tasks[0].result.as_ref().unwrap().is_ok());
    drop((tasks, queue.reclaim(&down.reset).unwrap()));
    other.hal.assert_all_returned();
    bench.finish(running);
}

/// Those who have no tasks ask now and then.
#[test]
fn a_configuration_change_is_told_once() {
    let bench = TaskBench::new(0, |builder| builder);
    let Running { mut control, tasks, handlers, signals } = bench.start::<16>();
    assert_eq!(control.take_configuration_change(), None);

    bench.device.raise_config();
    bench.interrupt(&handlers);
    assert_eq!(control.take_configuration_change(), Some(Condition::Live));
    assert_eq!(control.take_configuration_change(), None);
    // One that was told before anybody waited is not missed, and a future that is dropped loses none.
    bench.device.raise_config();
    bench.interrupt(&handlers);
    drop(control.configuration_change());
    assert_eq!(look(pin!(control.configuration_change())), Poll::Ready(Condition::Live));
    assert_eq!(look(pin!(control.configuration_change())), Poll::Pending);

    bench.finish(Running { control, tasks, handlers, signals });
}

/// Spec: §3.1.1 — no notification without DRIVER_OK, whatever tasks do while the disk is reset.
#[test]
fn tasks_do_not_notify_a_disk_that_is_reset() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(3, 512), bench.start::<16>());
        let Running { control, tasks: shared, handlers, signals } = running;
        let mut tasks = [1, 2, 3].map(|sector| Task::new(shared.read(Sector(sector), pool.take(0xee))));
        tasks[0].poll();
        shared.pause();
        tasks[1].poll();
        let down = control.take_down(Attempts(10)).unwrap();

        tasks.iter_mut().for_each(Task::poll);

        let storage = shared.take_down(&down.reset).unwrap();
        let (mut control, queue) = bench.bring_up(down.transport, storage);
        drop(handlers);
        let handlers = support::tasks::handlers(control.connect_interrupts(signals).unwrap());
        shared.put_up(queue, control.interrupts()).unwrap();
        while tasks.iter().any(|task| !task.is_over()) {
            run_woken(&mut tasks);
            bench.serve(&handlers);
        }
        assert!(tasks[0].result.as_ref().unwrap().is_err() && tasks[2].result.as_ref().unwrap().is_ok());
        drop(tasks);
        bench.finish(Running { control, tasks: shared, handlers, signals });
    }
}

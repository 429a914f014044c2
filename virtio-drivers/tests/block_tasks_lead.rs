//! Who looks for all: the lead is passed on, and what a round of tasks sends goes out together.
//!
//! Spec: §2.7.7 Used Buffer Notification Suppression, §2.7.13.4 Notifying The Device.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use std::sync::Arc;

use support::tasks::{Load, Mutexed, Pool, Running, Task, TaskBench, Tasks, handlers, run_woken};
use virtio_guest::device::block::{Requests, Sector, Shared, Storage, Waiters};
use virtio_guest::hal::Attempts;
use virtio_model::block::Order;

/// The leader is held by a task that looks after another request of its own for a while.
#[test]
fn a_leader_that_is_not_polled_keeps_nobody_waiting() {
    for bench in TaskBench::each() {
        let pool = Pool::new(3, 512);
        let running = bench.start::<16>();
        bench.disk.complete_in(Order::Reverse);
        let read = |sector| Task::new(running.tasks.read(Sector(sector), pool.take(0xee)));
        let (mut held, mut polled, mut other) = (read(0), read(1), read(2));
        [&mut held, &mut polled, &mut other].into_iter().for_each(Task::poll);

        bench.disk.hold();
        for (left, next) in [(2, "other"), (1, "polled")] {
            bench.disk.release(1);
            bench.serve(&running.handlers);
            for _ in 0..3 {
                // Its task is woken for either of its requests, and polls one of them only.
                if held.is_woken() {
                    polled.poll();
                }
                polled.run();
                other.run();
            }
            let waiting = [&held, &polled, &other].into_iter().filter(|task| !task.is_over()).count();
            assert_eq!(waiting, left, "{next} sleeps for ever");
        }

        bench.disk.release_all();
        bench.serve(&running.handlers);
        held.poll();
        assert!(held.is_over());
        drop((held, polled, other));
        bench.finish(running);
    }
}

/// Where futures are held that nobody polls at all, a task of its own looks for all.
#[test]
fn a_runner_looks_for_all_and_a_dropped_one_hands_the_lead_back() {
    for bench in TaskBench::each() {
        let pool = Pool::new(2, 512);
        let running = bench.start::<16>();
        let read = |sector| Task::new(running.tasks.read(Sector(sector), pool.take(0xee)));
        let (mut held, mut other) = (read(0), read(1));
        [&mut held, &mut other].into_iter().for_each(Task::poll);
        let mut runner = Task::new(running.tasks.run());
        runner.poll();

        bench.disk.hold();
        bench.disk.release(1);
        bench.serve(&running.handlers);
        assert!(runner.is_woken() && !held.is_woken() && !other.is_woken());
        while runner.run() {}
        assert!(held.run() && held.is_over());

        runner.cancel();
        bench.disk.release_all();
        bench.serve(&running.handlers);
        assert!(other.run() && other.is_over());
        drop((held, other, runner));
        bench.finish(running);
    }
}

/// What tasks send in one round goes out together, once somebody is to look again anyhow.
#[test]
fn a_round_of_requests_is_one_notification() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(16, 512), bench.start::<16>());
        let reads = |task: u64| {
            let (disk, pool) = (&running.tasks, &pool);
            async move {
                for round in 0..3u64 {
                    disk.read(Sector(16 * round + task), pool.take(0xee)).await.unwrap();
                }
            }
        };
        let mut tasks: Vec<_> = (0..16).map(|task| Task::new(reads(task))).collect();
        run_woken(&mut tasks);

        let (before, mut rounds) = (bench.device.notifications(0), 0);
        while !tasks.iter().all(Task::is_over) {
            assert_eq!(bench.serve(&running.handlers), 1, "one interrupt");
            run_woken(&mut tasks);
            rounds += 1;
            // Five requests fit into 16 descriptors; as long as others wait for a place somebody is left to lead.
            assert!(rounds > 6 || bench.device.notifications(0) <= before + rounds);
        }

        assert!(rounds >= 10);
        drop(tasks);
        bench.finish(running);
    }
}

/// The last task that waits is dropped after a look that asked for no interrupt.
#[test]
fn who_looks_after_interrupts_alone_is_told_of_what_dropped_futures_left_behind() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(2, 512), bench.start::<16>());
        let read = |sector| Task::new(running.tasks.read(Sector(sector), pool.take(0xee)));
        let (mut done, mut dropped) = (read(0), read(1));
        [&mut done, &mut dropped].into_iter().for_each(Task::poll);
        bench.disk.hold();
        bench.disk.release(1);
        bench.serve(&running.handlers);
        assert!(done.run() && done.is_over());

        dropped.cancel();
        bench.disk.release_all();
        assert_eq!((bench.serve(&running.handlers), pool.pages()), (1, 0), "one interrupt, for nobody");

        assert_eq!((running.tasks.service(), pool.pages()), (0, 1));
        drop((done, dropped));
        bench.finish(running);
    }
}

/// A waker is the executor's memory.
#[test]
fn who_led_on_a_queue_that_is_gone_is_not_kept_in_mind() {
    let bench = TaskBench::new(0, |builder| builder);
    let (pool, running) = (Pool::new(1, 512), bench.start::<16>());
    let Running { control, tasks, signals, .. } = running;
    let mut leader = Task::new(tasks.read(Sector(0), pool.take(0xee)));
    leader.poll();

    let down = control.take_down(Attempts(10)).unwrap();
    let storage = tasks.take_down(&down.reset).unwrap();
    let (mut control, queue) = bench.bring_up(down.transport, storage);
    let handlers = handlers(control.connect_interrupts(signals).unwrap());
    tasks.put_up(queue, control.interrupts()).unwrap();
    assert!(leader.run() && leader.is_over(), "its request was reset");

    assert_eq!(Arc::strong_count(&leader.flag), 1);
    drop(leader);
    bench.finish(Running { control, tasks, handlers, signals });
}

/// Where nothing interrupts, somebody looks as long as something is in flight, and nobody when there is nothing.
#[test]
fn without_interrupts_a_runner_rests_until_something_is_sent() {
    let bench = TaskBench::new(0, |builder| builder);
    let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
    let (control, queue) = bench.bring_up(bench.open(0), storage);
    let waiters: &'static mut Waiters<16, Load> = Box::leak(Box::default());
    let requests = Requests::new(queue, waiters, None).unwrap();
    let disk: Tasks = Shared::new(Mutexed::new(requests), bench.hal.clone());
    let pool = Pool::new(1, 512);
    let mut runner = Task::new(disk.run());
    runner.poll();
    assert!(!runner.is_woken(), "there is nothing to look for");

    let mut read = Task::new(disk.read(Sector(1), pool.take(0xee)));
    read.poll();
    assert!(runner.is_woken());
    bench.disk.serve(&bench.device, &bench.hal.space);
    runner.run();

    assert!(read.run() && read.is_over());
    drop((runner, read));
    let down = control.take_down(Attempts(10)).unwrap();
    drop(disk.take_down(&down.reset).unwrap());
    bench.hal.assert_all_returned();
}

//! Tasks, the disk and its interrupts at the same time, each in threads of their own.
//!
//! Spec: §2.7.7 Used Buffer Notification Suppression, §2.8.10 Driver and Device Event Suppression. A task that is not woken for a minute is asleep for ever. On the machine's own memory model, and
//! under miri with many schedules.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use support::TestHal;
use support::tasks::{Load, Page, Pool, Task, TaskBench, handlers};
use virtio_guest::device::block::{Failed, Requests, Sector, Shared, Storage, Waiters};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Interrupt, Signals};
use virtio_guest::transport::InterruptCause;

const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const LIMIT: Duration = Duration::from_mins(1);
const NOTHING: InterruptCause = InterruptCause { used_buffer: false, configuration_change: false };

/// A disk for tasks on any processor.
type Disk = Shared<TestHal, spin::Mutex<Requests<'static, TestHal, Load>>>;
/// What becomes of a read.
type Read = Result<Page, Failed<Page>>;

/// Runs tasks one beside the other, so many at a time, as an executor does; every so many is dropped before it is done. Says how many were done.
fn execute(disk: &Disk, pool: &Pool, requests: usize, seed: usize) -> usize {
    let (mut tasks, mut sent, mut done): (Vec<Task<'_, Read>>, _, _) = (Vec::new(), 0, 0);
    let mut woken = Instant::now();
    while sent < requests || !tasks.is_empty() {
        if tasks.len() < 3 && sent < requests {
            let sector = (sent * 7 + seed) % 100;
            tasks.push(Task::new(disk.read(Sector(sector as u64), pool.take(0xee))));
            sent += 1;
        }
        let mut any = false;
        for (place, task) in tasks.iter_mut().enumerate() {
            if task.run() {
                any = true;
                if (sent + place + seed).is_multiple_of(5) {
                    task.cancel();
                }
            }
        }
        tasks.retain_mut(|task| {
            if let Some(result) = task.result.take() {
                let page = result.expect("the disk keeps to the protocol");
                assert!(page.bytes().iter().all(|byte| *byte == page.bytes()[0] && *byte < 100));
                done += 1;
            }
            !task.is_over()
        });
        if any {
            woken = Instant::now();
        } else {
            assert!(woken.elapsed() < LIMIT, "asleep for ever");
            thread::park_timeout(LIMIT);
        }
    }
    done
}

/// A queue that two executors share: one processor's interrupts and another's disk beside them.
#[test]
fn tasks_on_two_processors_are_all_woken() {
    let requests = if cfg!(miri) { 4 } else { 3_000 };
    let all = [EVENT_IDX, RING_PACKED, 0, EVENT_IDX | RING_PACKED];
    for features in all.into_iter().take(if cfg!(miri) { 2 } else { 4 }) {
        let bench = TaskBench::new(features, |builder| builder);
        let pool = Pool::new(64, 512);
        let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
        let (mut control, queue) = bench.bring_up(bench.open(2), storage);
        let signals: &'static Signals = Box::leak(Box::default());
        let interrupts = control.connect_interrupts(signals).unwrap();
        let vectors = handlers(interrupts);
        let waiters: &'static mut Waiters<16, Load> = Box::leak(Box::default());
        let requests_of_tasks = Requests::new(queue, waiters, Some(interrupts)).unwrap();
        let disk = Shared::new(spin::Mutex::new(requests_of_tasks), bench.hal.clone());
        let running = AtomicUsize::new(2);

        let done: usize = thread::scope(|scope| {
            let (interrupt, interrupts) = mpsc::channel();
            let (bench, vectors, running) = (&bench, &vectors, &running);
            let device = scope.spawn(move || {
                let mut notified = 0;
                while running.load(Ordering::Acquire) > 0 {
                    let notifications = bench.device.notifications(0);
                    if notifications == notified {
                        thread::park_timeout(Duration::from_micros(50));
                        continue;
                    }
                    notified = notifications;
                    bench.disk.serve(&bench.device, &bench.hal.space);
                    bench
                        .device
                        .take_messages()
                        .into_iter()
                        .for_each(|message| interrupt.send(message).unwrap());
                }
            });
            scope.spawn(move || {
                for (_, vector) in interrupts {
                    vectors[vector as usize].handle();
                }
            });
            let executors = [1, 2].map(|seed| {
                let (disk, pool) = (&disk, &pool);
                scope.spawn(move || {
                    let done = execute(disk, pool, requests, seed);
                    running.fetch_sub(1, Ordering::AcqRel);
                    done
                })
            });
            let done = executors.map(|executor| executor.join().unwrap()).iter().sum();
            device.thread().unpark();
            done
        });

        assert!(done > requests / 2, "{done} were done");
        let down = control.take_down(Attempts(10)).unwrap();
        assert_eq!(down.handlers, Ok(()));
        drop(disk.take_down(&down.reset).unwrap());
        assert_eq!(pool.pages(), 64);
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

/// A handler on another processor, again and again, while the disk is taken down and comes up anew: once it is down the handler has nothing, and it never takes what is the next one's.
#[test]
fn a_handler_that_runs_while_its_disk_goes_down_takes_nothing_from_the_next_one() {
    let rounds = if cfg!(miri) { 1 } else { 200 };
    let bench = TaskBench::new(0, |builder| builder);
    let signals: &'static Signals = Box::leak(Box::default());
    let mut transport = Some(bench.open(0));
    let mut storage =
        Some(virtio_guest::device::block::Slots::from(Box::leak(Box::<Storage<16, Load>>::default())));
    for _ in 0..rounds {
        let (mut control, queue) = bench.bring_up(transport.take().unwrap(), storage.take().unwrap());
        let old: Interrupt<'_> = control.connect_interrupts(signals).unwrap().line().unwrap();
        let (is_down, over) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let handler = scope.spawn(|| {
                let mut found = 0;
                while !over.load(Ordering::Acquire) {
                    let was_down = is_down.load(Ordering::Acquire);
                    let cause = old.handle();
                    assert!(!was_down || cause == NOTHING, "its disk is down");
                    found += usize::from(cause.configuration_change);
                    thread::yield_now();
                }
                found
            });
            bench.device.raise_config();
            let patience = || {
                thread::yield_now();
                true
            };
            let down = control.take_down(patience).unwrap();
            is_down.store(true, Ordering::Release);
            assert_eq!(down.handlers, Ok(()));
            let slots = queue.reclaim(&down.reset).unwrap().into_slots();

            let (mut control, queue) = bench.bring_up(down.transport, slots);
            let new = control.connect_interrupts(signals).unwrap().line().unwrap();
            let mut change = Box::pin(control.configuration_change());
            let mut context = Context::from_waker(Waker::noop());
            assert!(change.as_mut().poll(&mut context).is_pending());
            bench.device.raise_config();
            thread::yield_now();
            assert!(new.handle().configuration_change, "it was taken away");
            assert!(matches!(change.as_mut().poll(&mut context), Poll::Ready(_)));
            drop(change);

            over.store(true, Ordering::Release);
            assert!(handler.join().unwrap() <= 1, "once each");
            let down = control.take_down(Attempts(10)).unwrap();
            transport = Some(down.transport);
            storage = Some(queue.reclaim(&down.reset).unwrap().into_slots());
        });
    }
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

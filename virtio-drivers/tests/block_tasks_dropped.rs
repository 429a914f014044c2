//! Futures of a shared disk that are dropped: what they carry stays with the queue until the device lets go, and nobody sleeps for ever.
//!
//! Spec: §5.2.6 Device Operation. All pages are the pool's, in flight, or in a task's hands; the device writes into bounce buffers that are mapped for as long as it may.

mod support;

use std::any::Any;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use support::tasks::{Luggage, Page, Pool, Running, Task, TaskBench, Tasks, run_woken};
use virtio_guest::device::block::{Failed, RequestError, Sector};
use virtio_guest::hal::Attempts;

/// Requests in flight with storage for 16 descriptors, three each.
const PLACES: usize = 5;

type Read<'t> = Task<'t, Result<Page, Failed<Page>>>;

fn read<'t>(running: &'t Running, pool: &Pool, sector: u64) -> Read<'t> {
    Task::new(running.tasks.read(Sector(sector), pool.take(0xee)))
}

fn reads<'t>(running: &'t Running, pool: &Pool, count: usize) -> Vec<Read<'t>> {
    let mut tasks: Vec<_> = (0..count).map(|sector| read(running, pool, sector as u64)).collect();
    run_woken(&mut tasks);
    tasks
}

/// The sectors that the disk has been asked for, in that order.
fn asked(bench: &TaskBench) -> Vec<u64> {
    bench.disk.requests().iter().map(|request| request.sector).collect()
}

#[test]
fn a_future_that_is_dropped_before_its_first_poll_sends_nothing() {
    let bench = TaskBench::new(0, |builder| builder);
    let (pool, running) = (Pool::new(1, 512), bench.start::<16>());

    drop(running.tasks.read(Sector(1), pool.take(0)));

    assert_eq!((bench.serve(&running.handlers), pool.pages(), bench.hal.mapped_buffers()), (0, 1, 0));
    bench.finish(running);
}

#[test]
fn a_page_of_a_dropped_future_comes_back_when_the_device_lets_go_and_not_before() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(2, 512), bench.start::<16>());
        let mut tasks = reads(&running, &pool, 2);

        tasks[0].cancel();
        assert_eq!((pool.pages(), bench.hal.mapped_buffers()), (0, 2), "the device has it");
        assert_eq!((running.tasks.service(), pool.pages()), (2, 0));
        bench.disk.hold();
        bench.disk.release(1);
        bench.serve(&running.handlers);
        assert!(bench.hal.space.faults().is_empty(), "it may still write there");
        run_woken(&mut tasks);

        assert_eq!((pool.pages(), bench.hal.mapped_buffers()), (1, 1), "that of the task that waits is out");
        bench.disk.release_all();
        bench.run_to_end(&running.handlers, &mut tasks);
        assert_eq!(tasks[1].result.take().unwrap().unwrap().bytes(), [1; 512]);
        drop(tasks);
        assert_eq!(pool.pages(), 2);
        bench.finish(running);
    }
}

#[test]
fn a_future_that_is_dropped_when_its_request_is_done_gives_its_page_back() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(2, 512), bench.start::<16>());
        let mut tasks = reads(&running, &pool, 2);
        bench.serve(&running.handlers);
        assert!(running.tasks.service() == 0 && tasks.iter().all(Task::is_woken));

        for (task, pages) in tasks.iter_mut().zip(1..) {
            task.cancel();
            assert_eq!((pool.pages(), bench.hal.mapped_buffers()), (pages, 2 - pages));
        }

        drop(tasks);
        bench.finish(running);
    }
}

/// Who waits is sent in the order of coming, also when somebody in between has left; who comes later does not overtake those who were called.
#[test]
fn tasks_that_wait_are_sent_in_order_and_newcomers_do_not_overtake() {
    let bench = TaskBench::new(0, |builder| builder);
    let (pool, running) = (Pool::new(12, 512), bench.start::<16>());
    let mut tasks = reads(&running, &pool, 9);
    tasks[6].cancel();
    assert_eq!(pool.pages(), 4);
    bench.serve(&running.handlers);

    tasks[0].poll();
    let called = |tasks: &[Read<'_>]| [5, 6, 7, 8].map(|index| tasks[index].is_woken());
    assert_eq!(called(&tasks), [true, false, true, true]);
    tasks.push(read(&running, &pool, 100));
    tasks.push(read(&running, &pool, 101));
    tasks[9].poll();
    tasks[10].poll();
    tasks[8].poll();
    tasks[7].poll();
    tasks[5].poll();
    bench.run_to_end(&running.handlers, &mut tasks);

    let order = asked(&bench);
    assert_eq!(order[..5], [0, 1, 2, 3, 4]);
    let mut rest = order[5..].to_vec();
    assert!(rest.contains(&100) && rest.contains(&101));
    rest.sort_unstable();
    assert_eq!(rest, [5, 7, 8, 100, 101]);
    drop(tasks);
    bench.finish(running);
}

/// There is one place, for him who has waited longest: nobody takes it before him, however early he comes, and whether others wait or not.
#[test]
fn a_place_is_kept_for_who_was_called() {
    for waiting in [1, 2] {
        let bench = TaskBench::new(0, |builder| builder);
        let (pool, running) = (Pool::new(8, 512), bench.start::<16>());
        let mut tasks = reads(&running, &pool, PLACES + waiting);
        bench.disk.hold();
        bench.disk.release(1);
        bench.serve(&running.handlers);
        tasks[0].poll();
        assert!(tasks[PLACES].is_woken());

        tasks.push(read(&running, &pool, 100));
        tasks[PLACES..].iter_mut().rev().for_each(Task::poll);
        bench.disk.release_all();
        bench.run_to_end(&running.handlers, &mut tasks);

        let mut expected: Vec<_> = (0..(PLACES + waiting) as u64).collect();
        expected.push(100);
        assert_eq!(asked(&bench), expected);
        drop(tasks);
        bench.finish(running);
    }
}

#[test]
fn a_called_task_that_is_dropped_passes_its_place_on() {
    for bench in TaskBench::each() {
        let (pool, running) = (Pool::new(9, 512), bench.start::<16>());
        let mut tasks = reads(&running, &pool, PLACES + 3);
        bench.disk.hold();
        bench.disk.release(1);
        bench.serve(&running.handlers);
        tasks[0].poll();
        assert_eq!([5, 6, 7].map(|index: usize| tasks[index].is_woken()), [true, false, false]);

        tasks[5].cancel();
        assert_eq!([6, 7].map(|index: usize| tasks[index].is_woken()), [true, false]);
        tasks[6].cancel();
        assert!(tasks[7].is_woken());

        bench.disk.release_all();
        bench.run_to_end(&running.handlers, &mut tasks);
        assert_eq!(asked(&bench), [0, 1, 2, 3, 4, 7]);
        drop(tasks);
        assert_eq!(pool.pages(), 9);
        bench.finish(running);
    }
}

/// Whoever of three is dropped, or is done first, with or without his having been woken: the others are told of what the disk does.
#[test]
fn a_leader_that_is_dropped_or_done_leaves_the_lead_to_another() {
    for bench in TaskBench::each() {
        let running = bench.start::<16>();
        let pool = Pool::new(8, 512);
        for (leaves, is_done) in (0..7).flat_map(|leaves| [(leaves, false), (leaves, true)]) {
            let mut tasks = reads(&running, &pool, PLACES + 2);
            bench.disk.hold();
            if is_done {
                bench.disk.release(1);
                bench.serve(&running.handlers);
            }
            tasks[leaves].cancel();
            run_woken(&mut tasks);
            // One at a time, and each one to leave is the one that was woken last.
            for _ in 0..PLACES + 2 {
                bench.disk.release(1);
                bench.serve(&running.handlers);
                run_woken(&mut tasks);
            }
            assert!(tasks.iter().all(Task::is_over), "{leaves} left, done: {is_done}: asleep for ever");
            bench.disk.release_all();
        }
        assert_eq!(pool.pages(), 8);
        bench.finish(running);
    }
}

/// The leader is woken, and dropped before it comes.
#[test]
fn a_leader_that_was_woken_and_is_dropped_leaves_the_lead_to_another() {
    for bench in TaskBench::each() {
        let running = bench.start::<16>();
        let pool = Pool::new(8, 512);
        for count in 2..=PLACES + 3 {
            let mut tasks = reads(&running, &pool, count);
            bench.disk.hold();
            for left in (0..count).rev() {
                bench.disk.release(1);
                bench.serve(&running.handlers);
                if let Some(task) = tasks.iter_mut().find(|task| task.is_woken()) {
                    task.cancel();
                }
                let is_idle = tasks.iter().all(Task::is_over);
                let is_woken = tasks.iter().any(Task::is_woken);
                assert!(
                    is_idle || is_woken || bench.disk.waiting() > 0 || left == 0,
                    "{count}: asleep for ever"
                );
            }
            bench.disk.release_all();
            bench.run_to_end(&running.handlers, &mut tasks);
            bench.serve(&running.handlers);
            running.tasks.service();
        }
        assert_eq!(pool.pages(), 8);
        bench.finish(running);
    }
}

/// A waker that is the last thing to keep something alive.
struct Keeper(#[expect(dead_code, reason = "it is only dropped")] Mutex<Option<Box<dyn Any + Send>>>);

impl Wake for Keeper {
    fn wake(self: Arc<Self>) {}
}

fn keeper(keeps: impl Any + Send) -> Waker {
    Waker::from(Arc::new(Keeper(Mutex::new(Some(Box::new(keeps))))))
}

type Boxed = Pin<Box<dyn Future<Output = Result<Page, Failed<Page>>> + Send>>;

/// A read that was polled with this waker.
fn polled(tasks: &'static Tasks, page: Page, waker: &Waker) -> Boxed {
    let mut future: Boxed = Box::pin(tasks.read(Sector(0), page));
    assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    future
}

/// Whatever drops a waker or a page, in flight or waiting: what it keeps alive may be another request of the same disk, whose end wants the lock. (The lock of this bench does not forgive.)
#[test]
fn nothing_of_the_callers_is_dropped_or_woken_under_the_lock() {
    for (before, way) in [0, PLACES].into_iter().flat_map(|before| (0..7).map(move |way| (before, way))) {
        let bench = TaskBench::new(0, |builder| builder);
        let pool = Pool::new(16, 512);
        let Running { control, tasks, handlers, .. } = bench.start::<16>();
        let tasks: &'static Tasks = Box::leak(Box::new(tasks));
        let noop = Waker::noop();
        let others: Vec<_> = (0..before).map(|_| polled(tasks, pool.take(0), noop)).collect();
        // Another request is kept by the waker of this one, and one by the page that it carries.
        let kept = polled(tasks, pool.take(1), noop);
        let carried = polled(tasks, pool.take(2), noop);
        let mut page = pool.take(3);
        page.luggage = Some(Luggage(Box::new(carried)));
        let mut future = polled(tasks, page, &keeper(kept));

        match way {
            0 => drop(future),
            1 => drop((bench.serve(&handlers), tasks.service(), future)),
            2 => drop((tasks.service(), future.as_mut().poll(&mut Context::from_waker(noop)), future)),
            3 => tasks.end(RequestError::Removed),
            4 => {
                drop(future);
                bench.serve(&handlers);
                tasks.service();
            }
            5 => {
                bench.disk.misbehave(|lies| lies.used_id = Some(0xff));
                bench.serve(&handlers);
                tasks.service();
            }
            _ => {
                drop(future);
                let mut drain = Box::pin(tasks.drain());
                for waker in [keeper(polled(tasks, pool.take(4), noop)), noop.clone()] {
                    assert!(drain.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                }
            }
        }

        drop(others);
        let down = control.take_down(Attempts(10)).unwrap();
        drop(tasks.take_down(&down.reset).unwrap());
        if way != 3 && way != 5 {
            assert_eq!(pool.pages(), 16, "{before} before, way {way}");
            bench.hal.assert_all_returned();
        }
    }
}

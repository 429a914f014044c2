//! A disk that works, and interrupts, at the worst moment of a task's poll: between two accesses of the driver's.
//!
//! Spec: §2.7.7 Used Buffer Notification Suppression. Whenever the disk completes a request its task is woken, and one that is shown and taken back makes no poll longer. Runs with
//! `--cfg virtio_guest_stand_in` (`make test-races`).

#![cfg(virtio_guest_stand_in)]

mod support;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use support::tasks::{Pool, Running, Task, TaskBench, run_woken};
use virtio_guest::device::block::Sector;
use virtio_guest::lifecycle::Interrupt;
use virtio_guest::raw::stand_in::{self, StandIn};

const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
/// At least as many accesses as the first polls of three tasks, and those after them, make.
const ACCESSES: usize = 100;
/// Loads of one poll, at most: it looks at the ring, and once more after it has asked for an interrupt.
const LOADS_MAX: usize = 8;

/// A disk, and what its handlers have.
type Device = Arc<(TaskBench, Vec<Interrupt<'static>>)>;

/// What happens at the driver's accesses to shared memory.
enum Plan {
    Nothing,
    /// Before this access from now on the disk completes a request, and its interrupt arrives.
    ServeBefore(usize, Device),
    /// The same, right after this load from now on.
    ServeAfter(usize, Device),
    /// Every other load of 16 bits says 0, and every other one 1.
    Flicker(usize),
}

thread_local! {
    static PLAN: RefCell<Plan> = const { RefCell::new(Plan::Nothing) };
    static LOADS: Cell<usize> = const { Cell::new(0) };
}

/// The disk completes a request, and its interrupt arrives, if this is the access to do that at.
fn at_access(is_now: impl Fn(&mut Plan) -> bool) -> bool {
    let plan = PLAN.with_borrow_mut(|plan| {
        if is_now(plan) { std::mem::replace(plan, Plan::Nothing) } else { Plan::Nothing }
    });
    let (Plan::ServeBefore(_, device) | Plan::ServeAfter(_, device)) = plan else { return false };
    let (bench, handlers) = &*device;
    bench.disk.release(1);
    bench.serve(handlers);
    true
}

/// Counts down.
fn is_over(left: &mut usize) -> bool {
    let is_over = *left == 0;
    *left = left.saturating_sub(1);
    is_over
}

fn before_access() {
    at_access(|plan| if let Plan::ServeBefore(left, _) = plan { is_over(left) } else { false });
}

struct Planned;

impl StandIn for Planned {
    fn share(&self, _: NonNull<u8>, _: usize) {}

    fn load(&self, place: NonNull<u8>, word: &mut [u8]) -> bool {
        before_access();
        LOADS.set(LOADS.get() + 1);
        // SAFETY: the driver is about to load just this; everything happens in one thread.
        let before = unsafe { std::slice::from_raw_parts(place.as_ptr(), word.len()) }.to_vec();
        if at_access(|plan| if let Plan::ServeAfter(left, _) = plan { is_over(left) } else { false }) {
            word.copy_from_slice(&before);
            return true;
        }
        PLAN.with_borrow_mut(|plan| match plan {
            Plan::Flicker(count) if word.len() == 2 => {
                word.copy_from_slice(&[u8::from(*count % 2 == 1), 0]);
                *count += 1;
                true
            }
            _ => false,
        })
    }

    fn store(&self, _: NonNull<u8>, _: &[u8]) -> bool {
        before_access();
        false
    }

    fn fence(&self, _: Ordering) -> bool {
        false
    }

    fn platform_barrier(&self, _: Ordering) -> bool {
        false
    }
}

/// Three tasks, one of which goes: whenever the disk completes a request, those who wait learn of theirs.
#[test]
fn a_completion_in_the_middle_of_a_poll_is_not_missed() {
    stand_in::install(&Planned);
    for features in [0, EVENT_IDX, RING_PACKED, EVENT_IDX | RING_PACKED] {
        for (access, goes, after) in
            (0..ACCESSES).flat_map(|access| (0..6).map(move |way| (access, way % 3, way > 2)))
        {
            let bench = TaskBench::new(features, |builder| builder);
            let (pool, Running { control: _control, tasks: shared, handlers, .. }) =
                (Pool::new(3, 512), bench.start::<16>());
            bench.disk.hold();
            let device = Arc::new((bench, handlers));
            let (bench, handlers) = &*device;

            let plan = if after { Plan::ServeAfter } else { Plan::ServeBefore };
            PLAN.set(plan(access, Arc::clone(&device)));
            let mut tasks: Vec<_> =
                (0..3).map(|sector| Task::new(shared.read(Sector(sector), pool.take(0xee)))).collect();
            run_woken(&mut tasks);
            tasks[goes].cancel();
            run_woken(&mut tasks);
            for _ in 0..3 {
                bench.disk.release(1);
                bench.serve(handlers);
                run_woken(&mut tasks);
            }
            PLAN.set(Plan::Nothing);

            let asleep = tasks.iter().filter(|task| !task.is_over()).count();
            assert_eq!(asleep, 0, "features {features:#x}, access {access}, {goes} goes: asleep for ever");
            drop(tasks);
            assert_eq!((shared.service(), pool.pages()), (0, 3));
        }
    }
}

/// A used index that is there when the driver asks for an interrupt, and gone when it looks: its task is polled again and again, as it would be by a disk that interrupts without end; each poll is
/// as short as any, and others have their turn.
#[test]
fn a_completion_that_is_taken_back_makes_no_poll_longer() {
    stand_in::install(&Planned);
    let bench = TaskBench::new(0, |builder| builder);
    let pool = Pool::new(1, 512);
    let running = bench.start::<16>();
    let mut tasks = [Task::new(running.tasks.read(Sector(1), pool.take(0xee)))];
    run_woken(&mut tasks);

    PLAN.set(Plan::Flicker(0));
    for _ in 0..100 {
        LOADS.set(0);
        tasks[0].poll();
        assert!(LOADS.get() <= LOADS_MAX && tasks[0].is_woken(), "{} loads", LOADS.get());
    }
    PLAN.set(Plan::Nothing);

    bench.run_to_end(&running.handlers, &mut tasks);
    assert!(tasks.iter().all(|task| task.result.as_ref().unwrap().is_ok()));
    drop(tasks);
    bench.finish(running);
}

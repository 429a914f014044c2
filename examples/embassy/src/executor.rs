//! Embassy's executor on this platform: who polls it, its sleep, its clock.
//!
//! Embassy asks a platform for three things: `__pender`, which is called when a task was woken; a loop that polls; and a time driver. No wake-up is lost: interrupts are taken
//! inside of [`wait`] only, so none comes between the last look at the flag and the sleep.

use alloc::boxed::Box;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;
use core::time::Duration;

use embassy_executor::{Spawner, raw};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use example_platform::{clock, interrupts::wait};
use spin::Mutex;

/// How long a sleep may last in which nothing happens.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Whether a task was woken since tasks were polled.
static WOKEN: AtomicBool = AtomicBool::new(false);

/// Called by the executor, also from interrupt handlers.
#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {
    WOKEN.store(true, Ordering::Release);
}

/// The platform's clock in ticks of a microsecond, and those who wait for some moment of it.
struct Clock {
    timers: Mutex<Queue>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock { timers: Mutex::new(Queue::new()) });

impl Driver for Clock {
    fn now(&self) -> u64 {
        u64::try_from(clock::now().as_micros()).unwrap_or(u64::MAX)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // Nothing to be set: the loop looks for the next moment each time before it sleeps.
        self.timers.lock().schedule_wake(at, waker);
    }
}

/// Runs the tasks that `start` spawns, and those that they spawn, until `is_over` says so.
pub fn run_until(start: impl FnOnce(Spawner), is_over: impl Fn() -> bool) {
    let executor: &'static raw::Executor = Box::leak(Box::new(raw::Executor::new(ptr::null_mut())));
    start(executor.spawner());
    while !is_over() {
        WOKEN.store(false, Ordering::Release);
        // SAFETY: nothing that tasks call polls the executor; only this loop does.
        unsafe { executor.poll() };
        // Wakes those whose moment has come.
        let next = CLOCK.timers.lock().next_expiration(CLOCK.now());
        if !WOKEN.load(Ordering::Acquire) && !is_over() {
            wait(Duration::from_micros(next).min(clock::now() + SLEEP_MAX));
        }
    }
}

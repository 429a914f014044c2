//! An executor: runs tasks on one processor, and sleeps while none can go on.
//!
//! This is all it takes. A task has a flag. Its waker sets it, from an interrupt handler too, and the executor polls those tasks whose flag is set. No wake-up is lost: interrupts are taken inside of
//! [`wait`] only, so none comes between the last look at the flags and the sleep. A kernel that takes interrupts everywhere masks them for that look.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use example_platform::{clock, interrupts::wait};

use crate::timer::Alarm;

/// How long a sleep may last in which nothing happens.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Whether a task can go on.
struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

struct Task<'a, E> {
    future: Pin<Box<dyn Future<Output = Result<(), E>> + 'a>>,
    ready: Arc<Ready>,
    is_background: bool,
}

impl<E> Task<'_, E> {
    /// Goes on with it, if it can.
    fn poll(&mut self) -> Poll<Result<(), E>> {
        if !self.ready.0.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.ready));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// Tasks, each of which ends with success or an error.
pub struct Executor<'a, E> {
    tasks: Vec<Task<'a, E>>,
    alarm: &'a Alarm,
}

impl<'a, E> Executor<'a, E> {
    /// No tasks yet.
    pub fn new(alarm: &'a Alarm) -> Self {
        Self { tasks: Vec::new(), alarm }
    }

    /// Adds a task. Nobody waits for one in the background.
    pub fn spawn(&mut self, is_background: bool, future: impl Future<Output = Result<(), E>> + 'a) {
        let ready = Arc::new(Ready(AtomicBool::new(true)));
        self.tasks.push(Task { future: Box::pin(future), ready, is_background });
    }

    /// Runs tasks until one fails, or those in the background are all that are left.
    pub fn run(&mut self) -> Result<(), E> {
        loop {
            let mut result = Ok(());
            self.tasks.retain_mut(|task| match task.poll() {
                Poll::Ready(ended) => {
                    result = mem::replace(&mut result, Ok(())).and(ended);
                    false
                }
                Poll::Pending => true,
            });
            result?;
            if self.tasks.iter().all(|task| task.is_background) {
                return Ok(());
            }
            if !self.tasks.iter().any(|task| task.ready.0.load(Ordering::Acquire)) {
                wait(self.alarm.next().min(clock::now() + SLEEP_MAX));
            }
            if self.alarm.rings() {
                self.tasks.iter().for_each(|task| task.ready.0.store(true, Ordering::Release));
            }
        }
    }
}

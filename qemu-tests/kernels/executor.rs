//! Tasks on one processor: a small executor.
//!
//! A task's waker sets its flag, from wherever it is called: an interrupt handler, another task. Tasks whose flag is set are polled; when there is none the processor sleeps until an interrupt was
//! handled. Handlers run inside of that sleep and nowhere else, so no flag is set between the look at the flags and the sleep.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use example_platform::{clock, interrupts};

/// How many sleeps of this length may end without a task that was woken: several, for a host that stood still has them end, too, before its devices go on.
const SILENCES_MAX: u32 = 10;
const SILENCE: Duration = Duration::from_secs(1);

/// What the tasks of an executor are: each ends with nothing, or with what went wrong.
type Future<'t> = dyn core::future::Future<Output = Result<(), String>> + 't;

/// Whether a task is to be polled.
struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A task that is not over.
struct Task<'t> {
    name: String,
    future: Pin<Box<Future<'t>>>,
    ready: Arc<Ready>,
    waker: Waker,
}

/// Tasks that run turn by turn.
pub struct Executor<'t> {
    tasks: Vec<Task<'t>>,
}

impl<'t> Executor<'t> {
    /// One without tasks.
    pub const fn new() -> Self {
        Self { tasks: Vec::new() }
    }

    /// Adds a task.
    pub fn spawn(
        &mut self,
        name: String,
        future: impl core::future::Future<Output = Result<(), String>> + 't,
    ) {
        let ready = Arc::new(Ready(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&ready));
        self.tasks.push(Task { name, future: Box::pin(future), ready, waker });
    }

    /// Runs all tasks to their end. Says how often tasks were polled.
    ///
    /// # Errors
    /// What went wrong in a task first; or which tasks wait, if nobody is woken any more.
    pub fn run(mut self) -> Result<u64, String> {
        let (mut polls, mut result) = (0, Ok(()));
        while result.is_ok() && !self.tasks.is_empty() {
            self.sleep()?;
            self.tasks.retain_mut(|task| {
                if !task.ready.0.swap(false, Ordering::Acquire) {
                    return true;
                }
                polls += 1;
                match task.future.as_mut().poll(&mut Context::from_waker(&task.waker)) {
                    Poll::Pending => true,
                    Poll::Ready(Ok(())) => false,
                    Poll::Ready(Err(error)) => {
                        result = Err(alloc::format!("{}: {error}", task.name));
                        false
                    }
                }
            });
        }
        result.map(|()| polls)
    }

    /// Sleeps until a task is ready.
    fn sleep(&self) -> Result<(), String> {
        let mut silences = 0;
        while !self.tasks.iter().any(|task| task.ready.0.load(Ordering::Acquire)) {
            if silences == SILENCES_MAX {
                let waiting: Vec<&str> = self.tasks.iter().map(|task| task.name.as_str()).collect();
                return Err(alloc::format!("wake-up lost; still waiting: {}", waiting.join(", ")));
            }
            let until = clock::now() + SILENCE;
            interrupts::wait(until);
            silences += u32::from(clock::now() >= until);
        }
        Ok(())
    }
}

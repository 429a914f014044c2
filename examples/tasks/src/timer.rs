//! Time-outs: the executor's alarm, and futures that are given up.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use example_platform::clock;

/// The next moment that some task waits for. When it comes all tasks are polled once: those that wait for a later one set it again.
pub struct Alarm(Cell<Duration>);

impl Alarm {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self(Cell::new(Duration::MAX))
    }

    /// When it rings.
    pub fn next(&self) -> Duration {
        self.0.get()
    }

    /// Whether it does, now. It is not set any more then.
    pub fn rings(&self) -> bool {
        let rings = self.next() <= clock::now();
        if rings {
            self.0.set(Duration::MAX);
        }
        rings
    }

    /// Waits for a future for so long. `None`: it took longer, and was dropped.
    pub async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let until = clock::now() + limit;
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if until <= clock::now() => Poll::Ready(None),
            Poll::Pending => {
                self.0.set(self.next().min(until));
                Poll::Pending
            }
        })
        .await
    }
}

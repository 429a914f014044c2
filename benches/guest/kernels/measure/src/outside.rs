//! What happens inside of a counted half, and is not to be counted: the wait of a call that waits.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::ticks::{empty_pair, ticks};

/// Ticks that were not to be counted,
static TICKS: AtomicU64 = AtomicU64::new(0);
/// and how often there were some.
static TIMES: AtomicU64 = AtomicU64::new(0);

/// Does some work that is not counted.
#[inline(never)]
pub fn outside<R>(work: impl FnOnce() -> R) -> R {
    let start = ticks();
    let result = work();
    let end = ticks();
    TICKS.fetch_add(end - start, Ordering::Relaxed);
    TIMES.fetch_add(1, Ordering::Relaxed);
    result
}

/// What was not to be counted, until now.
#[derive(Clone, Copy, Debug)]
pub struct Outside {
    ticks: u64,
    times: u64,
}

impl Outside {
    /// Until now.
    pub fn now() -> Self {
        Self { ticks: TICKS.load(Ordering::Relaxed), times: TIMES.load(Ordering::Relaxed) }
    }

    /// Ticks since `earlier` that are not to be counted, if saying so costs `each` time so many.
    pub fn since(&self, earlier: &Self, each: u64) -> u64 {
        self.ticks - earlier.ticks + (self.times - earlier.times) * each
    }
}

/// What it costs to say that something is not to be counted.
pub fn cost() -> u64 {
    let before = Outside::now();
    let start = ticks();
    outside(|| ());
    let end = ticks();
    end - start - empty_pair() - Outside::now().since(&before, 0)
}

//! Patience by the clock: how long a call to a driver may wait here.

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

use virtio_guest::hal::Patience;

/// As many looks go by before the processor is offered to others between them: a back-end that runs answers sooner.
const SPINS: u32 = 1000;

/// Patience until a time, which does not move.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    end: Instant,
    looks: u32,
}

impl Until {
    /// Until that time.
    pub const fn time(end: Instant) -> Self {
        Self { end, looks: 0 }
    }
}

/// Patience for so long, from now on.
///
/// ```
/// use std::time::Duration;
/// use virtio_guest::hal::Patience;
///
/// let mut patience = virtio_user::within(Duration::from_millis(1));
/// while patience.keep_waiting() {}
/// ```
pub fn within(limit: Duration) -> Until {
    Until::time(deadline(limit))
}

/// When so much time is over, from now on. Who waits longer than a clock can tell waits for a century.
pub(crate) fn deadline(limit: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);
    let now = Instant::now();
    now.checked_add(limit).or_else(|| now.checked_add(CENTURY)).unwrap_or(now)
}

impl Patience for Until {
    fn keep_waiting(&mut self) -> bool {
        if self.looks < SPINS {
            self.looks += 1;
            hint::spin_loop();
        } else {
            thread::yield_now();
        }
        Instant::now() < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_ever_waits_and_does_not_panic() {
        assert!(within(Duration::MAX).keep_waiting());
        assert!(deadline(Duration::MAX) > Instant::now() + Duration::from_secs(1 << 30));
    }
}

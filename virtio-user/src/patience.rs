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
    Until::time(Instant::now() + limit)
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

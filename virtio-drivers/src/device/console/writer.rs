//! Formatted output: `write!` to a port.
//!
//! Spec: §5.3.6 Device Operation.
//!
//! ```no_run
//! # use virtio_guest::hal::{Attempts, Hal};
//! use core::fmt::Write;
//!
//! use virtio_guest::device::console::TransmitQueue;
//!
//! # fn example<H: Hal>(transmit: &mut TransmitQueue<'_, H>) -> core::fmt::Result {
//! write!(transmit.writer(Attempts(1_000_000)), "{} pages are free\r\n", 1024) // and flushed
//! # }
//! ```

use core::fmt;

use super::transmit::TransmitQueue;
use crate::hal::{Hal, Patience};

/// What is written to it goes through a port; made by [`TransmitQueue::writer`]. Dropping it flushes, without waiting.
pub struct Writer<'q, 's, H: Hal, P> {
    queue: &'q mut TransmitQueue<'s, H>,
    patience: P,
}

impl<'q, 's, H: Hal, P: Patience> Writer<'q, 's, H, P> {
    pub(super) const fn new(queue: &'q mut TransmitQueue<'s, H>, patience: P) -> Self {
        Self { queue, patience }
    }
}

impl<H: Hal, P: Patience> fmt::Write for Writer<'_, '_, H, P> {
    /// # Errors
    /// If there was no room in time, or the queue is broken: [`TransmitQueue::broken`] says which.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Self { queue, patience } = self;
        queue.write_all_blocking(text.as_bytes(), || patience.keep_waiting()).map_err(|_| fmt::Error)
    }
}

impl<H: Hal, P> Drop for Writer<'_, '_, H, P> {
    fn drop(&mut self) {
        // A queue that is broken says so itself.
        let _ = self.queue.flush();
    }
}

impl<H: Hal, P> fmt::Debug for Writer<'_, '_, H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("queue", &self.queue).finish_non_exhaustive()
    }
}

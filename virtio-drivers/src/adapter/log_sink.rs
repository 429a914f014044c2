//! A console's port for log messages: `log`'s `Log`.
//!
//! Crate `log` 0.4. A message never waits: what the device has no room for is lost, and counted. A [`Lock`] keeps messages apart that come at once; it must be fit for every place from which something is logged.
//!
//! ```
//! use log::LevelFilter;
//! use virtio_guest::adapter::LogSink;
//! use virtio_guest::device::console::TransmitQueue;
//! use virtio_guest::hal::Hal;
//!
//! /// From here on messages go through this port, for as long as the program lives.
//! # #[allow(dead_code)]
//! fn log_to<H: Hal + Send + 'static>(queue: TransmitQueue<'static, H>) -> Result<(), log::SetLoggerError> {
//!     let sink = Box::new(LogSink::new(spin::Mutex::new(queue), LevelFilter::Info)); // or in a static
//!     log::set_logger(Box::leak(sink))?;
//!     log::set_max_level(LevelFilter::Info);
//!     Ok(())
//! }
//! ```

use core::fmt::{self, Write};

use log::{LevelFilter, Log, Metadata, Record};

use crate::device::console::TransmitQueue;
use crate::hal::{Hal, Lock};
use crate::sync::{AtomicUsize, Ordering};

/// What this crate says of itself begins so.
const OWN: &str = "virtio_guest";

/// Passes messages on to a transmit queue behind a lock. See the module's head.
///
/// What this crate itself logs is left out: it may be about this very queue, and would come while the lock is held. Nor may what a message is made of (its `Display`) log anything.
#[derive(Debug)]
pub struct LogSink<L> {
    queue: L,
    level: LevelFilter,
    lost: AtomicUsize,
}

impl<L> LogSink<L> {
    /// Passes on messages of this level, and of those above it.
    pub const fn new(queue: L, level: LevelFilter) -> Self {
        Self { queue, level, lost: AtomicUsize::new(0) }
    }

    /// Bytes that were lost because the device had all buffers, or the queue was broken.
    pub fn lost_bytes(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// The lock, and what is behind it.
    pub const fn queue(&self) -> &L {
        &self.queue
    }

    /// The same, when nothing is logged any more.
    pub fn into_queue(self) -> L {
        self.queue
    }
}

impl<'s, H: Hal, L: Lock<Inside = TransmitQueue<'s, H>> + Send + Sync> Log for LogSink<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_own = metadata.target().split("::").next() == Some(OWN);
        metadata.level() <= self.level && !is_own
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let lost = self.queue.with(|queue| {
            let mut line = Line { queue, lost: 0 };
            // It loses what does not fit, and never fails itself.
            let _ = write!(line, "[{:<5} {}] {}\r\n", record.level(), record.target(), record.args());
            // A queue that is broken says so itself.
            let _ = line.queue.flush();
            line.lost
        });
        if lost > 0 {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        // Every message was flushed.
    }
}

/// A message on its way: from the first byte on that does not fit all are lost.
struct Line<'q, 's, H: Hal> {
    queue: &'q mut TransmitQueue<'s, H>,
    lost: usize,
}

impl<H: Hal> Write for Line<'_, '_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let written = if self.lost == 0 { self.queue.write(text.as_bytes()).unwrap_or(0) } else { 0 };
        self.lost = self.lost.saturating_add(text.len().saturating_sub(written));
        Ok(())
    }
}

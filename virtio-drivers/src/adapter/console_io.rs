//! A console's port as a stream of bytes: `embedded-io`'s `Read`, `Write`, `ReadReady` and `WriteReady`.
//!
//! Crate `embedded-io` 0.7. Each call waits as long as what `patience` makes for it; a read gives what has come, at least one byte. What is written is gathered, and goes when a buffer is full or at a `flush`, which waits until the device has taken it.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use embedded_io::{Read, Write};
//! use virtio_guest::adapter::console_io::{Reader, Writer};
//! # use virtio_guest::device::console::Console;
//!
//! # fn example(console: &mut Console<'_, impl Transport, impl Hal>) -> Result<(), Box<dyn core::error::Error>> {
//! let within_a_second = || Attempts(1_000_000); // or a deadline
//! let (_, receive, transmit) = console.parts();
//! let (mut input, mut output) = (Reader::new(receive, within_a_second), Writer::new(transmit, within_a_second));
//!
//! output.write_all(b"Four letters, please: ")?;
//! output.flush()?;
//! let mut word = [0; 4];
//! input.read_exact(&mut word)?;
//! # Ok(()) }
//! ```

use core::fmt;

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};

use crate::device::console::{ReceiveQueue, StreamError, TransmitQueue};
use crate::hal::{Hal, Patience};

impl embedded_io::Error for StreamError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Broken(_) => ErrorKind::NotConnected,
        }
    }
}

/// What comes through a port. See the module's head.
pub struct Reader<'q, 's, H: Hal, M> {
    queue: &'q mut ReceiveQueue<'s, H>,
    patience: M,
}

impl<'q, 's, H: Hal, M: Fn() -> W, W: Patience> Reader<'q, 's, H, M> {
    /// Reads from this queue; each call waits as long as what `patience` makes for it.
    pub const fn new(queue: &'q mut ReceiveQueue<'s, H>, patience: M) -> Self {
        Self { queue, patience }
    }
}

impl<H: Hal, M> ErrorType for Reader<'_, '_, H, M> {
    type Error = StreamError;
}

impl<H: Hal, M: Fn() -> W, W: Patience> Read for Reader<'_, '_, H, M> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, StreamError> {
        self.queue.read_blocking(into, (self.patience)())
    }
}

impl<H: Hal, M> ReadReady for Reader<'_, '_, H, M> {
    fn read_ready(&mut self) -> Result<bool, StreamError> {
        Ok(self.queue.is_readable()?)
    }
}

impl<H: Hal, M> fmt::Debug for Reader<'_, '_, H, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What goes through a port. See the module's head. What was not flushed when it is dropped stays with the queue, and goes with its next flush.
pub struct Writer<'q, 's, H: Hal, M> {
    queue: &'q mut TransmitQueue<'s, H>,
    patience: M,
}

impl<'q, 's, H: Hal, M: Fn() -> W, W: Patience> Writer<'q, 's, H, M> {
    /// Writes to this queue; each call waits as long as what `patience` makes for it.
    pub const fn new(queue: &'q mut TransmitQueue<'s, H>, patience: M) -> Self {
        Self { queue, patience }
    }
}

impl<H: Hal, M> ErrorType for Writer<'_, '_, H, M> {
    type Error = StreamError;
}

impl<H: Hal, M: Fn() -> W, W: Patience> Write for Writer<'_, '_, H, M> {
    fn write(&mut self, from: &[u8]) -> Result<usize, StreamError> {
        if !from.is_empty() {
            self.queue.room_blocking((self.patience)())?;
        }
        Ok(self.queue.write(from)?)
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.queue.drain_blocking((self.patience)())
    }
}

impl<H: Hal, M> WriteReady for Writer<'_, '_, H, M> {
    fn write_ready(&mut self) -> Result<bool, StreamError> {
        Ok(self.queue.has_room()?)
    }
}

impl<H: Hal, M> fmt::Debug for Writer<'_, '_, H, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("queue", &self.queue).finish_non_exhaustive()
    }
}

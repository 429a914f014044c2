//! A console's port as a stream of bytes for tasks: `embedded-io-async`'s `Read` and `Write`.
//!
//! Crate `embedded-io-async` 0.7. Each call waits until the queue's interrupt wakes it. Dropping a read loses nothing; dropping a write, neither: nothing of what it was given was taken. What is written is gathered, and goes when a buffer is full or at a
//! `flush`, which waits until the device has taken it.
//!
//! ```no_run
//! # use virtio_guest::hal::Hal;
//! use embedded_io_async::{Read, Write};
//! use virtio_guest::adapter::console_tasks::{Reader, Writer};
//! use virtio_guest::device::console::StreamError;
//!
//! /// Sends back what comes.
//! async fn echo<H: Hal>(mut input: Reader<'_, '_, H>, mut output: Writer<'_, '_, H>) -> Result<(), StreamError> {
//!     let mut bytes = [0; 256];
//!     loop {
//!         let count = input.read(&mut bytes).await?;
//!         output.write_all(&bytes[..count]).await?;
//!         output.flush().await?;
//!     }
//! }
//! ```

use core::fmt;
use core::future::poll_fn;

use embedded_io_async::{ErrorType, Read, ReadReady, Write, WriteReady};

use crate::device::console::{ReceiveQueue, StreamError, TransmitQueue};
use crate::hal::Hal;
use crate::lifecycle::QueueSignal;

/// What comes through a port. See the module's head.
pub struct Reader<'q, 's, H: Hal> {
    queue: &'q mut ReceiveQueue<'s, H>,
    signal: &'q QueueSignal,
}

impl<'q, 's, H: Hal> Reader<'q, 's, H> {
    /// Reads from this queue, whose interrupt gives this signal.
    pub const fn new(queue: &'q mut ReceiveQueue<'s, H>, signal: &'q QueueSignal) -> Self {
        Self { queue, signal }
    }
}

impl<H: Hal> ErrorType for Reader<'_, '_, H> {
    type Error = StreamError;
}

impl<H: Hal> Read for Reader<'_, '_, H> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, StreamError> {
        Ok(self.queue.read_some(into, self.signal).await?)
    }
}

impl<H: Hal> ReadReady for Reader<'_, '_, H> {
    fn read_ready(&mut self) -> Result<bool, StreamError> {
        Ok(self.queue.is_readable()?)
    }
}

impl<H: Hal> fmt::Debug for Reader<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What goes through a port. See the module's head. What was not flushed when it is dropped stays with the queue, and goes with its next flush.
pub struct Writer<'q, 's, H: Hal> {
    queue: &'q mut TransmitQueue<'s, H>,
    signal: &'q QueueSignal,
}

impl<'q, 's, H: Hal> Writer<'q, 's, H> {
    /// Writes to this queue, whose interrupt gives this signal.
    pub const fn new(queue: &'q mut TransmitQueue<'s, H>, signal: &'q QueueSignal) -> Self {
        Self { queue, signal }
    }
}

impl<H: Hal> ErrorType for Writer<'_, '_, H> {
    type Error = StreamError;
}

impl<H: Hal> Write for Writer<'_, '_, H> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, StreamError> {
        if !from.is_empty() {
            poll_fn(|context| self.queue.poll_room(self.signal, context)).await?;
        }
        Ok(self.queue.write(from)?)
    }

    async fn flush(&mut self) -> Result<(), StreamError> {
        Ok(self.queue.drained(self.signal).await?)
    }
}

impl<H: Hal> WriteReady for Writer<'_, '_, H> {
    fn write_ready(&mut self) -> Result<bool, StreamError> {
        Ok(self.queue.has_room()?)
    }
}

impl<H: Hal> fmt::Debug for Writer<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("queue", &self.queue).finish_non_exhaustive()
    }
}

//! A receive queue: what comes through a port, as a stream of bytes.
//!
//! Spec: §5.3.6 Device Operation. Knows no transport and reads no register, so it may be another processor's than the device's [`Control`](super::Control).
//!
//! ```text
//!   queue memory   │ buffer 0 │ buffer 1 │ …        the device fills them, in any order; each goes back to it when its last byte was read
//! ```
//!
//! ```no_run
//! # use virtio_guest::hal::Hal;
//! use virtio_guest::device::console::ReceiveQueue;
//! use virtio_guest::ring::{Broken, Rearmed};
//!
//! /// After an interrupt: takes what has come, until nothing is left and the next interrupt is asked for.
//! fn drain<H: Hal>(queue: &mut ReceiveQueue<'_, H>, mut deliver: impl FnMut(&[u8])) -> Result<(), Broken> {
//!     let mut bytes = [0; 256];
//!     loop {
//!         while let count @ 1.. = queue.read(&mut bytes)? {
//!             deliver(&bytes[..count]);
//!         }
//!         if queue.rearm() == Rearmed::Quiet {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::buffers::Places;
use super::slots::Buffer;
use super::waiting::poll_for;
use crate::hal::Hal;
use crate::lifecycle::QueueSignal;
use crate::raw::{ConfirmedReset, Tag};
use crate::ring::{self, ActivePath, Broken, Chain, QueueStatistics, Rearmed, Used, Virtqueue};

/// The receive queue of a port. `Send`, not `Sync`: one owner at a time, without a lock.
///
/// It outlives its port: after the device has removed it, nothing comes any more but what had come before, and when the device adds the port again it goes on.
///
/// Dropping it leaks its memory, for the device may be using it; [`reclaim`](ReceiveQueue::reclaim) takes it back after a reset.
pub struct ReceiveQueue<'s, H: Hal> {
    pub(super) queue: Virtqueue<'s, H, Buffer>,
    places: Places,
    reading: Option<Reading>,
    empty_buffers: u64,
    /// Whether calls that wait are woken.
    pub(super) notified: bool,
}

/// A buffer that has come and is being read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    buffer: u16,
    /// The next byte,
    at: usize,
    /// and where they end.
    end: usize,
}

impl<'s, H: Hal> ReceiveQueue<'s, H> {
    /// A live queue, whose buffers the device gets.
    pub(super) fn new(mut queue: Virtqueue<'s, H, Buffer>, places: Places, notified: bool) -> Self {
        if !notified {
            queue.suppress_notifications();
        }
        let mut receive = Self { queue, places, reading: None, empty_buffers: 0, notified };
        for buffer in 0..places.count() {
            receive.give(buffer);
        }
        receive.queue.publish();
        receive
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.queue.index()
    }

    /// The port that it belongs to.
    pub const fn port(&self) -> u16 {
        self.index().saturating_sub(2) / 2
    }

    /// Why the queue is out of service, if it is.
    pub const fn broken(&self) -> Option<Broken> {
        self.queue.broken()
    }

    /// Buffers that the device returned with nothing in them. They went back to it.
    pub const fn empty_buffers(&self) -> u64 {
        self.empty_buffers
    }

    /// What the ring has done since the device was started.
    pub fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
    }

    /// Which of the ring's features are in use.
    pub fn active_path(&self) -> ActivePath {
        self.queue.active_path()
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.queue.size()
    }

    /// Takes bytes that have come, as many as there are and `into` has room for, and says how many: 0, if there are none.
    ///
    /// Work: bounded by the length of `into` and the number of buffers; never waits, notifies at most once.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. What had come before was read.
    ///
    /// Spec: §5.3.6 Device Operation.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        let mut count = 0;
        let mut outcome = Ok(());
        while let Some(rest) = into.get_mut(count..).filter(|rest| !rest.is_empty()) {
            match self.next() {
                Ok(Some(reading)) => count += self.take_from(reading, rest),
                Ok(None) => break,
                Err(broken) => {
                    outcome = Err(broken);
                    break;
                }
            }
        }
        self.queue.publish();
        // It is told of when there is nothing else to tell.
        if count > 0 { Ok(count) } else { outcome.map(|()| 0) }
    }

    /// Whether there are bytes to read.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`read`](ReceiveQueue::read).
    pub fn is_readable(&mut self) -> Result<bool, Broken> {
        Ok(self.look()?.is_some())
    }

    /// Copies what fits. A buffer that is read to its end goes back to the device.
    fn take_from(&mut self, reading: Reading, into: &mut [u8]) -> usize {
        let Reading { buffer, at, end } = reading;
        let count = end.saturating_sub(at).min(into.len());
        let into = into.get_mut(..count).unwrap_or_default();
        // All of it is in the buffer: the ring has judged how many bytes were written.
        let _ = self.queue.read_memory(self.places.offset(buffer, at), into);
        let at = at.saturating_add(count);
        self.reading = (at < end).then_some(Reading { at, ..reading });
        if self.reading.is_none() {
            self.give(buffer);
        }
        count
    }

    /// The buffer to read from, if one has come that is not empty.
    ///
    /// What goes back to the device is shown to it only later, so it has no more to return than it was shown before.
    fn next(&mut self) -> Result<Option<Reading>, Broken> {
        while self.reading.is_none() {
            let Some(Used { payload: Tag(buffer), written_len }) = self.queue.take_used()? else { break };
            if written_len == 0 {
                self.empty_buffers = self.empty_buffers.wrapping_add(1);
                self.give(buffer);
            } else {
                let end = usize::try_from(written_len).unwrap_or(usize::MAX).min(self.places.bytes());
                self.reading = Some(Reading { buffer, at: 0, end });
            }
        }
        Ok(self.reading)
    }

    /// Makes a buffer available, to be shown with the next publish.
    fn give(&mut self, buffer: u16) {
        let chain = Chain { readable: &[], writable: &[self.places.whole(buffer)] };
        // There is a descriptor for each buffer; only a queue that is out of service refuses it, and then it is of no use.
        let _ = self.queue.make_available(chain, Tag(buffer));
    }

    /// Whether there is something to read, or nothing will come any more.
    pub(super) fn look(&mut self) -> Result<Option<()>, Broken> {
        let next = self.next();
        self.queue.publish();
        next.map(|reading| reading.map(|_| ()))
    }

    /// Asks for an interrupt when bytes come, and looks once more: what has come already brings none.
    pub fn rearm(&mut self) -> Rearmed {
        if self.reading.is_some() { Rearmed::MoreWaiting } else { self.queue.rearm() }
    }

    /// Tells the device that interrupts are not needed. A hint; some may still come.
    pub fn suppress_notifications(&mut self) {
        self.queue.suppress_notifications();
    }

    /// Waits until there are bytes, and takes as many as there are and `into` has room for: at least one, unless `into` is empty.
    ///
    /// *Cancellation*: nothing is lost; the next call gives the bytes.
    /// *Wakes*: by the queue's interrupt ([`Interrupts::queue_signal`](crate::lifecycle::Interrupts::queue_signal)).
    ///
    /// # Errors
    /// - [`Broken`]: as for [`read`](ReceiveQueue::read).
    ///
    /// ```
    /// # use virtio_guest::{hal::Hal, lifecycle::QueueSignal};
    /// use virtio_guest::device::console::{ReceiveQueue, TransmitQueue};
    ///
    /// /// Sends back what comes.
    /// # #[allow(dead_code)]
    /// async fn echo<H: Hal>(
    ///     receive: (&mut ReceiveQueue<'_, H>, &QueueSignal), transmit: (&mut TransmitQueue<'_, H>, &QueueSignal),
    /// ) -> Result<(), Box<dyn core::error::Error>> {
    ///     let mut bytes = [0; 256];
    ///     loop {
    ///         let count = receive.0.read_some(&mut bytes, receive.1).await?;
    ///         transmit.0.write_all(&bytes[..count], transmit.1).await?;
    ///         transmit.0.flush()?;
    ///     }
    /// }
    /// ```
    pub async fn read_some(&mut self, into: &mut [u8], signal: &QueueSignal) -> Result<usize, Broken> {
        if into.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| self.poll_readable(signal, context)).await?;
        self.read(into)
    }

    /// For executors of other kinds: there is something to read, or whoever polls is woken.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`read`](ReceiveQueue::read).
    pub fn poll_readable(&mut self, signal: &QueueSignal, context: &Context<'_>) -> Poll<Result<(), Broken>> {
        poll_for(self, [Some(signal), None], context, Self::look, Self::rearm)
    }

    /// Takes the queue out of service after a confirmed reset of its device: its memory is freed, and what was not read is lost. What comes out is the storage that was lent.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<ring::Slots<'s, Buffer>, Self> {
        match self.queue.reclaim(reset) {
            Ok(returned) => Ok(returned.into_slots()),
            Err(queue) => Err(Self { queue, ..self }),
        }
    }
}

impl<H: Hal> fmt::Debug for ReceiveQueue<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveQueue").field("index", &self.queue.index()).finish_non_exhaustive()
    }
}

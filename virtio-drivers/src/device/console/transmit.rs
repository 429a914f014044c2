//! A transmit queue: a stream of bytes that goes through a port, gathered in buffers.
//!
//! Spec: §5.3.6 Device Operation. Knows no transport and reads no register, so it may be another processor's than the device's [`Control`](super::Control).
//!
//! ```text
//!   queue memory   │ buffer 0 │ buffer 1 │ …        one is being filled; a full one goes to the device, and one that is not full at a flush
//! ```
//!
//! So a character never costs a descriptor of its own. When the device has all buffers nothing fits any more, which is told, not waited for:
//!
//! ```no_run
//! # use virtio_guest::hal::Hal;
//! use virtio_guest::device::console::TransmitQueue;
//! use virtio_guest::ring::Broken;
//!
//! /// Sends what fits, and says what is left: for later.
//! fn send<'b, H: Hal>(queue: &mut TransmitQueue<'_, H>, bytes: &'b [u8]) -> Result<&'b [u8], Broken> {
//!     let count = queue.write(bytes)?;
//!     queue.flush()?;
//!     Ok(&bytes[count..])
//! }
//! ```

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::buffers::{FreeBuffers, Places};
use super::slots::Buffer;
use super::waiting::poll_for;
use crate::hal::Hal;
use crate::lifecycle::QueueSignal;
use crate::raw::{ConfirmedReset, Tag};
use crate::ring::{self, ActivePath, Broken, Chain, QueueStatistics, Rearmed, Virtqueue};

/// The transmit queue of a port. `Send`, not `Sync`: one owner at a time, without a lock.
///
/// It outlives its port: what is transmitted after the device has removed it is lost, or stays with the device until nothing fits any more, as the device likes it. When the device adds the port again it goes on.
///
/// Dropping it leaks its memory, for the device may be using it, and what was not flushed is lost; [`reclaim`](TransmitQueue::reclaim) takes the memory back after a reset.
pub struct TransmitQueue<'s, H: Hal> {
    pub(super) queue: Virtqueue<'s, H, Buffer>,
    places: Places,
    free: FreeBuffers,
    filling: Option<Filling>,
    /// Whether calls that wait are woken.
    pub(super) notified: bool,
}

/// A buffer that has bytes, and room for more.
#[derive(Clone, Copy, Debug)]
struct Filling {
    buffer: u16,
    bytes: usize,
}

impl<'s, H: Hal> TransmitQueue<'s, H> {
    /// A live queue, which interrupts only when somebody waits for it.
    pub(super) fn new(mut queue: Virtqueue<'s, H, Buffer>, places: Places, notified: bool) -> Self {
        queue.suppress_notifications();
        Self { queue, places, free: FreeBuffers::all(places.count()), filling: None, notified }
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.queue.index()
    }

    /// The port that it belongs to.
    pub const fn port(&self) -> u16 {
        self.index().saturating_sub(3) / 2
    }

    /// Why the queue is out of service, if it is.
    pub const fn broken(&self) -> Option<Broken> {
        self.queue.broken()
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

    /// Buffers that the device has, as far as was looked.
    pub fn in_flight(&self) -> u16 {
        self.queue.in_flight()
    }

    /// Bytes that wait for a flush, or for a full buffer.
    pub fn unflushed(&self) -> usize {
        self.filling.map_or(0, |filling| filling.bytes)
    }

    /// Copies bytes into buffers, as many as there is room for, and says how many: 0, if the device has all buffers. Full buffers go to the device, with one notification at most.
    ///
    /// Work: bounded by the length of `from` and the number of buffers; never waits.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Nothing goes before a reset.
    ///
    /// Spec: §5.3.6 Device Operation.
    pub fn write(&mut self, from: &[u8]) -> Result<usize, Broken> {
        if let Some(broken) = self.queue.broken() {
            return Err(broken);
        }
        let mut rest = from;
        while !rest.is_empty() {
            let Some(mut filling) = self.filling.take().or_else(|| self.empty_buffer()) else { break };
            let room = self.places.bytes().saturating_sub(filling.bytes);
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            // There is room for it.
            let _ = self.queue.write_memory(self.places.offset(filling.buffer, filling.bytes), now);
            (filling.bytes, rest) = (filling.bytes.saturating_add(now.len()), later);
            if filling.bytes < self.places.bytes() {
                self.filling = Some(filling);
            } else {
                self.send(filling);
            }
        }
        self.queue.publish();
        let count = from.len().saturating_sub(rest.len());
        match self.queue.broken() {
            // It is told of when there is nothing else to tell.
            Some(broken) if count == 0 => Err(broken),
            _ => Ok(count),
        }
    }

    /// Hands the device what was written and is not with it yet. Never waits: there is a descriptor for each buffer.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`write`](TransmitQueue::write).
    pub fn flush(&mut self) -> Result<(), Broken> {
        if let Some(broken) = self.queue.broken() {
            return Err(broken);
        }
        if let Some(filling) = self.filling.take() {
            self.send(filling);
            self.queue.publish();
        }
        Ok(())
    }

    /// Makes a buffer available, to be shown with the next publish.
    fn send(&mut self, Filling { buffer, bytes }: Filling) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let chain = Chain { readable: &[self.places.portion(buffer, bytes)], writable: &[] };
        // There is a descriptor for each buffer, and the queue is in service.
        let _ = self.queue.make_available(chain, Tag(buffer));
    }

    /// A buffer that the device does not have.
    fn empty_buffer(&mut self) -> Option<Filling> {
        if self.free.is_empty() {
            // If the queue breaks here, its calls say so.
            let _ = self.reap();
        }
        Some(Filling { buffer: self.free.take()?, bytes: 0 })
    }

    /// Takes back the buffers that the device has sent, and says how many. Done anyway, whenever all are with the device.
    ///
    /// How many bytes the device claims to have written means nothing here.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`write`](TransmitQueue::write).
    ///
    /// Spec: §5.3.6.3 Legacy Interface: Device Operation (used lengths).
    pub fn reap(&mut self) -> Result<usize, Broken> {
        let Self { queue, free, .. } = self;
        queue.take_used_burst(queue.size().into(), |used| {
            let Tag(buffer) = used.payload;
            free.put(buffer);
        })
    }

    /// Whether a byte fits.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`write`](TransmitQueue::write).
    pub fn has_room(&mut self) -> Result<bool, Broken> {
        Ok(self.look_for_room()?.is_some())
    }

    /// Whether a byte fits; then no interrupt is needed.
    pub(super) fn look_for_room(&mut self) -> Result<Option<()>, Broken> {
        if let Some(broken) = self.queue.broken() {
            return Err(broken);
        }
        if self.filling.is_none() && self.free.is_empty() {
            self.reap()?;
        }
        let has_room = self.filling.is_some() || !self.free.is_empty();
        Ok(has_room.then(|| self.queue.suppress_notifications()))
    }

    /// Asks for an interrupt when a quarter of the buffers was sent.
    pub(super) fn rearm_for_room(&mut self) -> Rearmed {
        self.queue.rearm_delayed(self.places.count() / 4)
    }

    /// Whether the device has sent everything that it got.
    pub(super) fn look_whether_drained(&mut self) -> Result<Option<()>, Broken> {
        self.reap()?;
        Ok((self.queue.in_flight() == 0).then(|| self.queue.suppress_notifications()))
    }

    /// Asks for an interrupt when the last buffer was sent.
    pub(super) fn rearm_for_the_last(&mut self) -> Rearmed {
        self.queue.rearm_delayed(self.queue.in_flight())
    }

    /// Asks for an interrupt when a buffer was sent, and looks once more: those that were sent already bring none.
    pub fn rearm(&mut self) -> Rearmed {
        self.queue.rearm()
    }

    /// Tells the device that interrupts are not needed, as it was told at the start. A hint; some may still come.
    pub fn suppress_notifications(&mut self) {
        self.queue.suppress_notifications();
    }

    /// Writes all of it, and waits for room where there is need. What does not fill a buffer goes with the next [`flush`](TransmitQueue::flush).
    ///
    /// *Cancellation*: some of the bytes may have been written, which nobody is told: who has to know uses [`poll_room`](TransmitQueue::poll_room) and [`write`](TransmitQueue::write).
    /// *Wakes*: by the queue's interrupt, when a quarter of the buffers was sent.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`write`](TransmitQueue::write).
    pub async fn write_all(&mut self, from: &[u8], signal: &QueueSignal) -> Result<(), Broken> {
        let mut rest = from;
        loop {
            rest = rest.get(self.write(rest)?..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            poll_fn(|context| self.poll_room(signal, context)).await?;
        }
    }

    /// For executors of other kinds: there is room for a byte, or whoever polls is woken.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`write`](TransmitQueue::write).
    pub fn poll_room(&mut self, signal: &QueueSignal, context: &Context<'_>) -> Poll<Result<(), Broken>> {
        poll_for(self, [Some(signal), None], context, Self::look_for_room, Self::rearm_for_room)
    }

    /// Flushes, and waits until the device has taken everything.
    ///
    /// *Cancellation*: nothing is lost.
    /// *Wakes*: by the queue's interrupt, when the last buffer was sent.
    ///
    /// # Errors
    /// - [`Broken`]: as for [`write`](TransmitQueue::write).
    pub async fn drained(&mut self, signal: &QueueSignal) -> Result<(), Broken> {
        self.flush()?;
        poll_fn(|context| {
            let signals = [Some(signal), None];
            poll_for(self, signals, context, Self::look_whether_drained, Self::rearm_for_the_last)
        })
        .await
    }

    /// Takes the queue out of service after a confirmed reset of its device: its memory is freed. What comes out is the storage that was lent.
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

impl<H: Hal> fmt::Debug for TransmitQueue<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransmitQueue").field("index", &self.queue.index()).finish_non_exhaustive()
    }
}

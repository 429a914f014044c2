//! Requests for random bytes: one at a time, into the queue's own memory.
//!
//! Spec: §5.4.6 Device Operation.
//!
//! ```text
//!   nothing ── ask ──▶ with the device ── used ──▶ unread bytes ── handed out, and wiped ──▶ nothing
//!    (all zeros)                                   (as many as the device wrote)
//! ```

use core::fmt;
use core::mem;
use core::ops::Range;
use core::task::{Context, Poll};

use super::start::Slots;
use crate::hal::{Hal, Patience};
use crate::lifecycle::QueueSignal;
use crate::raw::{ConfirmedReset, OutOfBounds, Tag};
use crate::ring::{Broken, Chain, Portion, QueueStatistics, Rearmed, Virtqueue};

/// How often a task looks at once for more, where the device answers and has written nothing.
const LOOKS: u32 = 16;

/// Zeros, a few at a time.
const ZEROS: [u8; 64] = [0; 64];

/// Why there are no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntropyError {
    /// The device did not give any, or not as many, in time. What it still gives is for the next call.
    #[error("the device did not give random bytes in time")]
    TimedOut,
    /// The device broke the protocol, now or earlier: only another bring-up helps.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// The queue of a live device, and what is in its memory.
pub(super) struct Requests<'s, H: Hal> {
    queue: Virtqueue<'s, H, Tag<()>>,
    /// Bytes of its memory.
    bytes: u32,
    /// Where the bytes are that the device wrote, and that nobody has got.
    unread: Range<usize>,
    /// Whether what the device has still to write is nobody's.
    is_forgotten: bool,
    /// Whether calls that wait are woken.
    notified: bool,
}

impl<'s, H: Hal> Requests<'s, H> {
    /// Through a queue that has so many bytes of memory.
    pub(super) fn new(mut queue: Virtqueue<'s, H, Tag<()>>, bytes: u32, notified: bool) -> Self {
        if !notified {
            queue.suppress_notifications();
        }
        Self { queue, bytes, unread: 0..0, is_forgotten: false, notified }
    }

    /// What the queue has done.
    pub(super) fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
    }

    /// Why the queue is out of service, if it is.
    pub(super) const fn broken(&self) -> Option<Broken> {
        self.queue.broken()
    }

    /// Takes the queue out of service while the reset of its device is under way.
    pub(super) const fn retire(&mut self) {
        self.queue.retire();
    }

    /// The storage, after the reset of the device; nothing random is left in the memory that is freed.
    pub(super) fn reclaim(mut self, reset: &ConfirmedReset) -> Option<Slots<'s>> {
        let all = 0..usize::try_from(self.bytes).unwrap_or_default();
        // If it is not all there, there is nothing to wipe.
        let _ = self.wipe(all);
        let returned = self.queue.reclaim(reset).ok()?;
        Some(Slots(returned.into_slots()))
    }

    /// Copies what is there, and asks for as many bytes if nothing is there. Never waits.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.unread.is_empty()
            && let Some(used) = self.queue.take_used()?
        {
            let written = 0..usize::try_from(used.written_len).unwrap_or_default();
            self.unread = if mem::take(&mut self.is_forgotten) { 0..0 } else { written };
        }
        let copied = self.hand_out(into);
        if copied == 0 && self.queue.in_flight() == 0 {
            self.ask(into.len())?;
        }
        Ok(copied)
    }

    /// The same, until there is a byte.
    pub(super) fn read_blocking(
        &mut self,
        into: &mut [u8],
        patience: &mut dyn Patience,
    ) -> Result<usize, EntropyError> {
        let (mut looked_again, mut out_of_patience) = (false, false);
        loop {
            let copied = self.read(into)?;
            if copied > 0 || into.is_empty() {
                return Ok(copied);
            }
            // After the last wait there is one more look: a sleep may have ended with what was waited for.
            if out_of_patience {
                return Err(EntropyError::TimedOut);
            }
            if self.notified && !looked_again && self.queue.rearm() == Rearmed::MoreWaiting {
                looked_again = true;
            } else {
                (out_of_patience, looked_again) = (!patience.keep_waiting(), false);
            }
        }
    }

    /// The same, for tasks: bytes, or whoever polls is woken.
    pub(super) fn poll_read(
        &mut self,
        into: &mut [u8],
        signal: &QueueSignal,
        context: &Context<'_>,
    ) -> Poll<Result<usize, Broken>> {
        for _ in 0..LOOKS {
            let copied = self.read(into)?;
            if copied > 0 || into.is_empty() {
                return Poll::Ready(Ok(copied));
            }
            // Before the last look, so that nothing comes in between unnoticed.
            drop(signal.replace(Some(context.waker())));
            if self.queue.rearm() == Rearmed::Quiet {
                return Poll::Pending;
            }
        }
        // There is always an answer, and never a byte in it: others are to have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Wipes what is there, and what is still to come.
    pub(super) fn forget(&mut self) {
        let unread = mem::take(&mut self.unread);
        // What is not there need not be wiped.
        let _ = self.wipe(unread);
        self.is_forgotten = self.queue.in_flight() > 0;
    }

    /// Copies unread bytes out, and wipes them.
    fn hand_out(&mut self, into: &mut [u8]) -> usize {
        let count = self.unread.len().min(into.len());
        let taken = self.unread.start..self.unread.start.saturating_add(count);
        let Some(into) = into.get_mut(..count) else { return 0 };
        let copied = self.queue.read_memory(taken.start, into);
        if copied.and_then(|()| self.wipe(taken.clone())).is_err() {
            // There is no such memory, so nothing came.
            self.unread = 0..0;
            return 0;
        }
        self.unread.start = taken.end;
        count
    }

    /// Has the device write so many bytes, or as many as there is memory for. What is there until it has, is zeros.
    ///
    /// Spec: §5.4.6.1 — no device-readable buffers.
    fn ask(&mut self, wanted: usize) -> Result<(), Broken> {
        let len = u32::try_from(wanted).unwrap_or(u32::MAX).min(self.bytes);
        self.unread = 0..0;
        // If it is not all there, the chain is refused.
        let _ = self.wipe(0..usize::try_from(len).unwrap_or_default());
        let chain = Chain { readable: &[], writable: &[Portion { offset: 0, len }] };
        let made_available = self.queue.make_available(chain, Tag(()));
        if made_available.is_ok() {
            self.queue.publish();
        }
        self.queue.broken().map_or(Ok(()), Err)
    }

    /// Overwrites a part of the memory with zeros.
    fn wipe(&mut self, range: Range<usize>) -> Result<(), OutOfBounds> {
        for offset in range.clone().step_by(ZEROS.len()) {
            let zeros = ZEROS.get(..range.end.saturating_sub(offset)).unwrap_or(&ZEROS);
            self.queue.write_memory(offset, zeros)?;
        }
        Ok(())
    }
}

impl<H: Hal> fmt::Debug for Requests<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("unread", &self.unread.len()).finish_non_exhaustive()
    }
}

//! How chains come back: what the device says of them is judged by the books, and nothing is handed out that they do not know.
//!
//! Spec: §2.7.14 and §2.8.22 Receiving Used Buffers From The Device, §2.7.9 and §2.8.8 (in-order use).

use super::books::{Books, Progress, in_flight};
use super::broken::Broken;
use super::in_order::Batches;
use super::layout::Ring;
use super::queue::Virtqueue;
use super::slots::{Record, Slot};
use super::used::{UsedElement, UsedPlaces};
use crate::hal::Hal;
use crate::raw::Payload;

/// A chain that the device is done with.
#[derive(Debug, PartialEq, Eq)]
pub struct Used<T> {
    /// What was handed in with the chain.
    pub payload: T,
    /// Bytes that the device wrote, from the first device-writable byte on, as the device says: at most what the chain had. 0 for a chain without writable
    /// bytes. In a packed queue a device may leave it open (no WRITE flag), and QEMU always does; then what is in the descriptor counts if it is possible, else 0.
    /// So it is with legacy devices, many of which say anything at all: who can do without it does.
    pub written_len: u32,
}

impl<H: Hal, T: Payload> Virtqueue<'_, H, T> {
    /// Takes back the next chain that the device has used, if there is one.
    ///
    /// Ownership: the payload is the caller's again, and the device no longer uses its buffers.
    /// Work: bounded; never waits. Does not ask for notifications again if they are suppressed.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Nothing comes back before a reset.
    ///
    /// Spec: §2.7.14, §2.8.22 Receiving Used Buffers From The Device.
    #[inline(always)]
    pub fn take_used(&mut self) -> Result<Option<Used<T>>, Broken> {
        let Self { memory, books: Books { slots, progress }, service, in_order, .. } = self;
        if let Some(broken) = service.broken {
            return Err(broken);
        }
        let slots = slots.as_mut_slice();
        let taken = match (&memory.ring, in_order) {
            (Ring::Split(ring), None) => Taking::of(ring.used(), slots, progress).one(),
            (Ring::Packed(ring), None) => Taking::of(ring.used(), slots, progress).one(),
            (Ring::Split(ring), Some(in_order)) => {
                Batches::of(Taking::of(ring.used(), slots, progress), in_order).one()
            }
            (Ring::Packed(ring), Some(in_order)) => {
                Batches::of(Taking::of(ring.used(), slots, progress), in_order).one()
            }
        };
        taken.inspect_err(|why| self.out_of_service(*why))
    }

    /// Takes back up to `limit` chains that the device has used, and says how many there were.
    ///
    /// Ownership: as for [`take_used`](Virtqueue::take_used); a panic in `take` loses the chain that it was called with, and no other.
    /// Work: bounded by `limit`, and by the chains in flight; never waits.
    ///
    /// # Errors
    /// - [`Broken`], as for [`take_used`](Virtqueue::take_used); chains before the one that broke the queue have been handed to `take`.
    #[inline(always)]
    pub fn take_used_burst(&mut self, limit: usize, take: impl FnMut(Used<T>)) -> Result<usize, Broken> {
        let Self { memory, books: Books { slots, progress }, service, in_order, .. } = self;
        if let Some(broken) = service.broken {
            return Err(broken);
        }
        let slots = slots.as_mut_slice();
        let taken = match (&memory.ring, in_order) {
            (Ring::Split(ring), None) => Taking::of(ring.used(), slots, progress).burst(limit, take),
            (Ring::Packed(ring), None) => Taking::of(ring.used(), slots, progress).burst(limit, take),
            (Ring::Split(ring), Some(in_order)) => {
                Batches::of(Taking::of(ring.used(), slots, progress), in_order).burst(limit, take)
            }
            (Ring::Packed(ring), Some(in_order)) => {
                Batches::of(Taking::of(ring.used(), slots, progress), in_order).burst(limit, take)
            }
        };
        taken.inspect_err(|why| self.out_of_service(*why))
    }
}

/// Chains on their way back to their owner, one after the other.
pub(super) struct Taking<'q, T, U> {
    pub(super) used: U,
    pub(super) slots: &'q mut [Slot<T>],
    pub(super) progress: Progress,
    /// The queue's own, to which `progress` is written back.
    kept: &'q mut Progress,
}

impl<'q, T, U: UsedPlaces> Taking<'q, T, U> {
    #[inline(always)]
    const fn of(used: U, slots: &'q mut [Slot<T>], kept: &'q mut Progress) -> Self {
        Self { used, slots, progress: *kept, kept }
    }

    /// Up to `limit` chains that the device names, one by one; says how many there were.
    #[inline(always)]
    fn burst(mut self, limit: usize, mut take: impl FnMut(Used<T>)) -> Result<usize, Broken> {
        let mut left = limit;
        while left > 0 {
            let vouched_for = usize::from(self.used.vouched_for(&self.progress)?).min(left);
            if vouched_for == 0 {
                break;
            }
            for _ in 0..vouched_for {
                self.next(&mut take)?;
            }
            left -= vouched_for;
        }
        Ok(limit - left)
    }

    /// The next chain that the device names, if it names one.
    #[inline(always)]
    fn one(mut self) -> Result<Option<Used<T>>, Broken> {
        if self.used.vouched_for(&self.progress)? == 0 {
            return Ok(None);
        }
        let mut one = None;
        self.next(&mut |used| one = Some(used))?;
        Ok(one)
    }

    /// The chain that the next element names, for which the device vouches.
    #[inline(always)]
    fn next(&mut self, take: &mut impl FnMut(Used<T>)) -> Result<(), Broken> {
        let element = self.used.element(self.progress.taken);
        let &Record { writable_bytes, descriptors, .. } = self.known(&element)?;
        let written_len = judge_length(&element, writable_bytes)?;
        self.used.advance(descriptors);
        let Some(payload) = self.progress.end_chain(self.slots, element.id) else {
            return Err(Broken::UnknownChain { id: element.id });
        };
        take(Used { payload, written_len });
        Ok(())
    }

    /// The chain that a used element names, if it is one that the device holds.
    #[inline(always)]
    pub(super) fn known(&self, element: &UsedElement) -> Result<&Record, Broken> {
        let chain = in_flight(self.slots, element.id).filter(|chain| self.progress.is_published(chain));
        chain.ok_or(Broken::UnknownChain { id: element.id })
    }
}

impl<T, U> Drop for Taking<'_, T, U> {
    /// Writes back what has changed.
    #[inline(always)]
    fn drop(&mut self) {
        let Progress { first_free, free, taken, .. } = self.progress;
        *self.kept = Progress { first_free, free, taken, ..*self.kept };
    }
}

/// How many bytes count as written, of a chain that has `writable_bytes`.
///
/// Devices exist that claim a length for chains that they cannot write to: it means nothing. Others leave out the flag that makes a packed descriptor's length mean
/// something, though it does, or are of before version 1, when nobody looked; then a length that is possible counts, and any other is the garbage that the specification
/// allows.
#[inline(always)]
pub(super) fn judge_length(element: &UsedElement, writable_bytes: u32) -> Result<u32, Broken> {
    let &UsedElement { id, written_len, length_is_vouched_for } = element;
    if written_len <= writable_bytes {
        Ok(written_len)
    } else if writable_bytes > 0 && length_is_vouched_for {
        Err(Broken::WrittenTooMuch { id, written_len, writable_bytes })
    } else {
        Ok(0)
    }
}

//! How chains come back: what the device says of them is judged by the books, and nothing is handed out that they do not know.
//!
//! Spec: §2.7.14 and §2.8.22 Receiving Used Buffers From The Device, §2.7.9 and §2.8.8 (in-order use).

use core::mem::ManuallyDrop;

use super::books::{Books, Progress, in_flight, index};
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
        self.take_used_into(limit, &mut Each(take))
    }

    /// The same, for whoever is called often enough to be a part of the loop.
    #[inline(always)]
    pub(crate) fn take_used_into(
        &mut self,
        limit: usize,
        sink: &mut impl UsedSink<T>,
    ) -> Result<usize, Broken> {
        let Self { memory, books: Books { slots, progress }, service, in_order, .. } = self;
        if let Some(broken) = service.broken {
            return Err(broken);
        }
        let slots = slots.as_mut_slice();
        let taken = match (&memory.ring, in_order) {
            (Ring::Split(ring), None) => Taking::of(ring.used(), slots, progress).burst(limit, sink),
            (Ring::Packed(ring), None) => Taking::of(ring.used(), slots, progress).burst(limit, sink),
            (Ring::Split(ring), Some(in_order)) => {
                Batches::of(Taking::of(ring.used(), slots, progress), in_order).burst(limit, sink)
            }
            (Ring::Packed(ring), Some(in_order)) => {
                Batches::of(Taking::of(ring.used(), slots, progress), in_order).burst(limit, sink)
            }
        };
        taken.inspect_err(|why| self.out_of_service(*why))
    }
}

/// Who takes chains that come back.
pub(crate) trait UsedSink<T> {
    /// The next one, which is of one descriptor.
    fn take(&mut self, used: Used<T>);

    /// The next one, whatever it is: the same, in the rare cases, whose code is not among that of the others.
    fn take_unusual(&mut self, used: Used<T>);
}

/// Whoever is called for each.
struct Each<F>(F);

impl<T, F: FnMut(Used<T>)> UsedSink<T> for Each<F> {
    #[inline(always)]
    fn take(&mut self, used: Used<T>) {
        (self.0)(used);
    }

    #[inline(always)]
    fn take_unusual(&mut self, used: Used<T>) {
        (self.0)(used);
    }
}

/// Chains on their way back to their owner, one after the other.
pub(super) struct Taking<'q, T, U> {
    pub(super) used: U,
    pub(super) slots: &'q mut [Slot<T>],
    pub(super) progress: Progress,
    /// The first entry of the free list: here and not in `progress`, so that it is in a register by itself.
    first_free: u16,
    /// How many descriptors a chain has that needs no second look: one, or none, which no chain has, while there are chains that the device was not shown.
    usual: u16,
    /// How many chains were taken back of which all descriptors are counted as free. Those after them had one each.
    pub(super) counted: usize,
    /// The queue's own, to which `progress` is written back.
    kept: &'q mut Progress,
}

impl<'q, T, U: UsedPlaces> Taking<'q, T, U> {
    #[inline(always)]
    const fn of(used: U, slots: &'q mut [Slot<T>], kept: &'q mut Progress) -> Self {
        let usual = if kept.unpublished() == 0 { 1 } else { 0 };
        let progress = *kept;
        let Progress { first_free, taken, .. } = progress;
        Self { used, slots, progress, first_free, usual, counted: taken, kept }
    }

    /// Up to `limit` chains that the device names, one by one; says how many there were.
    #[inline(always)]
    fn burst(mut self, limit: usize, sink: &mut impl UsedSink<T>) -> Result<usize, Broken> {
        let until = self.progress.taken.wrapping_add(limit);
        while self.progress.taken != until {
            let vouched_for = self.used.vouched_for(&self.progress)?;
            if vouched_for == 0 {
                break;
            }
            let left = until.wrapping_sub(self.progress.taken);
            // Said so, that there is one loop where one would do.
            let count = if U::ONE_BY_ONE { 1 } else { left.min(vouched_for.into()) };
            let end = self.progress.taken.wrapping_add(count);
            while self.progress.taken != end {
                let (id, written_len) = self.used.id_and_length(self.progress.taken);
                match self.end_usual(id, written_len) {
                    Some(payload) => sink.take(Used { payload, written_len }),
                    None => sink.take_unusual(self.end_any(id, written_len)?),
                }
                if U::ONE_BY_ONE {
                    break;
                }
            }
        }
        Ok(limit - until.wrapping_sub(self.progress.taken))
    }

    /// The next chain that the device names, if it names one.
    #[inline(always)]
    fn one(mut self) -> Result<Option<Used<T>>, Broken> {
        if self.used.vouched_for(&self.progress)? == 0 {
            return Ok(None);
        }
        let (id, written_len) = self.used.id_and_length(self.progress.taken);
        match self.end_usual(id, written_len) {
            Some(payload) => Ok(Some(Used { payload, written_len })),
            None => self.end_any(id, written_len).map(Some),
        }
    }

    /// Ends the chain that an element names as `id`, for which the device vouches, if all is as it mostly is: it has one descriptor, and the device says that it wrote no more than it may.
    #[inline(always)]
    fn end_usual(&mut self, id: u32, written_len: u32) -> Option<T> {
        let slot = self.slots.get_mut(usize::try_from(id).ok()?)?;
        if slot.chain.descriptors != self.usual || written_len > slot.chain.writable_bytes {
            return None;
        }
        let payload = slot.payload.take()?;
        slot.next = self.first_free;
        self.first_free = (id & 0xffff) as u16;
        self.progress.taken = self.progress.taken.wrapping_add(1);
        self.used.advance(1);
        Some(ManuallyDrop::into_inner(payload))
    }

    /// The same, whatever it is.
    #[inline(always)]
    fn end_any(&mut self, id: u32, written_len: u32) -> Result<Used<T>, Broken> {
        let length_is_vouched_for = self.used.length_is_vouched_for();
        let element = UsedElement { id, written_len, length_is_vouched_for };
        self.count();
        // With copies, so that otherwise these are in registers.
        let progress = Progress { first_free: self.first_free, ..self.progress };
        let (progress, ended) = progress.end_any(self.slots, element);
        (self.progress, self.first_free, self.counted) = (progress, progress.first_free, progress.taken);
        let (used, descriptors) = ended?;
        self.used.advance(descriptors);
        Ok(used)
    }
}

impl Progress {
    /// Ends the chain that a used element names, once it is judged; says how many descriptors it had.
    #[cold]
    #[inline(never)]
    fn end_any<T>(
        mut self,
        slots: &mut [Slot<T>],
        element: UsedElement,
    ) -> (Self, Result<(Used<T>, u16), Broken>) {
        let judged = self.known(slots, &element).and_then(|chain| {
            let written_len = judge_length(&element, chain.writable_bytes)?;
            Ok((written_len, chain.descriptors))
        });
        let ended = judged.and_then(|(written_len, descriptors)| {
            let payload = self.end_chain(slots, element.id).ok_or(Broken::UnknownChain { id: element.id })?;
            Ok((Used { payload, written_len }, descriptors))
        });
        (self, ended)
    }

    /// The chain that a used element names, if it is one that the device holds.
    #[inline(always)]
    pub(super) fn known<'b, T>(
        &self,
        slots: &'b [Slot<T>],
        element: &UsedElement,
    ) -> Result<&'b Record, Broken> {
        let chain = in_flight(slots, element.id).filter(|chain| self.is_published(chain));
        chain.ok_or(Broken::UnknownChain { id: element.id })
    }
}

impl<T, U> Taking<'_, T, U> {
    /// Counts the descriptors of chains of one as free.
    #[inline(always)]
    pub(super) const fn count(&mut self) {
        let singles = index(self.progress.taken.wrapping_sub(self.counted));
        // Never more than the queue has: the chains took them.
        self.progress.free = self.progress.free.wrapping_add(singles);
        self.counted = self.progress.taken;
    }
}

impl<T, U> Drop for Taking<'_, T, U> {
    /// Writes back what has changed.
    #[inline(always)]
    fn drop(&mut self) {
        self.count();
        let (first_free, Progress { free, taken, .. }) = (self.first_free, self.progress);
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

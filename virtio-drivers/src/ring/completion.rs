//! How chains come back: what the device says of them is judged by the books, and nothing is handed out that they do not know.
//!
//! Spec: §2.7.14 and §2.8.22 Receiving Used Buffers From The Device, §2.7.9 and §2.8.8 (in-order use).

use super::books::{Books, Progress, in_flight};
use super::broken::Broken;
use super::layout::Ring;
use super::queue::Virtqueue;
use super::slots::{Record, Slot};
use super::used::{InOrder, UsedElement, UsedPlaces};
use crate::hal::Hal;
use crate::raw::Payload;

/// A chain that the device is done with.
#[derive(Debug, PartialEq, Eq)]
pub struct Used<T> {
    /// What was handed in with the chain.
    pub payload: T,
    /// Bytes that the device wrote, from the first device-writable byte on, as the device says: at most what the chain had. 0 for a chain without writable
    /// bytes. In a packed queue a device may leave it open (no WRITE flag), and QEMU always does; then what is in the descriptor counts if it is possible, else 0.
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
        let mut taken = None;
        self.take_used_burst(1, |used| taken = Some(used))?;
        Ok(taken)
    }

    /// Takes back up to `limit` chains that the device has used, and says how many there were.
    ///
    /// Ownership: as for [`take_used`](Virtqueue::take_used); a panic in `take` loses the chain that it was called with, and no other.
    /// Work: bounded by `limit`; never waits.
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
                Taking::of(ring.used(), slots, progress).burst_in_order(in_order, limit, take)
            }
            (Ring::Packed(ring), Some(in_order)) => {
                Taking::of(ring.used(), slots, progress).burst_in_order(in_order, limit, take)
            }
        };
        taken.inspect_err(|why| self.out_of_service(*why))
    }
}

/// Chains on their way back to their owner, one after the other.
struct Taking<'q, T, U> {
    used: U,
    slots: &'q mut [Slot<T>],
    progress: Progress,
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
        for taken in 0..limit {
            let Some(element) = self.used.next(&self.progress)? else { return Ok(taken) };
            let &Record { writable_bytes, descriptors, .. } = self.known(&element)?;
            let written_len = judge_length(&element, writable_bytes)?;
            self.used.advance(descriptors);
            let Some(payload) = self.progress.end_chain(self.slots, element.id) else {
                return Err(Broken::UnknownChain { id: element.id });
            };
            take(Used { payload, written_len });
        }
        Ok(limit)
    }

    /// Up to `limit` chains, the oldest first: the device names the last one of a batch, and all before it are used with it and count as written completely
    /// (§2.7.9, §2.8.8). Says how many there were.
    #[inline(always)]
    fn burst_in_order(
        mut self,
        in_order: &mut InOrder,
        limit: usize,
        mut take: impl FnMut(Used<T>),
    ) -> Result<usize, Broken> {
        for taken in 0..limit {
            if in_order.batch == 0 {
                let Some(last) = self.used.next(&self.progress)? else { return Ok(taken) };
                *in_order = InOrder { batch: self.batch(&last, in_order.oldest)?, last, ..*in_order };
            }
            let unknown = Broken::UnknownChain { id: in_order.last.id };
            let chain = in_flight(self.slots, in_order.oldest.into()).ok_or(unknown)?;
            let &Record { writable_bytes, descriptors, .. } = chain;
            in_order.batch -= 1;
            let written_len = if in_order.batch > 0 {
                writable_bytes
            } else {
                judge_length(&in_order.last, writable_bytes)?
            };
            self.used.advance(descriptors);
            let Some((payload, oldest)) = self.progress.end_oldest(self.slots, in_order.oldest) else {
                return Err(unknown);
            };
            in_order.oldest = oldest;
            take(Used { payload, written_len });
        }
        Ok(limit)
    }

    /// The chain that a used element names, if it is one that the device holds.
    #[inline(always)]
    fn known(&self, element: &UsedElement) -> Result<&Record, Broken> {
        let chain = in_flight(self.slots, element.id).filter(|chain| self.progress.is_published(chain));
        chain.ok_or(Broken::UnknownChain { id: element.id })
    }

    /// How many chains are used with the one that a used element names: the device must hold all of them, and have used that many.
    #[inline(always)]
    fn batch(&self, element: &UsedElement, oldest: u16) -> Result<u16, Broken> {
        let chain = self.known(element)?;
        if element.id == u32::from(oldest) { Ok(1) } else { self.long_batch(element, chain, oldest) }
    }

    #[inline(never)]
    fn long_batch(&self, element: &UsedElement, chain: &Record, oldest: u16) -> Result<u16, Broken> {
        let unknown = Broken::UnknownChain { id: element.id };
        let first = in_flight(self.slots, oldest.into()).ok_or(unknown)?;
        // At most 32768 are in flight.
        let chains = chain.sequence.wrapping_sub(first.sequence).wrapping_add(1);
        let covered = self.used.covered(&self.progress);
        if chains > covered {
            return Err(Broken::BatchTooLong { id: element.id, chains, covered });
        }
        Ok(chains)
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
/// something, though it does; then a length that is possible counts, and any other is the garbage that the specification allows.
#[inline(always)]
fn judge_length(element: &UsedElement, writable_bytes: u32) -> Result<u32, Broken> {
    let &UsedElement { id, written_len, length_is_vouched_for } = element;
    if written_len <= writable_bytes {
        Ok(written_len)
    } else if writable_bytes > 0 && length_is_vouched_for {
        Err(Broken::WrittenTooMuch { id, written_len, writable_bytes })
    } else {
        Ok(0)
    }
}

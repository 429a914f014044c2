//! How chains come back: what the device says of them is judged by the books, and nothing is handed out that they do not know.
//!
//! Spec: §2.7.14 and §2.8.22 Receiving Used Buffers From The Device, §2.7.9 and §2.8.8 (in-order use).

use core::mem::ManuallyDrop;

use super::broken::Broken;
use super::queue::Virtqueue;
use super::used::{Batch, UsedElement, UsedIndexJumped};
use crate::hal::Hal;
use crate::raw::Payload;
use crate::wire::features::CommonFeatures;

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
    pub fn take_used(&mut self) -> Result<Option<Used<T>>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        self.next_completion().map_err(|why| self.out_of_service(why))
    }

    /// Takes back up to `limit` chains that the device has used, and says how many there were.
    ///
    /// # Errors
    /// - [`Broken`], as for [`take_used`](Virtqueue::take_used); chains before the one that broke the queue have been handed to `take`.
    pub fn take_used_burst(&mut self, limit: usize, mut take: impl FnMut(Used<T>)) -> Result<usize, Broken> {
        for taken in 0..limit {
            match self.take_used()? {
                Some(used) => take(used),
                None => return Ok(taken),
            }
        }
        Ok(limit)
    }

    /// The next used chain, judged by the books. `Err` is for good.
    fn next_completion(&mut self) -> Result<Option<Used<T>>, Broken> {
        let Some((id, element)) = self.next_element()? else { return Ok(None) };
        let unknown = Broken::UnknownChain { id: element.id };
        let (_, chain) = self.books.in_flight(u32::from(id)).ok_or(unknown)?;
        let written_len = judge_length(element, chain.writable_bytes)?;
        let chain = self.books.end_chain(id).ok_or(unknown)?;
        self.memory.ring.advance_used(chain.descriptors);
        Ok(Some(Used { payload: ManuallyDrop::into_inner(chain.payload), written_len }))
    }

    /// The next chain that the device says is used, and what it says of it: one that the device holds.
    fn next_element(&mut self) -> Result<Option<(u16, UsedElement)>, Broken> {
        if let Some(batch) = self.batch {
            return self.next_of_batch(batch).map(Some);
        }
        let held = self.held();
        let element = match self.memory.ring.next_used(held) {
            Ok(Some(element)) => element,
            Ok(None) => return Ok(None),
            Err(UsedIndexJumped { by }) => return Err(Broken::UsedIndexJumped { by, held }),
        };
        let published = self.books.made_available().saturating_sub(u64::from(self.unpublished));
        let known = self.books.in_flight(element.id).filter(|(_, chain)| chain.sequence < published);
        let (id, chain) = known.ok_or(Broken::UnknownChain { id: element.id })?;
        if !self.features.contains(CommonFeatures::IN_ORDER) {
            return Ok(Some((id, element)));
        }

        let (_, oldest) = self.books.oldest().ok_or(Broken::UnknownChain { id: element.id })?;
        let chains = (chain.sequence - oldest.sequence) + 1;
        let covered = self.memory.ring.batch_max(held);
        if chains > u64::from(covered) {
            return Err(Broken::BatchTooLong { id: element.id, chains, covered });
        }
        self.next_of_batch(Batch { last: id, element }).map(Some)
    }

    /// The oldest chain, which is used together with all up to the batch's last one. Those before it count as written completely (§2.7.9, §2.8.8).
    fn next_of_batch(&mut self, batch: Batch) -> Result<(u16, UsedElement), Broken> {
        let (id, chain) = self.books.oldest().ok_or(Broken::UnknownChain { id: batch.element.id })?;
        if id == batch.last {
            self.batch = None;
            return Ok((id, batch.element));
        }
        let written_len = chain.writable_bytes;
        self.batch = Some(batch);
        Ok((id, UsedElement { id: u32::from(id), written_len, length_is_vouched_for: true }))
    }
}

/// How many bytes count as written, of a chain that has `writable_bytes`.
///
/// Devices exist that claim a length for chains that they cannot write to: it means nothing. Others leave out the flag that makes a packed descriptor's length mean
/// something, though it does; then a length that is possible counts, and any other is the garbage that the specification allows.
fn judge_length(element: UsedElement, writable_bytes: u32) -> Result<u32, Broken> {
    let UsedElement { id, written_len, length_is_vouched_for } = element;
    if writable_bytes == 0 {
        Ok(0)
    } else if written_len <= writable_bytes {
        Ok(written_len)
    } else if length_is_vouched_for {
        Err(Broken::WrittenTooMuch { id, written_len, writable_bytes })
    } else {
        Ok(0)
    }
}

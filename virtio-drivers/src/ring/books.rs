//! The private books of a queue: which ids and descriptors are free, which chains are in flight, and what their payloads are.
//!
//! Spec: §2.7.13, §2.7.14, §2.8.21, §2.8.22 as the driver's side of them. Nothing here is visible to the device, and nothing the device writes is believed
//! over it: links and lengths are kept here and never read back from a shared descriptor.
//!
//! ```text
//!   split    a chain takes as many entries of the free list as it has descriptors; the first is its id (its head)
//!   packed   a chain takes one entry, its id; its descriptors are wherever the ring is, and only counted
//!
//!   ── taken back ──┤── held by the device ──┤── not shown yet ──┤        counts of chains since the queue came up
//!                 taken                  published         made_available
//! ```

use core::mem::ManuallyDrop;

use super::slots::{Record, Slot, Slots};

/// How far both sides have come. Small, and copied: a burst works on a copy, which stays in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// The first entry of the free list: the id of the next chain.
    pub(super) first_free: u16,
    /// Descriptors that no chain has, and that can be had: none of a queue out of service. The list has at least as many entries.
    pub(super) free: u16,
    /// Chains made available since the queue came up; as all that follows a count that wraps, since only differences matter: at most 32768 chains are in flight.
    pub(super) made_available: usize,
    /// Of these shown to the device,
    pub(super) published: usize,
    /// and of these taken back.
    pub(super) taken: usize,
}

impl Progress {
    const fn start(size: u16) -> Self {
        Self { first_free: 0, free: size, made_available: 0, published: 0, taken: 0 }
    }

    /// How many chains are in flight: at most 32768.
    pub(super) const fn chains(&self) -> u16 {
        index(self.made_available.wrapping_sub(self.taken))
    }

    /// How many of them the device was shown.
    pub(super) const fn held(&self) -> u16 {
        index(self.published.wrapping_sub(self.taken))
    }

    /// How many it was not shown yet.
    pub(super) const fn unpublished(&self) -> u16 {
        index(self.made_available.wrapping_sub(self.published))
    }

    /// Whether the device was shown a chain that is in flight.
    #[inline]
    pub(super) const fn is_published(&self, chain: &Record) -> bool {
        let unpublished = self.unpublished();
        unpublished == 0 || sequence(self.made_available).wrapping_sub(chain.sequence) > unpublished as u32
    }
}

/// A count of chains as an index of a ring: modulo 65536.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the mask leaves 16 bits")]
pub(super) const fn index(count: usize) -> u16 {
    (count & 0xffff) as u16
}

/// A count of chains as the books keep it for each: modulo 2³².
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the mask leaves 32 bits")]
pub(super) const fn sequence(count: usize) -> u32 {
    (count & 0xffff_ffff) as u32
}

/// The list of free ids, and the chains in flight.
///
/// The entry that was freed last is taken first: it is the one that is still warm. Under IN_ORDER the list is a ring that is never written again: entries
/// are freed in the order in which they were taken, so the next one is free whenever any is (and the split layout has to be used like that, §2.7.9).
#[derive(Debug)]
pub(super) struct Books<'s, T> {
    pub(super) slots: Slots<'s, T>,
    pub(super) progress: Progress,
}

impl<'s, T> Books<'s, T> {
    /// Books for `size` descriptors, all free. What earlier use left in the storage is forgotten, never dropped.
    ///
    /// The storage comes back if it has fewer than `size` slots, or `size` is 0.
    pub(super) fn new(mut slots: Slots<'s, T>, size: u16) -> Result<Self, Slots<'s, T>> {
        if size == 0 || slots.len() < usize::from(size) {
            return Err(slots);
        }
        for slot in slots.as_mut_slice() {
            *slot = Slot::EMPTY;
        }
        for (slot, next) in slots.as_mut_slice().iter_mut().zip((1..size).chain([0])) {
            slot.next = next;
        }
        Ok(Self { slots, progress: Progress::start(size) })
    }
}

/// The entry after `entry` in its list.
#[inline(always)]
pub(super) fn next<T>(slots: &[Slot<T>], entry: u16) -> u16 {
    slots.get(usize::from(entry)).map_or(0, |slot| slot.next)
}

/// The chain in flight whose id is `id`, if there is one. Any number may be asked for.
#[inline(always)]
pub(super) fn in_flight<T>(slots: &[Slot<T>], id: u32) -> Option<&Record> {
    let slot = slots.get(usize::try_from(id).ok()?)?;
    slot.payload.is_some().then_some(&slot.chain)
}

impl Progress {
    /// Takes the first entries of the free list for one chain: from `first_free` up to, not including, `after`.
    ///
    /// The payload comes back if there is no room.
    #[inline(always)]
    pub(super) fn take_chain<T>(
        &mut self,
        slots: &mut [Slot<T>],
        chain: Record,
        after: u16,
        payload: T,
    ) -> Result<(), T> {
        let Some(slot) = slots.get_mut(usize::from(self.first_free)) else { return Err(payload) };
        slot.payload = Some(ManuallyDrop::new(payload));
        let Record { writable_bytes, last, descriptors, sequence } = chain;
        slot.chain.writable_bytes = writable_bytes;
        slot.chain.descriptors = descriptors;
        slot.chain.sequence = sequence;
        if descriptors > 1 {
            slot.chain.last = last;
        }
        self.first_free = after;
        // There are that many: whoever writes a chain looks first.
        self.free = self.free.wrapping_sub(chain.descriptors);
        self.made_available = self.made_available.wrapping_add(1);
        Ok(())
    }

    /// Ends the chain whose id is `id`: its descriptors are free again, its payload comes back.
    #[inline(always)]
    pub(super) fn end_chain<T>(&mut self, slots: &mut [Slot<T>], id: u32) -> Option<T> {
        let slot = slots.get_mut(usize::try_from(id).ok()?)?;
        let payload = slot.payload.take()?;
        let Record { last, descriptors, .. } = slot.chain;
        if descriptors == 1 {
            slot.next = self.first_free;
        } else if let Some(last) = slots.get_mut(usize::from(last)) {
            last.next = self.first_free;
        }
        self.first_free = (id & 0xffff) as u16;
        self.count_ended(descriptors);
        Some(ManuallyDrop::into_inner(payload))
    }

    #[inline(always)]
    const fn count_ended(&mut self, descriptors: u16) {
        // Never more than the queue has: the chain took them.
        self.free = self.free.wrapping_add(descriptors);
        self.taken = self.taken.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, sequence};
    use crate::ring::slots::Record;

    /// Counts wrap, at 2³² on some machines: what is in flight, held, and not shown yet stays right.
    #[test]
    fn counts_stay_right_when_they_wrap() {
        let mut progress = Progress::start(8);
        for start in [usize::MAX - 2, usize::MAX - 1, usize::MAX, 0, 0xffff, 0xffff_ffff] {
            progress.taken = start;
            progress.published = start.wrapping_add(2);
            progress.made_available = start.wrapping_add(5);
            assert_eq!((progress.chains(), progress.held(), progress.unpublished()), (5, 2, 3));
            for (ahead, is_published) in [(0, true), (1, true), (2, false), (4, false)] {
                let sequence = sequence(start.wrapping_add(ahead));
                let chain = Record { writable_bytes: 0, last: 0, descriptors: 1, sequence };
                assert_eq!(progress.is_published(&chain), is_published, "chain {ahead} from {start:#x}");
            }
        }
    }
}

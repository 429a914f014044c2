//! The private books of a queue: which ids and descriptors are free, which chains are in flight, and what their payloads are.
//!
//! Spec: §2.7.13, §2.7.14, §2.8.21, §2.8.22 as the driver's side of them. Nothing here is visible to the device, and nothing the device writes is believed
//! over it: links and lengths are kept here and never read back from a shared descriptor.
//!
//! ```text
//!   split    a chain takes as many entries of the free list as it has descriptors; the first is its id (its head)
//!   packed   a chain takes one entry, its id; its descriptors are wherever the ring is, and only counted
//! ```

use core::mem::ManuallyDrop;

use super::slots::{InFlight, Slot, Slots};

/// What a chain takes of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    /// Entries of the free list.
    pub(super) entries: u16,
    /// Descriptors in the ring.
    pub(super) descriptors: u16,
    /// Bytes that the device may write.
    pub(super) writable_bytes: u32,
}

/// A FIFO list of free ids, and the chains in flight.
///
/// FIFO, so that in steady state the same descriptors serve the same places of the ring again; where chains come back in the order in which they were made
/// available, the list runs round in ring order for ever, which is what IN_ORDER asks of the split layout.
#[derive(Debug)]
pub(super) struct Books<'s, T> {
    slots: Slots<'s, T>,
    size: u16,
    first_free: u16,
    last_free: u16,
    /// Length of the free list.
    listed: u16,
    /// Descriptors that no chain has.
    free: u16,
    chains: u16,
    made_available: u64,
    /// The id of the chain that was made available first of those in flight; only kept up while they come back in order.
    oldest: u16,
}

impl<'s, T> Books<'s, T> {
    /// Books for `size` descriptors, all free. What earlier use left in the storage is forgotten, never dropped.
    ///
    /// `None` if the storage has fewer than `size` slots, or `size` is 0.
    pub(super) fn new(mut slots: Slots<'s, T>, size: u16) -> Option<Self> {
        let last_free = size.checked_sub(1)?;
        for slot in slots.as_mut_slice() {
            *slot = Slot::EMPTY;
        }
        for (slot, next) in slots.as_mut_slice().get_mut(..usize::from(size))?.iter_mut().zip(1..) {
            slot.next = next;
        }
        Some(Self {
            slots,
            size,
            first_free: 0,
            last_free,
            listed: size,
            free: size,
            chains: 0,
            made_available: 0,
            oldest: 0,
        })
    }

    /// How many descriptors are free.
    pub(super) const fn free(&self) -> u16 {
        self.free
    }

    /// How many chains are in flight.
    pub(super) const fn chains(&self) -> u16 {
        self.chains
    }

    /// How many chains were made available since bring-up.
    pub(super) const fn made_available(&self) -> u64 {
        self.made_available
    }

    /// The first entry of the free list: the id of the next chain.
    pub(super) const fn next_id(&self) -> u16 {
        self.first_free
    }

    /// The entry after `index` in its list.
    pub(super) fn next(&self, index: u16) -> u16 {
        self.slots.get(usize::from(index)).map_or(0, |slot| slot.next)
    }

    /// Whether there is room for a chain.
    pub(super) const fn has_room_for(&self, footprint: Footprint) -> bool {
        footprint.entries <= self.listed && footprint.descriptors <= self.free
    }

    /// Takes the first entries of the free list for one chain, whose id was [`next_id`](Books::next_id).
    ///
    /// The payload comes back if there is no room (or none is asked for).
    pub(super) fn take_chain(&mut self, footprint: Footprint, payload: T) -> Result<(), T> {
        let Footprint { entries, descriptors, writable_bytes } = footprint;
        let (Some(listed), Some(free), Some(steps)) =
            (self.listed.checked_sub(entries), self.free.checked_sub(descriptors), entries.checked_sub(1))
        else {
            return Err(payload);
        };
        let id = self.first_free;
        let last = (0..steps).fold(id, |index, _| self.next(index));
        let after = self.next(last);
        let Some(slot) = self.slots.get_mut(usize::from(id)) else {
            return Err(payload);
        };
        let payload = ManuallyDrop::new(payload);
        slot.in_flight = Some(InFlight {
            payload,
            last,
            entries,
            descriptors,
            writable_bytes,
            sequence: self.made_available,
        });
        self.first_free = after;
        self.listed = listed;
        self.free = free;
        self.chains += 1;
        self.made_available += 1;
        Ok(())
    }

    /// The chain in flight whose id is `id`, if there is one. Any number may be asked for.
    pub(super) fn in_flight(&self, id: u32) -> Option<(u16, &InFlight<T>)> {
        let id = u16::try_from(id).ok()?;
        let chain = self.slots.get(usize::from(id))?.in_flight.as_ref()?;
        Some((id, chain))
    }

    /// The chain in flight that was made available first, if all before it came back in order.
    pub(super) fn oldest(&self) -> Option<(u16, &InFlight<T>)> {
        self.in_flight(u32::from(self.oldest))
    }

    /// Ends the chain whose id is `id`: its descriptors are free again, its payload comes back.
    pub(super) fn end_chain(&mut self, id: u16) -> Option<InFlight<T>> {
        let chain = self.slots.get_mut(usize::from(id))?.in_flight.take()?;
        if self.listed == 0 {
            self.first_free = id;
        } else if let Some(tail) = self.slots.get_mut(usize::from(self.last_free)) {
            tail.next = id;
        }
        self.last_free = chain.last;
        self.listed += chain.entries;
        self.free += chain.descriptors;
        self.chains -= 1;
        // In ring order the entry after a chain's last one is the next chain's id.
        self.oldest = if chain.last + 1 < self.size { chain.last + 1 } else { 0 };
        Some(chain)
    }

    /// The storage, with the payloads that are still in flight.
    pub(super) fn into_slots(self) -> Slots<'s, T> {
        self.slots
    }
}

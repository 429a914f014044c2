//! Bursts of chains of one segment each: the way of network frames, for which nothing of a longer chain has to be thought of.
//!
//! Spec: §2.7.13, §2.8.21 Supplying Buffers to The Device. As [`make_available_burst`](Virtqueue::make_available_burst), and what comes of it is the same: chains go into the ring itself, are judged before
//! the device can see them, and are noted in the same books.

use super::books::{Progress, index, sequence};
use super::layout::Ring;
use super::prepared::QueueMemory;
use super::queue::Virtqueue;
use super::slots::{Record, Slot};
use super::supply::AvailablePlaces;
use crate::hal::{Direction, Domain, Hal};
use crate::raw::{Payload, Single};

impl<H: Hal, T: Payload> Virtqueue<'_, H, T> {
    /// Writes chains of one segment each, until there are no more or the ring has no room, which is looked at first. Says how many.
    ///
    /// Ownership and work: as for [`make_available_burst`](Virtqueue::make_available_burst), but nothing is asked for that has no room.
    #[inline(always)]
    pub(crate) fn make_singles_available(&mut self, source: &mut impl SingleSource<T>) -> usize {
        let memory: &QueueMemory<H> = &self.memory;
        let (slots, kept) = (self.books.slots.as_mut_slice(), &mut self.books.progress);
        let domain = memory.domain;
        match &memory.ring {
            Ring::Split(ring) => Singles::of(ring.supply(), slots, kept, domain).burst(source),
            Ring::Packed(ring) => Singles::of(ring.supply(), slots, kept, domain).burst(source),
        }
    }
}

/// Where chains of one segment come from.
pub(crate) trait SingleSource<T> {
    /// The next one, for the devices of this domain; one of another domain ends the burst, and is the source's to keep.
    fn next(&mut self, domain: Domain) -> Option<Single<T>>;
}

/// Chains on their way into a ring, one after the other.
struct Singles<'q, T, D> {
    places: D,
    slots: &'q mut [Slot<T>],
    domain: Domain,
    /// The first entry of the free list, and how many chains were made available: copies, which stay in registers,
    first_free: usize,
    made_available: usize,
    /// how many can be,
    limit: usize,
    /// and the queue's own, to which they are written back.
    kept: &'q mut Progress,
}

impl<'q, T: Payload, D: AvailablePlaces> Singles<'q, T, D> {
    #[inline(always)]
    fn of(places: D, slots: &'q mut [Slot<T>], kept: &'q mut Progress, domain: Domain) -> Self {
        let Progress { first_free, free, made_available, .. } = *kept;
        // A queue that is out of service has no free descriptor.
        let limit = made_available.wrapping_add(free.into());
        Self { places, slots, domain, first_free: first_free.into(), made_available, limit, kept }
    }

    #[inline(always)]
    fn burst(mut self, source: &mut impl SingleSource<T>) -> usize {
        // As many as there are descriptors, so that an id is looked at once.
        let size = usize::from(self.places.size());
        let Some(slots) = self.slots.get_mut(..size) else { return 0 };
        while self.made_available != self.limit {
            let Some(slot) = slots.get_mut(self.first_free) else { break };
            let Some((payload, segment)) = source.next(self.domain).map(Single::into_parts) else { break };
            if segment.domain != self.domain {
                // No source has such a one.
                break;
            }
            let begins_burst = self.made_available == self.kept.published;
            self.places.put(self.first_free, self.made_available, begins_burst, &segment);
            let writable_bytes = match segment.direction {
                Direction::DeviceReadable => 0,
                Direction::DeviceWritable => segment.len,
            };
            let sequence = sequence(self.made_available);
            slot.take(Record { writable_bytes, last: 0, descriptors: 1, sequence }, payload);
            self.first_free = slot.next.into();
            self.made_available = self.made_available.wrapping_add(1);
        }
        self.made_available.wrapping_sub(self.kept.made_available)
    }
}

impl<T, D> Drop for Singles<'_, T, D> {
    /// Writes back what has changed.
    #[inline(always)]
    fn drop(&mut self) {
        let Self { first_free, made_available, limit, .. } = *self;
        // What is left of as many as were free.
        let free = index(limit.wrapping_sub(made_available));
        *self.kept = Progress { first_free: index(first_free), free, made_available, ..*self.kept };
    }
}

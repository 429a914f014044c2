//! The packed format: what a chain, a publish and a used descriptor look like in one ring that both sides write.
//!
//! Spec: §2.8 Packed Virtqueues. The rules common to both formats (ownership, breaking) are in [`queue`](super::queue).
//!
//! A burst is published with one store: the flags of its first descriptor are withheld until everything behind it is written, and the device, which
//! takes descriptors in ring order, stops there.
//!
//! ```text
//!             taken                published            available
//!               ▼                      ▼                    ▼
//!   ┌──────┬────────┬──────┬───────┬───────┬───────┬─────┬──────┐
//!   │ free │ used?  │ the device's  │ first │ the burst   │ free │
//!   └──────┴────────┴──────┴───────┴───────┴───────┴─────┴──────┘
//!                                   its flags come last
//! ```

use core::cell::Cell;
use core::mem::forget;

use super::books::{Progress, index};
use super::broken::Broken;
use super::chain::{Candidate, DescriptorSink, RefusedReason};
use super::position::{Position, Walk};
use super::slots::Slot;
use super::supply::{AvailablePlaces, Entry, TableEntry, Written};
use super::used::UsedPlaces;
use crate::hal::Hal;
use crate::raw::order::Barriers;
use crate::raw::{PackedAreas, PackedWords, Payload, Segment, Table};
use crate::wire::packed::event_flags;
use crate::wire::split::DescriptorFlags;

/// The driver's side of one packed virtqueue: its areas, and the driver's position in them, which are private copies.
#[derive(Debug)]
pub(super) struct PackedRing<H: Hal> {
    areas: PackedAreas<H>,
    barriers: Barriers,
    /// Whether both sides ask for notifications by position.
    event_index: bool,
    /// Where the next chain goes.
    available: Cell<Position>,
    /// Where the burst begins that the device has not been shown.
    published: Cell<Position>,
    /// The flags of that burst's first descriptor.
    withheld: Cell<u16>,
    /// Where the next used descriptor will be.
    taken: Cell<Position>,
}

impl<H: Hal> PackedRing<H> {
    pub(super) const fn new(areas: PackedAreas<H>, barriers: Barriers, event_index: bool) -> Self {
        Self {
            areas,
            barriers,
            event_index,
            available: Cell::new(Position::START),
            published: Cell::new(Position::START),
            withheld: Cell::new(0),
            taken: Cell::new(Position::START),
        }
    }

    pub(super) const fn areas(&self) -> &PackedAreas<H> {
        &self.areas
    }

    /// Where chains go.
    #[inline]
    pub(super) const fn supply(&self) -> PackedPlaces<'_> {
        let words = self.areas.words();
        let next = Walk::at(words, self.available.get());
        PackedPlaces { words, next, kept: &self.available, withheld: &self.withheld }
    }

    /// Shows the device everything made available, and says whether it wants to be notified (§2.8.21, steps 2 and 3).
    #[inline(never)]
    pub(super) fn publish(&self) -> bool {
        let words = self.areas.words();
        let (old, new) = (self.published.get(), self.available.get());
        let first = Walk::at(words, old).descriptor();
        self.barriers.around_publishing(|| first.set_flags(self.withheld.get()));
        self.published.set(new);

        let (place, flags) = words.device_event();
        match flags & event_flags::MASK {
            event_flags::DISABLE => false,
            event_flags::DESCRIPTOR if self.event_index => self.passes(Position::decoded(place), old, new),
            _ => true,
        }
    }

    /// Whether moving from `old` to `new` passes `event`. A place that is not in the ring asks for everything: one notification too many does no harm.
    fn passes(&self, event: Position, old: Position, new: Position) -> bool {
        let size = self.areas.size();
        match (old.distance(event, size), old.distance(new, size)) {
            (Some(to_event), Some(moved)) => to_event < moved,
            _ => true,
        }
    }

    /// What a notification says of the ring: where the next chain will be (§2.9).
    pub(super) const fn next_available(&self) -> u16 {
        self.published.get().encoded()
    }

    /// The used descriptors, to be read one after the other.
    #[inline]
    pub(super) const fn used(&self) -> UsedDescriptors<'_> {
        let next = Walk::at(self.areas.words(), self.taken.get());
        UsedDescriptors { barriers: self.barriers, next, flags: 0, kept: &self.taken }
    }

    /// Tells the device to send no used-buffer notifications (§2.8.10).
    pub(super) fn suppress(&self) {
        self.areas.words().set_driver_event(0, event_flags::DISABLE);
    }

    /// Asks for a notification when `descriptors` more are used (with event index; else with the next one), then looks whether there is one already.
    pub(super) fn rearm(&self, descriptors: u16) -> bool {
        let (words, taken) = (self.areas.words(), self.taken.get());
        if self.event_index {
            let event = taken.advanced(descriptors.saturating_sub(1), words.size());
            words.set_driver_event(event.encoded(), event_flags::DESCRIPTOR);
        } else {
            words.set_driver_event(0, event_flags::ENABLE);
        }
        self.barriers.rearm_before_used_check();
        taken.is_used(Walk::at(words, taken).descriptor().flags())
    }
}

/// The ring, from where the next chain goes.
#[derive(Debug)]
pub(super) struct PackedPlaces<'q> {
    words: PackedWords<'q>,
    next: Walk<'q>,
    kept: &'q Cell<Position>,
    withheld: &'q Cell<u16>,
}

impl AvailablePlaces for PackedPlaces<'_> {
    fn size(&self) -> u16 {
        self.words.size()
    }

    #[inline(always)]
    fn write<H: Hal, T: Payload>(
        &mut self,
        _: &[Slot<T>],
        entry: Entry,
        table: Option<Table<'_>>,
        chain: &Candidate<'_, H, T>,
    ) -> Result<Written, RefusedReason> {
        let first = self.next;
        let mut laying = Laying { next: first, id: entry.id, is_begun: false, head_flags: 0 };
        let unfinished = Unfinished { first, descriptors: entry.descriptors };
        let judged = match table {
            None => chain.visit(&mut laying),
            Some(table) => {
                let mut consecutive = ConsecutiveTable(table);
                let judged = chain.visit(&mut consecutive);
                laying.put_table(&consecutive.0.segment);
                judged
            }
        };
        // Not left to the guard: what it borrowed would have to be in memory, for every chain.
        forget(unfinished);
        let writable_bytes = match judged {
            Ok(writable_bytes) => writable_bytes,
            Err(reason) => {
                take_back(first, entry.descriptors);
                return Err(reason);
            }
        };
        let Laying { next, head_flags, .. } = laying;
        if entry.begins_burst {
            // The flags of a burst's first descriptor publish it.
            self.withheld.set(head_flags);
        } else {
            first.descriptor().set_flags(head_flags);
        }
        self.next = next;
        Ok(Written { writable_bytes, last: entry.id, after: entry.next })
    }

    #[inline(always)]
    fn put_table(&mut self, entry: TableEntry, table: &Segment) {
        let descriptor = self.next.descriptor();
        descriptor.write(table, entry.id);
        let flags = self.next.available(DescriptorFlags::INDIRECT);
        if entry.begins_burst {
            self.withheld.set(flags);
        } else {
            descriptor.set_flags(flags);
        }
        self.next.advance(1);
    }

    #[inline(always)]
    fn put(&mut self, id: usize, _: usize, begins_burst: bool, segment: &Segment) {
        let (descriptor, flags) = (self.next.descriptor(), self.next.available(segment.direction_flag()));
        descriptor.write(segment, index(id));
        if begins_burst {
            // They publish the burst.
            self.withheld.set(flags);
        } else {
            descriptor.set_flags(flags);
        }
        self.next.advance(1);
    }
}

impl Drop for PackedPlaces<'_> {
    #[inline]
    fn drop(&mut self) {
        self.kept.set(self.next.position());
    }
}

/// A chain that is being written into the ring, all but the flags of its first descriptor (§2.8.21.1).
#[derive(Debug)]
struct Laying<'q> {
    next: Walk<'q>,
    id: u16,
    /// Whether the first descriptor is written, and what its flags will be.
    is_begun: bool,
    head_flags: u16,
}

impl DescriptorSink for Laying<'_> {
    #[inline(always)]
    fn put(&mut self, segment: &Segment, left: usize) {
        let mut kind = segment.direction_flag();
        kind.set(DescriptorFlags::NEXT, left > 0);
        let flags = self.next.available(kind);
        let descriptor = self.next.descriptor();
        descriptor.write(segment, self.id);
        if self.is_begun {
            descriptor.set_flags(flags);
        } else {
            self.is_begun = true;
            self.head_flags = flags;
        }
        self.next.advance(1);
    }
}

impl Laying<'_> {
    /// Writes the one descriptor that refers to an indirect table (§2.8.7).
    #[inline]
    fn put_table(&mut self, table: &Segment) {
        self.next.descriptor().write(table, self.id);
        self.head_flags = self.next.available(DescriptorFlags::INDIRECT);
        self.next.advance(1);
    }
}

/// An indirect table, in which descriptors follow each other (§2.8.7).
struct ConsecutiveTable<'t>(Table<'t>);

impl DescriptorSink for ConsecutiveTable<'_> {
    #[inline(always)]
    fn put(&mut self, segment: &Segment, _: usize) {
        self.0.put_consecutive(segment);
    }
}

/// A chain that is not whole: a payload that panics leaves it so.
struct Unfinished<'q> {
    first: Walk<'q>,
    descriptors: u16,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        take_back(self.first, self.descriptors);
    }
}

/// Makes nobody's descriptors of those of a chain that is not whole: the device must find nothing behind the chain that comes in its place.
#[cold]
#[inline(never)]
fn take_back(mut place: Walk<'_>, descriptors: u16) {
    for _ in 0..descriptors {
        place.descriptor().set_flags(place.a_lap_ago());
        place.advance(1);
    }
}

/// Used descriptors, as the device claims them (§2.8.22).
#[derive(Debug)]
pub(super) struct UsedDescriptors<'q> {
    barriers: Barriers,
    next: Walk<'q>,
    /// The flags that were looked at last.
    flags: u16,
    kept: &'q Cell<Position>,
}

impl UsedPlaces for UsedDescriptors<'_> {
    /// There is one place that is looked at, whatever was asked for (§2.8.2). Flags first, then what they vouch for.
    #[inline(always)]
    fn vouched_for(&mut self, _: &Progress) -> Result<u16, Broken> {
        self.flags = self.next.descriptor().flags();
        if !self.next.is_used(self.flags) {
            return Ok(0);
        }
        self.barriers.used_mark_before_elements();
        Ok(1)
    }

    const ONE_BY_ONE: bool = true;

    #[inline(always)]
    fn id_and_length(&self, _: usize) -> (u32, u32) {
        let (id, written_len) = self.next.descriptor().used_element();
        (u32::from(id), written_len)
    }

    #[inline(always)]
    fn length_is_vouched_for(&self) -> bool {
        self.flags & DescriptorFlags::WRITE.bits() != 0
    }

    /// One used descriptor stands for all of a chain.
    #[inline]
    fn advance(&mut self, descriptors: u16) {
        self.next.advance(descriptors);
    }

    #[inline]
    fn covered(&self, progress: &Progress) -> u16 {
        progress.held()
    }
}

impl Drop for UsedDescriptors<'_> {
    #[inline]
    fn drop(&mut self) {
        self.kept.set(self.next.position());
    }
}

//! The split format: what a chain, a publish and a used element look like in the three areas.
//!
//! Spec: §2.7 Split Virtqueues. The rules common to all formats (ownership, breaking) are in [`queue`](super::queue).

use super::chain::Measured;
use super::slots::Books;
use super::suppress::passes;
use crate::hal::Hal;
use crate::raw::order;
use crate::raw::{Descriptor, IndirectTables, Segment, SplitAreas};
use crate::wire::split::{AVAILABLE_NO_INTERRUPT, USED_NO_NOTIFY};

/// The driver's position in the rings of one split virtqueue. Free-running indices, all of them private copies.
#[derive(Debug, Default)]
pub(super) struct SplitRing {
    /// Index of the next chain to be made available.
    available: u16,
    /// The available index that the device has been shown.
    published: u16,
    /// Index of the next used element to be taken.
    taken: u16,
    /// The used index that the device has shown.
    seen_used: u16,
    /// Whether both sides ask for notifications by index.
    event_index: bool,
}

/// The used index moved by more than the chains that the device holds.
pub(super) struct UsedIndexJumped {
    pub(super) by: u16,
}

impl SplitRing {
    pub(super) const fn new(event_index: bool) -> Self {
        Self { available: 0, published: 0, taken: 0, seen_used: 0, event_index }
    }

    /// Writes a chain into the descriptor table, link by link along the free list. `chain` has `measured.segments` segments.
    pub(super) fn write_direct<H: Hal, T>(
        areas: &SplitAreas<H>,
        books: &Books<'_, T>,
        measured: Measured,
        chain: impl Iterator<Item = Segment>,
    ) {
        let mut index = books.next_head();
        for (segment, left) in chain.zip((0..measured.segments).rev()) {
            let next = books.next(index);
            areas.write_descriptor(index, &Descriptor { segment, next: (left > 0).then_some(next) });
            index = next;
        }
    }

    /// Writes a chain into the indirect table of its head, and the one descriptor that refers to it. `false` if it does not fit.
    pub(super) fn write_indirect<H: Hal>(
        areas: &SplitAreas<H>,
        tables: &IndirectTables<H>,
        head: u16,
        measured: Measured,
        chain: impl Iterator<Item = Segment>,
    ) -> bool {
        match tables.write_table(head, measured.segments, chain) {
            Some(table) => {
                areas.write_indirect_descriptor(head, table);
                true
            }
            None => false,
        }
    }

    /// Puts a chain into the available ring; the device does not look there yet (§2.7.13, step 2 and 3).
    pub(super) fn make_available<H: Hal>(&mut self, areas: &SplitAreas<H>, head: u16) {
        areas.set_available_element(self.available, head);
        self.available = self.available.wrapping_add(1);
    }

    /// How many chains the device was not shown yet.
    pub(super) const fn unpublished(&self) -> u16 {
        self.available.wrapping_sub(self.published)
    }

    /// Shows the device everything made available, and says whether it wants to be notified (§2.7.13, steps 4 to 7).
    pub(super) fn publish<H: Hal>(&mut self, areas: &SplitAreas<H>) -> bool {
        let (old, new) = (self.published, self.available);
        order::entries_before_available_index();
        areas.set_available_index(new);
        self.published = new;
        order::available_index_before_suppression_check();
        if self.event_index {
            passes(areas.available_event(), new, old)
        } else {
            areas.used_flags() & USED_NO_NOTIFY == 0
        }
    }

    /// The next used element, as the device claims it, if there is one (§2.7.14). `held` chains are in the device's hands.
    ///
    /// The used index is read when everything seen before was taken; then it vouches for a whole burst.
    pub(super) fn next_used<H: Hal>(
        &mut self,
        areas: &SplitAreas<H>,
        held: u16,
    ) -> Result<Option<(u32, u32)>, UsedIndexJumped> {
        if self.taken == self.seen_used {
            let seen = areas.used_index();
            let by = seen.wrapping_sub(self.taken);
            if by == 0 {
                return Ok(None);
            }
            if by > held {
                return Err(UsedIndexJumped { by });
            }
            order::used_index_before_elements();
            self.seen_used = seen;
        }
        Ok(Some(areas.used_element(self.taken)))
    }

    /// Moves on to the next used element.
    pub(super) const fn advance_used(&mut self) {
        self.taken = self.taken.wrapping_add(1);
    }

    /// Tells the device to send no used-buffer notifications (§2.7.7).
    ///
    /// With event index there is no flag: the event is put just behind the position, where the index comes by only once in
    /// 65536 chains.
    pub(super) fn suppress<H: Hal>(&self, areas: &SplitAreas<H>) {
        if self.event_index {
            areas.set_used_event(self.taken.wrapping_sub(1));
        } else {
            areas.set_available_flags(AVAILABLE_NO_INTERRUPT);
        }
    }

    /// Asks for a notification with the next used element, then looks whether it is there already.
    pub(super) fn rearm<H: Hal>(&self, areas: &SplitAreas<H>) -> bool {
        if self.event_index {
            areas.set_used_event(self.taken);
        } else {
            areas.set_available_flags(0);
        }
        order::rearm_before_used_index();
        areas.used_index() != self.taken
    }
}

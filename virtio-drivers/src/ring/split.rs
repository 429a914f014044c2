//! The split format: what a chain, a publish and a used element look like in the three areas.
//!
//! Spec: §2.7 Split Virtqueues. The rules common to both formats (ownership, breaking) are in [`queue`](super::queue).

use core::cell::Cell;

use super::books::Books;
use super::suppress::passes;
use super::used::{UsedElement, UsedIndexJumped};
use crate::hal::Hal;
use crate::raw::order::Barriers;
use crate::raw::{Descriptor, Segment, SplitAreas};
use crate::wire::split::{AVAILABLE_NO_INTERRUPT, DescriptorFlags, USED_NO_NOTIFY};

/// The driver's side of one split virtqueue: its areas, and the driver's position in them. All indices run freely, and are private copies.
#[derive(Debug)]
pub(super) struct SplitRing<H: Hal> {
    areas: SplitAreas<H>,
    barriers: Barriers,
    /// Whether both sides ask for notifications by index.
    event_index: bool,
    /// Index of the next chain to be made available.
    available: Cell<u16>,
    /// The available index that the device has been shown.
    published: Cell<u16>,
    /// Index of the next used element to be taken.
    taken: Cell<u16>,
    /// The used index that the device has shown.
    seen_used: Cell<u16>,
}

impl<H: Hal> SplitRing<H> {
    pub(super) const fn new(areas: SplitAreas<H>, barriers: Barriers, event_index: bool) -> Self {
        let (available, published) = (Cell::new(0), Cell::new(0));
        Self {
            areas,
            barriers,
            event_index,
            available,
            published,
            taken: Cell::new(0),
            seen_used: Cell::new(0),
        }
    }

    pub(super) const fn areas(&self) -> &SplitAreas<H> {
        &self.areas
    }

    /// Writes a chain of `count` segments into the descriptor table, link by link along the free list (§2.7.13.1).
    pub(super) fn write_direct<T>(
        &self,
        books: &Books<'_, T>,
        count: u16,
        chain: impl Iterator<Item = Segment>,
    ) {
        let mut index = books.next_id();
        for (segment, left) in chain.zip((0..count).rev()) {
            let following = books.next(index);
            let (flags, next) =
                if left > 0 { (DescriptorFlags::NEXT, following) } else { (DescriptorFlags::empty(), 0) };
            self.areas.write_descriptor(index, &Descriptor { segment, flags, next });
            index = following;
        }
    }

    /// Writes the one descriptor that refers to an indirect table (§2.7.5.3).
    pub(super) fn write_indirect(&self, id: u16, table: Segment) {
        let descriptor = Descriptor { segment: table, flags: DescriptorFlags::INDIRECT, next: 0 };
        self.areas.write_descriptor(id, &descriptor);
    }

    /// Puts a chain into the available ring; the device does not look there yet (§2.7.13, step 2 and 3).
    pub(super) fn make_available(&self, id: u16) {
        let available = self.available.get();
        self.areas.set_available_element(available, id);
        self.available.set(available.wrapping_add(1));
    }

    /// Shows the device everything made available, and says whether it wants to be notified (§2.7.13, steps 4 to 7).
    pub(super) fn publish(&self) -> bool {
        let (old, new) = (self.published.get(), self.available.get());
        self.barriers.contents_before_publishing();
        self.areas.set_available_index(new);
        self.published.set(new);
        self.barriers.publishing_before_suppression_check();
        if self.event_index {
            passes(self.areas.available_event(), new, old)
        } else {
            self.areas.used_flags() & USED_NO_NOTIFY == 0
        }
    }

    /// What a notification says of the ring: the available index, whose top bit is its wrap counter (§2.9).
    pub(super) const fn next_available(&self) -> u16 {
        self.published.get()
    }

    /// The next used element, as the device claims it, if there is one (§2.7.14). `held` chains are in the device's hands.
    ///
    /// The used index is read when everything seen before was taken; then it vouches for a whole burst.
    pub(super) fn next_used(&self, held: u16) -> Result<Option<UsedElement>, UsedIndexJumped> {
        let taken = self.taken.get();
        if taken == self.seen_used.get() {
            let seen = self.areas.used_index();
            let by = seen.wrapping_sub(taken);
            if by == 0 {
                return Ok(None);
            }
            if by > held {
                return Err(UsedIndexJumped { by });
            }
            self.barriers.used_mark_before_elements();
            self.seen_used.set(seen);
        }
        let (id, written_len) = self.areas.used_element(taken);
        Ok(Some(UsedElement { id, written_len, length_is_vouched_for: true }))
    }

    /// How many chains the used index that was seen covers: a batch may not have more (§2.7.9).
    pub(super) const fn covered(&self) -> u16 {
        self.seen_used.get().wrapping_sub(self.taken.get())
    }

    /// Moves on to the next used element.
    pub(super) fn advance_used(&self) {
        self.taken.set(self.taken.get().wrapping_add(1));
    }

    /// Tells the device to send no used-buffer notifications (§2.7.7).
    ///
    /// With event index there is no flag: the event is put just behind the position, where the index comes by only once in
    /// 65536 chains.
    pub(super) fn suppress(&self) {
        if self.event_index {
            self.areas.set_used_event(self.taken.get().wrapping_sub(1));
        } else {
            self.areas.set_available_flags(AVAILABLE_NO_INTERRUPT);
        }
    }

    /// Asks for a notification when `chains` more are used (with event index; else with the next one), then looks whether there is one already.
    pub(super) fn rearm(&self, chains: u16) -> bool {
        let taken = self.taken.get();
        if self.event_index {
            self.areas.set_used_event(taken.wrapping_add(chains.saturating_sub(1)));
        } else {
            self.areas.set_available_flags(0);
        }
        self.barriers.rearm_before_used_check();
        // Chains that an index vouched for are waiting, whatever the index says now.
        taken != self.seen_used.get() || self.areas.used_index() != taken
    }
}

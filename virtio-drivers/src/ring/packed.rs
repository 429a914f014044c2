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

use super::position::Position;
use super::used::UsedElement;
use crate::hal::Hal;
use crate::raw::order::Barriers;
use crate::raw::{PackedAreas, PackedDescriptor, Segment};
use crate::wire::packed::{available_flags, event_flags, is_used};
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
    /// The flags of the burst's first descriptor, if there is a burst.
    withheld: Cell<Option<u16>>,
    /// Where the next used descriptor will be.
    taken: Cell<Position>,
}

/// The flags of a chain's first descriptor, to be written when the chain is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadFlags(u16);

impl<H: Hal> PackedRing<H> {
    pub(super) const fn new(areas: PackedAreas<H>, barriers: Barriers, event_index: bool) -> Self {
        Self {
            areas,
            barriers,
            event_index,
            available: Cell::new(Position::START),
            published: Cell::new(Position::START),
            withheld: Cell::new(None),
            taken: Cell::new(Position::START),
        }
    }

    pub(super) const fn areas(&self) -> &PackedAreas<H> {
        &self.areas
    }

    /// Writes a chain of `count` segments into the ring, all but the flags of its first descriptor (§2.8.21.1).
    pub(super) fn write_direct(
        &self,
        id: u16,
        count: u16,
        chain: impl Iterator<Item = Segment>,
    ) -> HeadFlags {
        let mut position = self.available.get();
        let mut head = None;
        for (segment, left) in chain.zip((0..count).rev()) {
            let mut kind = segment.direction_flag();
            kind.set(DescriptorFlags::NEXT, left > 0);
            let flags = available_flags(kind, position.wrap_counter);
            self.areas.write_descriptor(position.slot, &PackedDescriptor { segment, id });
            match head {
                None => head = Some(flags),
                Some(_) => self.areas.set_flags(position.slot, flags),
            }
            position = position.advanced(1, self.areas.size());
        }
        HeadFlags(head.unwrap_or(0))
    }

    /// Writes the one descriptor that refers to an indirect table, without its flags (§2.8.7).
    pub(super) fn write_indirect(&self, id: u16, table: Segment) -> HeadFlags {
        let position = self.available.get();
        self.areas.write_descriptor(position.slot, &PackedDescriptor { segment: table, id });
        HeadFlags(available_flags(DescriptorFlags::INDIRECT, position.wrap_counter))
    }

    /// Counts a chain of `descriptors` as made available; the device does not come by there before the burst is published.
    pub(super) fn make_available(&self, HeadFlags(flags): HeadFlags, descriptors: u16) {
        let position = self.available.get();
        match self.withheld.get() {
            None => self.withheld.set(Some(flags)),
            Some(_) => self.areas.set_flags(position.slot, flags),
        }
        self.available.set(position.advanced(descriptors, self.areas.size()));
    }

    /// Shows the device everything made available, and says whether it wants to be notified (§2.8.21, steps 2 and 3).
    pub(super) fn publish(&self) -> bool {
        let Some(flags) = self.withheld.take() else { return false };
        let (old, new) = (self.published.get(), self.available.get());
        self.barriers.contents_before_publishing();
        self.areas.set_flags(old.slot, flags);
        self.published.set(new);
        self.barriers.publishing_before_suppression_check();

        let (place, flags) = self.areas.device_event();
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

    /// Whether the descriptor that is used next is used already. The one place that is looked at, whatever was asked for (§2.8.2).
    fn is_next_used(&self) -> Option<u16> {
        let taken = self.taken.get();
        let flags = self.areas.flags(taken.slot);
        is_used(flags, taken.wrap_counter).then_some(flags)
    }

    /// The next used descriptor, as the device claims it, if there is one (§2.8.22). Flags first, then what they vouch for.
    pub(super) fn next_used(&self) -> Option<UsedElement> {
        let flags = self.is_next_used()?;
        self.barriers.used_mark_before_elements();
        let (id, written_len) = self.areas.used_element(self.taken.get().slot);
        let length_is_vouched_for = flags & DescriptorFlags::WRITE.bits() != 0;
        Some(UsedElement { id: u32::from(id), written_len, length_is_vouched_for })
    }

    /// Moves on past a chain of `descriptors`: one used descriptor stands for all of them.
    pub(super) fn advance_used(&self, descriptors: u16) {
        self.taken.set(self.taken.get().advanced(descriptors, self.areas.size()));
    }

    /// Tells the device to send no used-buffer notifications (§2.8.10).
    pub(super) fn suppress(&self) {
        self.areas.set_driver_event(0, event_flags::DISABLE);
    }

    /// Asks for a notification when `descriptors` more are used (with event index; else with the next one), then looks whether there is one already.
    pub(super) fn rearm(&self, descriptors: u16) -> bool {
        if self.event_index {
            let event = self.taken.get().advanced(descriptors.saturating_sub(1), self.areas.size());
            self.areas.set_driver_event(event.encoded(), event_flags::DESCRIPTOR);
        } else {
            self.areas.set_driver_event(0, event_flags::ENABLE);
        }
        self.barriers.rearm_before_used_check();
        self.is_next_used().is_some()
    }
}

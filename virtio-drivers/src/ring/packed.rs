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
use core::mem::ManuallyDrop;

use super::books::Progress;
use super::broken::Broken;
use super::position::Position;
use super::used::{UsedElement, UsedPlaces};
use crate::hal::Hal;
use crate::raw::order::Barriers;
use crate::raw::{PackedAreas, PackedWords, Segment};
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
    pub(super) available: Cell<Position>,
    /// Where the burst begins that the device has not been shown.
    published: Cell<Position>,
    /// The flags of that burst's first descriptor.
    pub(super) withheld: Cell<u16>,
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

    /// Shows the device everything made available, and says whether it wants to be notified (§2.8.21, steps 2 and 3).
    #[inline]
    pub(super) fn publish(&self) -> bool {
        let words = self.areas.words();
        let (old, new) = (self.published.get(), self.available.get());
        self.barriers.contents_before_publishing();
        words.descriptor(old.slot).set_flags(self.withheld.get());
        self.published.set(new);
        self.barriers.publishing_before_suppression_check();

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
        let position = self.taken.get();
        UsedDescriptors { words: self.areas.words(), barriers: self.barriers, position, kept: &self.taken }
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
        taken.is_used(words.descriptor(taken.slot).flags())
    }
}

/// A chain that is being written into the ring, all but the flags of its first descriptor (§2.8.21.1). Unless it is finished, what was written of it is
/// taken back: the device must find nothing behind the chain that comes in its place.
#[derive(Debug)]
pub(super) struct Laying<'q> {
    words: PackedWords<'q>,
    id: u16,
    first: Position,
    next: Position,
    /// The flags of the first descriptor.
    head_flags: u16,
}

impl<'q> Laying<'q> {
    #[inline]
    pub(super) const fn at(words: PackedWords<'q>, first: Position, id: u16) -> Self {
        Self { words, id, first, next: first, head_flags: 0 }
    }

    /// Writes the next descriptor, after which `left` come.
    #[inline(always)]
    pub(super) fn put(&mut self, segment: &Segment, left: usize) {
        let mut kind = segment.direction_flag();
        kind.set(DescriptorFlags::NEXT, left > 0);
        let flags = self.next.available(kind);
        let descriptor = self.words.descriptor(self.next.slot);
        descriptor.write(segment, self.id);
        if self.next == self.first {
            self.head_flags = flags;
        } else {
            descriptor.set_flags(flags);
        }
        self.next = self.next.advanced(1, self.words.size());
    }

    /// Writes the one descriptor that refers to an indirect table (§2.8.7).
    #[inline]
    pub(super) fn put_table(&mut self, table: &Segment) {
        self.words.descriptor(self.first.slot).write(table, self.id);
        self.head_flags = self.first.available(DescriptorFlags::INDIRECT);
        self.next = self.first.advanced(1, self.words.size());
    }

    /// The chain is whole: the flags of its first descriptor, and where the next chain goes.
    #[inline]
    pub(super) fn finish(self) -> (u16, Position) {
        let whole = ManuallyDrop::new(self);
        (whole.head_flags, whole.next)
    }
}

impl Drop for Laying<'_> {
    #[inline]
    fn drop(&mut self) {
        take_back(self.words, self.first, self.next);
    }
}

/// Makes nobody's descriptors of those from `from` up to `to`.
#[cold]
#[inline(never)]
fn take_back(words: PackedWords<'_>, from: Position, to: Position) {
    let mut position = from;
    while position != to {
        words.descriptor(position.slot).set_flags(position.a_lap_ago());
        position = position.advanced(1, words.size());
    }
}

/// Used descriptors, as the device claims them (§2.8.22).
#[derive(Debug)]
pub(super) struct UsedDescriptors<'q> {
    words: PackedWords<'q>,
    barriers: Barriers,
    position: Position,
    kept: &'q Cell<Position>,
}

impl UsedPlaces for UsedDescriptors<'_> {
    /// There is one place that is looked at, whatever was asked for (§2.8.2). Flags first, then what they vouch for.
    #[inline]
    fn next(&mut self, _: &Progress) -> Result<Option<UsedElement>, Broken> {
        let descriptor = self.words.descriptor(self.position.slot);
        let flags = descriptor.flags();
        if !self.position.is_used(flags) {
            return Ok(None);
        }
        self.barriers.used_mark_before_elements();
        let (id, written_len) = descriptor.used_element();
        let length_is_vouched_for = flags & DescriptorFlags::WRITE.bits() != 0;
        Ok(Some(UsedElement { id: u32::from(id), written_len, length_is_vouched_for }))
    }

    /// One used descriptor stands for all of a chain.
    #[inline]
    fn advance(&mut self, descriptors: u16) {
        self.position = self.position.advanced(descriptors, self.words.size());
    }

    #[inline]
    fn covered(&self, progress: &Progress) -> u16 {
        progress.held()
    }
}

impl Drop for UsedDescriptors<'_> {
    #[inline]
    fn drop(&mut self) {
        self.kept.set(self.position);
    }
}

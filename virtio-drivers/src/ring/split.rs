//! The split format: what a chain, a publish and a used element look like in the three areas.
//!
//! Spec: §2.7 Split Virtqueues. The rules common to both formats (ownership, breaking) are in [`queue`](super::queue).

use core::cell::Cell;

use super::books::{Progress, index, next};
use super::broken::Broken;
use super::chain::{Candidate, DescriptorSink, RefusedReason};
use super::slots::Slot;
use super::supply::{AvailablePlaces, Entry, TableEntry, Written};
use super::suppress::passes;
use super::used::UsedPlaces;
use crate::hal::Hal;
use crate::raw::order::Barriers;
use crate::raw::{Payload, Segment, SplitAreas, SplitWords, Table};
use crate::wire::split::{AVAILABLE_NO_INTERRUPT, DescriptorFlags, USED_NO_NOTIFY};

/// The driver's side of one split virtqueue: its areas, and what the device has shown. Indices count chains, modulo 65536.
#[derive(Debug)]
pub(super) struct SplitRing<H: Hal> {
    areas: SplitAreas<H>,
    barriers: Barriers,
    /// Whether both sides ask for notifications by index.
    event_index: bool,
    /// Whether the device has to say rightly how much it wrote: many of before version 1 do not (§2.7.8.1).
    lengths_count: bool,
    /// The used index that the device has shown; a private copy.
    seen_used: Cell<u16>,
}

impl<H: Hal> SplitRing<H> {
    pub(super) const fn new(
        areas: SplitAreas<H>,
        barriers: Barriers,
        event_index: bool,
        lengths_count: bool,
    ) -> Self {
        Self { areas, barriers, event_index, lengths_count, seen_used: Cell::new(0) }
    }

    pub(super) const fn areas(&self) -> &SplitAreas<H> {
        &self.areas
    }

    /// Where chains go.
    #[inline]
    pub(super) const fn supply(&self) -> SplitPlaces<'_> {
        SplitPlaces { words: self.areas.words() }
    }

    /// Shows the device the chains from `old` up to `new`, and says whether it wants to be notified (§2.7.13, steps 4 to 7).
    #[inline]
    pub(super) fn publish(&self, old: u16, new: u16) -> bool {
        let words = self.areas.words();
        self.barriers.around_publishing(|| words.set_available_index(new));
        if self.event_index {
            passes(words.available_event(), new, old)
        } else {
            words.used_flags() & USED_NO_NOTIFY == 0
        }
    }

    /// The used elements, to be read one after the other.
    #[inline]
    pub(super) const fn used(&self) -> UsedElements<'_> {
        let seen = self.seen_used.get();
        let (words, barriers) = (self.areas.words(), self.barriers);
        UsedElements { words, barriers, lengths_count: self.lengths_count, seen, kept: &self.seen_used }
    }

    /// Tells the device to send no used-buffer notifications, `taken` chains being taken back (§2.7.7).
    ///
    /// With event index there is no flag: the event is put just behind the position, where the index comes by only once in
    /// 65536 chains.
    pub(super) fn suppress(&self, taken: u16) {
        let words = self.areas.words();
        if self.event_index {
            words.set_used_event(taken.wrapping_sub(1));
        } else {
            words.set_available_flags(AVAILABLE_NO_INTERRUPT);
        }
    }

    /// Asks for a notification when `chains` more are used (with event index; else with the next one), then looks whether there is one already.
    pub(super) fn rearm(&self, taken: u16, chains: u16) -> bool {
        let words = self.areas.words();
        if self.event_index {
            words.set_used_event(taken.wrapping_add(chains.saturating_sub(1)));
        } else {
            words.set_available_flags(0);
        }
        self.barriers.rearm_before_used_check();
        // Chains that an index vouched for are waiting, whatever the index says now.
        taken != self.seen_used.get() || words.used_index() != taken
    }
}

/// The descriptor table and the available ring.
#[derive(Debug)]
pub(super) struct SplitPlaces<'q> {
    words: SplitWords<'q>,
}

impl AvailablePlaces for SplitPlaces<'_> {
    fn size(&self) -> u16 {
        self.words.size()
    }

    #[inline(always)]
    fn write<H: Hal, T: Payload>(
        &mut self,
        slots: &[Slot<T>],
        entry: Entry,
        table: Option<Table<'_>>,
        chain: &Candidate<'_, H, T>,
    ) -> Result<Written, RefusedReason> {
        let mut linking = Linking { words: self.words, slots, last: entry.id, next: entry.next };
        let writable_bytes = match table {
            None => chain.visit(&mut linking)?,
            Some(table) => {
                let mut linked = LinkedTable(table);
                let writable_bytes = chain.visit(&mut linked)?;
                linking.put_table(&linked.0.segment);
                writable_bytes
            }
        };
        let Linking { last, next: after, .. } = linking;
        self.words.set_available_element(entry.sequence, entry.id);
        Ok(Written { writable_bytes, last, after })
    }

    #[inline(always)]
    fn put_table(&mut self, entry: TableEntry, table: &Segment) {
        if !entry.is_written {
            self.words.write_descriptor(entry.id, table, DescriptorFlags::INDIRECT, None);
        }
        self.words.set_available_element(entry.sequence, entry.id);
    }

    #[inline(always)]
    fn put(&mut self, id: usize, sequence: usize, _: bool, segment: &Segment) {
        self.words.write_only_descriptor(id, segment);
        self.words.set_available_element(sequence, index(id));
    }
}

/// A chain that is being written into the descriptor table, link by link along the free list (§2.7.13.1). It is nothing to anybody before it is in the
/// available ring.
#[derive(Debug)]
struct Linking<'q, T> {
    words: SplitWords<'q>,
    slots: &'q [Slot<T>],
    /// The descriptor that is to be written, or was written last,
    last: u16,
    /// and the one after it.
    next: u16,
}

impl<T> DescriptorSink for Linking<'_, T> {
    #[inline(always)]
    fn put(&mut self, segment: &Segment, left: usize) {
        let following = (left > 0).then_some(self.next);
        self.words.write_descriptor(self.last, segment, DescriptorFlags::empty(), following);
        if left > 0 {
            self.last = self.next;
            self.next = next(self.slots, self.last);
        }
    }
}

impl<T> Linking<'_, T> {
    /// Writes the one descriptor that refers to an indirect table (§2.7.5.3).
    #[inline]
    fn put_table(&mut self, table: &Segment) {
        self.words.write_descriptor(self.last, table, DescriptorFlags::INDIRECT, None);
    }
}

/// An indirect table, in which descriptors are linked, too (§2.7.5.3).
struct LinkedTable<'t>(Table<'t>);

impl DescriptorSink for LinkedTable<'_> {
    #[inline(always)]
    fn put(&mut self, segment: &Segment, _: usize) {
        self.0.put_linked(segment);
    }
}

/// Used elements, as the device claims them (§2.7.14).
#[derive(Debug)]
pub(super) struct UsedElements<'q> {
    words: SplitWords<'q>,
    barriers: Barriers,
    lengths_count: bool,
    /// The used index that the device has shown.
    seen: u16,
    kept: &'q Cell<u16>,
}

impl UsedPlaces for UsedElements<'_> {
    /// The used index is read when everything seen before was taken; then it vouches for a whole burst.
    #[inline(always)]
    fn vouched_for(&mut self, progress: &Progress) -> Result<u16, Broken> {
        let left = self.covered(progress);
        if left > 0 {
            return Ok(left);
        }
        let seen = self.words.used_index();
        let (by, held) = (seen.wrapping_sub(index(progress.taken)), progress.held());
        if by == 0 {
            return Ok(0);
        }
        if by > held {
            return Err(Broken::UsedIndexJumped { by, held });
        }
        self.barriers.used_mark_before_elements();
        self.seen = seen;
        Ok(by)
    }

    const ONE_BY_ONE: bool = false;

    #[inline(always)]
    fn id_and_length(&self, taken: usize) -> (u32, u32) {
        self.words.used_element(taken)
    }

    #[inline(always)]
    fn length_is_vouched_for(&self) -> bool {
        self.lengths_count
    }

    #[inline]
    fn advance(&mut self, _: u16) {}

    #[inline]
    fn covered(&self, progress: &Progress) -> u16 {
        self.seen.wrapping_sub(index(progress.taken))
    }
}

impl Drop for UsedElements<'_> {
    #[inline]
    fn drop(&mut self) {
        self.kept.set(self.seen);
    }
}

//! Positions in a packed ring: an offset and a wrap counter.
//!
//! Spec: §2.8.1 Driver and Device Ring Wrap Counters. A position that is advanced past the end of the ring comes out at its start with the other counter, so
//! there are twice as many positions as slots, and the distance between two of them has one meaning for every batch.

use core::hint::cold_path;

use crate::raw::{PackedCursor, PackedDescriptor, PackedWords};
use crate::wire::packed::{AVAILABLE, USED, WRAP_COUNTER};
use crate::wire::split::DescriptorFlags;

/// A place in the ring, in one of two laps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) slot: u16,
    /// The wrap counter, as used descriptors have it: in both marks.
    lap: u16,
}

/// The marks that say whose turn a descriptor is.
const MARKS: u16 = AVAILABLE | USED;

impl Position {
    /// Where both sides start: with a wrap counter of 1.
    pub(super) const START: Self = Self { slot: 0, lap: MARKS };

    /// The position `by` slots on, in a ring of `size`; `by` is at most `size`, which is at most 32768.
    #[inline]
    pub(super) const fn advanced(self, by: u16, size: u16) -> Self {
        let slot = self.slot.wrapping_add(by);
        if slot >= size {
            // Rare enough that the branch is cheaper than arithmetic.
            cold_path();
            return Self { slot: slot.wrapping_sub(size), lap: self.lap ^ MARKS };
        }
        Self { slot, lap: self.lap }
    }

    /// The flags of a descriptor of this `kind` that is available here (§2.8.1): the one mark is the wrap counter, the other is its inverse.
    #[inline]
    pub(super) const fn available(self, kind: DescriptorFlags) -> u16 {
        kind.bits() | self.lap ^ USED
    }

    /// The flags of a descriptor here that was available a lap ago: nobody's, until it is made available again.
    pub(super) const fn a_lap_ago(self) -> u16 {
        self.lap ^ AVAILABLE
    }

    /// Whether a descriptor with these flags is used here (§2.8.1): both marks are the wrap counter.
    #[inline]
    pub(super) const fn is_used(self, flags: u16) -> bool {
        flags & MARKS == self.lap
    }

    /// How many slots `to` is ahead: less than twice the size. `None` if it is not in the ring.
    pub(super) const fn distance(self, to: Self, size: u16) -> Option<u32> {
        if to.slot >= size {
            return None;
        }
        let (from, to) = (self.linear(size), to.linear(size));
        Some(if to >= from { to - from } else { to + 2 * size as u32 - from })
    }

    /// Its place among the positions of two laps.
    const fn linear(self, size: u16) -> u32 {
        self.slot as u32 + if self.lap == MARKS { 0 } else { size as u32 }
    }

    /// As both sides write it: in event suppression, and in notification data.
    #[inline]
    pub(super) const fn encoded(self) -> u16 {
        self.slot | self.lap & WRAP_COUNTER
    }

    /// From what the other side wrote; the slot may be beyond the ring.
    #[inline]
    pub(super) const fn decoded(bits: u16) -> Self {
        Self { slot: bits & !WRAP_COUNTER, lap: if bits & WRAP_COUNTER == 0 { 0 } else { MARKS } }
    }
}

/// A position on its way through a ring, where it is known to be inside of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'q> {
    cursor: PackedCursor<'q>,
    /// As in a position, in a whole word: compilers take the trouble to copy padding.
    lap: usize,
}

impl<'q> Walk<'q> {
    #[inline]
    pub(super) const fn at(words: PackedWords<'q>, position: Position) -> Self {
        Self { cursor: words.at(position.slot), lap: position.lap as usize }
    }

    #[allow(clippy::cast_possible_truncation, reason = "it came from 16 bits")]
    const fn lap(self) -> u16 {
        (self.lap & 0xffff) as u16
    }

    /// How far it has come.
    #[inline]
    pub(super) const fn position(self) -> Position {
        Position { slot: self.cursor.slot(), lap: self.lap() }
    }

    /// The descriptor here.
    #[inline]
    pub(super) const fn descriptor(self) -> PackedDescriptor<'q> {
        self.cursor.descriptor()
    }

    /// Goes on by as many slots: at most the size.
    #[inline]
    pub(super) fn advance(&mut self, by: u16) {
        if self.cursor.advance(by) {
            self.lap ^= usize::from(MARKS);
        }
    }

    /// As [`Position::a_lap_ago`].
    pub(super) const fn a_lap_ago(self) -> u16 {
        Position { slot: 0, lap: self.lap() }.a_lap_ago()
    }

    /// As [`Position::available`].
    #[inline]
    pub(super) const fn available(self, kind: DescriptorFlags) -> u16 {
        Position { slot: 0, lap: self.lap() }.available(kind)
    }

    /// As [`Position::is_used`].
    #[inline]
    pub(super) const fn is_used(self, flags: u16) -> bool {
        Position { slot: 0, lap: self.lap() }.is_used(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::Position;
    use crate::wire::packed::{AVAILABLE, USED, WRAP_COUNTER, available_flags, is_used};
    use crate::wire::split::DescriptorFlags;

    /// Spec: §2.8.1 — in either lap, what is available here is marked as its wrap counter says, and only what is marked used in the same lap is used.
    #[test]
    fn a_position_marks_and_recognizes_descriptors_by_its_wrap_counter() {
        for position in [Position::START, Position::START.advanced(5, 5)] {
            let wrap_counter = position.encoded() & WRAP_COUNTER != 0;
            for kind in [DescriptorFlags::empty(), DescriptorFlags::all()] {
                assert_eq!(position.available(kind), available_flags(kind, wrap_counter));
            }
            assert_eq!(position.a_lap_ago(), available_flags(DescriptorFlags::empty(), !wrap_counter));
            for marks in [0, AVAILABLE, USED, AVAILABLE | USED] {
                assert_eq!(position.is_used(marks | 3), is_used(marks | 3, wrap_counter));
            }
        }
    }

    /// Spec: §2.8.1 — for every size, step and start: two laps round, the distance is the step, and the encoding holds it.
    #[test]
    fn a_position_comes_round_after_two_laps_and_its_distances_are_its_steps() {
        for size in [1u16, 2, 3, 7, 100, 32768] {
            let mut position = Position::START;
            for step in (0..=size).step_by(usize::from(size).div_ceil(50)) {
                let next = position.advanced(step, size);
                assert!(next.slot < size);
                assert_eq!(position.distance(next, size), Some(u32::from(step)), "size {size}");
                assert_eq!(Position::decoded(next.encoded()), next);
                assert_eq!(position.advanced(size, size).advanced(size, size), position);
                position = next;
            }
        }
    }

    #[test]
    fn a_place_beyond_the_ring_has_no_distance() {
        assert_eq!(Position::START.distance(Position::decoded(7), 7), None);
    }
}

//! Positions in a packed ring: an offset and a wrap counter.
//!
//! Spec: §2.8.1 Driver and Device Ring Wrap Counters. A position that is advanced past the end of the ring comes out at its start with the other counter, so
//! there are twice as many positions as slots, and the distance between two of them has one meaning for every batch.

use crate::wire::packed::WRAP_COUNTER;

/// A place in the ring, in one of two laps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) slot: u16,
    pub(super) wrap_counter: bool,
}

impl Position {
    /// Where both sides start.
    pub(super) const START: Self = Self { slot: 0, wrap_counter: true };

    /// The position `by` slots on, in a ring of `size`; `by` is at most `size`, which is at most 32768.
    pub(super) const fn advanced(self, by: u16, size: u16) -> Self {
        let slot = self.slot + by;
        if slot >= size {
            Self { slot: slot - size, wrap_counter: !self.wrap_counter }
        } else {
            Self { slot, ..self }
        }
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
        self.slot as u32 + if self.wrap_counter { 0 } else { size as u32 }
    }

    /// As both sides write it: in event suppression, and in notification data.
    pub(super) const fn encoded(self) -> u16 {
        self.slot | if self.wrap_counter { WRAP_COUNTER } else { 0 }
    }

    /// From what the other side wrote; the slot may be beyond the ring.
    pub(super) const fn decoded(bits: u16) -> Self {
        Self { slot: bits & !WRAP_COUNTER, wrap_counter: bits & WRAP_COUNTER != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

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

//! What counts of a string of buffers, but for lengths: one word.
//!
//! So the usual shape, one buffer whose bytes begin where they mostly do, is recognized with one comparison.
//!
//! ```text
//!   bits   0 … 16   16 … 24   24                         32 … 48    48 … 64
//!          start    apart     whether the device writes  count - 1  shown - 1, modulo 65536
//! ```
//!
//! Less one, so that the usual shape is a small number: instructions have those in themselves.

use crate::hal::Direction;

/// See the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape(u64);

const APART: u32 = 16;
const WRITABLE: u64 = 1 << 24;
const COUNT: u32 = 32;
const SHOWN: u32 = 48;

#[allow(clippy::cast_possible_truncation, reason = "the lowest 16 or 8 bits are meant")]
impl Shape {
    /// One buffer, of which nothing counts.
    pub(super) const EMPTY: Self = Self(0).with_shown(0);

    /// One buffer, of which something counts from `start` on, and nothing is a segment of its own.
    pub(super) const fn one(start: u16, direction: Direction) -> Self {
        Self(start as u64).with_direction(direction)
    }

    /// Where bytes begin to count, in the first buffer.
    pub(super) const fn start(self) -> u16 {
        self.0 as u16
    }

    /// How many buffers there are: at least one.
    pub(super) const fn count(self) -> u16 {
        ((self.0 >> COUNT) as u16).wrapping_add(1)
    }

    /// Of how many some bytes count: the first so many.
    pub(super) const fn shown(self) -> u16 {
        ((self.0 >> SHOWN) as u16).wrapping_add(1)
    }

    /// Bytes at the very beginning that are a segment of their own.
    pub(super) const fn apart(self) -> u8 {
        (self.0 >> APART) as u8
    }

    /// Which side is to write.
    pub(super) const fn direction(self) -> Direction {
        if self.0 & WRITABLE == 0 { Direction::DeviceReadable } else { Direction::DeviceWritable }
    }

    /// Whether there is one buffer.
    pub(super) const fn is_single(self) -> bool {
        self.0 & 0xffff << COUNT == 0
    }

    /// Whether there is one buffer, of which something counts: one comparison with half a word.
    pub(super) const fn is_one(self) -> bool {
        self.0 >> COUNT == 0
    }

    /// Whether what counts is one segment.
    pub(super) const fn is_one_segment(self) -> bool {
        self.0 & (0xffff << SHOWN | 0xff << APART) == 0
    }

    pub(super) const fn with_start(self, start: u16) -> Self {
        Self(self.0 & !0xffff | start as u64)
    }

    pub(super) const fn with_count(self, count: u16) -> Self {
        Self(self.0 & !(0xffff << COUNT) | (count.wrapping_sub(1) as u64) << COUNT)
    }

    pub(super) const fn with_shown(self, shown: u16) -> Self {
        Self(self.0 & !(0xffff << SHOWN) | (shown.wrapping_sub(1) as u64) << SHOWN)
    }

    pub(super) const fn with_apart(self, apart: u8) -> Self {
        Self(self.0 & !(0xff << APART) | (apart as u64) << APART)
    }

    pub(super) const fn with_direction(self, direction: Direction) -> Self {
        match direction {
            Direction::DeviceReadable => Self(self.0 & !WRITABLE),
            Direction::DeviceWritable => Self(self.0 | WRITABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;
    use crate::hal::Direction;

    #[test]
    fn each_part_of_a_shape_is_changed_by_itself() {
        let all = Shape::EMPTY.with_start(0xfedc).with_count(0xba98).with_shown(0x7654).with_apart(0x32);
        let all = all.with_direction(Direction::DeviceWritable);

        for (changed, parts) in [
            (all, (0xfedc, 0xba98, 0x7654, 0x32, Direction::DeviceWritable)),
            (all.with_start(1), (1, 0xba98, 0x7654, 0x32, Direction::DeviceWritable)),
            (all.with_count(2), (0xfedc, 2, 0x7654, 0x32, Direction::DeviceWritable)),
            (all.with_shown(3), (0xfedc, 0xba98, 3, 0x32, Direction::DeviceWritable)),
            (all.with_apart(4), (0xfedc, 0xba98, 0x7654, 4, Direction::DeviceWritable)),
            (
                all.with_direction(Direction::DeviceReadable),
                (0xfedc, 0xba98, 0x7654, 0x32, Direction::DeviceReadable),
            ),
        ] {
            assert_eq!(
                (changed.start(), changed.count(), changed.shown(), changed.apart(), changed.direction()),
                parts
            );
        }
    }

    #[test]
    fn what_counts_is_one_segment_if_it_is_in_one_buffer_and_nothing_is_apart() {
        let one = Shape::one(64, Direction::DeviceWritable);

        assert!(one.is_one_segment() && one.is_single() && one.is_one());
        assert!(one.with_count(2).is_one_segment() && !one.with_count(2).is_single());
        for other in [one.with_shown(0), one.with_shown(2), one.with_apart(12), Shape::EMPTY] {
            assert!(!other.is_one_segment(), "{other:?}");
        }
    }
}

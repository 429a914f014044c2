//! Which parts of the memory are free: books of ranges, and nothing else.
//!
//! First fit by address, with any alignment; neighbours become one range again when they come back. The books are kept in memory of our own: whoever is at the other side of the
//! shared memory can write there, and must not reach them. Used when rings and pools are set up, and for bounced buffers.

use std::collections::BTreeMap;
use std::ops::Range;

/// What sizes are rounded up to, and what everything is aligned to at least: a cache line, in bytes.
pub(super) const GRAIN: usize = 64;

/// The free parts of one memory, in offsets from its start.
#[derive(Debug)]
pub(super) struct FreeRanges {
    /// Length by start. No two touch each other; all are multiples of [`GRAIN`].
    free: BTreeMap<usize, usize>,
    /// What the offsets are counted from: alignment is that of addresses.
    origin: usize,
}

impl FreeRanges {
    /// `bytes` bytes from the address `origin` on are free. Both are multiples of [`GRAIN`].
    pub(super) fn new(origin: usize, bytes: usize) -> Self {
        Self { free: BTreeMap::from([(0, bytes)]), origin }
    }

    /// Takes the first range that is long enough where it is aligned, and says where it begins. `None` if there is none.
    pub(super) fn take(&mut self, bytes: usize, align: usize) -> Option<usize> {
        let bytes = rounded(bytes)?;
        let fits = |(start, len): (&usize, &usize)| {
            let at = self.aligned(*start, align)?;
            (at.checked_add(bytes)? <= start + len).then_some((*start, *len, at))
        };
        let (start, len, at) = self.free.iter().find_map(fits)?;
        self.free.remove(&start);
        self.keep(start..at);
        self.keep(at + bytes..start + len);
        Some(at)
    }

    /// Takes a range back, with the size that it was taken with.
    pub(super) fn put(&mut self, start: usize, bytes: usize) {
        let Some(bytes) = rounded(bytes) else { return };
        let mut range = start..start + bytes;
        if let Some((before, len)) = self.free.range(..start).next_back().map(|(start, len)| (*start, *len))
            && before + len == range.start
        {
            self.free.remove(&before);
            range.start = before;
        }
        if let Some(len) = self.free.remove(&range.end) {
            range.end += len;
        }
        self.keep(range);
    }

    /// How many bytes are free, in all ranges.
    pub(super) fn bytes(&self) -> usize {
        self.free.values().sum()
    }

    fn keep(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.free.insert(range.start, range.end - range.start);
        }
    }

    /// The first offset from `start` on whose address is aligned.
    fn aligned(&self, start: usize, align: usize) -> Option<usize> {
        let address = self.origin.checked_add(start)?;
        Some(address.checked_next_multiple_of(align.max(GRAIN))? - self.origin)
    }
}

fn rounded(bytes: usize) -> Option<usize> {
    bytes.max(1).checked_next_multiple_of(GRAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: usize = 0x7000_0000_0040;
    const BYTES: usize = 64 * GRAIN;

    #[test]
    fn what_came_back_is_one_range_again() {
        let mut ranges = FreeRanges::new(ORIGIN, BYTES);
        let taken: Vec<_> = (0..64).map(|_| ranges.take(1, 1).unwrap()).collect();
        assert_eq!(ranges.take(1, 1), None);

        for start in taken.iter().step_by(2).chain(taken.iter().skip(1).step_by(2)) {
            ranges.put(*start, 1);
        }

        assert_eq!(ranges.take(BYTES, 1), Some(0));
    }

    #[test]
    fn alignment_is_that_of_the_address() {
        let mut ranges = FreeRanges::new(ORIGIN, BYTES);

        let start = ranges.take(100, 1024).unwrap();

        assert!((ORIGIN + start).is_multiple_of(1024));
        assert_eq!(ranges.bytes(), BYTES - 128);
    }

    #[test]
    fn sizes_beyond_all_numbers_are_refused() {
        let mut ranges = FreeRanges::new(ORIGIN, BYTES);

        assert_eq!(ranges.take(usize::MAX, 1), None);
        assert_eq!(ranges.take(usize::MAX - GRAIN, 1 << 63), None);
        assert_eq!(ranges.take(BYTES + 1, 1), None);
        assert_eq!(ranges.bytes(), BYTES);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take { bytes: usize, align: usize },
        Put { which: usize },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let take =
            (1..1500_usize, 0..12_u32).prop_map(|(bytes, align)| Step::Take { bytes, align: 1 << align });
        let put = any::<usize>().prop_map(|which| Step::Put { which });
        prop::collection::vec(prop_oneof![3 => take, 2 => put], 1..if cfg!(miri) { 30 } else { 200 })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: if cfg!(miri) { 4 } else { 256 }, ..ProptestConfig::default() })]

        #[test]
        fn ranges_never_overlap_and_all_of_them_come_back(steps in steps()) {
            let mut ranges = FreeRanges::new(ORIGIN, BYTES);
            let mut taken: Vec<(usize, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Take { bytes, align } => {
                        let before = ranges.bytes();
                        let Some(start) = ranges.take(bytes, align) else {
                            prop_assert_eq!(ranges.bytes(), before);
                            continue;
                        };
                        prop_assert!((ORIGIN + start).is_multiple_of(align) && start + bytes <= BYTES);
                        let apart = |(other, len): &(usize, usize)| start + bytes <= *other || other + len <= start;
                        prop_assert!(taken.iter().all(apart));
                        taken.push((start, bytes));
                    }
                    Step::Put { which } if !taken.is_empty() => {
                        let (start, bytes) = taken.swap_remove(which % taken.len());
                        ranges.put(start, bytes);
                    }
                    Step::Put { .. } => {}
                }
            }
            for (start, bytes) in taken {
                ranges.put(start, bytes);
            }
            prop_assert_eq!(ranges.take(BYTES, 1), Some(0));
        }
    }
}

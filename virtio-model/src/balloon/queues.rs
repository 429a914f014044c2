//! Which queue is where.
//!
//! Spec: §5.5.2 Virtqueues. The specification gives every queue its number, whether the others are there or not; QEMU numbers those that it has.

use super::numbers::feature;

/// A queue of a balloon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BalloonQueue {
    /// Pages for the balloon.
    Inflate,
    /// Pages out of it.
    Deflate,
    /// Statistics.
    Statistics,
    /// Hints of free pages.
    FreePages,
    /// Reports of free pages.
    Reporting,
}

const ALL: [BalloonQueue; 5] = [
    BalloonQueue::Inflate,
    BalloonQueue::Deflate,
    BalloonQueue::Statistics,
    BalloonQueue::FreePages,
    BalloonQueue::Reporting,
];

impl BalloonQueue {
    /// Whether it is there with these features.
    pub(super) const fn is_there(self, features: u128) -> bool {
        let needed = match self {
            Self::Inflate | Self::Deflate => return true,
            Self::Statistics => feature::STATS_VQ,
            Self::FreePages => feature::FREE_PAGE_HINT,
            Self::Reporting => feature::PAGE_REPORTING,
        };
        features & 1 << needed != 0
    }

    /// Its number, on a device of these features.
    pub(super) fn index(self, features: u128, is_compacted: bool) -> u16 {
        let before = ALL.into_iter().take_while(|queue| *queue != self);
        let count = before.filter(|queue| !is_compacted || queue.is_there(features)).count();
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// The size of each queue of a device of these features, by number; 0 is one that is not there.
    pub(super) fn sizes(features: u128, is_compacted: bool, size: u16) -> Vec<u16> {
        let mut sizes = Vec::new();
        for queue in ALL.into_iter().filter(|queue| queue.is_there(features)) {
            sizes.resize(usize::from(queue.index(features, is_compacted)), 0);
            sizes.push(size);
        }
        sizes
    }
}

//! The two layouts behind one queue type: chosen by negotiation when the queue is made, and not asked about by anybody else.
//!
//! Spec: §2.6 Virtqueues, §2.7 Split Virtqueues, §2.8 Packed Virtqueues.

use super::packed::PackedRing;
use super::split::SplitRing;
use crate::hal::{DmaError, Hal};
use crate::raw::order::{Barriers, PLATFORM_STRENGTH_AVAILABLE};
use crate::raw::{AreaPlacement, PackedAreas, QueueAddresses, SplitAreas};
use crate::wire::features::CommonFeatures;

/// How a queue is laid out in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Descriptor table, available ring, used ring.
    Split,
    /// One ring of descriptors that both sides write.
    Packed,
}

impl Layout {
    /// What these features say.
    pub(crate) const fn of(features: CommonFeatures) -> Self {
        if features.contains(CommonFeatures::RING_PACKED) { Self::Packed } else { Self::Split }
    }

    /// The largest queue size within `limit`: split queues have a power of two (§2.7), packed ones any (§2.8). `None` if there is none.
    pub(crate) fn size_within(self, limit: u16) -> Option<u16> {
        match self {
            Self::Split => limit.checked_ilog2().map(|exponent| 1 << exponent),
            Self::Packed => (limit > 0).then_some(limit),
        }
    }
}

/// A ring in one of the layouts.
#[derive(Debug)]
pub(super) enum Ring<H: Hal> {
    Split(SplitRing<H>),
    Packed(PackedRing<H>),
}

impl<H: Hal> Ring<H> {
    /// Allocates the areas of a queue of `size` descriptors.
    pub(super) fn allocate(
        hal: &H,
        features: CommonFeatures,
        size: u16,
        placement: AreaPlacement,
    ) -> Result<Self, DmaError> {
        let platform = features.contains(CommonFeatures::ORDER_PLATFORM) && PLATFORM_STRENGTH_AVAILABLE;
        let barriers = if platform { Barriers::Platform } else { Barriers::Processor };
        let event_index = features.contains(CommonFeatures::EVENT_IDX);
        let lengths_count = features.contains(CommonFeatures::VERSION_1);
        Ok(match Layout::of(features) {
            Layout::Split => Self::Split(SplitRing::new(
                SplitAreas::allocate(hal, size, placement)?,
                barriers,
                event_index,
                lengths_count,
            )),
            Layout::Packed => {
                Self::Packed(PackedRing::new(PackedAreas::allocate(hal, size)?, barriers, event_index))
            }
        })
    }

    /// Number of descriptors.
    pub(super) const fn size(&self) -> u16 {
        match self {
            Self::Split(ring) => ring.areas().size(),
            Self::Packed(ring) => ring.areas().size(),
        }
    }

    /// What the device is to be told.
    pub(super) const fn addresses(&self) -> QueueAddresses {
        match self {
            Self::Split(ring) => ring.areas().addresses(),
            Self::Packed(ring) => ring.areas().addresses(),
        }
    }

    /// Asks for no notifications, `taken` chains being taken back.
    pub(super) fn suppress(&self, taken: u16) {
        match self {
            Self::Split(ring) => ring.suppress(taken),
            Self::Packed(ring) => ring.suppress(),
        }
    }

    /// Asks for a notification when `chains` more are used, or earlier; says whether there is a used one already.
    pub(super) fn rearm(&self, taken: u16, chains: u16) -> bool {
        match self {
            Self::Split(ring) => ring.rearm(taken, chains),
            // Each chain has a descriptor at least, so as many descriptors are reached when as many chains are used, at the latest.
            Self::Packed(ring) => ring.rearm(chains),
        }
    }
}

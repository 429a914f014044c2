//! The two layouts behind one queue type: chosen by negotiation when the queue is made, and not asked about by anybody else.
//!
//! Spec: §2.6 Virtqueues, §2.7 Split Virtqueues, §2.8 Packed Virtqueues.

use super::books::{Books, Footprint};
use super::chain::Measured;
use super::packed::{HeadFlags, PackedRing};
use super::split::SplitRing;
use super::used::{UsedElement, UsedIndexJumped};
use crate::hal::{DmaError, Hal};
use crate::raw::order::{Barriers, PLATFORM_STRENGTH_AVAILABLE};
use crate::raw::{AreaPlacement, IndirectTables, PackedAreas, QueueAddresses, Segment, SplitAreas};
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

/// A chain whose descriptors are written, and that nobody knows of yet.
#[derive(Clone, Copy)]
pub(super) struct WrittenChain {
    id: u16,
    pub(super) footprint: Footprint,
    /// In the packed layout.
    head: Option<HeadFlags>,
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
        Ok(match Layout::of(features) {
            Layout::Split => Self::Split(SplitRing::new(
                SplitAreas::allocate(hal, size, placement)?,
                barriers,
                event_index,
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

    /// What a chain takes of the queue: one descriptor if it goes into an indirect table.
    pub(super) const fn footprint(&self, measured: Measured, is_indirect: bool) -> Footprint {
        let Measured { segments, writable_bytes } = measured;
        let descriptors = if is_indirect { 1 } else { segments };
        let entries = match self {
            Self::Split(_) => descriptors,
            Self::Packed(_) => 1,
        };
        Footprint { entries, descriptors, writable_bytes }
    }

    /// Writes a chain for which there is room. `None` if it does not fit into its table.
    pub(super) fn write<T>(
        &self,
        books: &Books<'_, T>,
        tables: Option<&IndirectTables<H>>,
        measured: Measured,
        chain: impl Iterator<Item = Segment>,
    ) -> Option<WrittenChain> {
        let (id, count) = (books.next_id(), measured.segments);
        let head = match (self, tables) {
            (Self::Split(ring), None) => {
                ring.write_direct(books, count, chain);
                None
            }
            (Self::Split(ring), Some(tables)) => {
                ring.write_indirect(id, tables.write_table(id, count, chain)?);
                None
            }
            (Self::Packed(ring), None) => Some(ring.write_direct(id, count, chain)),
            (Self::Packed(ring), Some(tables)) => {
                Some(ring.write_indirect(id, tables.write_table(id, count, chain)?))
            }
        };
        Some(WrittenChain { id, footprint: self.footprint(measured, tables.is_some()), head })
    }

    /// Counts a written chain as made available; the device sees it with the next publish.
    pub(super) fn make_available(&self, chain: &WrittenChain) {
        match (self, chain.head) {
            (Self::Split(ring), _) => ring.make_available(chain.id),
            (Self::Packed(ring), Some(head)) => ring.make_available(head, chain.footprint.descriptors),
            (Self::Packed(_), None) => {}
        }
    }

    /// Shows the device everything made available, and says whether it wants to be notified.
    pub(super) fn publish(&self) -> bool {
        match self {
            Self::Split(ring) => ring.publish(),
            Self::Packed(ring) => ring.publish(),
        }
    }

    /// The position in the ring that a notification may carry.
    pub(super) const fn next_available(&self) -> u16 {
        match self {
            Self::Split(ring) => ring.next_available(),
            Self::Packed(ring) => ring.next_available(),
        }
    }

    /// The next used element, as the device claims it. `held` chains are in the device's hands.
    pub(super) fn next_used(&self, held: u16) -> Result<Option<UsedElement>, UsedIndexJumped> {
        match self {
            Self::Split(ring) => ring.next_used(held),
            Self::Packed(ring) => Ok(ring.next_used()),
        }
    }

    /// How many chains a batch can have at most, `held` being in the device's hands.
    pub(super) const fn batch_max(&self, held: u16) -> u16 {
        match self {
            Self::Split(ring) => ring.covered(),
            Self::Packed(_) => held,
        }
    }

    /// Moves on past a chain of so many descriptors.
    pub(super) fn advance_used(&self, descriptors: u16) {
        match self {
            Self::Split(ring) => ring.advance_used(),
            Self::Packed(ring) => ring.advance_used(descriptors),
        }
    }

    /// Asks for no notifications.
    pub(super) fn suppress(&self) {
        match self {
            Self::Split(ring) => ring.suppress(),
            Self::Packed(ring) => ring.suppress(),
        }
    }

    /// Asks for a notification when `chains` more are used, or earlier; says whether there is a used one already.
    pub(super) fn rearm(&self, chains: u16) -> bool {
        match self {
            Self::Split(ring) => ring.rearm(chains),
            // Each chain has a descriptor at least, so as many descriptors are reached when as many chains are used, at the latest.
            Self::Packed(ring) => ring.rearm(chains),
        }
    }
}

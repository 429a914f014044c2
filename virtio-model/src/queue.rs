//! A queue in the layout that was negotiated.
//!
//! Spec: §2.6 Virtqueues. Made by [`PciDevice::device_queue`](crate::pci::PciDevice::device_queue);
//! device models such as [`block`](crate::block) work with it and refuse to know the layout. A
//! test that wants to lie asks for the layout: [`DeviceQueue::split`], [`DeviceQueue::packed`].

use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::packed::{self, PackedQueue};
use crate::setup::Setup;
use crate::split::{self, SplitQueue};

/// The device side of a virtqueue.
#[derive(Debug)]
pub enum DeviceQueue {
    /// Three areas, §2.7.
    Split(SplitQueue),
    /// One ring that both sides write, §2.8.
    Packed(PackedQueue),
}

/// A burst of used buffers that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// In a split queue.
    Split(split::Published),
    /// In a packed queue.
    Packed(packed::Published),
}

/// Calls the same method of whichever queue it is.
macro_rules! either {
    ($queue:expr, $ring:ident => $call:expr) => {
        match $queue {
            DeviceQueue::Split($ring) => $call,
            DeviceQueue::Packed($ring) => $call,
        }
    };
}

impl DeviceQueue {
    /// Takes over a queue that was just enabled.
    ///
    /// # Errors
    /// - `Driver`: the layout does not permit this size, or an area is misaligned.
    pub fn new(memory: &AddressSpace, setup: Setup, packed: bool) -> Result<Self, ModelError> {
        Ok(if packed {
            Self::Packed(PackedQueue::new(memory, setup)?)
        } else {
            Self::Split(SplitQueue::new(memory, setup)?)
        })
    }

    /// The split queue, for what only that layout has.
    ///
    /// # Panics
    /// If the packed layout was negotiated.
    pub fn split(&mut self) -> &mut SplitQueue {
        match self {
            Self::Split(queue) => queue,
            Self::Packed(_) => panic!("a split queue asked for by the test, but it is packed"),
        }
    }

    /// The packed queue, for what only that layout has.
    ///
    /// # Panics
    /// If the packed layout was not negotiated.
    pub fn packed(&mut self) -> &mut PackedQueue {
        match self {
            Self::Packed(queue) => queue,
            Self::Split(_) => panic!("a packed queue asked for by the test, but it is split"),
        }
    }

    /// Whether the packed layout was negotiated.
    pub fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }

    /// Whether buffers are returned in the order in which they were made available.
    pub fn is_in_order(&self) -> bool {
        either!(self, ring => ring.is_in_order())
    }

    /// The queue size.
    pub fn size(&self) -> u16 {
        either!(self, ring => ring.size())
    }

    /// Takes the next available buffer, if there is one.
    ///
    /// # Errors
    /// - `Driver`: the driver broke a rule; the queue has not moved on.
    /// - `Memory`: an area or an indirect table cannot be read.
    pub fn pop(&mut self) -> Result<Option<Chain>, ModelError> {
        either!(self, ring => ring.pop())
    }

    /// Writes what returns one buffer; the driver does not see it before `publish_used`.
    ///
    /// Tells where it was written, for `put_used_id`: the free-running index of a used element,
    /// or the slot of a used descriptor.
    ///
    /// # Panics
    /// With `IN_ORDER`, if it is not the oldest buffer in flight.
    pub fn push_used(&mut self, head: u16, written: u32) -> Result<u16, ModelError> {
        match self {
            Self::Split(ring) => ring.push_used(head.into(), written),
            Self::Packed(ring) => ring.push_used(head, written),
        }
    }

    /// Writes what returns several buffers at once, each given as head and written bytes.
    ///
    /// # Panics
    /// If `IN_ORDER` was not negotiated, or these are not the oldest buffers in flight, in order.
    pub fn push_used_batch(&mut self, batch: &[(u16, u32)]) -> Result<u16, ModelError> {
        either!(self, ring => ring.push_used_batch(batch))
    }

    /// Shows the driver everything pushed so far.
    pub fn publish_used(&mut self) -> Result<Published, ModelError> {
        Ok(match self {
            Self::Split(ring) => Published::Split(ring.publish_used()?),
            Self::Packed(ring) => Published::Packed(ring.publish_used()?),
        })
    }

    /// Returns one buffer and tells whether the driver wants to hear of it.
    ///
    /// # Panics
    /// As `push_used`.
    pub fn complete(&mut self, head: u16, written: u32) -> Result<bool, ModelError> {
        either!(self, ring => ring.complete(head, written))
    }

    /// Returns several buffers at once and tells whether the driver wants to hear of them.
    ///
    /// # Panics
    /// As `push_used_batch`.
    pub fn complete_batch(&mut self, batch: &[(u16, u32)]) -> Result<bool, ModelError> {
        either!(self, ring => ring.complete_batch(batch))
    }

    /// Tells whether the driver wants a used buffer notification for what was published.
    ///
    /// # Panics
    /// If it was published by a queue of the other layout.
    pub fn needs_interrupt(&self, published: Published) -> Result<bool, ModelError> {
        match (self, published) {
            (Self::Split(ring), Published::Split(published)) => ring.needs_interrupt(published),
            (Self::Packed(ring), Published::Packed(published)) => ring.needs_interrupt(published),
            (_, published) => panic!("{published:?} does not belong to this queue"),
        }
    }

    /// Asks for a notification with the next available buffer; true if one is waiting already.
    pub fn enable_notifications(&mut self) -> Result<bool, ModelError> {
        either!(self, ring => ring.enable_notifications())
    }

    /// Asks for no notifications.
    pub fn disable_notifications(&mut self) -> Result<(), ModelError> {
        either!(self, ring => ring.disable_notifications())
    }

    /// A lie in either layout: overwrites id and length where `push_used` wrote them, which it
    /// told. A packed ring has room for the low 16 bits of the id.
    pub fn put_used_id(&self, place: u16, id: u32, len: u32) -> Result<(), ModelError> {
        let [low, high, ..] = id.to_le_bytes();
        match self {
            Self::Split(ring) => ring.put_used_element(place, id, len),
            Self::Packed(ring) => ring.put_used_id(place, u16::from_le_bytes([low, high]), len),
        }
    }
}

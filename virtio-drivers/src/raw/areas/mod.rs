//! The areas of virtqueues, as words in shared memory.
//!
//! The ring floor decides what to write; here it is written, always inside of the areas.
//!
//! Spec: §2.6 Virtqueues, §2.7 Split Virtqueues, §2.8 Packed Virtqueues.

mod descriptor;
mod frames;
mod indirect;
mod packed;
mod split;

pub(crate) use frames::{FrameWords, RequestFrames};
pub(crate) use indirect::{IndirectTables, Table};
pub(crate) use packed::{PackedAreas, PackedCursor, PackedDescriptor, PackedWords};
pub(crate) use split::{SplitAreas, SplitWords};

use crate::hal::DeviceAddress;
use crate::wire::split::DEVICE_AREA_ALIGN;

/// Areas that different sides write start on cache lines of their own.
const CACHE_LINE: usize = 64;

/// Where a queue's areas are, for the device. Only queues make such addresses, so no safe code can point a device anywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the specification's names")]
pub struct QueueAddresses {
    descriptor_area: DeviceAddress,
    driver_area: DeviceAddress,
    device_area: DeviceAddress,
}

impl QueueAddresses {
    /// Descriptor area: the descriptor table, or the packed ring.
    pub const fn descriptor_area(&self) -> DeviceAddress {
        self.descriptor_area
    }

    /// Driver area: the available ring, or the driver's event suppression.
    pub const fn driver_area(&self) -> DeviceAddress {
        self.driver_area
    }

    /// Device area: the used ring, or the device's event suppression.
    pub const fn device_area(&self) -> DeviceAddress {
        self.device_area
    }
}

/// How a transport wants the areas of its queues placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AreaPlacement {
    /// The device is told three addresses: every modern transport.
    #[default]
    Separate,
    /// The device is told one page number, and finds the other areas by rule: devices of before version 1. Split layout only.
    ///
    /// Spec: §2.7.2 Legacy Interfaces: A Note on Virtqueue Layout.
    Contiguous {
        /// Queue Align in bytes, a power of two, at least 4: where the used ring may start.
        align: u16,
    },
}

impl AreaPlacement {
    /// The used ring starts at a multiple of so many bytes. `None` if that cannot be: the number is no power of two, or less
    /// than a used ring needs.
    pub(crate) fn used_ring_align(self) -> Option<usize> {
        let align = match self {
            Self::Separate => CACHE_LINE,
            Self::Contiguous { align } => usize::from(align),
        };
        (align.is_power_of_two() && align >= DEVICE_AREA_ALIGN).then_some(align)
    }
}

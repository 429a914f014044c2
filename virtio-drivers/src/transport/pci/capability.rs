//! The walk through a function's capabilities, to virtio structures.
//!
//! Spec: §4.1.4 Virtio Structure PCI Capabilities. The list is the device's, so nothing about it is believed: the walk visits each offset
//! at most once, and a capability is used only if it is sound.

use pci_types::ConfigRegionAccess;
use zerocopy::{FromBytes, IntoBytes};

use crate::raw::PciFunction;
use crate::wire::pci::{CAPABILITY_BYTES, CAPABILITY_ID, Capability, NOTIFY_CAPABILITY_BYTES, structure};

/// Offset of the first capability's pointer.
const CAPABILITIES_POINTER: u8 = 0x34;
/// Status register: there is a capability list.
const STATUS_HAS_CAPABILITIES: u32 = 1 << (16 + 4);
/// Capabilities stand behind the 64-byte header.
const HEADER_BYTES: u8 = 0x40;

/// The capability list is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// The function has no capability list.
    #[error("the function has no capability list")]
    NoList,
    /// The list comes back to an offset where it was before.
    #[error("the capability list loops at offset {offset:#x}")]
    Loop {
        /// Where it comes back to.
        offset: u8,
    },
    /// The list points into the header.
    #[error("the capability list points into the header, at offset {offset:#x}")]
    IntoHeader {
        /// Where it points.
        offset: u8,
    },
}

/// Where a virtio structure is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) structure: u8,
    pub(super) bar: u8,
    pub(super) offset: u32,
    pub(super) length: u32,
    /// Of a notification structure: bytes between the places of two queues.
    pub(super) notify_multiplier: Option<u32>,
}

/// Calls `found` for each sound virtio capability, in the order of the list.
///
/// Skipped: capabilities of other kinds, structures with reserved BARs, capabilities too short for what they announce.
pub(super) fn walk<A: ConfigRegionAccess>(
    function: &PciFunction<A>,
    mut found: impl FnMut(Location),
) -> Result<(), CapabilityError> {
    if function.read(0x04) & STATUS_HAS_CAPABILITIES == 0 {
        return Err(CapabilityError::NoList);
    }
    let mut visited = 0u64;
    let [first, ..] = function.read(CAPABILITIES_POINTER).to_le_bytes();
    let mut offset = first & !3;
    while offset != 0 {
        if offset < HEADER_BYTES {
            return Err(CapabilityError::IntoHeader { offset });
        }
        let bit = 1 << (offset / 4);
        if visited & bit != 0 {
            return Err(CapabilityError::Loop { offset });
        }
        visited |= bit;
        let [id, next, length, _] = function.read(offset).to_le_bytes();
        if id == CAPABILITY_ID
            && let Some(location) = location(function, offset, length)
        {
            found(location);
        }
        offset = next & !3;
    }
    Ok(())
}

fn location<A: ConfigRegionAccess>(function: &PciFunction<A>, offset: u8, length: u8) -> Option<Location> {
    // The whole capability must be inside of configuration space, or reading it would wrap around.
    let last = offset.checked_add(length.checked_sub(1)?)?;
    if length < CAPABILITY_BYTES || last < offset {
        return None;
    }
    let words = [0u8, 4, 8, 12].map(|word| function.read(offset.wrapping_add(word)).to_le_bytes());
    let capability = Capability::read_from_bytes(words.as_bytes()).ok()?;
    let known = matches!(
        capability.structure,
        structure::COMMON_CONFIG | structure::NOTIFY | structure::ISR | structure::DEVICE_CONFIG
    );
    if !known || capability.bar > 5 {
        return None;
    }
    let notify_multiplier = match capability.structure {
        structure::NOTIFY if length < NOTIFY_CAPABILITY_BYTES => return None,
        structure::NOTIFY => Some(function.read(offset.checked_add(CAPABILITY_BYTES)?)),
        _ => None,
    };
    Some(Location {
        structure: capability.structure,
        bar: capability.bar,
        offset: capability.structure_offset.get(),
        length: capability.structure_length.get(),
        notify_multiplier,
    })
}

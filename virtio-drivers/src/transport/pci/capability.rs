//! The walk through a function's capabilities, to virtio structures.
//!
//! Spec: §4.1.4 Virtio Structure PCI Capabilities. The list is the device's, so nothing about it is believed: the walk visits each offset
//! at most once, and a capability is used only if it is sound.

use pci_types::ConfigRegionAccess;
use zerocopy::{FromBytes, IntoBytes};

use crate::raw::{MemoryBar, PciFunction};
use crate::wire::pci::{
    CAPABILITY_BYTES, CAPABILITY_ID, CONFIG_ACCESS_CAPABILITY_BYTES, Capability, NOTIFY_CAPABILITY_BYTES,
    SHARED_MEMORY_CAPABILITY_BYTES, structure,
};

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

/// A function's memory BARs, by number.
pub(super) type Bars = [Option<MemoryBar>];

/// Where a virtio structure is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// One of the numbers in [`structure`].
    pub(super) structure: u8,
    /// 0 to 5 (not so for the access through configuration space).
    pub(super) bar: u8,
    /// Tells several structures of one kind apart.
    pub(super) id: u8,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Of a notification structure: bytes between the places of two queues.
    pub(super) notify_multiplier: Option<u32>,
    /// Where the capability itself is.
    pub(super) at: u8,
}

/// Calls `found` with kind, offset and claimed length of each capability, in the order of the list. (Only virtio's own have a length there.)
pub(super) fn walk<A: ConfigRegionAccess>(
    function: &PciFunction<A>,
    found: impl FnMut(u8, u8, u8),
) -> Result<(), CapabilityError> {
    walk_words(|offset| function.read(offset), found)
}

/// The same, where `read` reads words of configuration space.
pub(super) fn walk_words(
    read: impl Fn(u8) -> u32,
    mut found: impl FnMut(u8, u8, u8),
) -> Result<(), CapabilityError> {
    if read(0x04) & STATUS_HAS_CAPABILITIES == 0 {
        return Err(CapabilityError::NoList);
    }
    let mut visited = 0u64;
    let [first, ..] = read(CAPABILITIES_POINTER).to_le_bytes();
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
        let [id, next, length, _] = read(offset).to_le_bytes();
        found(id, offset, length);
        offset = next & !3;
    }
    Ok(())
}

/// The same for sound virtio capabilities only.
///
/// Skipped: capabilities of other kinds, structures of unknown kinds (vendors' own among them) or with reserved BARs, capabilities too short for what they announce.
pub(super) fn walk_structures<A: ConfigRegionAccess>(
    function: &PciFunction<A>,
    mut found: impl FnMut(Location),
) -> Result<(), CapabilityError> {
    walk(function, |id, offset, length| {
        if id == CAPABILITY_ID
            && let Some(location) = location(function, offset, length)
        {
            found(location);
        }
    })
}

/// The length that a sound capability for a structure has at least; `None` for structures that are not known here.
const fn bytes_min(kind: u8) -> Option<u8> {
    match kind {
        structure::COMMON_CONFIG | structure::ISR | structure::DEVICE_CONFIG => Some(CAPABILITY_BYTES),
        structure::NOTIFY => Some(NOTIFY_CAPABILITY_BYTES),
        structure::PCI_CONFIG_ACCESS => Some(CONFIG_ACCESS_CAPABILITY_BYTES),
        structure::SHARED_MEMORY => Some(SHARED_MEMORY_CAPABILITY_BYTES),
        _ => None,
    }
}

fn location<A: ConfigRegionAccess>(function: &PciFunction<A>, at: u8, length: u8) -> Option<Location> {
    // The whole capability must be inside of configuration space, or reading it would wrap around.
    at.checked_add(length.checked_sub(1)?)?;
    if length < CAPABILITY_BYTES {
        return None;
    }
    let words = [0u8, 4, 8, 12].map(|word| function.read(at.wrapping_add(word)).to_le_bytes());
    let capability = Capability::read_from_bytes(words.as_bytes()).ok()?;
    // In the access capability the BAR is what was written last.
    let has_bar = capability.bar <= 5 || capability.structure == structure::PCI_CONFIG_ACCESS;
    if length < bytes_min(capability.structure)? || !has_bar {
        return None;
    }
    let word = |behind: u8| Some(function.read(at.checked_add(CAPABILITY_BYTES)?.checked_add(behind)?));
    let (offset, length) = (capability.structure_offset.get(), capability.structure_length.get());
    let (mut offset, mut length, mut notify_multiplier) = (u64::from(offset), u64::from(length), None);
    match capability.structure {
        structure::NOTIFY => notify_multiplier = Some(word(0)?),
        structure::SHARED_MEMORY => {
            offset |= u64::from(word(0)?) << 32;
            length |= u64::from(word(4)?) << 32;
        }
        _ => {}
    }
    let Capability { structure, bar, id, .. } = capability;
    Some(Location { structure, bar, id, offset, length, notify_multiplier, at })
}

//! Where the words of a split ring lie, and one load or store for each of them.
//!
//! Spec: §2.7.5 The Virtqueue Descriptor Table, §2.7.6 The Virtqueue Available Ring, §2.7.8 The
//! Virtqueue Used Ring. Called by the queue; knows no rules, only places.
//!
//! ```text
//!   descriptor area  { addr le64, len le32, flags le16, next le16 } x size
//!   driver area      flags le16, idx le16, ring le16 x size, used_event le16
//!   device area      flags le16, idx le16, { id le32, len le32 } x size, avail_event le16
//! ```

use crate::memory::{AddressSpace, Fault};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Descriptor flag: the chain goes on at `next`.
pub const NEXT: u16 = 1;
/// Descriptor flag: the device may write the memory.
pub const WRITE: u16 = 2;
/// Descriptor flag: the memory holds a table of descriptors.
pub const INDIRECT: u16 = 4;

/// The bytes of one descriptor.
pub const DESCRIPTOR_BYTES: u64 = 16;

const RING: u64 = 4;
const USED_ELEMENT_BYTES: u64 = 8;

/// One descriptor, as it lies in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// The device address of the memory.
    pub addr: u64,
    /// Its length in bytes.
    pub len: u32,
    /// [`NEXT`], [`WRITE`], [`INDIRECT`].
    pub flags: u16,
    /// The descriptor that follows, with [`NEXT`].
    pub next: u16,
}

impl Descriptor {
    /// Loads entry `index` of the table at `table`.
    pub fn load(memory: &AddressSpace, table: u64, index: u16) -> Result<Self, Fault> {
        let at = table.wrapping_add(DESCRIPTOR_BYTES * u64::from(index));
        Ok(Self {
            addr: memory.load_u64(at, Relaxed)?,
            len: memory.load_u32(at.wrapping_add(8), Relaxed)?,
            flags: memory.load_u16(at.wrapping_add(12), Relaxed)?,
            next: memory.load_u16(at.wrapping_add(14), Relaxed)?,
        })
    }

    /// Stores entry `index` of the table at `table`.
    pub fn store(self, memory: &AddressSpace, table: u64, index: u16) -> Result<(), Fault> {
        let at = table.wrapping_add(DESCRIPTOR_BYTES * u64::from(index));
        memory.store_u64(at, self.addr, Relaxed)?;
        memory.store_u32(at.wrapping_add(8), self.len, Relaxed)?;
        memory.store_u16(at.wrapping_add(12), self.flags, Relaxed)?;
        memory.store_u16(at.wrapping_add(14), self.next, Relaxed)
    }
}

/// The three areas of one queue.
#[derive(Debug, Clone)]
pub(super) struct Areas {
    pub(super) memory: AddressSpace,
    pub(super) size: u16,
    pub(super) descriptor_area: u64,
    pub(super) driver_area: u64,
    pub(super) device_area: u64,
}

impl Areas {
    pub(super) fn descriptor(&self, index: u16) -> Result<Descriptor, Fault> {
        Descriptor::load(&self.memory, self.descriptor_area, index)
    }

    pub(super) fn avail_flags(&self) -> Result<u16, Fault> {
        self.memory.load_u16(self.driver_area, Relaxed)
    }

    /// Pairs with the release by which the driver publishes descriptors and ring entries.
    pub(super) fn avail_idx(&self) -> Result<u16, Fault> {
        self.memory.load_u16(self.driver_area + 2, Acquire)
    }

    /// The ring entry for the free-running index `idx`.
    pub(super) fn avail_entry(&self, idx: u16) -> Result<u16, Fault> {
        let slot = u64::from(idx % self.size);
        self.memory.load_u16(self.driver_area + RING + 2 * slot, Relaxed)
    }

    pub(super) fn used_event(&self) -> Result<u16, Fault> {
        self.memory.load_u16(self.driver_area + RING + 2 * u64::from(self.size), Relaxed)
    }

    pub(super) fn set_used_flags(&self, flags: u16) -> Result<(), Fault> {
        self.memory.store_u16(self.device_area, flags, Relaxed)
    }

    /// Pairs with the acquire by which the driver learns of used elements.
    pub(super) fn set_used_idx(&self, idx: u16) -> Result<(), Fault> {
        self.memory.store_u16(self.device_area + 2, idx, Release)
    }

    /// Writes the used element for the free-running index `idx`.
    pub(super) fn set_used_element(&self, idx: u16, id: u32, len: u32) -> Result<(), Fault> {
        let slot = u64::from(idx % self.size);
        let at = self.device_area + RING + USED_ELEMENT_BYTES * slot;
        self.memory.store_u32(at, id, Relaxed)?;
        self.memory.store_u32(at + 4, len, Relaxed)
    }

    pub(super) fn set_avail_event(&self, idx: u16) -> Result<(), Fault> {
        let at = self.device_area + RING + USED_ELEMENT_BYTES * u64::from(self.size);
        self.memory.store_u16(at, idx, Relaxed)
    }
}

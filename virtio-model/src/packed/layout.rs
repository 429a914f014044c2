//! Where the words of a packed ring lie, and what a position in it is.
//!
//! Spec: §2.8.1 Driver and Device Ring Wrap Counters, §2.8.13 The Virtqueue Descriptor Format,
//! §2.8.14 Event Suppression Structure Format. Called by the queue; knows no rules, only places.
//!
//! ```text
//!   descriptor area  { addr le64, len le32, id le16, flags le16 } x size
//!   driver area      place le16, flags le16       place: offset in 15 bits, wrap counter in 1
//!   device area      place le16, flags le16
//! ```

use crate::memory::{AddressSpace, Fault};
use std::sync::atomic::Ordering::{self, Relaxed, Release};

/// Descriptor flag: the list goes on with the next descriptor of the ring.
pub const NEXT: u16 = 1;
/// Descriptor flag: the device may write the memory, or has written to it.
pub const WRITE: u16 = 2;
/// Descriptor flag: the memory holds a table of descriptors.
pub const INDIRECT: u16 = 4;
/// Descriptor flag: the driver's wrap counter when it made the descriptor available.
pub const AVAIL: u16 = 1 << 7;
/// Descriptor flag: the device's wrap counter when it used the descriptor.
pub const USED: u16 = 1 << 15;

/// Event flags: notifications are wanted.
pub const EVENT_ENABLE: u16 = 0;
/// Event flags: no notifications are wanted.
pub const EVENT_DISABLE: u16 = 1;
/// Event flags: a notification is wanted when one descriptor is passed.
pub const EVENT_DESC: u16 = 2;

/// The bytes of one descriptor.
pub const DESCRIPTOR_BYTES: u64 = 16;
/// The bytes of one event suppression structure.
pub(super) const EVENT_BYTES: u64 = 4;

/// One descriptor, as it lies in the ring or in an indirect table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// The device address of the memory.
    pub addr: u64,
    /// Its length in bytes; in a used descriptor the bytes written.
    pub len: u32,
    /// The buffer id.
    pub id: u16,
    /// [`NEXT`], [`WRITE`], [`INDIRECT`], [`AVAIL`], [`USED`].
    pub flags: u16,
}

impl Descriptor {
    /// Loads entry `index` of the ring or table at `table`: the flags first, with `order`.
    pub fn load(memory: &AddressSpace, table: u64, index: u16, order: Ordering) -> Result<Self, Fault> {
        let at = place(table, index);
        let flags = memory.load_u16(at.wrapping_add(14), order)?;
        Ok(Self {
            addr: memory.load_u64(at, Relaxed)?,
            len: memory.load_u32(at.wrapping_add(8), Relaxed)?,
            id: memory.load_u16(at.wrapping_add(12), Relaxed)?,
            flags,
        })
    }

    /// Stores entry `index` of the ring or table at `table`: the flags last, with release.
    pub fn store(self, memory: &AddressSpace, table: u64, index: u16) -> Result<(), Fault> {
        let at = place(table, index);
        memory.store_u64(at, self.addr, Relaxed)?;
        memory.store_u32(at.wrapping_add(8), self.len, Relaxed)?;
        memory.store_u16(at.wrapping_add(12), self.id, Relaxed)?;
        memory.store_u16(at.wrapping_add(14), self.flags, Release)
    }
}

fn place(table: u64, index: u16) -> u64 {
    table.wrapping_add(DESCRIPTOR_BYTES * u64::from(index))
}

/// A place in the ring, and in which kind of round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The slot, counted in descriptors.
    pub offset: u16,
    /// The wrap counter.
    pub wrap: bool,
}

impl Position {
    /// Where both sides start: slot 0, with the wrap counter at 1.
    pub const START: Self = Self { offset: 0, wrap: true };

    /// The position in the form of an event suppression structure or a notification.
    pub fn encoded(self) -> u16 {
        self.offset & 0x7fff | u16::from(self.wrap) << 15
    }

    /// Takes apart what [`Position::encoded`] puts together.
    pub fn decoded(place: u16) -> Self {
        Self { offset: place & 0x7fff, wrap: place & 0x8000 != 0 }
    }

    /// The position `count` descriptors on, in a ring of `size`.
    #[must_use]
    pub fn advanced(self, count: u16, size: u16) -> Self {
        let end = u32::from(self.offset) + u32::from(count);
        let (rounds, offset) = (end / u32::from(size), end % u32::from(size));
        let offset = u16::try_from(offset).expect("an offset below the queue size");
        Self { offset, wrap: self.wrap ^ (rounds % 2 == 1) }
    }

    /// How many descriptors lie between `start` and here, going forward, in a ring of `size`.
    ///
    /// Two rounds make a circle, for the wrap counter is back where it was; in each of them a
    /// burst covers one round at most.
    pub fn distance_from(self, start: Self, size: u16) -> u32 {
        let circle = 2 * u32::from(size);
        let along = |place: Self| u32::from(place.offset) + if place.wrap { 0 } else { u32::from(size) };
        (along(self) % circle + circle - along(start) % circle) % circle
    }

    /// The flag bits of a descriptor that is made available here.
    pub fn available_flags(self) -> u16 {
        if self.wrap { AVAIL } else { USED }
    }

    /// The flag bits of a descriptor that is used here.
    pub fn used_flags(self) -> u16 {
        if self.wrap { AVAIL | USED } else { 0 }
    }

    /// Whether a descriptor with these flags is available here.
    pub fn is_available(self, flags: u16) -> bool {
        flags & (AVAIL | USED) == self.available_flags()
    }
}

/// What one side wrote about the notifications that it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSuppression {
    /// The position, encoded; meaningful with [`EVENT_DESC`] only.
    pub place: u16,
    /// [`EVENT_ENABLE`], [`EVENT_DISABLE`], [`EVENT_DESC`].
    pub flags: u16,
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
    pub(super) fn flags(&self, slot: u16, order: Ordering) -> Result<u16, Fault> {
        self.memory.load_u16(place(self.descriptor_area, slot) + 14, order)
    }

    /// The descriptor in `slot`, whose flags were read before; they are not read again.
    pub(super) fn descriptor_after(&self, slot: u16, flags: u16) -> Result<Descriptor, Fault> {
        let at = place(self.descriptor_area, slot);
        Ok(Descriptor {
            addr: self.memory.load_u64(at, Relaxed)?,
            len: self.memory.load_u32(at + 8, Relaxed)?,
            id: self.memory.load_u16(at + 12, Relaxed)?,
            flags,
        })
    }

    /// Writes id and length of a used descriptor, not its flags.
    pub(super) fn set_used(&self, slot: u16, id: u16, len: u32) -> Result<(), Fault> {
        let at = place(self.descriptor_area, slot);
        self.memory.store_u32(at + 8, len, Relaxed)?;
        self.memory.store_u16(at + 12, id, Relaxed)
    }

    /// Pairs with the acquire by which the driver learns of a used descriptor.
    pub(super) fn set_flags(&self, slot: u16, flags: u16) -> Result<(), Fault> {
        self.memory.store_u16(place(self.descriptor_area, slot) + 14, flags, Release)
    }

    /// Both halves of one moment, in one load.
    pub(super) fn driver_event(&self) -> Result<EventSuppression, Fault> {
        let [place_low, place_high, flags_low, flags_high] =
            self.memory.load_u32(self.driver_area, Relaxed)?.to_le_bytes();
        Ok(EventSuppression {
            place: u16::from_le_bytes([place_low, place_high]),
            flags: u16::from_le_bytes([flags_low, flags_high]),
        })
    }

    /// Both halves in one store, for the driver reads them in one load.
    pub(super) fn set_device_event(&self, event: EventSuppression) -> Result<(), Fault> {
        let word = u32::from(event.place) | u32::from(event.flags) << 16;
        self.memory.store_u32(self.device_area, word, Relaxed)
    }
}

//! Base address registers: what they decode, and how their size is found.
//!
//! The PCI way: software writes all ones, the bits below the size stay 0, and what reads back
//! tells the size. A 64-bit BAR takes two registers. Used by the configuration space, and by bridges.

use super::bus::Space;

/// What kind of space a BAR decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory32,
    Memory64,
    Registers64,
    Io,
}

/// One BAR: its kind, its size, and the address it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    kind: Kind,
    size: u64,
    address: u64,
}

impl Bar {
    /// A 32-bit memory BAR of `size` bytes, a power of 2 from 16 up.
    pub fn memory32(size: u64, address: u64) -> Self {
        Self::new(Kind::Memory32, size, address)
    }

    /// A prefetchable 64-bit memory BAR of `size` bytes, a power of 2 from 16 up.
    pub fn memory64(size: u64, address: u64) -> Self {
        Self::new(Kind::Memory64, size, address)
    }

    /// The same, but not prefetchable.
    pub fn registers64(size: u64, address: u64) -> Self {
        Self::new(Kind::Registers64, size, address)
    }

    /// An I/O BAR of `size` bytes, a power of 2 from 4 up.
    pub fn io(size: u64, address: u64) -> Self {
        Self::new(Kind::Io, size, address)
    }

    fn new(kind: Kind, size: u64, address: u64) -> Self {
        let smallest = if kind == Kind::Io { 4 } else { 16 };
        assert!(size.is_power_of_two() && size >= smallest, "no BAR has {size} bytes");
        Self { kind, size, address: address & !(size - 1) }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn is_io(&self) -> bool {
        self.kind == Kind::Io
    }

    pub(super) fn is_64_bit(&self) -> bool {
        matches!(self.kind, Kind::Memory64 | Kind::Registers64)
    }

    /// The address that software gave it; 0 if none.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// Where it is, first and last address; `None` if it has no address.
    pub(super) fn placed(&self) -> Option<(Space, u64, u64)> {
        let space = if self.is_io() { Space::Ports } else { Space::Memory };
        (self.address != 0).then(|| (space, self.address, self.address + (self.size - 1)))
    }

    /// Has no address any more.
    pub(super) fn forget(&mut self) {
        self.address = 0;
    }

    pub(super) fn read_low(&self) -> u32 {
        let kind_bits = match self.kind {
            Kind::Memory32 => 0b0000,
            Kind::Memory64 => 0b1100,
            Kind::Registers64 => 0b0100,
            Kind::Io => 0b0001,
        };
        low_half(self.address) | kind_bits
    }

    pub(super) fn read_high(&self) -> u32 {
        low_half(self.address >> 32)
    }

    /// Whether the low register can hold all of an address.
    pub(super) fn is_aligned(&self, value: u32) -> bool {
        let kind_bits = if self.is_io() { 0b11 } else { 0b1111 };
        u64::from(value & !kind_bits) & (self.size - 1) == 0
    }

    pub(super) fn write_low(&mut self, value: u32) {
        let high = self.address & !u64::from(u32::MAX);
        self.address = (high | u64::from(value)) & !(self.size - 1);
    }

    pub(super) fn write_high(&mut self, value: u32) {
        let low = self.address & u64::from(u32::MAX);
        self.address = (u64::from(value) << 32 | low) & !(self.size - 1);
    }
}

/// The low 32 bits.
fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

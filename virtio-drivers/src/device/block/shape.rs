//! What a disk says of itself, as far as its request queues have to know.
//!
//! Spec: §5.2.4 Device configuration layout. A plain value: [`Control`](super::Control) reads it, and each queue has a copy, so that queues share nothing.

use super::request::{RequestError, Sector};
use crate::wire::block::SECTOR_BYTES;

/// See the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The disk's size in sectors of 512 bytes.
    pub capacity_sectors: u64,
    pub(super) read_only: bool,
    /// The disk has a cache that can be flushed.
    pub(super) flush: bool,
    /// What the device says that it wrote means something.
    pub(super) lengths_count: bool,
}

impl Shape {
    /// Checks a range before the device is asked.
    pub(super) fn check_range(&self, Sector(sector): Sector, bytes: usize) -> Result<(), RequestError> {
        if bytes == 0 {
            return Err(RequestError::Empty);
        }
        if !bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(RequestError::NotWholeSectors { bytes });
        }
        let sectors = (bytes / SECTOR_BYTES) as u64;
        let capacity_sectors = self.capacity_sectors;
        match sector.checked_add(sectors) {
            Some(end) if end <= capacity_sectors => Ok(()),
            _ => Err(RequestError::OutOfRange { sector, sectors, capacity_sectors }),
        }
    }

    /// Checks that it may be written.
    pub(super) const fn check_writable(&self) -> Result<(), RequestError> {
        if self.read_only { Err(RequestError::ReadOnly) } else { Ok(()) }
    }
}

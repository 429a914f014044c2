//! A disk whose calls wait, as a trait: for file systems, partition tables, and parts of disks.
//!
//! Spec: §5.2.6 Device Operation. A [`Block`] is one, and so is whatever else a kernel wants file systems on: it implements the trait. The [adapters](crate::adapter) take one.

use super::driver::Block;
use super::request::{RequestError, Sector};
use crate::hal::{Hal, Patience};
use crate::raw::Payload;
use crate::transport::Transport;

/// A disk, or a part of one, whose calls wait and borrow. Positions and lengths count sectors of 512 bytes.
pub trait BlockingDisk {
    /// Its size in sectors of 512 bytes. May change while it runs.
    fn capacity_sectors(&self) -> u64;

    /// Bytes of a block: what transfers should be a multiple of. `None` if sectors will do.
    fn block_bytes(&self) -> Option<u32>;

    /// Reads whole sectors into several pieces, one after the other.
    ///
    /// # Errors
    /// See [`RequestError`]. The pieces may then hold some of the sectors.
    fn read(
        &mut self,
        from: Sector,
        into: &mut [&mut [u8]],
        patience: impl Patience,
    ) -> Result<(), RequestError>;

    /// Writes whole sectors from several pieces, one after the other.
    ///
    /// # Errors
    /// See [`RequestError`]. Some of the sectors may then be written.
    fn write(&mut self, to: Sector, from: &[&[u8]], patience: impl Patience) -> Result<(), RequestError>;

    /// Makes everything written until now safe from a power failure.
    ///
    /// # Errors
    /// See [`RequestError`].
    fn flush(&mut self, patience: impl Patience) -> Result<(), RequestError>;
}

impl<T: Transport, H: Hal, P: Payload> BlockingDisk for Block<'_, T, H, P> {
    fn capacity_sectors(&self) -> u64 {
        self.capacity_sectors()
    }

    fn block_bytes(&self) -> Option<u32> {
        self.block_bytes()
    }

    fn read(
        &mut self,
        from: Sector,
        into: &mut [&mut [u8]],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.read_vectored_blocking(from, into, patience)
    }

    fn write(&mut self, to: Sector, from: &[&[u8]], patience: impl Patience) -> Result<(), RequestError> {
        self.write_vectored_blocking(to, from, patience)
    }

    fn flush(&mut self, patience: impl Patience) -> Result<(), RequestError> {
        self.flush_blocking(patience)
    }
}

impl<D: BlockingDisk> BlockingDisk for &mut D {
    fn capacity_sectors(&self) -> u64 {
        (**self).capacity_sectors()
    }

    fn block_bytes(&self) -> Option<u32> {
        (**self).block_bytes()
    }

    fn read(
        &mut self,
        from: Sector,
        into: &mut [&mut [u8]],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        (**self).read(from, into, patience)
    }

    fn write(&mut self, to: Sector, from: &[&[u8]], patience: impl Patience) -> Result<(), RequestError> {
        (**self).write(to, from, patience)
    }

    fn flush(&mut self, patience: impl Patience) -> Result<(), RequestError> {
        (**self).flush(patience)
    }
}

//! A disk for partition tables: `gpt_disk_io`'s `BlockIo`.
//!
//! Crate `gpt_disk_io` 0.17. Its blocks are the disk's own, by which partition tables count.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use gpt_disk_io::Disk;
//! use virtio_guest::adapter::Blocks;
//! # use virtio_guest::device::block::Block;
//!
//! # fn example(disk: &mut Block<'_, impl Transport, impl Hal>) -> Result<(), Box<dyn core::error::Error>> {
//! let within_a_second = || Attempts(1_000_000); // or a deadline
//! let mut disk = Disk::new(Blocks::new(disk, within_a_second))?;
//! let mut block = [0; 4096]; // at least one of the disk's
//! let header = disk.read_primary_gpt_header(&mut block)?;
//! for partition in disk.gpt_partition_entry_array_iter(header.get_partition_entry_array_layout()?, &mut block)? {
//!     let _ = partition?.starting_lba;
//! }
//! # Ok(()) }
//! ```

use gpt_disk_io::BlockIo;
use gpt_disk_io::gpt_disk_types::{BlockSize, Lba};

use super::blocks::{Blocks, BlocksError};
use crate::device::block::{BlockingDisk, SECTOR_BYTES, Sector};
use crate::hal::Patience;

/// Sectors of a block.
fn sectors_per_block(disk: &impl BlockingDisk) -> u64 {
    let bytes = disk.block_bytes().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(SECTOR_BYTES);
    (bytes / SECTOR_BYTES).max(1) as u64
}

/// The first sector of a transfer. A number that no sector has is beyond every disk's end.
fn sector(disk: &impl BlockingDisk, block: Lba) -> Sector {
    Sector(block.0.saturating_mul(sectors_per_block(disk)))
}

impl<D: BlockingDisk, M: Fn() -> W, W: Patience> BlockIo for Blocks<D, M> {
    type Error = BlocksError;

    fn block_size(&self) -> BlockSize {
        let block_bytes = self.disk().ok().and_then(|disk| disk.block_bytes());
        block_bytes.and_then(BlockSize::new).unwrap_or(BlockSize::BS_512)
    }

    fn num_blocks(&mut self) -> Result<u64, BlocksError> {
        let disk = self.disk()?;
        Ok(disk.capacity_sectors() / sectors_per_block(&*disk))
    }

    fn read_blocks(&mut self, start: Lba, into: &mut [u8]) -> Result<(), BlocksError> {
        let mut disk = self.disk()?;
        let from = sector(&*disk, start);
        Ok(disk.read(from, &mut [into], (self.patience)())?)
    }

    fn write_blocks(&mut self, start: Lba, from: &[u8]) -> Result<(), BlocksError> {
        let mut disk = self.disk()?;
        let to = sector(&*disk, start);
        Ok(disk.write(to, &[from], (self.patience)())?)
    }

    fn flush(&mut self) -> Result<(), BlocksError> {
        Blocks::flush(self)
    }
}

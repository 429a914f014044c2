//! A disk for FAT file systems: `embedded-sdmmc`'s `BlockDevice`.
//!
//! Crate `embedded-sdmmc-types` 0.1, which `embedded-sdmmc` 0.10 takes its trait from. Its blocks have 512 bytes and 32-bit numbers: what a disk has beyond 2 TiB is out of reach, and so is one that takes larger
//! blocks only (QEMU's with `logical_block_size=4096`).
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use embedded_sdmmc::{TimeSource, VolumeIdx, VolumeManager};
//! use virtio_guest::adapter::Blocks;
//! # use virtio_guest::device::block::Block;
//!
//! # fn example(disk: Block<'_, impl Transport, impl Hal>, clock: impl TimeSource) -> Result<(), Box<dyn core::error::Error>> {
//! let within_a_second = || Attempts(1_000_000); // or a deadline
//! let volumes = VolumeManager::new(Blocks::new(disk, within_a_second), clock);
//! let volume = volumes.open_volume(VolumeIdx(0)).map_err(|_| "no FAT in the first partition")?;
//! # drop(volume);
//! volumes.device(|blocks| blocks.flush())?;
//! # Ok(()) }
//! ```

use embedded_sdmmc_types::{Block, BlockCount, BlockDevice, BlockIdx};

use super::blocks::{Blocks, BlocksError};
use crate::device::block::{BlockingDisk, Sector};
use crate::hal::Patience;

/// Blocks that go to the disk in one call.
const BLOCKS_AT_ONCE: usize = 16;

impl<D: BlockingDisk, M: Fn() -> W, W: Patience> BlockDevice for Blocks<D, M> {
    type Error = BlocksError;

    fn read(&self, blocks: &mut [Block], start: BlockIdx) -> Result<(), BlocksError> {
        let mut disk = self.disk()?;
        let sectors = (u64::from(start.0)..).step_by(BLOCKS_AT_ONCE);
        for (sector, blocks) in sectors.zip(blocks.chunks_mut(BLOCKS_AT_ONCE)) {
            let mut pieces: [&mut [u8]; BLOCKS_AT_ONCE] = Default::default();
            for (piece, block) in pieces.iter_mut().zip(blocks) {
                *piece = &mut block.contents;
            }
            disk.read(Sector(sector), &mut pieces, (self.patience)())?;
        }
        Ok(())
    }

    fn write(&self, blocks: &[Block], start: BlockIdx) -> Result<(), BlocksError> {
        let mut disk = self.disk()?;
        let sectors = (u64::from(start.0)..).step_by(BLOCKS_AT_ONCE);
        for (sector, blocks) in sectors.zip(blocks.chunks(BLOCKS_AT_ONCE)) {
            let mut pieces: [&[u8]; BLOCKS_AT_ONCE] = Default::default();
            for (piece, block) in pieces.iter_mut().zip(blocks) {
                *piece = &block.contents;
            }
            disk.write(Sector(sector), &pieces, (self.patience)())?;
        }
        Ok(())
    }

    fn num_blocks(&self) -> Result<BlockCount, BlocksError> {
        Ok(BlockCount(u32::try_from(self.disk()?.capacity_sectors()).unwrap_or(u32::MAX)))
    }
}

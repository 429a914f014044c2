//! The disk as the FAT crate wants it: 512-byte blocks, and a clock.

use core::cell::RefCell;

use embedded_sdmmc::{Block as FatBlock, BlockCount, BlockDevice, BlockIdx, TimeSource, Timestamp};
use example_platform::devices::Wiring;
use example_platform::pci::PciAccess;
use example_platform::{Dma, clock};
use virtio_guest::device::block::{Block, RequestError, Sector};
use virtio_guest::transport::AnyTransport;

/// A running disk.
pub type Disk<'s> = Block<'s, AnyTransport<PciAccess>, Dma>;

/// How long one call may take.
const PATIENCE_MILLIS: u64 = 5000;

/// A disk behind the FAT crate's trait, which shares it.
pub struct Blocks<'s> {
    disk: RefCell<Disk<'s>>,
    wiring: Wiring,
}

impl BlockDevice for Blocks<'_> {
    type Error = RequestError;

    fn read(&self, blocks: &mut [FatBlock], start: BlockIdx) -> Result<(), RequestError> {
        let mut disk = self.disk.borrow_mut();
        for (sector, block) in (u64::from(start.0)..).zip(blocks) {
            disk.read_blocking(Sector(sector), &mut block.contents, self.wiring.patience(PATIENCE_MILLIS))?;
        }
        Ok(())
    }

    fn write(&self, blocks: &[FatBlock], start: BlockIdx) -> Result<(), RequestError> {
        let mut disk = self.disk.borrow_mut();
        for (sector, block) in (u64::from(start.0)..).zip(blocks) {
            disk.write_blocking(Sector(sector), &block.contents, self.wiring.patience(PATIENCE_MILLIS))?;
        }
        Ok(())
    }

    fn num_blocks(&self) -> Result<BlockCount, RequestError> {
        let sectors = self.disk.borrow().capacity_sectors();
        Ok(BlockCount(u32::try_from(sectors).unwrap_or(u32::MAX)))
    }
}

impl<'s> Blocks<'s> {
    /// A disk, and what it interrupts with.
    pub fn new(disk: Disk<'s>, wiring: Wiring) -> Self {
        Self { disk: RefCell::new(disk), wiring }
    }

    /// How many interrupts arrived so far.
    pub fn interrupts(&self) -> u64 {
        self.wiring.arrived()
    }

    /// Makes everything written safe.
    pub fn flush(&self) -> Result<(), RequestError> {
        self.disk.borrow_mut().flush_blocking(self.wiring.patience(PATIENCE_MILLIS))
    }
}

/// The machine's date, for new files.
pub struct Clock;

impl TimeSource for Clock {
    fn get_timestamp(&self) -> Timestamp {
        let date = clock::date();
        Timestamp {
            year_since_1970: u8::try_from(date.year.saturating_sub(1970)).unwrap_or(u8::MAX),
            zero_indexed_month: date.month.saturating_sub(1),
            zero_indexed_day: date.day.saturating_sub(1),
            hours: date.hour,
            minutes: date.minute,
            seconds: date.second,
        }
    }
}

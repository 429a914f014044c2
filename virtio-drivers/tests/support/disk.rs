//! A modelled disk, and the driver that is started on it.

use virtio_guest::device::block::{Block, Settings, Slots, StartError};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::Disk as ModelDisk;
use virtio_model::pci::PciDevice;

use super::{Bench, Pci, TestHal};

const SIZE_MAX: u128 = 1 << 1;
const SEG_MAX: u128 = 1 << 2;
const RO: u128 = 1 << 5;
const BLK_SIZE: u128 = 1 << 6;
const FLUSH: u128 = 1 << 9;
const INDIRECT_DESC: u128 = 1 << 28;
const VERSION_1: u128 = 1 << 32;

/// What a disk says of itself, and offers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sectors.
    pub capacity: u64,
    /// Bytes of a segment.
    pub size_max: Option<u32>,
    /// Segments of a request.
    pub seg_max: Option<u32>,
    /// Preferred block.
    pub blk_size: Option<u32>,
    /// Read-only.
    pub read_only: bool,
    /// Knows flush.
    pub flush: bool,
    /// Offers indirect descriptors.
    pub indirect: bool,
    /// Descriptors.
    pub queue_size: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            capacity: 64,
            size_max: None,
            seg_max: None,
            blk_size: None,
            read_only: false,
            flush: true,
            indirect: true,
            queue_size: 16,
        }
    }
}

impl Config {
    fn features(&self) -> u128 {
        let offers = [
            (true, VERSION_1),
            (self.size_max.is_some(), SIZE_MAX),
            (self.seg_max.is_some(), SEG_MAX),
            (self.blk_size.is_some(), BLK_SIZE),
            (self.read_only, RO),
            (self.flush, FLUSH),
            (self.indirect, INDIRECT_DESC),
        ];
        offers.into_iter().filter(|(offered, _)| *offered).fold(0, |all, (_, bit)| all | bit)
    }

    /// A disk like that, whose sectors are filled with the low byte of their number.
    fn disk(&self) -> ModelDisk {
        let contents = (0..self.capacity).map(|sector| vec![sector as u8; 512]).collect::<Vec<_>>().concat();
        let disk = ModelDisk::with_contents(contents).with_id("model-disk").with_config(|config| {
            config.size_max = self.size_max.unwrap_or(0);
            config.seg_max = self.seg_max.unwrap_or(0);
            config.blk_size = self.blk_size.unwrap_or(0);
        });
        if self.read_only { disk.read_only() } else { disk }
    }
}

/// A driver on a bench.
pub type Disk<'s> = Block<'s, Pci, TestHal>;

/// A disk, the function that it is behind, and the driver's memory.
pub struct DiskBench {
    /// The disk.
    pub disk: ModelDisk,
    /// Its PCI function.
    pub device: PciDevice,
    /// The driver's memory.
    pub hal: TestHal,
}

impl DiskBench {
    /// A disk that differs from the plain one like this.
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let disk = config.disk();
        let builder = disk.builder().features(config.features()).queue_sizes(&[config.queue_size]);
        let Bench { device, hal } = Bench::new(builder.build());
        Self { disk, device, hal }
    }

    /// Starts the driver, with 2048 bytes in a request.
    pub fn start<'s>(&self, storage: impl Into<Slots<'s>>) -> Result<Disk<'s>, StartError> {
        let bench = Bench { device: self.device.clone(), hal: self.hal.clone() };
        let wants = Wants::features(BlockFeatures::all());
        let settings = Settings { request_bytes: 2048, drop_attempts: Attempts(5), ..Settings::default() };
        let started =
            Block::start_with(bench.transport(), self.hal.clone(), storage, &settings, wants, Attempts(10));
        Ok(started?)
    }

    /// Lets the disk work.
    pub fn serve(&self) {
        self.disk.serve(&self.device, &self.hal.space);
    }

    /// Patience that lets the disk work meanwhile, so many times.
    pub fn working(&self, mut times: usize) -> impl FnMut() -> bool + '_ {
        move || {
            times = times.saturating_sub(1);
            self.serve();
            times > 0
        }
    }

    /// Nothing is left allocated, and the driver kept to the protocol.
    pub fn assert_all_returned(&self) {
        self.device.assert_driver_was_correct();
        self.hal.assert_all_returned();
    }
}

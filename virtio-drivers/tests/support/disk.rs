//! A disk on the model's queue: serves block requests, and lies about them when told to.
//!
//! Spec: §5.2 Block Device; numbers written out, not taken from the driver.

use std::cell::RefCell;

use virtio_guest::device::block::{Block, Settings, StartError, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::transport::pci::PciTransport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::chain::Chain;
use virtio_model::pci::PciDevice;
use virtio_model::split::SplitQueue;

use super::{Bench, TestHal};

const VERSION_1: u128 = 1 << 32;
const INDIRECT_DESC: u128 = 1 << 28;
const SIZE_MAX: u128 = 1 << 1;
const SEG_MAX: u128 = 1 << 2;
const RO: u128 = 1 << 5;
const BLK_SIZE: u128 = 1 << 6;
const FLUSH: u128 = 1 << 9;

/// How the disk answers.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Requests are kept, not answered.
    pub hold: bool,
    /// Requests of one burst are answered last first.
    pub reversed: bool,
    /// This status instead of the true one.
    pub status: Option<u8>,
    /// No status at all.
    pub no_status: bool,
    /// This many bytes fewer are claimed as written.
    pub shortened: u32,
    /// This used id instead of the true one.
    pub used_id: Option<u32>,
}

/// One request as the disk saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Number of its type.
    pub kind: u32,
    /// First sector.
    pub sector: u64,
    /// Lengths of its readable segments, header included.
    pub readable: Vec<u32>,
    /// Lengths of its writable segments, status included.
    pub writable: Vec<u32>,
}

/// A disk, the driver's memory, and the queue between them.
pub struct DiskBench {
    /// The modelled device.
    pub device: PciDevice,
    /// The driver's memory.
    pub hal: TestHal,
    /// How it answers.
    pub answers: RefCell<Answers>,
    /// What is on it.
    pub contents: RefCell<Vec<u8>>,
    seen: RefCell<Vec<Seen>>,
    held: RefCell<Vec<Chain>>,
    queue: RefCell<Option<(u64, SplitQueue)>>,
}

/// What a disk says of itself.
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
        let offered = [
            (true, VERSION_1),
            (self.size_max.is_some(), SIZE_MAX),
            (self.seg_max.is_some(), SEG_MAX),
            (self.blk_size.is_some(), BLK_SIZE),
            (self.read_only, RO),
            (self.flush, FLUSH),
            (self.indirect, INDIRECT_DESC),
        ];
        offered.into_iter().filter(|(offered, _)| *offered).fold(0, |all, (_, bit)| all | bit)
    }

    /// The configuration space.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 96];
        bytes[..8].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.size_max.unwrap_or(0).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.seg_max.unwrap_or(0).to_le_bytes());
        bytes[20..24].copy_from_slice(&self.blk_size.unwrap_or(0).to_le_bytes());
        bytes
    }
}

/// A driver on a bench.
pub type Disk<'s> = Block<'s, PciTransport, TestHal>;

impl DiskBench {
    /// A disk whose sectors are filled with the low byte of their number.
    pub fn new(config: &Config) -> Self {
        let device = PciDevice::builder()
            .device_id(0x1042)
            .features(config.features())
            .queue_sizes(&[config.queue_size])
            .config(config.bytes())
            .build();
        let sectors = config.capacity.min(4096);
        let contents = (0..sectors).map(|sector| vec![sector as u8; 512]).collect::<Vec<_>>().concat();
        let Bench { device, hal } = Bench::new(device);
        Self {
            device,
            hal,
            answers: RefCell::default(),
            contents: RefCell::new(contents),
            seen: RefCell::default(),
            held: RefCell::default(),
            queue: RefCell::default(),
        }
    }

    /// Starts the driver.
    pub fn start<'s, const N: usize>(&self, storage: &'s mut Storage<N>) -> Result<Disk<'s>, StartError> {
        let bench = Bench { device: self.device.clone(), hal: self.hal.clone() };
        let wants = Wants::features(BlockFeatures::all());
        let settings = Settings { request_bytes: 2048, drop_attempts: Attempts(5), ..Settings::default() };
        Block::start_with(bench.transport(), self.hal.clone(), storage, &settings, wants, Attempts(10))
    }

    /// Patience that lets the disk work: so many times.
    pub fn working(&self, mut times: usize) -> impl FnMut() -> bool + '_ {
        move || {
            times = times.saturating_sub(1);
            self.serve();
            times > 0
        }
    }

    /// What the disk was asked since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.borrow_mut())
    }

    /// Answers what was held back.
    pub fn release(&self) {
        self.answers.borrow_mut().hold = false;
        let held = std::mem::take(&mut *self.held.borrow_mut());
        self.answer_all(held);
    }

    /// Takes all requests from the queue, and answers them.
    pub fn serve(&self) {
        let Some(registers) = self.device.queue(0).filter(|queue| queue.enabled && self.device.is_live())
        else {
            return;
        };
        if self.queue.borrow().as_ref().is_none_or(|(epoch, _)| *epoch != registers.epoch) {
            let queue = self.device.split_queue(0, &self.hal.space).expect("enabled").expect("sound");
            *self.queue.borrow_mut() = Some((registers.epoch, queue));
        }
        let mut chains = Vec::new();
        while let Some(chain) =
            self.with_queue(|queue| queue.pop().expect("the driver keeps to the protocol"))
        {
            self.note(&chain);
            chains.push(chain);
        }
        if self.answers.borrow().hold {
            self.held.borrow_mut().extend(chains);
        } else {
            self.answer_all(chains);
        }
    }

    fn with_queue<R>(&self, act: impl FnOnce(&mut SplitQueue) -> R) -> R {
        act(&mut self.queue.borrow_mut().as_mut().expect("a queue").1)
    }

    fn header(&self, chain: &Chain) -> (u32, u64, Vec<u8>) {
        let bytes = chain.read_all(&self.hal.space).expect("mapped");
        assert_eq!(bytes[4..8], [0; 4], "reserved");
        let kind = u32::from_le_bytes(bytes[..4].try_into().expect("four"));
        (kind, u64::from_le_bytes(bytes[8..16].try_into().expect("eight")), bytes[16..].to_vec())
    }

    fn note(&self, chain: &Chain) {
        let (kind, sector, _) = self.header(chain);
        let (readable, writable) = (chain.readable_lens(), chain.writable_lens());
        assert_eq!((readable.first(), writable.last()), (Some(&16), Some(&1)), "header first, status last");
        self.seen.borrow_mut().push(Seen { kind, sector, readable, writable });
    }

    fn answer_all(&self, mut chains: Vec<Chain>) {
        if self.answers.borrow().reversed {
            chains.reverse();
        }
        for chain in chains {
            self.answer(&chain);
        }
    }

    fn answer(&self, chain: &Chain) {
        let (kind, sector, data) = self.header(chain);
        let answers = self.answers.borrow().clone();
        let wanted = usize::try_from(chain.writable_bytes()).expect("short") - 1;
        let start = sector as usize * 512;
        let mut contents = self.contents.borrow_mut();
        let (payload, status) = match kind {
            0 => (contents[start..start + wanted].to_vec(), 0),
            1 => {
                contents[start..start + data.len()].copy_from_slice(&data);
                (Vec::new(), 0)
            }
            4 => (Vec::new(), 0),
            8 => {
                let mut id = b"model-disk".to_vec();
                id.resize(20, 0);
                (id, 0)
            }
            _ => (vec![0; wanted], 2),
        };
        let status = answers.status.unwrap_or(status);
        let mut written = chain.write_all(&self.hal.space, &payload).expect("mapped");
        if !answers.no_status {
            written += chain.write_at(&self.hal.space, wanted as u64, &[status]).expect("mapped");
        }
        let written = written.saturating_sub(answers.shortened);
        self.with_queue(|queue| {
            let id = answers.used_id.unwrap_or(u32::from(chain.head));
            if answers.used_id.is_some() {
                queue.put_used_element(queue.used_idx(), id, written).expect("mapped");
                queue.set_used_idx(queue.used_idx().wrapping_add(1)).expect("mapped");
            } else {
                queue.complete(chain.head, written).expect("mapped");
            }
        });
    }

    /// Nothing is left allocated, and the driver kept to the protocol.
    pub fn assert_all_returned(&self) {
        self.device.assert_driver_was_correct();
        self.hal.assert_all_returned();
    }
}

//! A disk that can be suspended, behind PCI or behind MMIO, with requests made by hand.

use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Negotiating, Running, Wants};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, QueueSettings, Slots};
use virtio_guest::transport::AnyTransport;
use virtio_guest::transport::mmio::MmioTransport;
use virtio_guest::transport::pci::PciTransport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;
use virtio_model::Disk;
use virtio_model::mmio::MmioDevice;
use virtio_model::pci::{DRIVER_OK, PciDevice, SUSPEND};
use virtio_test_hal::registers;

use super::{Either, Mapper, TagQueue, TestHal, claim};

const VERSION_1: u128 = 1 << 32;
const RING_PACKED: u128 = 1 << 34;
const RING_RESET: u128 = 1 << 40;
const F_SUSPEND: u128 = 1 << 43;

const SECTORS: usize = 4;
/// Bytes of memory for one request: a header, a sector, a status byte.
const SLOT_BYTES: u32 = 1024;
const DATA_AT: u32 = 16;
const STATUS_AT: u32 = DATA_AT + 512;

/// The device, live.
pub type Live = Running<Either, BlockFeatures>;

/// See the module's head.
pub struct Sleeper {
    /// The disk; sectors are filled with their number.
    pub disk: Disk,
    /// What it is behind.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// Its registers, if they are behind MMIO.
    mmio: Option<MmioDevice>,
}

impl Sleeper {
    /// One behind each bus, with each kind of ring. Under miri, which is slow, two of them: each bus, and each kind of ring.
    pub fn each() -> impl Iterator<Item = Self> {
        Self::each_with(|features| features)
    }

    /// The same, with other features.
    pub fn each_with(change: impl Fn(u128) -> u128) -> impl Iterator<Item = Self> {
        let kinds = [(false, 0), (true, 0), (false, RING_PACKED), (true, RING_PACKED)];
        let few = if cfg!(miri) { 3 } else { 1 };
        kinds.into_iter().step_by(few).map(move |(behind_mmio, ring)| {
            Self::new(behind_mmio, change(VERSION_1 | RING_RESET | F_SUSPEND | ring))
        })
    }

    /// One with these features, and two queues.
    fn new(behind_mmio: bool, features: u128) -> Self {
        let sectors = (0..SECTORS).map(|sector| [u8::try_from(sector).unwrap(); 512]).collect::<Vec<_>>();
        let disk = Disk::with_contents(sectors.concat());
        let device = disk.builder().features(features).queue_sizes(&[16, 16]).build();
        let mmio = behind_mmio.then(|| MmioDevice::new(device.clone(), 2));
        Self { disk, device, hal: TestHal::default(), mmio }
    }

    fn open(&self) -> Either {
        match &self.mmio {
            Some(mmio) => MmioTransport::open(registers(mmio, 0x200)).unwrap().unwrap().into(),
            None => AnyTransport::from(
                PciTransport::open(claim(&self.device), &Mapper(self.device.clone())).unwrap(),
            ),
        }
    }

    /// Brings it up, without these features, and activates its first queues.
    pub fn start_without<const N: usize>(&self, without: CommonFeatures) -> (Live, [TagQueue; N]) {
        let settings = QueueSettings { size_max: 16, indirect_segments: 0, memory_bytes: 4096 };
        let negotiating = Negotiating::begin(self.open(), Attempts(10)).expect("it resets");
        let wants = Wants::features(BlockFeatures::FLUSH | BlockFeatures::CONFIG_WCE).without(without);
        let mut installing = negotiating.with_drop_attempts(Attempts(5)).negotiate(wants).expect("agreed");
        let installed = std::array::from_fn::<_, N, _>(|index| {
            let index = u16::try_from(index).unwrap();
            installing.install_queue(index, &self.hal, &settings, Slots::allocate(16)).expect("installed")
        });
        let running = installing.start();
        let queues = installed.map(|queue| running.activate(queue));
        (running, queues)
    }

    /// Brings it up and activates its first queue.
    pub fn start(&self) -> (Live, TagQueue) {
        let (running, [queue]) = self.start_without(CommonFeatures::empty());
        (running, queue)
    }

    /// Lets the disk work; says how many requests it completed.
    pub fn serve(&self) -> usize {
        self.disk.serve(&self.device, &self.hal.space)
    }

    /// SUSPEND and DRIVER_OK in the device's status.
    pub fn suspension(&self) -> u8 {
        self.device.status() & (SUSPEND | DRIVER_OK)
    }

    /// How often the driver wrote the status, and how often it notified the device.
    pub fn told(&self) -> (usize, usize) {
        (self.device.statuses_written().len(), self.device.notifications(0) + self.device.notifications(1))
    }

    /// All bytes of the first queue's rings that the driver may write.
    pub fn ring(&self) -> Vec<u8> {
        let setup = self.device.queue_setup(0).expect("enabled");
        let mut descriptors = vec![0; 16 * usize::from(setup.size)];
        let mut driver_area = vec![0; 4];
        self.hal.space.read(setup.descriptor_area, &mut descriptors).unwrap();
        self.hal.space.read(setup.driver_area, &mut driver_area).unwrap();
        [descriptors, driver_area].concat()
    }

    /// Everything is given back, and the driver kept to the protocol.
    pub fn assert_all_returned(&self) {
        self.device.assert_driver_was_correct();
        self.hal.assert_all_returned();
    }
}

/// Makes available, and does not publish, a read of the sector of the same number as the slot.
pub fn read_sector(queue: &mut TagQueue, slot: u32) {
    let start = slot * SLOT_BYTES;
    let portion = |offset, len| Portion { offset: start + offset, len };
    let mut header = [0; 16];
    header[8..12].copy_from_slice(&slot.to_le_bytes());
    queue.write_memory(start as usize, &header).unwrap();
    queue.write_memory((start + DATA_AT) as usize, &[0xee; 513]).unwrap();
    let writable = [portion(DATA_AT, 512), portion(STATUS_AT, 1)];
    queue.make_available(Chain { readable: &[portion(0, 16)], writable: &writable }, Tag(slot)).unwrap();
}

/// Takes every read that the disk has used: which, each with the right sector.
pub fn sectors_read(queue: &mut TagQueue) -> Vec<u32> {
    let mut slots = Vec::new();
    while let Some(used) = queue.take_used().unwrap() {
        let Tag(slot) = used.payload;
        let mut bytes = [0xee; 513];
        queue.read_memory((slot * SLOT_BYTES + DATA_AT) as usize, &mut bytes).unwrap();
        assert_eq!((used.written_len, bytes[512]), (513, 0), "the device's status");
        assert!(bytes[..512].iter().all(|byte| u32::from(*byte) == slot), "sector {slot}");
        slots.push(slot);
    }
    slots
}

//! A device of no type that the crate knows, with a queue on both of its sides: the ring's promises need no more.

use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Installing, Negotiating, Running, Wants};
use virtio_guest::raw::Payload;
use virtio_guest::ring::{QueueSettings, Slots, Virtqueue};
use virtio_guest::transport::pci::PciTransport;
use virtio_guest::wire::features::DeviceFeatures;
use virtio_model::pci::PciDevice;
use virtio_model::split::SplitQueue;

use super::{Mapper, TestHal, claim};

/// The type of the device: unassigned.
pub const DEVICE_TYPE: u16 = 0x3e;

const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const VERSION_1: u128 = 1 << 32;

bitflags::bitflags! {
    /// The device's own features.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u128 {
        /// A low one.
        const FIRST = 1 << 0;
        /// One above bit 63.
        const HIGH = 1 << 70;
    }
}

impl DeviceFeatures for Features {}

/// The device on its way up.
pub type Device = Installing<PciTransport, Features>;

/// Its queue.
pub type Queue<T> = Virtqueue<'static, TestHal, T>;

/// A modelled device and the platform around it.
pub struct Bench {
    /// The device's side.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
}

impl Bench {
    /// A device of this kind.
    pub fn new(device: PciDevice) -> Self {
        Self { device, hal: TestHal::default() }
    }

    /// A device of unknown type with one queue of at most `queue_size` descriptors, and these features beside `VERSION_1`.
    pub fn with_queue(queue_size: u16, features: u128) -> Self {
        let builder = PciDevice::builder().device_id(0x1040 + DEVICE_TYPE).queue_sizes(&[queue_size]);
        Self::new(builder.features(VERSION_1 | features).config([0; 64]).build())
    }

    /// Opens the device.
    pub fn transport(&self) -> PciTransport {
        PciTransport::open(claim(&self.device), &Mapper(self.device.clone())).expect("a sound device opens")
    }

    /// Brings the device up to where queues are installed.
    pub fn install(&self) -> Device {
        let device = Negotiating::begin(self.transport(), Attempts(10)).expect("the device resets");
        device
            .with_drop_attempts(Attempts(5))
            .negotiate(Wants::features(Features::all()))
            .expect("features are agreed")
    }
}

/// A live queue, on both sides.
pub struct RingBench<T: Payload + 'static> {
    /// The modelled device.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// The driver's control path.
    pub running: Running<PciTransport, Features>,
    /// The driver's side of the queue.
    pub queue: Queue<T>,
    /// The device's side of it.
    pub other_side: SplitQueue,
}

/// Bytes of memory that a bench's queue has for its driver.
const MEMORY_BYTES: usize = 4096;

impl<T: Payload + 'static> RingBench<T> {
    /// A queue of `size` descriptors, with or without event index, with indirect tables of 8 segments or without.
    pub fn new(size: u16, event_index: bool, indirect: bool) -> Self {
        let features = if event_index { EVENT_IDX } else { 0 } | if indirect { INDIRECT_DESC } else { 0 };
        let bench = Bench::with_queue(size, features);
        let mut device = bench.install();
        let settings = QueueSettings { size_max: u16::MAX, indirect_segments: 8, memory_bytes: MEMORY_BYTES };
        let queue = device
            .install_queue(0, &bench.hal, &settings, Slots::allocate(size))
            .expect("the queue installs");
        let running = device.start();
        let queue = running.activate(queue);
        let Bench { device, hal } = bench;
        let other_side = device.split_queue(0, &hal.space).expect("enabled").expect("sound");
        Self { device, hal, running, queue, other_side }
    }

    /// Every variant of the ring: event index or not, indirect or not.
    pub fn variants(size: u16) -> impl Iterator<Item = Self> {
        [(false, false), (true, false), (false, true), (true, true)]
            .into_iter()
            .map(move |(event_index, indirect)| Self::new(size, event_index, indirect))
    }

    /// Resets the device and takes everything back; nothing is left allocated, mapped or wrong.
    pub fn finish(self) -> Vec<T> {
        let Self { device, hal, running, queue, other_side } = self;
        drop(other_side);
        let (_, reset) = running.reset(Attempts(10)).expect("the device resets");
        let returned = queue.reclaim(&reset).unwrap_or_else(|_| panic!("the queue's own reset")).collect();
        device.assert_driver_was_correct();
        assert_eq!(hal.dma_regions(), 0, "DMA memory is left allocated");
        returned
    }
}

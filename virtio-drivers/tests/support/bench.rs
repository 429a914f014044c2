//! A device of no type that the crate knows, with a queue on both sides.
//!
//! The ring's promises need no more.

use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Installing, Negotiating, Running, Wants};
use virtio_guest::raw::Payload;
use virtio_guest::ring::{QueueSettings, Slots, Virtqueue};
use virtio_guest::wire::features::DeviceFeatures;
use virtio_model::chain::Chain;
use virtio_model::packed;
use virtio_model::pci::PciDevice;
use virtio_model::queue::DeviceQueue;

use super::{Mapper, Pci, TestHal, claim};

/// The type of the device: unassigned.
pub const DEVICE_TYPE: u16 = 0x3e;

const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const VERSION_1: u128 = 1 << 32;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;

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
pub type Device = Installing<Pci, Features>;

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
    pub fn transport(&self) -> Pci {
        Pci::open(claim(&self.device), &Mapper(self.device.clone())).expect("a sound device opens")
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

/// What a ring is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is agreed on by itself")]
pub struct Ring {
    /// Packed, or split.
    pub packed: bool,
    /// Chains come back in the order in which they were made available.
    pub in_order: bool,
    /// Notifications are asked for by position.
    pub event_index: bool,
    /// There are indirect tables.
    pub indirect: bool,
}

impl Ring {
    /// Every combination. Under miri, which is slow, half of them: so that any three of the properties are still combined in every way.
    pub fn all() -> impl Iterator<Item = Self> {
        let wanted = |bits: &u32| !cfg!(miri) || bits.count_ones().is_multiple_of(2);
        (0..16).filter(wanted).map(|bits| Self {
            packed: bits & 8 != 0,
            in_order: bits & 4 != 0,
            event_index: bits & 2 != 0,
            indirect: bits & 1 != 0,
        })
    }

    /// The features that a device offers for it.
    pub fn features(self) -> u128 {
        let bits = [
            (self.packed, RING_PACKED),
            (self.in_order, IN_ORDER),
            (self.event_index, EVENT_IDX),
            (self.indirect, INDIRECT_DESC),
        ];
        bits.into_iter().filter(|(on, _)| *on).fold(0, |all, (_, bit)| all | bit)
    }
}

/// A live queue, on both sides.
pub struct RingBench<T: Payload + 'static> {
    /// What it is made of.
    pub ring: Ring,
    /// The modelled device.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// The driver's control path.
    pub running: Running<Pci, Features>,
    /// The driver's side of the queue.
    pub queue: Queue<T>,
    /// The device's side of it.
    pub other_side: DeviceQueue,
}

/// Bytes of memory that a bench's queue has for its driver.
const MEMORY_BYTES: usize = 4096;

/// As large as the device allows, with indirect tables of 8 segments if there are any.
pub const RING_SETTINGS: QueueSettings =
    QueueSettings { size_max: u16::MAX, indirect_segments: 8, memory_bytes: MEMORY_BYTES };

impl<T: Payload + 'static> RingBench<T> {
    /// A split queue of `size` descriptors, with or without event index, with or without indirect tables.
    pub fn new(size: u16, event_index: bool, indirect: bool) -> Self {
        Self::with(size, Ring { event_index, indirect, ..Ring::default() })
    }

    /// A queue of `size` descriptors, made like this.
    pub fn with(size: u16, ring: Ring) -> Self {
        Self::offering(size, ring, 0)
    }

    /// The same, of a device that offers these features, too.
    pub fn offering(size: u16, ring: Ring, more: u128) -> Self {
        let bench = Bench::with_queue(size, ring.features() | more);
        let mut device = bench.install();
        let queue = device
            .install_queue(0, &bench.hal, &RING_SETTINGS, Slots::allocate(size))
            .expect("the queue installs");
        let running = device.start();
        let queue = running.activate(queue);
        let Bench { device, hal } = bench;
        let other_side = device.device_queue(0, &hal.space).expect("enabled").expect("sound");
        Self { ring, device, hal, running, queue, other_side }
    }

    /// Every kind of ring.
    pub fn variants(size: u16) -> impl Iterator<Item = Self> {
        Ring::all().map(move |ring| Self::with(size, ring))
    }

    /// Every kind of ring whose device may return chains in any order.
    pub fn in_any_order(size: u16) -> impl Iterator<Item = Self> {
        Ring::all().filter(|ring| !ring.in_order).map(move |ring| Self::with(size, ring))
    }

    /// Every kind of split ring.
    pub fn split(size: u16) -> impl Iterator<Item = Self> {
        Ring::all().filter(|ring| !ring.packed).map(move |ring| Self::with(size, ring))
    }

    /// Every kind of packed ring.
    pub fn packed(size: u16) -> impl Iterator<Item = Self> {
        Ring::all().filter(|ring| ring.packed).map(move |ring| Self::with(size, ring))
    }

    /// The device takes the next chain that it was shown.
    pub fn pop(&mut self) -> Chain {
        self.other_side.pop().expect("the driver keeps to the protocol").expect("a chain is available")
    }

    /// The device returns a chain, as one to which it wrote so many bytes.
    pub fn complete(&mut self, chain: &Chain, written: u32) {
        self.other_side.complete(chain.head, written).expect("the used ring is there");
    }

    /// A lie in either layout, told at the place of the first used chain.
    pub fn claim_used(&mut self, id: u32, written: u32) {
        match &mut self.other_side {
            DeviceQueue::Split(ring) => {
                ring.put_used_element(0, id, written).unwrap();
                ring.set_used_idx(1).unwrap();
            }
            DeviceQueue::Packed(ring) => {
                let flags = packed::Position::START.used_flags() | packed::WRITE;
                ring.put_used(0, id as u16, written, flags).unwrap();
            }
        }
    }

    /// Resets the device and takes everything back; nothing is left allocated, mapped or wrong.
    pub fn finish(self) -> Vec<T> {
        let Self { device, hal, running, queue, other_side, .. } = self;
        drop(other_side);
        let (_, reset) = running.reset(Attempts(10)).expect("the device resets");
        let returned = queue.reclaim(&reset).unwrap_or_else(|_| panic!("the queue's own reset")).collect();
        device.assert_driver_was_correct();
        assert_eq!(hal.dma_regions(), 0, "DMA memory is left allocated");
        returned
    }
}

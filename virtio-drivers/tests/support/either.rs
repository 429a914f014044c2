//! A device behind PCI, through its modern or its legacy interface, with queues that carry tags.

use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Installing, Negotiating, Running, Wants};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, QueueSettings, Slots, Virtqueue};
use virtio_guest::transport::AnyTransport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::pci::{Builder, PciDevice};

use super::{ConfigSpace, Mapper, TestHal, claim};

/// The transport of either.
pub type Either = AnyTransport<ConfigSpace>;

/// A queue of it.
pub type TagQueue = Virtqueue<'static, TestHal, Tag<u32>>;

const PATIENCE: Attempts = Attempts(10);
const VERSION_1: u128 = 1 << 32;
const RING_RESET: u128 = 1 << 40;

/// Queues of 8 descriptors, with a little memory.
pub const SETTINGS: QueueSettings = QueueSettings { size_max: 8, indirect_segments: 0, memory_bytes: 64 };

/// A chain in that memory.
pub const CHAIN: Chain<'_> =
    Chain { readable: &[Portion { offset: 0, len: 16 }], writable: &[Portion { offset: 32, len: 8 }] };

/// A modelled device with three queues, and memory that either interface can be told of.
pub struct EitherBench {
    /// The device.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// Whether it has only the legacy interface.
    pub is_legacy: bool,
}

impl EitherBench {
    /// A device of each kind, differing from the plain one like this.
    pub fn each(change: impl Fn(Builder) -> Builder) -> [Self; 2] {
        [false, true].map(|is_legacy| {
            let builder = PciDevice::builder().queue_sizes(&[8, 8, 8]).config((0..16).collect::<Vec<u8>>());
            let builder = builder.features(VERSION_1 | RING_RESET);
            let builder =
                if is_legacy { builder.device_id(0x1001).legacy() } else { builder.device_id(0x1042) };
            let hal = TestHal::default();
            hal.put_memory_at(0x7_0000_0000);
            Self { device: change(builder).build(), hal, is_legacy }
        })
    }

    /// Opens it.
    pub fn open(&self) -> Either {
        Either::open_pci(claim(&self.device), &Mapper(self.device.clone())).expect("it opens")
    }

    /// Brings it up to where queues are installed.
    pub fn install(transport: Either) -> Installing<Either, BlockFeatures> {
        let negotiating = Negotiating::begin(transport, PATIENCE).expect("it resets");
        negotiating.with_drop_attempts(PATIENCE).negotiate(Wants::none()).expect("features are agreed on")
    }

    /// Installs so many queues, and starts it.
    pub fn start(
        &self,
        mut installing: Installing<Either, BlockFeatures>,
        queues: u16,
    ) -> (Running<Either, BlockFeatures>, Vec<TagQueue>) {
        let mut install = |index| installing.install_queue(index, &self.hal, &SETTINGS, Slots::allocate(8));
        let queues: Vec<_> = (0..queues).map(|index| install(index).expect("it installs")).collect();
        let running = installing.start();
        let queues = queues.into_iter().map(|queue| running.activate(queue)).collect();
        (running, queues)
    }

    /// Sends a chain to the device, and has it returned; the device interrupts if it was asked to.
    pub fn round_trip(&self, queue: &mut TagQueue) {
        let index = queue.index();
        queue.write_memory(0, b"to the device...").unwrap();
        queue.make_available(CHAIN, Tag(7)).unwrap();
        assert!(queue.publish());
        let mut other_side = self.device.device_queue(index, &self.hal.space).unwrap().unwrap();
        let chain = other_side.pop().unwrap().unwrap();
        assert_eq!(chain.read_all(&self.hal.space).unwrap(), b"to the device...");
        other_side.complete(chain.head, 8).unwrap();
        self.device.raise_used(index);
        let used = queue.take_used().unwrap().unwrap();
        assert_eq!((used.payload, used.written_len), (Tag(7), 8));
    }

    /// Resets the device, and takes everything back: nobody did anything wrong, and nothing is left.
    pub fn finish(&self, running: Running<Either, BlockFeatures>, queues: Vec<TagQueue>) {
        let (_, reset) = running.reset(PATIENCE).expect("it resets");
        for queue in queues {
            assert_eq!(queue.reclaim(&reset).expect("of this bring-up").count(), 0);
        }
        self.device.assert_driver_was_correct();
        self.hal.assert_all_returned();
    }
}

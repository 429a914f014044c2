//! A modelled network card with one pair of queues, its driver, and a link that is the test's.

use std::sync::Arc;

use virtio_guest::device::net::{
    ControlSlots, Frame, FramePool, HANDLED, Net, PairSlots, PoolSettings, Settings, Slots,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Interrupt, Signals, Wants};
use virtio_guest::raw::PoolEntries;
use virtio_guest::wire::net::NetFeatures;
use virtio_model::Nic;
use virtio_model::pci::PciDevice;

use super::commands::ADDRESS;
use super::{Either, Meddler, TestHal, claim, message};

const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;

/// The driver.
pub type Card = Net<'static, Either, TestHal>;

/// See the module's head.
pub struct CardBench {
    /// The device.
    pub nic: Nic,
    /// Its function.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// The driver.
    pub card: Card,
    /// Handlers of its vectors.
    handlers: Arc<Vec<Interrupt<'static>>>,
}

/// The device's side of a bench.
#[derive(Clone)]
pub struct Link {
    nic: Nic,
    device: PciDevice,
    hal: TestHal,
    handlers: Arc<Vec<Interrupt<'static>>>,
}

impl Link {
    /// The device works, and its interrupts are handled.
    pub fn serve(&self) {
        self.nic.serve(&self.device, &self.hal.space);
        for (_, vector) in self.device.take_messages() {
            if let Some(handler) = self.handlers.get(vector as usize) {
                handler.handle();
            }
        }
    }
}

/// What a bench is made with.
#[derive(Clone, Copy)]
pub struct Make {
    /// Features of the device, by their bits.
    pub features: u128,
    /// Features of the transport and the ring.
    pub ring: u128,
    /// Through the legacy interface.
    pub legacy: bool,
    /// Buffers of the pool,
    pub buffers: u32,
    /// and bytes of each.
    pub buffer_bytes: u32,
    /// Whether there are interrupts.
    pub notified: bool,
    /// What the device says of its MTU.
    pub mtu: u16,
}

impl Default for Make {
    fn default() -> Self {
        Self {
            features: 0,
            ring: 0,
            legacy: false,
            buffers: 40,
            buffer_bytes: 2048,
            notified: false,
            mtu: 1500,
        }
    }
}

impl Make {
    /// The same, with each kind of ring. Under miri, which is slow, with one.
    pub fn each_ring(self) -> impl Iterator<Item = Self> {
        let rings = [0, EVENT_IDX | IN_ORDER, IN_ORDER | RING_PACKED, RING_PACKED | EVENT_IDX];
        rings.into_iter().skip(if cfg!(miri) { 3 } else { 0 }).map(move |ring| Self { ring, ..self })
    }

    /// A card made so, and its driver.
    pub fn start(self) -> CardBench {
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        self.start_with(hal)
    }

    /// The same, beside others that share this memory.
    pub fn start_with(self, hal: TestHal) -> CardBench {
        self.start_meddled(hal, |_, _| {}).0
    }

    /// The same, with a device that does this before each access to its registers, once the meddler begins.
    pub fn start_meddled(
        self,
        hal: TestHal,
        mut meddle: impl FnMut(&Nic, &PciDevice) + Send + 'static,
    ) -> (CardBench, Meddler) {
        let Self { features, ring, legacy, buffers, buffer_bytes, notified, mtu } = self;
        let nic = Nic::new(ADDRESS).with_features(features).with_config(|config| config.mtu = mtu);
        let builder = nic.builder().with_features(ring);
        let builder = if notified { builder.msi_x(4) } else { builder };
        let device = if legacy { builder.device_id(0x1000).legacy().build() } else { builder.build() };
        let meddler = Meddler::new(&device, {
            let nic = nic.clone();
            move |device, _| meddle(&nic, device)
        });
        let mut transport = Either::open_pci(claim(&device), &meddler).expect("the function opens");
        if notified {
            transport.enable_msi_x(&(0..4).map(message).collect::<Vec<_>>()).expect("it has vectors");
        }
        let settings = PoolSettings { buffer_bytes };
        let pool = FramePool::new(&hal, PoolEntries::allocate(buffers), settings);
        let pool: &'static FramePool<'static, TestHal> = Box::leak(Box::new(pool.expect("there is memory")));
        let slots = Slots { pair: PairSlots::allocate(16), control: ControlSlots::allocate(16) };
        let settings =
            Settings { notifications: notified, drop_attempts: Attempts(5), ..Settings::default() };
        let supply = pool.supply().expect("nobody else has it");
        let wants = Wants::features(HANDLED);
        let mut card = Net::start_with(transport, hal.clone(), slots, supply, &settings, wants, Attempts(10))
            .expect("the card starts");
        let mut handlers = Vec::new();
        if notified {
            let signals: &'static Signals<3> = Box::leak(Box::new(Signals::new()));
            let interrupts = card.connect_interrupts(signals).expect("nobody else has them");
            handlers.extend((0..4).map_while(|vector| interrupts.vector(vector)));
        }
        (CardBench { nic, device, hal, card, handlers: Arc::new(handlers) }, meddler)
    }
}

impl CardBench {
    /// The device's side, for as long as the driver is lent.
    pub fn link(&self) -> Link {
        let Self { nic, device, hal, handlers, .. } = self;
        Link { nic: nic.clone(), device: device.clone(), hal: hal.clone(), handlers: Arc::clone(handlers) }
    }

    /// The device works, and its interrupts are handled.
    pub fn serve(&self) {
        self.link().serve();
    }

    /// The next frame's bytes, if one came.
    pub fn received(&mut self) -> Option<Vec<u8>> {
        self.card.receive().expect("the device keeps to the protocol").map(|frame| bytes(&frame))
    }

    /// Transmits these bytes.
    pub fn transmit(&mut self, bytes: &[u8]) {
        let frame = self.frame(bytes);
        self.card.transmit(frame).expect("there is room");
    }

    /// A frame of these bytes.
    pub fn frame(&mut self, bytes: &[u8]) -> Frame<'static, TestHal> {
        let supply = self.card.receive_queue().supply();
        let mut frame = supply.frame_for(bytes.len()).expect("there are buffers");
        frame.append(bytes).expect("there is room");
        frame
    }

    /// What was agreed on.
    pub fn features(&mut self) -> NetFeatures {
        self.card.control().features()
    }

    /// Ends it: all buffers are in the pool, and nothing but the pool is left; the driver did nothing wrong.
    pub fn end(self) {
        let Self { device, hal, card, .. } = self;
        let mut supply = card.close(Attempts(10)).expect("it resets").supply.expect("its own");
        let all: Vec<_> = std::iter::from_fn(|| supply.frame()).collect();
        drop(all);
        assert_eq!((hal.dma_regions(), hal.mapped_buffers()), (1, 0), "the pool is left");
        device.assert_driver_was_correct();
    }
}

/// All bytes of a frame.
pub fn bytes(frame: &Frame<'_, TestHal>) -> Vec<u8> {
    let mut bytes = vec![0; frame.len()];
    frame.read(0, &mut bytes).expect("it is as long as it says");
    bytes
}

/// A frame to the card, of so many bytes, none of which is like its neighbour.
pub fn incoming(len: usize, number: usize) -> Vec<u8> {
    let mut frame = [ADDRESS, [2, 0, 0, 0, 0, 9]].concat();
    frame.extend([0x88, 0xb5]);
    frame.extend((frame.len()..len).map(|at| (at * 7 + number) as u8));
    frame
}

//! A modelled entropy device, and its driver.

use std::sync::Arc;

use virtio_guest::device::entropy::{Entropy, Settings, Slots};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Interrupt, Signals};
use virtio_model::pci::PciDevice;

use super::{Either, Mapper, TestHal, claim, message};

/// The driver.
pub type Driver = Entropy<'static, Either, TestHal>;

const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;

/// See the module's head.
pub struct EntropyBench {
    /// The device.
    pub model: virtio_model::Entropy,
    /// Its function.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// The driver.
    pub driver: Driver,
    handlers: Arc<Vec<Interrupt<'static>>>,
}

/// The device's side of a bench.
#[derive(Clone)]
pub struct Source {
    model: virtio_model::Entropy,
    device: PciDevice,
    hal: TestHal,
    handlers: Arc<Vec<Interrupt<'static>>>,
}

impl Source {
    /// The device works.
    pub fn model_serves(&self) {
        self.model.serve(&self.device, &self.hal.space);
    }

    /// The device works, and its interrupts are handled.
    pub fn serve(&self) {
        self.model_serves();
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
    /// Features of the ring.
    pub ring: u128,
    /// Through the legacy interface.
    pub legacy: bool,
    /// Most bytes of a request.
    pub buffer_bytes: u32,
    /// Whether there are interrupts.
    pub notified: bool,
    /// Descriptors of the queue.
    pub queue_size: u16,
}

impl Default for Make {
    fn default() -> Self {
        Self { ring: 0, legacy: false, buffer_bytes: 64, notified: false, queue_size: 8 }
    }
}

impl Make {
    /// The same, with each kind of ring, and through the legacy interface. Under miri, which is slow, with one.
    pub fn each(self) -> impl Iterator<Item = Self> {
        let rings = [0, EVENT_IDX | IN_ORDER, IN_ORDER | RING_PACKED, RING_PACKED | EVENT_IDX];
        let modern = rings.map(|ring| Self { ring, ..self });
        let all = [Self { legacy: true, ..self }].into_iter().chain(modern);
        all.skip(if cfg!(miri) { 4 } else { 0 })
    }

    /// A device made so, and its driver.
    pub fn start(self) -> EntropyBench {
        let Self { ring, legacy, buffer_bytes, notified, queue_size } = self;
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        let model = virtio_model::Entropy::new(17);
        let builder = model.builder().with_features(ring).queue_sizes(&[queue_size]);
        let builder = if notified { builder.msi_x(2) } else { builder };
        let device = if legacy { builder.device_id(0x1005).legacy().build() } else { builder.build() };
        let mut transport = Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
        if notified {
            transport.enable_msi_x(&(0..2).map(message).collect::<Vec<_>>()).unwrap();
        }
        let settings = Settings { buffer_bytes, notifications: notified, drop_attempts: Attempts(5) };
        let slots = Slots::allocate(8);
        let mut driver = Entropy::start_with(transport, hal.clone(), slots, &settings, Attempts(10)).unwrap();
        let mut handlers = Vec::new();
        if notified {
            let signals: &'static Signals = Box::leak(Box::default());
            let interrupts = driver.connect_interrupts(signals).unwrap();
            handlers.extend((0..2).map_while(|vector| interrupts.vector(vector)));
        }
        EntropyBench { model, device, hal, driver, handlers: Arc::new(handlers) }
    }
}

impl EntropyBench {
    /// The device's side, for as long as the driver is lent.
    pub fn source(&self) -> Source {
        let Self { model, device, hal, handlers, .. } = self;
        let (model, device, hal) = (model.clone(), device.clone(), hal.clone());
        Source { model, device, hal, handlers: Arc::clone(handlers) }
    }

    /// The device works, and its interrupts are handled.
    pub fn serve(&self) {
        self.source().serve();
    }

    /// A patience of so many looks, before each of which the device works.
    pub fn patience(&self, mut looks: u32) -> impl FnMut() -> bool + use<> {
        let source = self.source();
        move || {
            source.serve();
            looks -= 1;
            looks > 0
        }
    }

    /// All memory that the device can reach for its queue, as it is now.
    pub fn queue_memory(&self, bytes: usize) -> Vec<u8> {
        let addresses = self.hal.dma_addresses(bytes);
        let [address] = addresses[..] else { panic!("one region has {bytes} bytes: {addresses:?}") };
        let mut memory = vec![0; bytes];
        self.hal.space.read(address, &mut memory).unwrap();
        memory
    }

    /// Ends it: nothing is left, and the driver did nothing wrong.
    pub fn end(self) {
        let Self { device, hal, driver, .. } = self;
        drop(driver.close(Attempts(10)).expect("it resets"));
        device.assert_driver_was_correct();
        hal.assert_all_returned();
    }
}

//! A modelled balloon, its driver, and a kernel that counts its pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use virtio_guest::device::balloon::{
    Balloon, BalloonError, Down, HANDLED, HintSlots, Hints, Pages, Progress, ReportSlots, Reports, Settings,
    Slots, Starting,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Interrupt, Signals, Wants};
use virtio_model::pci::{Builder, PciDevice};

pub use super::kernel::{Block, Blocks, Kernel, Page};
use super::{Either, Mapper, TestHal, claim, message};

/// The driver.
pub type Driver = Balloon<'static, Either, TestHal, Page>;

pub const STATS: u128 = 1 << 1;
pub const OOM: u128 = 1 << 2;
pub const HINT: u128 = 1 << 3;
pub const POISON: u128 = 1 << 4;
pub const REPORTING: u128 = 1 << 5;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;

/// What a bench is made with.
#[derive(Clone, Copy)]
pub struct Make {
    /// Features of the device.
    pub features: u128,
    /// Features of the ring.
    pub ring: u128,
    /// Through the legacy interface.
    pub legacy: bool,
    /// Whether queues are numbered without gaps.
    pub compacted: bool,
    /// Whether there are interrupts.
    pub notified: bool,
    /// Pages that the kernel has,
    pub pages: u64,
    /// and frames of each.
    pub page_frames: u16,
    /// For how many pages there is room in the storage.
    pub room: usize,
    /// For how many blocks there is room.
    pub blocks: usize,
    /// Most frames of a burst.
    pub burst_frames: u16,
    /// What the kernel fills pages with.
    pub poison: Option<u32>,
    /// Descriptors of each queue.
    pub queue_size: u16,
}

impl Default for Make {
    fn default() -> Self {
        Self {
            features: 0,
            ring: 0,
            legacy: false,
            compacted: false,
            notified: false,
            pages: 100,
            page_frames: 1,
            room: 1000,
            blocks: 100,
            burst_frames: 16,
            poison: None,
            queue_size: 16,
        }
    }
}

/// See the module's head.
pub struct BalloonBench {
    /// The device.
    pub model: virtio_model::Balloon,
    /// Its function.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// The driver.
    pub driver: Driver,
    /// Its queue for hints, if there is one,
    pub hints: Option<Hints<'static, TestHal, Block>>,
    /// and that for reports.
    pub reports: Option<Reports<'static, TestHal, Block>>,
    /// The kernel.
    pub kernel: Kernel,
    handlers: Arc<Vec<Interrupt<'static>>>,
}

/// The device's side of a bench.
#[derive(Clone)]
pub struct Host {
    /// The device.
    pub model: virtio_model::Balloon,
    /// Its function.
    pub device: PciDevice,
    hal: TestHal,
    handlers: Arc<Vec<Interrupt<'static>>>,
}

impl Host {
    /// The device works, and its interrupts are handled.
    pub fn serve(&self) {
        self.model.serve(&self.device, &self.hal.space);
        self.interrupt();
    }

    /// What the device reaches.
    pub fn memory(&self) -> virtio_model::AddressSpace {
        self.hal.space.clone()
    }

    /// Interrupts are handled.
    pub fn interrupt(&self) {
        for (_, vector) in self.device.take_messages() {
            if let Some(handler) = self.handlers.get(vector as usize) {
                handler.handle();
            }
        }
    }

    /// A patience of so many looks, before each of which the device works.
    pub fn patience(&self, mut looks: u32) -> impl FnMut() -> bool + use<> {
        let host = self.clone();
        move || {
            host.serve();
            looks = looks.saturating_sub(1);
            looks > 0
        }
    }
}

impl Make {
    /// The same, with each kind of ring, and through the legacy interface. Under miri, which is slow, with one.
    pub fn each(self) -> impl Iterator<Item = Self> {
        let legacy = Self { legacy: true, ..self };
        [legacy].into_iter().chain(self.each_ring()).skip(usize::from(cfg!(miri)))
    }

    /// The same, with each kind of ring. Under miri with one.
    pub fn each_ring(self) -> impl Iterator<Item = Self> {
        let rings = [0, EVENT_IDX | IN_ORDER, IN_ORDER | RING_PACKED, RING_PACKED | EVENT_IDX];
        rings.into_iter().skip(if cfg!(miri) { 3 } else { 0 }).map(move |ring| Self { ring, ..self })
    }

    /// The model and its function.
    pub fn device(self) -> (virtio_model::Balloon, PciDevice) {
        self.device_with(|builder| builder)
    }

    /// The same, changed like this.
    pub fn device_with(self, change: impl FnOnce(Builder) -> Builder) -> (virtio_model::Balloon, PciDevice) {
        let Self { features, ring, legacy, compacted, notified, queue_size, .. } = self;
        let model = virtio_model::Balloon::new().with_features(features);
        let model = if compacted { model.with_compacted_queues() } else { model };
        let builder = model.builder().with_features(ring);
        let builder = if notified { builder.msi_x(6) } else { builder };
        let builder = if queue_size == 16 { builder } else { builder.queue_sizes(&[queue_size; 5]) };
        let builder = change(builder);
        let device = if legacy { builder.device_id(0x1002).legacy().build() } else { builder.build() };
        (model, device)
    }

    /// What the driver is told.
    pub fn settings(self) -> Settings {
        Settings {
            burst_frames: self.burst_frames,
            notifications: self.notified,
            poison: self.poison,
            drop_attempts: Attempts(5),
            ..Settings::default()
        }
    }

    /// Opens the function.
    pub fn open(self, device: &PciDevice) -> Either {
        let mut transport = Either::open_pci(claim(device), &Mapper(device.clone())).expect("it opens");
        if self.notified {
            transport.enable_msi_x(&(0..6).map(message).collect::<Vec<_>>()).expect("it has vectors");
        }
        transport
    }

    /// A device made so, its driver, and a kernel. Nothing was asked of the driver yet.
    pub fn start(self) -> BalloonBench {
        let (model, device) = self.device();
        self.start_on(model, device)
    }

    /// The same, with this device.
    pub fn start_on(self, model: virtio_model::Balloon, device: PciDevice) -> BalloonBench {
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        let transport = self.open(&device);
        let wants = Wants::features(HANDLED);
        let mut starting = Starting::begin(transport, &self.settings(), wants, Attempts(10)).unwrap();
        let hints = starting.install_hints(&hal, HintSlots::allocate(self.blocks)).ok();
        let reports = starting.install_reports(&hal, ReportSlots::allocate(16)).ok();
        let mut driver: Driver = starting.start(&hal, Slots::allocate(self.room)).unwrap();
        let hints = hints.map(|idle| driver.activate_hints(idle));
        let reports = reports.map(|idle| driver.activate_reports(idle));
        let mut handlers = Vec::new();
        if self.notified {
            let signals: &'static Signals<5> = Box::leak(Box::new(Signals::new()));
            let interrupts = driver.connect_interrupts(signals).unwrap();
            handlers.extend((0..6).map_while(|vector| interrupts.vector(vector)));
        }
        let kernel = Kernel::new(self.pages, self.page_frames);
        let handlers = Arc::new(handlers);
        BalloonBench { model, device, hal, driver, hints, reports, kernel, handlers }
    }
}

impl BalloonBench {
    /// The device's side, for as long as the driver is lent.
    pub fn host(&self) -> Host {
        let Self { model, device, hal, handlers, .. } = self;
        let (model, device, hal) = (model.clone(), device.clone(), hal.clone());
        Host { model, device, hal, handlers: Arc::clone(handlers) }
    }

    /// The device works, and its interrupts are handled.
    pub fn serve(&self) {
        self.host().serve();
    }

    /// One step of the driver's.
    pub fn poll(&mut self) -> Progress {
        self.driver.poll(&mut self.kernel).expect("the device keeps to the protocol")
    }

    /// The device wants so many frames.
    pub fn set_target(&self, frames: u32) {
        self.model.set_target(&self.device, frames);
        self.host().interrupt();
    }

    /// The device wants so many frames, and the driver goes for it.
    pub fn reach(&mut self, target: u32) -> Result<Progress, BalloonError> {
        self.set_target(target);
        let patience = self.host().patience(1000);
        self.driver.reach_target_blocking(&mut self.kernel, patience)
    }

    /// Every frame is in one place, and both sides know which: the kernel's, or the balloon's.
    pub fn assert_ledger(&self) {
        let here = self.kernel.frames();
        let there: BTreeSet<u64> = self.model.touched().into_iter().map(u64::from).collect();
        assert!(here.is_disjoint(&there), "the kernel has what the device has");
        assert_eq!(&here | &there, self.kernel.all, "frames of nobody");
        assert_eq!(self.kernel.dropped(), 0);
        assert_eq!(self.model.held().len(), self.driver.held_frames() as usize);
    }

    /// What the device was told of the frames in the balloon, which is what is in it.
    pub fn actual(&self) -> u32 {
        self.model.serve(&self.device, &self.hal.space);
        self.model.actual(&self.device)
    }

    /// Takes the driver down, and gives the kernel its pages back: all of them, and nothing else is left; the driver did nothing wrong.
    pub fn end(self) {
        self.end_with(&mut Blocks::default());
    }

    /// The same, with blocks for the kernel.
    pub fn end_with(self, blocks: &mut Blocks) {
        let Self { device, hal, driver, hints, reports, mut kernel, .. } = self;
        let Down { reset, pages, .. } = driver.take_down(Attempts(10)).expect("it resets");
        pages.for_each(|page| kernel.take_back(page));
        drop(hints.map(|hints| hints.reclaim(&reset, blocks).expect("of this bring-up")));
        drop(reports.map(|reports| reports.reclaim(&reset, blocks).expect("of this bring-up")));
        kernel.assert_has_all();
        device.assert_driver_was_correct();
        hal.assert_all_returned();
        std::mem::forget(kernel);
    }
}

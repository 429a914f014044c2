//! A modelled disk with two queues, and how its driver comes up.
//!
//! Queue 0 has one owner, who makes blocking calls and sends bursts; queue 1 is shared by tasks. What else the device is like (ring features, sizes, limits) is chosen for each life.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use fastrand::Rng;
use virtio_guest::device::block::{
    Control, HANDLED, RequestQueue, Requests, Settings, Shared, Slots, Starting, Storage,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Interrupt, Interrupts, Signals, Wants};
use virtio_guest::raw::MappedBuffer;
use virtio_guest::transport::pci::PciTransport;
use virtio_model::block::{Order, RangeLimits};
use virtio_model::pci::PciDevice;
use virtio_model::{AddressSpace, Disk};
use virtio_test_hal::{ConfigSpace, Mapper, TestHal, claim, message};

use crate::page::Page;

/// What requests carry.
pub type Load = MappedBuffer<TestHal, Page>;
/// The way to the device.
pub type Way = PciTransport<ConfigSpace>;
/// A queue.
pub type Queue<'s> = RequestQueue<'s, TestHal, Load>;
/// The queue that tasks share.
pub type Tasks<'s> = Shared<TestHal, RefCell<Requests<'s, TestHal, Load>>>;

/// Most descriptors of a queue, of whatever size the device has it.
pub const QUEUE_SIZE_MAX: usize = 64;
/// Least and most sectors of the disk: so few that operations meet.
pub const CAPACITY_SECTORS: RangeInclusive<u64> = 2048..=4096;
/// Most sectors of one request that owns its buffer: more than some devices take at once.
pub const REQUEST_SECTORS_MAX: u64 = 24;

/// Most ranges of a request: its data goes through memory of the driver's, of which there is room for a sector at least.
pub const RANGES_MAX: u32 = 32;

/// For bring-up and reset, which are done at once.
const PATIENCE: Attempts = Attempts(10);

const SIZE_MAX: u128 = 1 << 1;
const FLUSH: u128 = 1 << 9;
const MQ: u128 = 1 << 12;
const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const VERSION_1: u128 = 1 << 32;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;
const NOTIFICATION_DATA: u128 = 1 << 38;

/// Which layout a device's rings have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Split.
    Split,
    /// Packed.
    Packed,
}

/// The disk, its function, and memory.
pub struct Bench {
    /// The disk.
    pub disk: Disk,
    /// Its function.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    request_bytes: u32,
    data_segments: u16,
}

/// A driver that came up.
pub struct Up<'s> {
    /// The control half.
    pub control: Control<'s, Way>,
    /// The queue of blocking calls and bursts.
    pub queue: Queue<'s>,
    /// The queue for tasks.
    pub shared: Queue<'s>,
    /// The objects of handlers, by vector.
    pub handlers: Vec<Interrupt<'s>>,
}

/// What a driver keeps its books in.
pub type Books = Storage<QUEUE_SIZE_MAX, Load>;

fn one_of<T: Copy, const N: usize>(random: &mut Rng, choices: [T; N]) -> T {
    choices[random.usize(0..N)]
}

/// A disk that can do by chance what not all can, in limits by chance.
fn disk(random: &mut Rng) -> Disk {
    let mut disk = Disk::with_sectors(random.u64(CAPACITY_SECTORS)).with_config(|config| {
        config.num_queues = 2;
        config.size_max = one_of(random, [512, 700, 1024, 4096, 1 << 20]);
        config.seg_max = one_of(random, [1, 2, 5, 126]);
    });
    let limits = |random: &mut Rng| RangeLimits {
        sectors_max: one_of(random, [0, 7, 16, 1000]),
        ranges_max: one_of(random, [0, 1, 3, 40]),
        alignment_sectors: one_of(random, [0, 1, 8]),
    };
    if random.bool() {
        disk = disk.with_discard(limits(random));
    }
    if random.bool() {
        disk = disk.with_write_zeroes(limits(random), random.bool());
    }
    if random.bool() {
        disk = disk.with_secure_erase(limits(random));
    }
    if random.u32(0..4) == 0 {
        disk = disk.with_cache_switch(random.bool());
    }
    disk
}

impl Bench {
    /// A device of this layout, chosen by chance otherwise.
    pub fn new(layout: Layout, random: &mut Rng) -> Self {
        let mut offers = VERSION_1 | MQ | if layout == Layout::Packed { RING_PACKED } else { 0 };
        for feature in [SIZE_MAX, INDIRECT_DESC, EVENT_IDX, IN_ORDER, NOTIFICATION_DATA] {
            offers |= if random.bool() { feature } else { 0 };
        }
        let disk = disk(random);
        // Whether the cache can be flushed is by chance, too.
        let kinds = if random.u32(0..4) == 0 { disk.features() & !FLUSH } else { disk.features() };
        let features = offers | kinds & !(INDIRECT_DESC | EVENT_IDX);
        let sizes = [0; 2].map(|_| one_of(random, [8, 16, 32, 64]));
        let device = disk.builder().features(features).queue_sizes(&sizes).msi_x(3).build();
        let request_bytes = 512 * random.u32(1..=8);
        let data_segments = random.u16(1..=4);
        Self { disk, device, hal: TestHal::default(), request_bytes, data_segments }
    }

    /// The memory that the device reaches.
    pub fn memory(&self) -> &AddressSpace {
        &self.hal.space
    }

    /// Opens the function, with a message for the configuration and for each queue.
    pub fn open(&self) -> Way {
        let mut transport =
            PciTransport::open(claim(&self.device), &Mapper(self.device.clone())).expect("it opens");
        transport.enable_msi_x(&[0, 1, 2].map(message)).expect("it has three messages");
        transport
    }

    /// Brings the driver up, with two queues.
    pub fn bring_up<'s>(
        &self,
        transport: Way,
        books: [Slots<'s, Load>; 2],
        signals: &'s Signals<2>,
    ) -> Up<'s> {
        let settings = Settings {
            queues_max: 2,
            request_bytes: self.request_bytes,
            data_segments: self.data_segments,
            notifications: true,
            ..Settings::default()
        };
        let starting = Starting::begin(transport, &settings, Wants::features(HANDLED), PATIENCE);
        let mut starting = starting.expect("the disk starts");
        let installed =
            books.map(|books| starting.install_queue(&self.hal, books).expect("a queue is installed"));
        let mut control = starting.start();
        let [queue, shared] = installed.map(|queue| control.activate(queue));
        let interrupts = control.connect_interrupts(signals).expect("the signals are this disk's");
        let handlers = handlers(interrupts);
        Up { control, queue, shared, handlers }
    }

    /// Has the disk do so many requests, in an order by chance.
    pub fn work(&self, random: &mut Rng, requests: usize) {
        self.disk.complete_in(if random.bool() { Order::Fifo } else { Order::Reverse });
        self.disk.hold();
        self.disk.release(requests);
        self.disk.serve(&self.device, self.memory());
        self.disk.clear_requests();
    }

    /// Has its interrupts arrive.
    pub fn interrupt(&self, handlers: &[Interrupt<'_>]) {
        for (_, vector) in self.device.take_messages() {
            handlers[vector as usize].handle();
        }
    }
}

fn handlers<'s>(interrupts: &Interrupts<'s>) -> Vec<Interrupt<'s>> {
    (0..3).map(|vector| interrupts.vector(vector).expect("a vector for each")).collect()
}

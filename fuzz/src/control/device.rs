//! The device's honest side: what its registers hold, and how it serves a queue.
//!
//! Spec: §2.1, §2.2, §2.5, §2.6, §4.1.4.3, §4.2.2. Which of it the driver is shown is for `answers` to say, and where it finds it for the transports.

use virtio_model::DeviceQueue;
use virtio_model::setup::Setup;

use super::memory::Memory;
use crate::script::Script;

/// Queues that the device has.
pub(crate) const QUEUES: u16 = 3;
/// Bytes of its configuration space.
pub(crate) const CONFIG_BYTES: usize = 64;

/// Bits that change a queue's rules.
const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const VERSION_1: u128 = 1 << 32;
const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;
/// The pages that legacy queues are counted in.
const PAGE: u64 = 4096;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Device {
    /// The interface of before version 1.
    pub(crate) is_legacy: bool,
    pub(crate) device_type: u16,
    pub(crate) offered: u128,
    /// What the driver accepts.
    pub(crate) accepted: u128,
    pub(crate) status: u8,
    /// A reset was asked for, and the driver has not seen that it is complete.
    pub(crate) awaits_reset: bool,
    /// A reset that registers say is complete, if the function is still there: nobody has said so yet.
    pub(crate) unconfirmed: Option<Unconfirmed>,
    pub(crate) device_feature_select: u32,
    pub(crate) driver_feature_select: u32,
    pub(crate) queue_select: u16,
    pub(crate) queues: [Queue; QUEUES as usize],
    pub(crate) config_vector: u16,
    pub(crate) config: Vec<u8>,
    /// What it does wrong all the time, where a lie by lie would be a long input.
    pub(crate) habit: Habit,
    /// How often a device whose configuration changes all the time has changed it.
    pub(crate) changes: u32,
    /// Address and bytes of its shared memory region.
    pub(crate) shared_memory: (u64, u64),
}

/// What was reset, as far as registers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unconfirmed {
    Device,
    Queue(u16),
}

/// A lie that is told again and again: waits must end all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Habit {
    #[default]
    None,
    /// The configuration is another one at every look.
    Restless,
    /// Once it was running, no reset of it, or of a queue, is ever complete.
    Stuck,
    /// It comes to be [`Habit::Stuck`]: it runs.
    StuckLater,
}

/// A queue's registers.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) size_max: u16,
    pub(crate) size: u16,
    pub(crate) vector: u16,
    pub(crate) enabled: bool,
    /// A reset of the queue was asked for; and was seen to be complete as far as one of its registers says.
    pub(crate) awaits_reset: bool,
    pub(crate) is_reset: bool,
    /// Descriptor, driver and device area.
    pub(crate) addresses: [u64; 3],
    ring: Option<DeviceQueue>,
}

impl Device {
    /// What kind of device the script makes it: one that a driver can do something with, if it wants to.
    pub(crate) fn read(script: &mut Script) -> Self {
        let (kind, common, own, sizes) = (script.detail(), script.detail(), script.detail(), script.detail());
        let is_legacy = kind & 1 != 0;
        let offered = u128::from(common & 3) << 28 | u128::from(common >> 2) << 33 | u128::from(own) << 1;
        let version = if is_legacy { 0 } else { VERSION_1 };
        let queues = [0, 1, 2].map(|index| {
            // The first queue has 16 descriptors, if the script does not say otherwise.
            let size_max = 1 << (4u8.wrapping_add(sizes >> (2 * index)) % 8);
            Queue { size_max, size: size_max, ..Queue::default() }
        });
        let mut config = vec![0; CONFIG_BYTES];
        // Sectors, bytes of a segment, segments, bytes of a block.
        for (at, value) in [(0, 64), (9, script.detail() ^ 0x10), (12, 1 + script.detail() % 8), (21, 2)] {
            config[at] = value;
        }
        let habit = match kind >> 1 & 7 {
            7 => Habit::Restless,
            6 => Habit::StuckLater,
            _ => Habit::None,
        };
        let device_type = if kind & 0xf0 == 0xf0 { 3 } else { 2 };
        Self {
            is_legacy,
            device_type,
            offered: offered | version | 1 << 40,
            queues,
            config,
            habit,
            shared_memory: (0x80_0000_0000, 0x1_0000),
            ..Self::default()
        }
    }

    /// The queue that is selected, if there is one.
    pub(crate) fn selected(&mut self) -> Option<&mut Queue> {
        self.queues.get_mut(usize::from(self.queue_select))
    }

    /// Was reset: knows nothing any more.
    pub(crate) fn forget(&mut self) {
        self.accepted = 0;
        self.config_vector = NO_VECTOR;
        self.queues.iter_mut().for_each(Queue::forget);
    }

    /// Takes the selected queue over, whose areas must be wholly inside of memory that the driver allocated.
    pub(crate) fn enable(&mut self, memory: &mut Memory) {
        let (index, accepted) = (self.queue_select, self.accepted);
        let Some(queue) = self.selected() else { panic!("queue {index}, which there is not, is enabled") };
        assert!(!queue.enabled, "queue {index} is enabled twice");
        let has = |feature| accepted & feature != 0;
        let size = u64::from(queue.size);
        let event_bytes = if has(EVENT_IDX) { 2 } else { 0 };
        let bytes = if has(RING_PACKED) {
            [16 * size, 4, 4]
        } else {
            [16 * size, 4 + 2 * size + event_bytes, 4 + 8 * size + event_bytes]
        };
        for (address, bytes) in queue.addresses.into_iter().zip(bytes) {
            assert!(memory.has(address, bytes), "{bytes} bytes at {address:#x} are no memory of the queue's");
        }
        let [descriptor_area, driver_area, device_area] = queue.addresses;
        let setup = Setup {
            size: queue.size,
            descriptor_area,
            driver_area,
            device_area,
            event_idx: has(EVENT_IDX),
            indirect: has(INDIRECT_DESC),
            in_order: has(IN_ORDER),
        };
        queue.ring =
            Some(DeviceQueue::new(&memory.hal.space, setup, has(RING_PACKED)).expect("a sound queue"));
        queue.enabled = true;
        queue.is_reset = false;
        memory.lend(index);
    }

    /// The areas of a legacy queue, by rule (§2.7.2).
    pub(crate) fn place(&mut self, page: u32) {
        let Some(queue) = self.selected() else { return };
        let (size, start) = (u64::from(queue.size), u64::from(page) * PAGE);
        let driver_area = start + 16 * size;
        queue.addresses = [start, driver_area, (driver_area + 6 + 2 * size).next_multiple_of(PAGE)];
    }

    /// Does what the chains of a queue ask for: all that it may write is zero, which is also the status of success.
    pub(crate) fn serve(&mut self, memory: &Memory, index: u16) {
        let queue = self.queues.get_mut(usize::from(index)).and_then(|queue| queue.ring.as_mut());
        let Some(ring) = queue else { return };
        while let Ok(Some(chain)) = ring.pop() {
            let bytes = chain.writable_bytes();
            let zeros = vec![0; usize::try_from(bytes).expect("a chain is in memory")];
            chain.write_all(&memory.hal.space, &zeros).expect("the driver says where the device may write");
            let written = u32::try_from(bytes).expect("a chain has 32 bits of bytes");
            ring.complete(chain.head, written).expect("the used ring is there");
        }
        // With an event index this says from where on.
        ring.enable_notifications().expect("the used ring is there");
    }
}

impl Queue {
    pub(crate) fn forget(&mut self) {
        *self = Self { size_max: self.size_max, size: self.size_max, vector: NO_VECTOR, ..Self::default() };
    }
}

/// What a vector register reads if there is no vector.
pub(crate) const NO_VECTOR: u16 = 0xffff;

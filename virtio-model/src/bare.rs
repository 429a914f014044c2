//! A driver of bare stores, for the tests of device models.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, §2.7 Split Virtqueues. It brings a device up with all its features but event indices, and
//! with all its queues, and makes chains available one by one.

use crate::memory::AddressSpace;
use crate::pci::{Builder, PciDevice, STANDARD_BAR};
use crate::split::{Descriptor, NEXT, WRITE};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const COMMAND: u16 = 0x04;
const STATUS: u64 = 0x14;
const EVENT_IDX: u32 = 29;
/// Where the device-specific configuration is.
const CONFIG: u64 = 0x2000;

/// Each queue has its three areas here.
const QUEUES: u64 = 0x1_0000;
const QUEUE_BYTES: u64 = 0x400;
const AVAIL: u64 = 0x100;
const USED: u64 = 0x200;
/// Buffers are here, one after the other.
const BUFFERS: u64 = QUEUES + 0x4000;
const MEMORY_BYTES: usize = 0x8_0000;

/// What a queue has done so far.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    made_available: u16,
    next_descriptor: u16,
    seen: u16,
}

/// The driver, and the memory that it shares with its device.
pub(crate) struct Bare {
    pub(crate) memory: AddressSpace,
    pub(crate) device: PciDevice,
    queues: [Progress; 16],
    next_buffer: u64,
    _backing: Vec<u64>,
}

impl Bare {
    /// A device that is up.
    pub(crate) fn new(builder: Builder) -> Self {
        let bare = Self::powered(builder);
        bare.bring_up(|_| ());
        bare.device.assert_driver_was_correct();
        bare
    }

    /// A device that its driver has not begun with.
    pub(crate) fn powered(builder: Builder) -> Self {
        let mut backing = vec![0u64; MEMORY_BYTES / 8];
        let memory = AddressSpace::new();
        let pointer = NonNull::new(backing.as_mut_ptr().cast()).unwrap();
        // SAFETY: the driver keeps the memory as long as the address space, and accesses it only
        // through it.
        unsafe { memory.map(QUEUES, pointer, MEMORY_BYTES, true, true) };
        let device = builder.build();
        device.config_write(COMMAND, 0b110);
        Self { memory, device, queues: [Progress::default(); 16], next_buffer: BUFFERS, _backing: backing }
    }

    fn write(&self, offset: u64, width: u8, value: u32) {
        self.device.bar_write(STANDARD_BAR, offset, width, value);
    }

    /// Writes to the device-specific configuration.
    pub(crate) fn write_config(&self, offset: u64, width: u8, value: u32) {
        self.write(CONFIG + offset, width, value);
    }

    /// Reads the device-specific configuration.
    pub(crate) fn read_config(&self, offset: u64, width: u8) -> u32 {
        self.device.bar_read(STANDARD_BAR, CONFIG + offset, width)
    }

    /// Resets it, and brings it up; the last thing before `DRIVER_OK` is the test's.
    pub(crate) fn bring_up(&self, before_driver_ok: impl FnOnce(&Self)) {
        self.reset();
        self.write(STATUS, 1, 1);
        self.write(STATUS, 1, 3);
        let features = self.device.offered_features() & !(1 << EVENT_IDX);
        for select in 0..4u32 {
            self.write(0x08, 4, select);
            self.write(0x0c, 4, u32::try_from(features >> (32 * select) & u128::from(u32::MAX)).unwrap());
        }
        self.write(STATUS, 1, 0x0b);
        let size_of = |queue| self.device.queue(queue).unwrap().max_size;
        for queue in (0..self.device.queue_count()).filter(|queue| size_of(*queue) != 0) {
            self.write(0x16, 2, queue.into());
            let base = u32::try_from(QUEUES + QUEUE_BYTES * u64::from(queue)).unwrap();
            for (offset, area) in [(0x20, 0), (0x28, AVAIL), (0x30, USED)] {
                self.write(offset, 4, base + u32::try_from(area).unwrap());
            }
            self.write(0x1c, 2, 1);
        }
        before_driver_ok(self);
        self.write(STATUS, 1, 0x0f);
    }

    /// Begins anew, with rings that are empty.
    pub(crate) fn bring_up_again(&mut self) {
        let rings = vec![0; usize::try_from(BUFFERS - QUEUES).unwrap()];
        self.memory.write(QUEUES, &rings).unwrap();
        self.queues = [Progress::default(); 16];
        self.bring_up(|_| ());
    }

    /// Resets it.
    pub(crate) fn reset(&self) {
        self.write(STATUS, 1, 0);
        assert_eq!(self.device.bar_read(STANDARD_BAR, STATUS, 1), 0);
    }

    /// Memory for `len` bytes.
    pub(crate) fn buffer(&mut self, len: usize) -> u64 {
        let at = self.next_buffer;
        self.next_buffer += len.next_multiple_of(8) as u64;
        at
    }

    /// Makes a chain available: readable segments of these bytes, then writable ones of these lengths; tells where the latter are.
    pub(crate) fn submit(&mut self, queue: u16, readable: &[&[u8]], writable: &[usize]) -> Vec<u64> {
        let mut segments = Vec::new();
        for bytes in readable {
            let at = self.buffer(bytes.len());
            self.memory.write(at, bytes).unwrap();
            segments.push((at, bytes.len(), 0));
        }
        for len in writable {
            segments.push((self.buffer(*len), *len, WRITE));
        }
        self.submit_segments(queue, &segments);
        segments.iter().filter(|segment| segment.2 == WRITE).map(|segment| segment.0).collect()
    }

    fn submit_segments(&mut self, queue: u16, segments: &[(u64, usize, u16)]) {
        let base = QUEUES + QUEUE_BYTES * u64::from(queue);
        let progress = &mut self.queues[usize::from(queue)];
        let head = progress.next_descriptor;
        for (place, (addr, len, flags)) in segments.iter().enumerate() {
            let index = progress.next_descriptor;
            progress.next_descriptor = (index + 1) % 16;
            let more = if place + 1 < segments.len() { NEXT } else { 0 };
            let len = u32::try_from(*len).unwrap();
            let descriptor =
                Descriptor { addr: *addr, len, flags: flags | more, next: progress.next_descriptor };
            descriptor.store(&self.memory, base, index).unwrap();
        }
        let entry = base + AVAIL + 4 + 2 * u64::from(progress.made_available % 16);
        self.memory.store_u16(entry, head, Relaxed).unwrap();
        progress.made_available = progress.made_available.wrapping_add(1);
        self.memory.store_u16(base + AVAIL + 2, progress.made_available, Release).unwrap();
    }

    /// What is in memory.
    pub(crate) fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read(at, &mut bytes).unwrap();
        bytes
    }

    /// The used elements of a queue since the last call, as id and length.
    pub(crate) fn used(&mut self, queue: u16) -> Vec<(u32, u32)> {
        let base = QUEUES + QUEUE_BYTES * u64::from(queue) + USED;
        let idx = self.memory.load_u16(base + 2, Acquire).unwrap();
        let seen = std::mem::replace(&mut self.queues[usize::from(queue)].seen, idx);
        (seen..idx)
            .map(|index| {
                let at = base + 4 + 8 * u64::from(index % 16);
                let [id, len] = [at, at + 4].map(|at| self.memory.load_u32(at, Relaxed).unwrap());
                (id, len)
            })
            .collect()
    }

    /// The only thing that the driver did wrong.
    pub(crate) fn only_error(&self) -> String {
        let errors = self.device.driver_errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].clone()
    }
}

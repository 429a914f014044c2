//! Promises of the packed queue, against a driver made of bare stores.

mod available;
mod suppression;
mod used;

use super::{Descriptor, ModelError, NEXT, PackedQueue, Position, Setup};
use crate::memory::AddressSpace;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

/// Not a power of two.
const SIZE: u16 = 5;
const RING: u64 = 0x1000;
const DRIVER_EVENT: u64 = 0x1100;
const DEVICE_EVENT: u64 = 0x1104;
const TABLE: u64 = 0x1200;
const DATA: u64 = 0x1400;

struct Bench {
    memory: AddressSpace,
    queue: PackedQueue,
    /// Where the driver makes the next list available.
    next: Position,
    _backing: Vec<u64>,
}

#[derive(Clone, Copy, Default)]
struct Features {
    event_idx: bool,
    in_order: bool,
}

impl Bench {
    fn new() -> Self {
        Self::with(Features::default())
    }

    fn in_order() -> Self {
        Self::with(Features { in_order: true, ..Features::default() })
    }

    fn with(features: Features) -> Self {
        let mut backing = vec![0u64; 0x800 / 8];
        let memory = AddressSpace::new();
        let pointer = NonNull::new(backing.as_mut_ptr().cast()).unwrap();
        // SAFETY: the bench keeps the memory as long as the address space, and accesses it only
        // through it.
        unsafe { memory.map(RING, pointer, 0x800, true, true) };
        let Features { event_idx, in_order } = features;
        let queue = PackedQueue::new(&memory, Setup { event_idx, in_order, ..setup(SIZE) }).unwrap();
        Self { memory, queue, next: Position::START, _backing: backing }
    }

    /// Stores one descriptor, whatever it says.
    fn put(&self, slot: u16, id: u16, len: u32, flags: u16) {
        Descriptor { addr: DATA, len, id, flags }.store(&self.memory, RING, slot).unwrap();
    }

    /// Stores one entry of the indirect table.
    fn put_indirect(&self, index: u16, len: u32, flags: u16) {
        Descriptor { addr: DATA, len, id: 0xdead, flags }.store(&self.memory, TABLE, index).unwrap();
    }

    /// Makes a list available, given as lengths and flags; the first descriptor comes last.
    fn make_available(&mut self, id: u16, list: &[(u32, u16)]) {
        let mut places = Vec::new();
        for (left, &(len, flags)) in (0..list.len()).rev().zip(list) {
            let (link, id) = if left > 0 { (NEXT, 0xdead) } else { (0, id) };
            places.push((self.next.offset, id, len, flags | link | self.next.available_flags()));
            self.next = self.next.advanced(1, SIZE);
        }
        for (slot, id, len, flags) in places.into_iter().rev() {
            self.put(slot, id, len, flags);
        }
    }

    /// Makes buffers of one descriptor available, and lets the device take them.
    fn take(&mut self, ids: &[u16]) {
        for &id in ids {
            self.make_available(id, &[(8, super::WRITE)]);
            assert_eq!(self.queue.pop().unwrap().unwrap().head, id);
        }
    }

    fn complaint(&mut self) -> String {
        match self.queue.pop() {
            Err(ModelError::Driver(text)) => text,
            other => panic!("expected a driver error, got {other:?}"),
        }
    }

    fn slot(&self, slot: u16) -> Descriptor {
        self.queue.read_descriptor(slot).unwrap()
    }

    fn set_driver_event(&self, place: u16, flags: u16) {
        self.memory.store_u16(DRIVER_EVENT, place, Relaxed).unwrap();
        self.memory.store_u16(DRIVER_EVENT + 2, flags, Relaxed).unwrap();
    }
}

fn setup(size: u16) -> Setup {
    Setup {
        size,
        descriptor_area: RING,
        driver_area: DRIVER_EVENT,
        device_area: DEVICE_EVENT,
        event_idx: false,
        indirect: true,
        in_order: false,
    }
}

/// Spec: §2.8 — any size from 1 to 32768, not only powers of two.
#[test]
fn any_size_is_accepted_but_none_and_too_many() {
    let memory = AddressSpace::new();
    for size in [1, 2, 3, 5, 0x7fff, 0x8000] {
        assert_eq!(PackedQueue::new(&memory, setup(size)).unwrap().size(), size);
    }
    for size in [0, 0x8001, 0xffff] {
        assert!(PackedQueue::new(&memory, setup(size)).is_err(), "{size}");
    }
}

/// Spec: §2.8.10.1 Structure Size and Alignment.
#[test]
fn a_misaligned_area_is_refused() {
    let memory = AddressSpace::new();
    for setup in [
        Setup { descriptor_area: RING + 8, ..setup(SIZE) },
        Setup { driver_area: DRIVER_EVENT + 2, ..setup(SIZE) },
        Setup { device_area: DEVICE_EVENT + 2, ..setup(SIZE) },
        Setup { descriptor_area: u64::MAX - 15, ..setup(SIZE) },
    ] {
        assert!(matches!(PackedQueue::new(&memory, setup), Err(ModelError::Driver(_))), "{setup:?}");
    }
}

#[test]
fn a_position_counts_two_rounds_before_it_is_back() {
    for size in [1, 2, 5, 0x7fff, 0x8000] {
        let mut position = Position::START;
        for gone in 0..2 * u32::from(size) {
            assert_eq!(position.distance_from(Position::START, size), gone);
            assert_eq!(Position::decoded(position.encoded()), position);
            assert_eq!(
                (position.wrap, u32::from(position.offset)),
                (gone < u32::from(size), gone % u32::from(size))
            );
            position = position.advanced(1, size);
        }
        assert_eq!(position, Position::START);
        assert_eq!(position.advanced(size, size), Position { offset: 0, wrap: false });
    }
}

//! The three areas of a split virtqueue and its indirect tables, as words in shared memory.
//!
//! Spec: §2.7 Split Virtqueues, §2.7.5.3 Indirect Descriptors. The ring floor decides what to write; here it is written, always inside of the areas: the
//! queue size is a power of two, and every index is masked with it.
//!
//! ```text
//!   one allocation   ┌──────────────────┬────────────────┬─────┬───────────────┐
//!                    │ descriptor table │ available ring │ pad │ used ring     │
//!                    │ 16 × size        │ 6 + 2 × size   │     │ 6 + 8 × size  │
//!                    └──────────────────┴────────────────┴─────┴───────────────┘
//!   who writes         driver             driver                 device
//! ```

use core::ptr::NonNull;

use super::cell;
use super::mapped::Segment;
use super::memory::{DmaMemory, OutOfBounds};
use crate::hal::{DeviceAddress, Direction, DmaError, Hal};
use crate::wire::split::{self, DescriptorFlags};

/// The device area starts on a cache line of its own: driver and device then never write to the same line.
const CACHE_LINE: usize = 64;

/// Where a queue's areas are, for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueAddresses {
    /// Descriptor area: the descriptor table.
    pub descriptor_area: DeviceAddress,
    /// Driver area: the available ring.
    pub driver_area: DeviceAddress,
    /// Device area: the used ring.
    pub device_area: DeviceAddress,
}

/// One descriptor, before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor {
    pub(crate) segment: Segment,
    pub(crate) next: Option<u16>,
}

/// The areas of one split virtqueue.
#[derive(Debug)]
pub(crate) struct SplitAreas<H: Hal> {
    /// Keeps what the pointers lead into.
    _memory: DmaMemory<H>,
    addresses: QueueAddresses,
    descriptors: NonNull<u8>,
    driver_area: NonNull<u8>,
    device_area: NonNull<u8>,
    size: u16,
}

// SAFETY: the pointers lead into `_memory`, which may be sent; nothing else uses them.
unsafe impl<H: Hal + Send> Send for SplitAreas<H> {}

impl<H: Hal> SplitAreas<H> {
    /// Allocates the areas of a queue of `size` descriptors, zeroed. A size that is no power of two is refused.
    pub(crate) fn allocate(hal: &H, size: u16) -> Result<Self, DmaError> {
        if !size.is_power_of_two() {
            return Err(DmaError);
        }
        let table_bytes = split::DESCRIPTOR_BYTES * usize::from(size);
        let driver_bytes = split::driver_area_bytes(size);
        let device_offset = (table_bytes + driver_bytes).next_multiple_of(CACHE_LINE);
        let device_bytes = split::device_area_bytes(size);
        let memory = DmaMemory::allocate(hal, device_offset + device_bytes, CACHE_LINE)?;

        let areas = || -> Result<_, OutOfBounds> {
            let addresses = QueueAddresses {
                descriptor_area: memory.device_address(0, table_bytes)?,
                driver_area: memory.device_address(table_bytes, driver_bytes)?,
                device_area: memory.device_address(device_offset, device_bytes)?,
            };
            let descriptors = memory.place(0, table_bytes)?;
            let driver_area = memory.place(table_bytes, driver_bytes)?;
            let device_area = memory.place(device_offset, device_bytes)?;
            Ok((addresses, descriptors, driver_area, device_area))
        };
        let (addresses, descriptors, driver_area, device_area) = areas().map_err(|OutOfBounds| DmaError)?;
        Ok(Self { _memory: memory, addresses, descriptors, driver_area, device_area, size })
    }

    /// Where the device finds them.
    pub(crate) const fn addresses(&self) -> QueueAddresses {
        self.addresses
    }

    /// Number of descriptors.
    pub(crate) const fn size(&self) -> u16 {
        self.size
    }

    /// Writes the descriptor at `index`.
    pub(crate) fn write_descriptor(&self, index: u16, descriptor: &Descriptor) {
        let offset = split::DESCRIPTOR_BYTES * self.slot(index);
        // SAFETY: the masked index is inside of the table, which starts on a multiple of 16.
        let place = unsafe { self.descriptors.add(offset) };
        // SAFETY: as above; the 16 bytes of one descriptor.
        unsafe { write_descriptor(place, descriptor, DescriptorFlags::empty()) };
    }

    /// Writes a descriptor that refers to an indirect table.
    pub(crate) fn write_indirect_descriptor(&self, index: u16, table: Segment) {
        let offset = split::DESCRIPTOR_BYTES * self.slot(index);
        // SAFETY: the masked index is inside of the table, which starts on a multiple of 16.
        let place = unsafe { self.descriptors.add(offset) };
        let descriptor = Descriptor { segment: table, next: None };
        // SAFETY: as above; the 16 bytes of one descriptor.
        unsafe { write_descriptor(place, &descriptor, DescriptorFlags::INDIRECT) };
    }

    /// Puts the head of a chain into the available ring, at the place of `available_index`.
    pub(crate) fn set_available_element(&self, available_index: u16, head: u16) {
        self.store_driver(split::RING_OFFSET + 2 * self.slot(available_index), head);
    }

    /// Publishes everything before `available_index`.
    pub(crate) fn set_available_index(&self, available_index: u16) {
        self.store_driver(2, available_index);
    }

    /// Sets the available ring's flags.
    pub(crate) fn set_available_flags(&self, flags: u16) {
        self.store_driver(0, flags);
    }

    /// Asks for a notification when the used index passes this one (event index).
    pub(crate) fn set_used_event(&self, used_index: u16) {
        self.store_driver(split::RING_OFFSET + 2 * usize::from(self.size), used_index);
    }

    /// The used ring's flags.
    pub(crate) fn used_flags(&self) -> u16 {
        self.load_device(0)
    }

    /// The index up to which the device has used chains.
    pub(crate) fn used_index(&self) -> u16 {
        self.load_device(2)
    }

    /// The available index past which the device wants a notification (event index).
    pub(crate) fn available_event(&self) -> u16 {
        self.load_device(split::RING_OFFSET + split::USED_ELEMENT_BYTES * usize::from(self.size))
    }

    /// The used element at the place of `used_index`: chain id and written length, as the device claims them.
    pub(crate) fn used_element(&self, used_index: u16) -> (u32, u32) {
        let offset = split::RING_OFFSET + split::USED_ELEMENT_BYTES * self.slot(used_index);
        // SAFETY: the masked index is inside of the used ring, whose elements are aligned to 4.
        let place = unsafe { self.device_area.add(offset) };
        // SAFETY: as above; the element's first word.
        let id = unsafe { cell::load_u32(place) };
        // SAFETY: the element's second word is 4 bytes on.
        let place = unsafe { place.add(4) };
        // SAFETY: as above.
        let written_len = unsafe { cell::load_u32(place) };
        (id, written_len)
    }

    fn slot(&self, index: u16) -> usize {
        usize::from(index & (self.size - 1))
    }

    /// `offset` is even and inside of the driver area: the callers above compute it from a masked index.
    fn store_driver(&self, offset: usize, value: u16) {
        // SAFETY: inside of the driver area.
        let place = unsafe { self.driver_area.add(offset) };
        // SAFETY: as above, and even offsets of an even address.
        unsafe { cell::store_u16(place, value) };
    }

    /// `offset` is even and inside of the device area: the callers above compute it from the size or not at all.
    fn load_device(&self, offset: usize) -> u16 {
        // SAFETY: inside of the device area.
        let place = unsafe { self.device_area.add(offset) };
        // SAFETY: as above, and even offsets of an address that is a multiple of 4.
        unsafe { cell::load_u16(place) }
    }
}

/// One indirect table for each descriptor of a queue.
#[derive(Debug)]
pub(crate) struct IndirectTables<H: Hal> {
    memory: DmaMemory<H>,
    segments: u16,
}

impl<H: Hal> IndirectTables<H> {
    /// Allocates `tables` tables of `segments` descriptors each.
    pub(crate) fn allocate(hal: &H, tables: u16, segments: u16) -> Result<Self, DmaError> {
        let bytes = split::DESCRIPTOR_BYTES * usize::from(tables) * usize::from(segments);
        let memory = DmaMemory::allocate(hal, bytes, split::DESCRIPTOR_ALIGN)?;
        Ok(Self { memory, segments })
    }

    /// Descriptors in each table.
    pub(crate) const fn segments(&self) -> u16 {
        self.segments
    }

    /// Fills the table of descriptor `head` with a chain, and says where the device finds it. `None` if there is no such
    /// table or the chain does not fit.
    pub(crate) fn write_table(
        &self,
        head: u16,
        count: u16,
        chain: impl Iterator<Item = Segment>,
    ) -> Option<Segment> {
        if count == 0 || count > self.segments {
            return None;
        }
        let len = split::DESCRIPTOR_BYTES * usize::from(count);
        let offset = split::DESCRIPTOR_BYTES * usize::from(self.segments) * usize::from(head);
        let address = self.memory.device_address(offset, len).ok()?;
        for (index, segment) in (0..count).zip(chain) {
            let descriptor_offset = offset + split::DESCRIPTOR_BYTES * usize::from(index);
            let place = self.memory.place(descriptor_offset, split::DESCRIPTOR_BYTES).ok()?;
            let next = index + 1;
            let descriptor = Descriptor { segment, next: (next < count).then_some(next) };
            // SAFETY: 16 bytes inside of the memory; offset and memory are multiples of 16.
            unsafe { write_descriptor(place, &descriptor, DescriptorFlags::empty()) };
        }
        Some(Segment { address, len: u32::try_from(len).ok()?, direction: Direction::DeviceReadable })
    }
}

/// # Safety
/// `place` is 16 bytes of shared memory, aligned to 16.
unsafe fn write_descriptor(place: NonNull<u8>, descriptor: &Descriptor, mut flags: DescriptorFlags) {
    let Descriptor { segment, next } = descriptor;
    flags.set(DescriptorFlags::NEXT, next.is_some());
    flags.set(DescriptorFlags::WRITE, segment.direction == Direction::DeviceWritable);
    // SAFETY: the caller's promise: bytes 0 to 8.
    unsafe { cell::store_u64(place, segment.address.0) };
    // SAFETY: the caller's promise: 8 of 16 bytes on.
    let place = unsafe { place.add(8) };
    // SAFETY: the caller's promise: bytes 8 to 12.
    unsafe { cell::store_u32(place, segment.len) };
    let flags_and_next = u32::from(flags.bits()) | u32::from(next.unwrap_or(0)) << 16;
    // SAFETY: the caller's promise: 12 of 16 bytes on.
    let place = unsafe { place.add(4) };
    // SAFETY: the caller's promise: bytes 12 to 16, both 16-bit fields in one store.
    unsafe { cell::store_u32(place, flags_and_next) };
}

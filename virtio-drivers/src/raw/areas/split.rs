//! The three areas of a split virtqueue, as words in shared memory.
//!
//! Spec: §2.7 Split Virtqueues. The queue size is a power of two, and every index is masked with it, so that each access is inside of its area.
//!
//! ```text
//!   one allocation   ┌──────────────────┬────────────────┬─────┬───────────────┐
//!                    │ descriptor table │ available ring │ pad │ used ring     │
//!                    │ 16 × size        │ 6 + 2 × size   │     │ 6 + 8 × size  │
//!                    └──────────────────┴────────────────┴─────┴───────────────┘
//!   who writes         driver             driver                 device
//! ```
//!
//! The pad ends at a cache line; for a device of before version 1 at the next multiple of its Queue Align (§2.7.2), which is how it finds the used ring.

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::descriptor::{store_alone, store_linked};
use super::{AreaPlacement, QueueAddresses};
use crate::hal::{DmaError, Hal};
use crate::raw::cell;
use crate::raw::mapped::Segment;
use crate::raw::memory::{DmaMemory, OutOfBounds};
use crate::wire::split::{self, DescriptorFlags};

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
    /// Allocates the areas of a queue of `size` descriptors, zeroed. A size that is no power of two is refused, and so is a
    /// placement that cannot be.
    pub(crate) fn allocate(hal: &H, size: u16, placement: AreaPlacement) -> Result<Self, DmaError> {
        let align = placement.used_ring_align().ok_or(DmaError)?;
        if !size.is_power_of_two() {
            return Err(DmaError);
        }
        let table_bytes = split::DESCRIPTOR_BYTES * usize::from(size);
        let driver_bytes = split::driver_area_bytes(size);
        let device_offset = (table_bytes + driver_bytes).next_multiple_of(align);
        let device_bytes = split::device_area_bytes(size);
        let bytes = (device_offset + device_bytes).next_multiple_of(align);
        let memory = DmaMemory::allocate(hal, bytes, align.max(split::DESCRIPTOR_ALIGN))?;

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

    /// The words in them.
    #[inline]
    pub(crate) const fn words(&self) -> SplitWords<'_> {
        let Self { descriptors, driver_area, device_area, size, .. } = *self;
        SplitWords { descriptors, driver_area, device_area, size: size as usize, areas: PhantomData }
    }
}

/// The words in the areas of one split virtqueue. A copy of where they are, so that a loop can keep that in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SplitWords<'a> {
    descriptors: NonNull<u8>,
    driver_area: NonNull<u8>,
    device_area: NonNull<u8>,
    /// The number of descriptors, which is a power of two: in a whole word, as it is used.
    size: usize,
    areas: PhantomData<&'a ()>,
}

impl SplitWords<'_> {
    /// Number of descriptors.
    #[allow(clippy::cast_possible_truncation, reason = "it came from 16 bits")]
    pub(crate) const fn size(self) -> u16 {
        self.size as u16
    }

    /// Writes the descriptor at `index`, which is followed by the one at `next`, if by any.
    #[inline]
    pub(crate) fn write_descriptor(
        self,
        index: u16,
        segment: &Segment,
        flags: DescriptorFlags,
        next: Option<u16>,
    ) {
        let offset = split::DESCRIPTOR_BYTES * self.slot(usize::from(index));
        // SAFETY: the masked index is inside of the table, which starts on a multiple of 16.
        let place = unsafe { self.descriptors.add(offset) };
        // SAFETY: as above; the 16 bytes of one descriptor.
        unsafe { store_linked(place, segment, flags, next) };
    }

    /// Writes the descriptor at `index`: all of a chain. There is none beyond the table, which no caller asks for.
    #[inline]
    pub(crate) fn write_only_descriptor(self, index: usize, segment: &Segment) {
        if index >= self.size {
            return;
        }
        // SAFETY: the index is inside of the table, which starts on a multiple of 16.
        let place = unsafe { self.descriptors.add(split::DESCRIPTOR_BYTES * index) };
        // SAFETY: as above; the 16 bytes of one descriptor.
        unsafe { store_alone(place, segment) };
    }

    /// Puts the head of a chain into the available ring, at the place of `available_index`.
    #[inline]
    pub(crate) fn set_available_element(self, available_index: usize, head: u16) {
        self.store_driver(split::RING_OFFSET + 2 * self.slot(available_index), head);
    }

    /// Publishes everything before `available_index`.
    #[inline]
    pub(crate) fn set_available_index(self, available_index: u16) {
        self.store_driver(2, available_index);
    }

    /// Sets the available ring's flags.
    #[inline]
    pub(crate) fn set_available_flags(self, flags: u16) {
        self.store_driver(0, flags);
    }

    /// Asks for a notification when the used index passes this one (event index).
    #[inline]
    pub(crate) fn set_used_event(self, used_index: u16) {
        self.store_driver(split::RING_OFFSET + 2 * self.size, used_index);
    }

    /// The used ring's flags.
    #[inline]
    pub(crate) fn used_flags(self) -> u16 {
        self.load_device(0)
    }

    /// The index up to which the device has used chains.
    #[inline]
    pub(crate) fn used_index(self) -> u16 {
        self.load_device(2)
    }

    /// The available index past which the device wants a notification (event index).
    #[inline]
    pub(crate) fn available_event(self) -> u16 {
        self.load_device(split::RING_OFFSET + split::USED_ELEMENT_BYTES * self.size)
    }

    /// The used element at the place of `used_index`: chain id and written length, as the device claims them.
    #[inline]
    pub(crate) fn used_element(self, used_index: usize) -> (u32, u32) {
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

    const fn slot(self, index: usize) -> usize {
        index & (self.size - 1)
    }

    /// `offset` is even and inside of the driver area: the callers above compute it from a masked index.
    #[inline]
    fn store_driver(self, offset: usize, value: u16) {
        // SAFETY: inside of the driver area.
        let place = unsafe { self.driver_area.add(offset) };
        // SAFETY: as above, and even offsets of an even address.
        unsafe { cell::store_u16(place, value) };
    }

    /// `offset` is even and inside of the device area: the callers above compute it from the size or not at all.
    #[inline]
    fn load_device(self, offset: usize) -> u16 {
        // SAFETY: inside of the device area.
        let place = unsafe { self.device_area.add(offset) };
        // SAFETY: as above, and even offsets of an address that is a multiple of 4.
        unsafe { cell::load_u16(place) }
    }
}

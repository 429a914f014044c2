//! The areas of a packed virtqueue, as words in shared memory.
//!
//! Spec: §2.8 Packed Virtqueues.
//!
//! ```text
//!   one allocation   ┌─────────────────┬─────┬────────────────────┬─────┬────────────────────┐
//!                    │ descriptor ring │ pad │ driver event (4)   │ pad │ device event (4)   │
//!                    │ 16 × size       │     │ place, flags       │     │ place, flags       │
//!                    └─────────────────┴─────┴────────────────────┴─────┴────────────────────┘
//!   who writes         both                    driver                     device
//! ```

use core::hint::cold_path;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::descriptor::store_packed;
use super::{CACHE_LINE, QueueAddresses};
use crate::hal::{DmaError, Hal};
use crate::raw::cell;
use crate::raw::mapped::Segment;
use crate::raw::memory::{DmaMemory, OutOfBounds};
use crate::wire::packed::{self, descriptor};
use crate::wire::split::DESCRIPTOR_BYTES;

/// The areas of one packed virtqueue.
#[derive(Debug)]
pub(crate) struct PackedAreas<H: Hal> {
    /// Keeps what the pointers lead into.
    _memory: DmaMemory<H>,
    addresses: QueueAddresses,
    descriptors: NonNull<u8>,
    driver_event: NonNull<u8>,
    device_event: NonNull<u8>,
    /// Never 0.
    size: u16,
}

// SAFETY: the pointers lead into `_memory`, which may be sent; nothing else uses them.
unsafe impl<H: Hal + Send> Send for PackedAreas<H> {}

impl<H: Hal> PackedAreas<H> {
    /// Allocates the areas of a queue of `size` descriptors, zeroed. Size 0 is refused.
    pub(crate) fn allocate(hal: &H, size: u16) -> Result<Self, DmaError> {
        if size == 0 {
            return Err(DmaError);
        }
        let ring_bytes = DESCRIPTOR_BYTES * usize::from(size);
        let driver_offset = ring_bytes.next_multiple_of(CACHE_LINE);
        let device_offset = driver_offset + CACHE_LINE;
        let memory = DmaMemory::allocate(hal, device_offset + packed::EVENT_SUPPRESSION_BYTES, CACHE_LINE)?;

        let areas = || -> Result<_, OutOfBounds> {
            let addresses = QueueAddresses {
                descriptor_area: memory.device_address(0, ring_bytes)?,
                driver_area: memory.device_address(driver_offset, packed::EVENT_SUPPRESSION_BYTES)?,
                device_area: memory.device_address(device_offset, packed::EVENT_SUPPRESSION_BYTES)?,
            };
            let descriptors = memory.place(0, ring_bytes)?;
            let driver_event = memory.place(driver_offset, packed::EVENT_SUPPRESSION_BYTES)?;
            let device_event = memory.place(device_offset, packed::EVENT_SUPPRESSION_BYTES)?;
            Ok((addresses, descriptors, driver_event, device_event))
        };
        let (addresses, descriptors, driver_event, device_event) = areas().map_err(|OutOfBounds| DmaError)?;
        Ok(Self { _memory: memory, addresses, descriptors, driver_event, device_event, size })
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
    pub(crate) const fn words(&self) -> PackedWords<'_> {
        let Self { descriptors, driver_event, device_event, size, .. } = *self;
        PackedWords { descriptors, driver_event, device_event, size, areas: PhantomData }
    }
}

/// The words in the areas of one packed virtqueue. A copy of where they are, so that a loop can keep that in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedWords<'a> {
    descriptors: NonNull<u8>,
    driver_event: NonNull<u8>,
    device_event: NonNull<u8>,
    /// Never 0.
    size: u16,
    areas: PhantomData<&'a ()>,
}

impl<'a> PackedWords<'a> {
    /// Number of descriptors.
    #[inline]
    pub(crate) const fn size(self) -> u16 {
        self.size
    }

    /// A cursor at `slot`. A slot beyond the ring, which no caller has, would be its first one.
    #[inline]
    pub(crate) const fn at(self, slot: u16) -> PackedCursor<'a> {
        let slot = if slot < self.size { slot } else { 0 };
        PackedCursor {
            descriptors: self.descriptors,
            offset: DESCRIPTOR_BYTES * slot as usize,
            end: DESCRIPTOR_BYTES * self.size as usize,
            areas: PhantomData,
        }
    }

    /// Where, and whether, the driver wants to be notified: in one store, so that nobody sees one without the other.
    #[inline]
    pub(crate) fn set_driver_event(self, place: u16, flags: u16) {
        // SAFETY: the 4 bytes of the driver area.
        unsafe { cell::store_u32(self.driver_event, u32::from(place) | u32::from(flags) << 16) };
    }

    /// Where, and whether, the device wants to be notified: both of one moment, in one load.
    #[inline]
    pub(crate) fn device_event(self) -> (u16, u16) {
        // SAFETY: the 4 bytes of the device area.
        let event = unsafe { cell::load_u32(self.device_event) };
        ((event & 0xffff) as u16, (event >> 16) as u16)
    }
}

/// A place in the ring, always inside of it: whoever goes from one to the next needs one comparison for each step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedCursor<'a> {
    /// The ring's first descriptor.
    descriptors: NonNull<u8>,
    /// Bytes from there: a multiple of 16, and below `end`.
    offset: usize,
    /// Bytes of the ring, a multiple of 16.
    end: usize,
    areas: PhantomData<&'a ()>,
}

impl<'a> PackedCursor<'a> {
    /// The descriptor here.
    #[inline]
    pub(crate) const fn descriptor(self) -> PackedDescriptor<'a> {
        // SAFETY: `descriptors` leads to `end` bytes, which the areas keep for `'a`; `at` and `advance`, which alone set the offset, leave it below `end`, which is not 0, and a
        // multiple of 16, so there is a whole descriptor.
        PackedDescriptor { place: unsafe { self.descriptors.add(self.offset) }, areas: PhantomData }
    }

    /// Which one it is.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the ring has fewer than 65536 descriptors")]
    pub(crate) const fn slot(self) -> u16 {
        (self.offset / DESCRIPTOR_BYTES) as u16
    }

    /// Moves on `by` descriptors, and says whether it came past the end of the ring. By more than the ring has, which no caller does, would be to its start.
    #[inline]
    pub(crate) fn advance(&mut self, by: u16) -> bool {
        let offset = self.offset + DESCRIPTOR_BYTES * usize::from(by);
        if offset < self.end {
            self.offset = offset;
            return false;
        }
        // Rare enough that the branch is cheaper than arithmetic.
        cold_path();
        let offset = offset - self.end;
        self.offset = if offset < self.end { offset } else { 0 };
        true
    }
}

/// One descriptor of a packed ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedDescriptor<'a> {
    /// The 16 bytes of a descriptor of the ring, which starts on a multiple of 16.
    place: NonNull<u8>,
    areas: PhantomData<&'a ()>,
}

impl PackedDescriptor<'_> {
    /// Writes everything but the flags.
    #[inline]
    pub(crate) fn write(self, segment: &Segment, id: u16) {
        // SAFETY: `place` says so.
        unsafe { store_packed(self.place, segment, id) };
    }

    /// Writes the flags.
    #[inline]
    pub(crate) fn set_flags(self, flags: u16) {
        // SAFETY: 14 of the 16 bytes of a descriptor on.
        let place = unsafe { self.place.add(descriptor::FLAGS) };
        // SAFETY: as above, bytes 14 and 15.
        unsafe { cell::store_u16(place, flags) };
    }

    /// The flags.
    #[inline]
    pub(crate) fn flags(self) -> u16 {
        // SAFETY: 14 of the 16 bytes of a descriptor on.
        let place = unsafe { self.place.add(descriptor::FLAGS) };
        // SAFETY: as above, bytes 14 and 15.
        unsafe { cell::load_u16(place) }
    }

    /// Of a used descriptor: buffer id and written length, as the device claims them.
    #[inline]
    pub(crate) fn used_element(self) -> (u16, u32) {
        // SAFETY: 12 of the 16 bytes of a descriptor on.
        let id = unsafe { self.place.add(descriptor::ID) };
        // SAFETY: as above, bytes 12 and 13.
        let id = unsafe { cell::load_u16(id) };
        // SAFETY: 8 of the 16 bytes of a descriptor on.
        let written_len = unsafe { self.place.add(descriptor::LENGTH) };
        // SAFETY: as above, bytes 8 to 12.
        let written_len = unsafe { cell::load_u32(written_len) };
        (id, written_len)
    }
}

//! One descriptor, written into shared memory.
//!
//! Spec: §2.7.5 The Virtqueue Descriptor Table, §2.8.21 (packed: contents first, flags last).

use core::ptr::NonNull;

use crate::raw::cell;
use crate::raw::mapped::Segment;
use crate::wire::packed;
use crate::wire::split::DescriptorFlags;

/// A descriptor of the split layout, before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor {
    pub(crate) segment: Segment,
    pub(crate) flags: DescriptorFlags,
    pub(crate) next: u16,
}

/// A descriptor of the packed layout without its flags, before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedDescriptor {
    pub(crate) segment: Segment,
    pub(crate) id: u16,
}

impl Descriptor {
    /// One of `count` descriptors, that is followed by the one at `next` unless it is the last.
    pub(crate) const fn linked(segment: Segment, next: u16, count: u16) -> Self {
        if next < count {
            Self { segment, flags: DescriptorFlags::NEXT, next }
        } else {
            Self { segment, flags: DescriptorFlags::empty(), next: 0 }
        }
    }

    /// Writes it, with the flag for the segment's direction.
    ///
    /// # Safety
    /// `place` is 16 bytes of shared memory, aligned to 16.
    pub(super) unsafe fn store(&self, place: NonNull<u8>) {
        let flags = self.flags | self.segment.direction_flag();
        // SAFETY: the caller's promise.
        unsafe { store_segment(place, &self.segment) };
        // SAFETY: the caller's promise: 12 of 16 bytes on.
        let place = unsafe { place.add(12) };
        // SAFETY: the caller's promise: bytes 12 to 16, flags and next in one store.
        unsafe { cell::store_u32(place, u32::from(flags.bits()) | u32::from(self.next) << 16) };
    }
}

impl PackedDescriptor {
    /// Writes everything but the flags.
    ///
    /// # Safety
    /// `place` is 16 bytes of shared memory, aligned to 16.
    pub(super) unsafe fn store(&self, place: NonNull<u8>) {
        // SAFETY: the caller's promise.
        unsafe { store_segment(place, &self.segment) };
        // SAFETY: the caller's promise: 12 of 16 bytes on.
        let place = unsafe { place.add(packed::descriptor::ID) };
        // SAFETY: the caller's promise: bytes 12 and 13.
        unsafe { cell::store_u16(place, self.id) };
    }
}

impl PackedDescriptor {
    /// Writes it as an entry of an indirect table: the direction is its only flag, and nobody's turn is marked.
    ///
    /// # Safety
    /// `place` is 16 bytes of shared memory, aligned to 16.
    pub(super) unsafe fn store_in_table(&self, place: NonNull<u8>) {
        // SAFETY: the caller's promise.
        unsafe { self.store(place) };
        // SAFETY: the caller's promise: 14 of 16 bytes on.
        let place = unsafe { place.add(packed::descriptor::FLAGS) };
        // SAFETY: the caller's promise: bytes 14 and 15.
        unsafe { cell::store_u16(place, self.segment.direction_flag().bits()) };
    }
}

/// Address and length, where both layouts have them.
///
/// # Safety
/// `place` is 16 bytes of shared memory, aligned to 16.
unsafe fn store_segment(place: NonNull<u8>, segment: &Segment) {
    // SAFETY: the caller's promise: bytes 0 to 8.
    unsafe { cell::store_u64(place, segment.address.0) };
    // SAFETY: the caller's promise: 8 of 16 bytes on.
    let place = unsafe { place.add(packed::descriptor::LENGTH) };
    // SAFETY: the caller's promise: bytes 8 to 12.
    unsafe { cell::store_u32(place, segment.len) };
}

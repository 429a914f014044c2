//! One descriptor, written into shared memory.
//!
//! Spec: §2.7.5 The Virtqueue Descriptor Table, §2.8.21 (packed: contents first, flags last).

use core::ptr::NonNull;

use crate::raw::cell;
use crate::raw::mapped::Segment;
use crate::wire::split::DescriptorFlags;
use crate::wire::{packed, split};

/// Writes a descriptor of the split layout that is followed by the one at `next`, if by any.
///
/// # Safety
/// `place` is 16 bytes of shared memory, aligned to 16.
#[inline]
pub(super) unsafe fn store_linked(
    place: NonNull<u8>,
    segment: &Segment,
    mut flags: DescriptorFlags,
    next: Option<u16>,
) {
    flags |= segment.direction_flag();
    if let Some(next) = next {
        flags |= DescriptorFlags::NEXT;
        // SAFETY: the caller's promise: 14 of 16 bytes on.
        let place = unsafe { place.add(split::descriptor::NEXT) };
        // SAFETY: the caller's promise: bytes 14 and 15.
        unsafe { cell::store_u16(place, next) };
    }
    // SAFETY: the caller's promise.
    unsafe { store_segment(place, segment) };
    // SAFETY: the caller's promise: 12 of 16 bytes on.
    let place = unsafe { place.add(split::descriptor::FLAGS) };
    // SAFETY: the caller's promise: bytes 12 and 13.
    unsafe { cell::store_u16(place, flags.bits()) };
}

/// Writes a descriptor of the split layout that nothing follows: in two words.
///
/// # Safety
/// `place` is 16 bytes of shared memory, aligned to 16.
#[inline]
pub(super) unsafe fn store_alone(place: NonNull<u8>, segment: &Segment) {
    // SAFETY: the caller's promise: bytes 0 to 8.
    unsafe { cell::store_u64(place, segment.address.0) };
    // SAFETY: the caller's promise: 8 of 16 bytes on.
    let place = unsafe { place.add(split::descriptor::LENGTH) };
    let flags = u64::from(segment.direction_flag().bits()) << u32::BITS;
    // SAFETY: the caller's promise: bytes 8 to 16, of which the last two do not count.
    unsafe { cell::store_u64(place, u64::from(segment.len) | flags) };
}

/// Writes a descriptor of the packed layout, all but its flags.
///
/// # Safety
/// `place` is 16 bytes of shared memory, aligned to 16.
#[inline]
pub(super) unsafe fn store_packed(place: NonNull<u8>, segment: &Segment, id: u16) {
    // SAFETY: the caller's promise.
    unsafe { store_segment(place, segment) };
    // SAFETY: the caller's promise: 12 of 16 bytes on.
    let place = unsafe { place.add(packed::descriptor::ID) };
    // SAFETY: the caller's promise: bytes 12 and 13.
    unsafe { cell::store_u16(place, id) };
}

/// Writes a descriptor of the packed layout as an entry of an indirect table: the direction is its only flag, and nobody's turn is marked.
///
/// # Safety
/// `place` is 16 bytes of shared memory, aligned to 16.
#[inline]
pub(super) unsafe fn store_in_table(place: NonNull<u8>, segment: &Segment) {
    // SAFETY: the caller's promise.
    unsafe { store_packed(place, segment, 0) };
    // SAFETY: the caller's promise: 14 of 16 bytes on.
    let place = unsafe { place.add(packed::descriptor::FLAGS) };
    // SAFETY: the caller's promise: bytes 14 and 15.
    unsafe { cell::store_u16(place, segment.direction_flag().bits()) };
}

/// Address and length, where both layouts have them.
///
/// # Safety
/// `place` is 16 bytes of shared memory, aligned to 16.
#[inline]
unsafe fn store_segment(place: NonNull<u8>, segment: &Segment) {
    // SAFETY: the caller's promise: bytes 0 to 8.
    unsafe { cell::store_u64(place, segment.address.0) };
    // SAFETY: the caller's promise: 8 of 16 bytes on.
    let place = unsafe { place.add(packed::descriptor::LENGTH) };
    // SAFETY: the caller's promise: bytes 8 to 12.
    unsafe { cell::store_u32(place, segment.len) };
}

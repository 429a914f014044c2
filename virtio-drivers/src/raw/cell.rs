//! The shim under every access to shared memory: little-endian atomic words.
//!
//! Spec: §1.4 (little-endian), §2.6 (memory that both sides access).
//!
//! The device is another processor that may write at any moment. A plain or volatile access that races with it would be undefined
//! behaviour; a relaxed atomic one is not, and costs the same. Order comes from the fences of [`order`](super::order) alone.
//!
//! There is no other load and no other store than those that `load!` and `store!` make: this is where a stand-in is asked (`stand_in.rs`).

use core::ptr::NonNull;

#[cfg(virtio_guest_stand_in)]
use super::stand_in;
#[cfg(target_has_atomic = "64")]
use crate::sync::AtomicU64;
use crate::sync::{AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering};

macro_rules! load {
    ($load:ident, $word:ty, $atomic:ty) => {
        /// Loads a little-endian word, once.
        ///
        /// # Safety
        /// `place` is valid for reads and writes, aligned to its size, and accessed by all sides atomically.
        pub(super) unsafe fn $load(place: NonNull<u8>) -> $word {
            #[cfg(virtio_guest_stand_in)]
            {
                let mut word = [0; size_of::<$word>()];
                if stand_in::load(place, &mut word) {
                    return <$word>::from_le_bytes(word);
                }
            }
            // SAFETY: validity, alignment and atomicity are the caller's promise.
            let word = unsafe { <$atomic>::from_ptr(place.cast().as_ptr()) };
            <$word>::from_le(word.load(Ordering::Relaxed))
        }
    };
}

macro_rules! store {
    ($store:ident, $word:ty, $atomic:ty) => {
        /// Stores a little-endian word, once.
        ///
        /// # Safety
        /// `place` is valid for reads and writes, aligned to its size, and accessed by all sides atomically.
        pub(super) unsafe fn $store(place: NonNull<u8>, value: $word) {
            #[cfg(virtio_guest_stand_in)]
            if stand_in::store(place, &value.to_le_bytes()) {
                return;
            }
            // SAFETY: validity, alignment and atomicity are the caller's promise.
            let word = unsafe { <$atomic>::from_ptr(place.cast().as_ptr()) };
            word.store(value.to_le(), Ordering::Relaxed);
        }
    };
}

load!(load_u8, u8, AtomicU8);
load!(load_u16, u16, AtomicU16);
load!(load_u32, u32, AtomicU32);
#[cfg(target_has_atomic = "64")]
load!(load_u64, u64, AtomicU64);
load!(load_usize, usize, AtomicUsize);
store!(store_u8, u8, AtomicU8);
store!(store_u16, u16, AtomicU16);
store!(store_u32, u32, AtomicU32);
#[cfg(target_has_atomic = "64")]
store!(store_u64, u64, AtomicU64);
store!(store_usize, usize, AtomicUsize);

/// Loads a little-endian 64-bit word, by halves: what a device changes in between is in one of them.
///
/// # Safety
/// `place` is valid for reads and writes of 8 bytes, aligned to 8, and accessed by all sides atomically.
#[cfg(not(target_has_atomic = "64"))]
pub(super) unsafe fn load_u64(place: NonNull<u8>) -> u64 {
    // SAFETY: the first half of what the caller vouches for.
    let low = unsafe { load_u32(place) };
    // SAFETY: inside of what the caller vouches for.
    let second = unsafe { place.add(4) };
    // SAFETY: the second half of it.
    u64::from(low) | u64::from(unsafe { load_u32(second) }) << 32
}

/// Stores a little-endian 64-bit word, low half first. Nobody looks at it before a fence.
///
/// # Safety
/// `place` is valid for reads and writes of 8 bytes, aligned to 8, and accessed by all sides atomically.
#[cfg(not(target_has_atomic = "64"))]
pub(super) unsafe fn store_u64(place: NonNull<u8>, value: u64) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    // SAFETY: the first half of what the caller vouches for.
    unsafe { store_u32(place, u32::from_le_bytes([a, b, c, d])) };
    // SAFETY: four bytes on, still inside of the caller's eight.
    let high = unsafe { place.add(4) };
    // SAFETY: the second half of what the caller vouches for.
    unsafe { store_u32(high, u32::from_le_bytes([e, f, g, h])) };
}

const WORD: usize = size_of::<usize>();

/// Bytes before the first word boundary at or after `place`, at most `len`.
fn bytes_to_boundary(place: NonNull<u8>, len: usize) -> usize {
    place.align_offset(WORD).min(len)
}

/// Copies out of shared memory, word by word where aligned.
///
/// # Safety
/// `from` is valid for reads and writes of `into.len()` bytes that all sides access atomically.
pub(super) unsafe fn copy_out(from: NonNull<u8>, into: &mut [u8]) {
    let (head, rest) = into.split_at_mut(bytes_to_boundary(from, into.len()));
    // SAFETY: the first `head.len()` bytes of the caller's range.
    unsafe { copy_out_bytes(from, head) };
    // SAFETY: `head` is a part of the range, so the step stays inside of it or at its end.
    let mut place = unsafe { from.add(head.len()) };
    let mut words = rest.chunks_exact_mut(WORD);
    for word in &mut words {
        // SAFETY: aligned to a word by the split above, and a whole word of the range is left.
        let shared = unsafe { load_usize(place) };
        word.copy_from_slice(&shared.to_le_bytes());
        // SAFETY: one word on is inside of the range or at its end.
        place = unsafe { place.add(WORD) };
    }
    // SAFETY: what is left of the range.
    unsafe { copy_out_bytes(place, words.into_remainder()) };
}

/// Copies into shared memory, word by word where aligned.
///
/// # Safety
/// `into` is valid for reads and writes of `from.len()` bytes that all sides access atomically.
pub(super) unsafe fn copy_in(into: NonNull<u8>, from: &[u8]) {
    let (head, rest) = from.split_at(bytes_to_boundary(into, from.len()));
    // SAFETY: the first `head.len()` bytes of the caller's range.
    unsafe { copy_in_bytes(into, head) };
    // SAFETY: `head` is a part of the range, so the step stays inside of it or at its end.
    let mut place = unsafe { into.add(head.len()) };
    let (words, tail) = rest.as_chunks::<WORD>();
    for word in words {
        // SAFETY: aligned to a word by the split above, and a whole word of the range is left.
        unsafe { store_usize(place, usize::from_le_bytes(*word)) };
        // SAFETY: one word on is inside of the range or at its end.
        place = unsafe { place.add(WORD) };
    }
    // SAFETY: what is left of the range.
    unsafe { copy_in_bytes(place, tail) };
}

/// # Safety
/// As for [`copy_out`].
unsafe fn copy_out_bytes(from: NonNull<u8>, into: &mut [u8]) {
    let mut place = from;
    for byte in into {
        // SAFETY: one byte of the caller's range.
        *byte = unsafe { load_u8(place) };
        // SAFETY: one byte on is inside of the range or at its end.
        place = unsafe { place.add(1) };
    }
}

/// # Safety
/// As for [`copy_in`].
unsafe fn copy_in_bytes(into: NonNull<u8>, from: &[u8]) {
    let mut place = into;
    for byte in from {
        // SAFETY: one byte of the caller's range.
        unsafe { store_u8(place, *byte) };
        // SAFETY: one byte on is inside of the range or at its end.
        place = unsafe { place.add(1) };
    }
}

//! The shim under every access to shared memory: little-endian atomic words, and copies made of them.
//!
//! Spec: §1.4 (little-endian), §2.6 (memory that both sides access).
//!
//! The device is another processor that may write at any moment. A plain or volatile access that races with it would be undefined
//! behaviour; a relaxed atomic one is not, and costs the same. Order comes from the fences of [`order`](super::order) alone.

use core::ptr::NonNull;

use crate::sync::{AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering};

macro_rules! word {
    ($load:ident, $store:ident, $word:ty, $atomic:ty) => {
        /// Loads a little-endian word, once.
        ///
        /// # Safety
        /// `place` is valid for reads and writes, aligned to its size, and accessed by all sides atomically.
        pub(super) unsafe fn $load(place: NonNull<u8>) -> $word {
            // SAFETY: validity, alignment and atomicity are the caller's promise.
            let word = unsafe { <$atomic>::from_ptr(place.cast().as_ptr()) };
            <$word>::from_le(word.load(Ordering::Relaxed))
        }

        /// Stores a little-endian word, once.
        ///
        /// # Safety
        /// As for the load.
        pub(super) unsafe fn $store(place: NonNull<u8>, value: $word) {
            // SAFETY: validity, alignment and atomicity are the caller's promise.
            let word = unsafe { <$atomic>::from_ptr(place.cast().as_ptr()) };
            word.store(value.to_le(), Ordering::Relaxed);
        }
    };
}

word!(load_u16, store_u16, u16, AtomicU16);
word!(load_u32, store_u32, u32, AtomicU32);

/// Stores a little-endian 64-bit word: in one access where the processor can, else low half first.
///
/// # Safety
/// `place` is valid for reads and writes of 8 bytes, aligned to 8, and accessed by all sides atomically.
pub(super) unsafe fn store_u64(place: NonNull<u8>, value: u64) {
    #[cfg(target_has_atomic = "64")]
    {
        // SAFETY: validity, alignment and atomicity are the caller's promise.
        let word = unsafe { crate::sync::AtomicU64::from_ptr(place.cast().as_ptr()) };
        word.store(value.to_le(), Ordering::Relaxed);
    }
    #[cfg(not(target_has_atomic = "64"))]
    {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        // SAFETY: the first half of what the caller vouches for.
        unsafe { store_u32(place, u32::from_le_bytes([a, b, c, d])) };
        // SAFETY: four bytes on, still inside of the caller's eight.
        let high = unsafe { place.add(4) };
        // SAFETY: the second half of what the caller vouches for.
        unsafe { store_u32(high, u32::from_le_bytes([e, f, g, h])) };
    }
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
        let shared = unsafe { AtomicUsize::from_ptr(place.cast().as_ptr()) };
        word.copy_from_slice(&shared.load(Ordering::Relaxed).to_ne_bytes());
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
        let shared = unsafe { AtomicUsize::from_ptr(place.cast().as_ptr()) };
        shared.store(usize::from_ne_bytes(*word), Ordering::Relaxed);
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
        let shared = unsafe { AtomicU8::from_ptr(place.as_ptr()) };
        *byte = shared.load(Ordering::Relaxed);
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
        let shared = unsafe { AtomicU8::from_ptr(place.as_ptr()) };
        shared.store(*byte, Ordering::Relaxed);
        // SAFETY: one byte on is inside of the range or at its end.
        place = unsafe { place.add(1) };
    }
}

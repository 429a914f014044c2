//! The only raw accesses of the model: single atomic loads and stores, and copies.
//!
//! The driver works on the same bytes at the same time, perhaps from another thread, so every
//! access here is atomic. Aligned stretches of a copy go in words of eight bytes, the edges in
//! single bytes; this matches a driver that copies by machine words on a 64-bit host.
//! Called by [`AddressSpace`](super::AddressSpace) only, which has checked bounds and direction.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

const WORD: usize = size_of::<u64>();

/// An integer that is loaded and stored in one atomic access.
pub(super) trait Word: Copy {
    /// Loads the word at `pointer`.
    ///
    /// # Safety
    /// `pointer` is aligned for the word and valid for atomic reads and writes of its size.
    unsafe fn load(pointer: *mut u8, order: Ordering) -> Self;

    /// Stores the word at `pointer`.
    ///
    /// # Safety
    /// As for [`Word::load`].
    unsafe fn store(self, pointer: *mut u8, order: Ordering);
}

macro_rules! word {
    ($integer:ty, $atomic:ty) => {
        impl Word for $integer {
            unsafe fn load(pointer: *mut u8, order: Ordering) -> Self {
                #[cfg(virtio_guest_stand_in)]
                {
                    let mut word = [0; size_of::<$integer>()];
                    if super::stand_in::load(pointer, &mut word, order) {
                        return <$integer>::from_ne_bytes(word);
                    }
                }
                // SAFETY: the caller promises alignment, validity and atomic-only concurrent use.
                unsafe { <$atomic>::from_ptr(pointer.cast()) }.load(order)
            }

            unsafe fn store(self, pointer: *mut u8, order: Ordering) {
                #[cfg(virtio_guest_stand_in)]
                if super::stand_in::store(pointer, &self.to_ne_bytes(), order) {
                    return;
                }
                // SAFETY: the caller promises alignment, validity and atomic-only concurrent use.
                unsafe { <$atomic>::from_ptr(pointer.cast()) }.store(self, order);
            }
        }
    };
}

word!(u8, AtomicU8);
word!(u16, AtomicU16);
word!(u32, AtomicU32);
word!(u64, AtomicU64);

/// The bytes from `offset` on that can be copied in one access: a whole aligned word, or one byte.
fn step(pointer: *mut u8, offset: usize, len: usize) -> usize {
    let aligned = (pointer.addr() + offset).is_multiple_of(WORD);
    if aligned && len - offset >= WORD { WORD } else { 1 }
}

/// Copies bytes out of shared memory.
///
/// # Safety
/// `source` is valid for atomic reads and writes of `out.len()` bytes.
pub(super) unsafe fn copy_out(source: *mut u8, out: &mut [u8]) {
    let mut offset = 0;
    while offset < out.len() {
        let at = source.wrapping_add(offset);
        let size = step(source, offset, out.len());
        if size == WORD {
            // SAFETY: `step` found the word aligned and inside the range the caller vouches for.
            let word = unsafe { u64::load(at, Ordering::Relaxed) };
            out[offset..offset + WORD].copy_from_slice(&word.to_ne_bytes());
        } else {
            // SAFETY: the byte lies inside the range the caller vouches for.
            out[offset] = unsafe { u8::load(at, Ordering::Relaxed) };
        }
        offset += size;
    }
}

/// Copies bytes into shared memory.
///
/// # Safety
/// `target` is valid for atomic reads and writes of `bytes.len()` bytes.
pub(super) unsafe fn copy_in(target: *mut u8, bytes: &[u8]) {
    let mut offset = 0;
    while offset < bytes.len() {
        let at = target.wrapping_add(offset);
        let size = step(target, offset, bytes.len());
        if size == WORD {
            let mut word = [0; WORD];
            word.copy_from_slice(&bytes[offset..offset + WORD]);
            // SAFETY: `step` found the word aligned and inside the range the caller vouches for.
            unsafe { u64::from_ne_bytes(word).store(at, Ordering::Relaxed) };
        } else {
            // SAFETY: the byte lies inside the range the caller vouches for.
            unsafe { bytes[offset].store(at, Ordering::Relaxed) };
        }
        offset += size;
    }
}

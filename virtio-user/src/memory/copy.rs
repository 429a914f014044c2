//! Copies into and out of memory that another process may write at any time.
//!
//! Aligned words of eight bytes, the edges in single bytes, each in one relaxed atomic access: plain loads and stores to the processor, and to the compiler something that may change
//! under its hands. What is read is therefore any mixture of old and new bytes, and nothing worse. Order is the rings' business.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const WORD: usize = size_of::<u64>();

/// Copies bytes out of shared memory.
///
/// # Safety
/// `from` is valid for reads and writes of `into.len()` bytes, which this process accesses atomically only.
pub(super) unsafe fn copy_out(from: NonNull<u8>, into: &mut [u8]) {
    let (head, rest) = into.split_at_mut(edge(from, into.len()));
    let mut at = from;
    for byte in head {
        // SAFETY: inside of the caller's range.
        *byte = unsafe { load(at) };
        // SAFETY: as before, or its end.
        at = unsafe { at.add(1) };
    }
    let mut words = rest.chunks_exact_mut(WORD);
    for word in &mut words {
        // SAFETY: aligned, since the edge ends at a multiple of a word; inside of the caller's range.
        let shared = unsafe { AtomicU64::from_ptr(at.as_ptr().cast()) };
        word.copy_from_slice(&shared.load(Ordering::Relaxed).to_ne_bytes());
        // SAFETY: inside of the caller's range, or its end.
        at = unsafe { at.add(WORD) };
    }
    for byte in words.into_remainder() {
        // SAFETY: inside of the caller's range.
        *byte = unsafe { load(at) };
        // SAFETY: as before, or its end.
        at = unsafe { at.add(1) };
    }
}

/// Copies bytes into shared memory.
///
/// # Safety
/// As for [`copy_out`], of `from.len()` bytes.
pub(super) unsafe fn copy_in(into: NonNull<u8>, from: &[u8]) {
    let (head, rest) = from.split_at(edge(into, from.len()));
    let mut at = into;
    for byte in head {
        // SAFETY: inside of the caller's range.
        unsafe { store(at, *byte) };
        // SAFETY: as before, or its end.
        at = unsafe { at.add(1) };
    }
    let words = rest.chunks_exact(WORD);
    let tail = words.remainder();
    for word in words {
        let mut bytes = [0; WORD];
        bytes.copy_from_slice(word);
        // SAFETY: aligned, since the edge ends at a multiple of a word; inside of the caller's range.
        let shared = unsafe { AtomicU64::from_ptr(at.as_ptr().cast()) };
        shared.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        // SAFETY: inside of the caller's range, or its end.
        at = unsafe { at.add(WORD) };
    }
    for byte in tail {
        // SAFETY: inside of the caller's range.
        unsafe { store(at, *byte) };
        // SAFETY: as before, or its end.
        at = unsafe { at.add(1) };
    }
}

/// Makes bytes of shared memory all the same.
///
/// # Safety
/// As for [`copy_out`], of `len` bytes.
pub(super) unsafe fn fill(into: NonNull<u8>, len: usize, byte: u8) {
    let bytes = [byte; 512];
    let mut done = 0;
    while done < len {
        let piece = bytes.get(..len - done).unwrap_or(&bytes);
        // SAFETY: `done` is inside of the caller's range,
        let at = unsafe { into.add(done) };
        // SAFETY: and so is the piece.
        unsafe { copy_in(at, piece) };
        done += piece.len();
    }
}

/// Bytes before the first whole word, of `len`.
fn edge(at: NonNull<u8>, len: usize) -> usize {
    (at.addr().get().next_multiple_of(WORD) - at.addr().get()).min(len)
}

/// # Safety
/// As for [`copy_out`], of one byte.
unsafe fn load(at: NonNull<u8>) -> u8 {
    // SAFETY: the caller's promise.
    unsafe { AtomicU8::from_ptr(at.as_ptr()) }.load(Ordering::Relaxed)
}

/// # Safety
/// As for [`copy_out`], of one byte.
unsafe fn store(at: NonNull<u8>, byte: u8) {
    // SAFETY: the caller's promise.
    unsafe { AtomicU8::from_ptr(at.as_ptr()) }.store(byte, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_copied_in_comes_out_and_nothing_beside_it_changes() {
        for offset in 0..2 * WORD {
            for len in 0..4 * WORD {
                let mut shared = [0xaa_u8; 8 * WORD];
                let from: Vec<u8> = (1..).take(len).collect();
                let mut into = vec![0; len];
                let at = NonNull::from(&mut shared).cast::<u8>();
                // SAFETY: the array is longer than offset and length.
                let at = unsafe { at.add(offset) };

                // SAFETY: as before; the array is used again when all is done.
                unsafe { copy_in(at, &from) };
                // SAFETY: as before.
                unsafe { copy_out(at, &mut into) };

                assert_eq!(into, from);
                assert_eq!(shared[offset..][..len], from);
                assert!(shared[..offset].iter().chain(&shared[offset + len..]).all(|byte| *byte == 0xaa));
            }
        }
    }

    #[test]
    fn filling_stays_inside() {
        let mut shared = [1_u8; 1500];
        let at = NonNull::from(&mut shared).cast::<u8>();
        // SAFETY: inside of the array,
        let at = unsafe { at.add(3) };
        // SAFETY: and so is everything up to the end.
        unsafe { fill(at, 1400, 0) };

        assert!(shared[3..1403].iter().all(|byte| *byte == 0));
        assert!(shared[..3].iter().chain(&shared[1403..]).all(|byte| *byte == 1));
    }
}

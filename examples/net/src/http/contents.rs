//! A file of any length that nobody has stored: its bytes are computed from their places.

use alloc::string::String;
use core::fmt::Write;

use sha2::{Digest, Sha256};

/// Eight bytes of the file, by their number: a permutation of 64-bit numbers whose outputs look random (SplitMix64's).
const fn word(number: u64) -> [u8; 8] {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).to_le_bytes()
}

/// The bytes from `position` on.
pub fn fill(position: u64, into: &mut [u8]) {
    let offset = (position % 8) as usize;
    let (first, words) = into.split_at_mut(into.len().min((8 - offset) % 8));
    for (byte, from) in first.iter_mut().zip(word(position / 8).iter().skip(offset)) {
        *byte = *from;
    }
    for (number, bytes) in (position.div_ceil(8)..).zip(words.chunks_mut(8)) {
        for (byte, from) in bytes.iter_mut().zip(word(number)) {
            *byte = from;
        }
    }
}

/// A SHA-256 sum of the first `len` bytes.
pub fn sum(len: u64) -> String {
    let (mut digest, mut block) = (Sha256::new(), [0; 4096]);
    for position in (0..len).step_by(block.len()) {
        let bytes = usize::try_from(len - position).map_or(block.len(), |left| left.min(block.len()));
        let block = block.get_mut(..bytes).unwrap_or_default();
        fill(position, block);
        digest.update(block);
    }
    in_hex(digest)
}

/// A sum as people write it.
pub fn in_hex(digest: Sha256) -> String {
    let mut text = String::new();
    for byte in digest.finalize() {
        // Strings take whatever there is memory for.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

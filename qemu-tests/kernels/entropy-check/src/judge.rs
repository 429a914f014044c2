//! What bytes are like: how many bits are set, how even their values are, whether anything comes twice.

use alloc::string::String;
use alloc::vec::Vec;

use example_platform::println;

use crate::pattern::{SECTOR, fill};

/// Sectors that may be missing between two: what a device fetched, and had no buffer for.
const SKIPPED_MAX: u64 = 64;

/// Prints it.
pub fn print(bytes: &[u8]) {
    let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
    let mut counts = [0_u64; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    // The squares of all differences from what is expected, by that: 255 degrees of freedom.
    let length = bytes.len() as u64;
    let squares: u64 = counts.iter().map(|count| (count * 256).abs_diff(length).pow(2)).sum();
    let mut blocks: Vec<&[u8]> = bytes.chunks_exact(16).collect();
    blocks.sort_unstable();
    let repeated = blocks.windows(2).filter(|pair| pair.first() == pair.last()).count();
    println!("ones: {ones}");
    println!("chi square: {}", squares.checked_div(length * 256).unwrap_or_default());
    println!("repeated blocks of 16 bytes: {repeated}");
}

/// How many sectors of the pattern are missing; an error if one is not whole, or comes again.
pub fn skipped_sectors(seed: u64, bytes: &[u8]) -> Result<u64, String> {
    let (mut next, mut skipped) = (0, 0);
    for (place, sector) in bytes.chunks_exact(SECTOR).enumerate() {
        let is_it = |number: &u64| {
            let mut expected = [0; SECTOR];
            fill(seed, *number, &mut expected);
            expected == sector
        };
        let found = (next..=next + SKIPPED_MAX).find(is_it);
        let found = found.ok_or_else(|| alloc::format!("sector {place} is none that was to come"))?;
        skipped += found - next;
        next = found + 1;
    }
    Ok(skipped)
}

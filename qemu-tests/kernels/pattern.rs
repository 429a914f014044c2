//! The bytes that guest and host expect on a disk.
//!
//! A function of a seed and a sector, used by both sides.

/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// Fills one sector.
pub fn fill(seed: u64, sector: u64, into: &mut [u8]) {
    let mut state = seed ^ sector.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for word in into.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bytes = (mixed ^ mixed >> 31).to_le_bytes();
        word.copy_from_slice(&bytes[..word.len()]);
    }
}

/// A checksum (FNV-1a, 64 bits).
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Ranges that the guest reads, as first sector and number of sectors, on a disk of so many sectors.
pub fn ranges_read(sectors: u64) -> impl Iterator<Item = (u64, u64)> {
    let middle = sectors / 2;
    let ranges = [
        (0, 1),
        (0, 8),
        (1, 3),
        (middle, 16),
        (sectors.saturating_sub(1), 1),
        (sectors.saturating_sub(64), 64),
        (0, 512),
    ];
    ranges.into_iter().filter(move |(first, count)| first + count <= sectors)
}

/// Ranges that the guest writes.
pub fn ranges_written(sectors: u64) -> impl Iterator<Item = (u64, u64)> {
    let middle = sectors / 2;
    let ranges =
        [(0, 1), (3, 5), (middle, 9), (sectors.saturating_sub(300), 256), (sectors.saturating_sub(1), 1)];
    ranges.into_iter().filter(move |(first, count)| first + count <= sectors)
}

//! What a disk that is honest does with a request, and what it may be asked for.
//!
//! Spec: §5.2.6 Device Operation. Ranges are not touched, whatever is done with them, so that every sector keeps its number.

use virtio_model::chain::Chain;

use super::device::{Device, SECTOR_BYTES, SECTORS};
use super::memory::Memory;

const RO: u128 = 1 << 5;
const SIZE_MAX: u128 = 1 << 1;
const SEG_MAX: u128 = 1 << 2;
const FLUSH: u128 = 1 << 9;
const DISCARD: u128 = 1 << 13;
const WRITE_ZEROES: u128 = 1 << 14;
const LIFETIME: u128 = 1 << 15;
const SECURE_ERASE: u128 = 1 << 16;
const ZONED: u128 = 1 << 17;

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

/// Sectors of a zone.
const ZONE_SECTORS: u64 = 16;
/// Bytes of what describes a zone, and of what comes before all of them.
const ZONE_BYTES: usize = 64;
/// More than any request of these targets asks for. A descriptor that a lie has spoilt may say more than there is memory.
const ANSWER_BYTES_MAX: usize = 1 << 16;

/// A request: its header, and the bytes of its data.
struct Request<'c> {
    kind: u32,
    first: u64,
    data: &'c [u8],
    writable: usize,
}

impl Device {
    /// Does what a request asks for. Gives its status, and the bytes written without it.
    pub(crate) fn perform(&mut self, chain: &Chain, memory: &Memory) -> (u8, u32) {
        let Ok(readable) = chain.read_all(&memory.hal.space) else {
            assert!(!self.is_honest, "the driver's request cannot be read");
            return (IOERR, 0);
        };
        let Some((header, data)) = readable.split_at_checked(16) else {
            assert!(!self.is_honest, "a request without a header");
            return (IOERR, 0);
        };
        let request = Request {
            kind: u32::from_le_bytes(header[..4].try_into().expect("four bytes")),
            first: u64::from_le_bytes(header[8..].try_into().expect("eight bytes")),
            data,
            writable: usize::try_from(chain.writable_bytes().saturating_sub(1)).unwrap_or(usize::MAX),
        };
        if request.writable > ANSWER_BYTES_MAX {
            assert!(!self.is_honest, "a request for more than was asked for");
            return (IOERR, 0);
        }
        if self.is_honest {
            self.check(&request, chain);
        }
        let (status, answer) = self.answer(&request);
        (status, chain.write_all(&memory.hal.space, &answer).unwrap_or(0))
    }

    fn answer(&mut self, request: &Request<'_>) -> (u8, Vec<u8>) {
        let Request { kind, first, data, writable } = *request;
        let range = |bytes: usize| {
            let start = usize::try_from(first).ok()?.checked_mul(SECTOR_BYTES)?;
            Some(start..start.checked_add(bytes)?)
        };
        match kind {
            0 => match range(writable).and_then(|range| self.contents.get(range)) {
                Some(bytes) => (OK, bytes.to_vec()),
                None => (IOERR, Vec::new()),
            },
            1 | 15 => match range(data.len()).and_then(|range| self.contents.get_mut(range)) {
                Some(bytes) => {
                    bytes.copy_from_slice(data);
                    (OK, if kind == 15 { first.to_le_bytes().to_vec() } else { Vec::new() })
                }
                None => (IOERR, Vec::new()),
            },
            8 => (OK, vec![b'i'; 20]),
            10 => (OK, vec![0; 6]),
            16 => (OK, report(first, writable)),
            4 | 11 | 13 | 14 | 18 | 20 | 22 | 24 | 26 => (OK, Vec::new()),
            _ => (UNSUPP, Vec::new()),
        }
    }

    /// A disk that keeps its word is asked for nothing that it cannot do.
    fn check(&self, request: &Request<'_>, chain: &Chain) {
        let Request { kind, first, data, writable } = *request;
        let agreed = |feature| self.accepted & feature != 0;
        let needed = match kind {
            4 => FLUSH,
            10 => LIFETIME,
            11 => DISCARD,
            13 => WRITE_ZEROES,
            14 => SECURE_ERASE,
            15..=26 => ZONED,
            _ => 0,
        };
        assert!(needed == 0 || agreed(needed), "a request that the disk did not offer: {kind}");
        let is_reading = matches!(kind, 0 | 4 | 8 | 10 | 16);
        assert!(is_reading || !agreed(RO), "a change of a disk that is read-only: {kind}");
        if !self.config_is_fixed {
            return;
        }
        match kind {
            0 => self.check_data(first, writable),
            1 | 15 => self.check_data(first, data.len()),
            11 | 13 | 14 => self.check_ranges(kind, data),
            _ => return,
        }
        let segments = chain.segments.iter().filter(|segment| segment.writable == (kind == 0));
        let segments: Vec<_> = segments.map(|segment| u64::from(segment.len)).collect();
        // The status, or the header, is one more.
        let most = self.field(0x0c, 4).max(1).saturating_add(1);
        assert!(!agreed(SEG_MAX) || segments.len() as u64 <= most, "more segments than the disk takes");
        let (longest, size_max) = (segments.iter().max().copied().unwrap_or(0), self.field(0x08, 4));
        let is_limited = agreed(SIZE_MAX) && size_max > 0;
        assert!(!is_limited || longest <= size_max.max(16), "a segment longer than the disk takes");
    }

    /// A field of the configuration.
    fn field(&self, at: usize, bytes: usize) -> u64 {
        self.config[at..at + bytes].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn check_data(&self, first: u64, bytes: usize) {
        assert!(bytes > 0 && bytes.is_multiple_of(SECTOR_BYTES), "no whole sectors");
        let end = first.checked_add((bytes / SECTOR_BYTES) as u64);
        assert!(end.is_some_and(|end| end <= self.field(0, 8)), "beyond the end of the disk");
    }

    fn check_ranges(&self, kind: u32, data: &[u8]) {
        let limits = match kind {
            11 => 0x24,
            13 => 0x30,
            _ => 0x3c,
        };
        let (sectors_max, ranges_max) = (self.field(limits, 4), self.field(limits + 4, 4));
        assert!(!data.is_empty() && data.len().is_multiple_of(16), "no whole ranges");
        assert!((data.len() / 16) as u64 <= ranges_max.max(1), "more ranges than the disk takes");
        for range in data.chunks(16) {
            let word = |at: usize| u32::from_le_bytes(range[at..at + 4].try_into().expect("four bytes"));
            let first = u64::from(word(0)) | u64::from(word(4)) << 32;
            let (sectors, flags) = (u64::from(word(8)), word(12));
            assert!(
                sectors > 0 && (sectors_max == 0 || sectors <= sectors_max),
                "a range of {sectors} sectors"
            );
            assert!(first.checked_add(sectors).is_some_and(|end| end <= self.field(0, 8)), "beyond the end");
            assert!(flags == 0 || kind == 13 && flags == 1, "flags that mean nothing");
        }
    }
}

/// Zones that are empty, from that of a sector on; as many as there is room for.
fn report(first: u64, writable: usize) -> Vec<u8> {
    let starts = (first / ZONE_SECTORS * ZONE_SECTORS..SECTORS).step_by(ZONE_SECTORS as usize);
    let starts: Vec<_> = starts.take((writable / ZONE_BYTES).saturating_sub(1)).collect();
    let mut report = vec![0; ZONE_BYTES];
    report[..8].copy_from_slice(&(starts.len() as u64).to_le_bytes());
    for start in starts {
        let words = [ZONE_SECTORS, start, start].map(u64::to_le_bytes).concat();
        report.extend(words);
        report.extend([2, 1]);
        report.resize(report.len().next_multiple_of(ZONE_BYTES), 0);
    }
    report.resize(writable.min(report.len().max(writable)), 0);
    report
}

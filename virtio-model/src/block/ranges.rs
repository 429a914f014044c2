//! Requests that carry ranges of sectors: discard, write zeroes, secure erase.
//!
//! Spec: §5.2.6 Device Operation. A range is 16 readable bytes:
//!
//! ```text
//!   sector le64 | number of sectors le32 | flags le32: bit 0 is unmap, the others are reserved
//! ```

use super::config::RangeLimits;
use super::judge::{Complaint, Rules, expect_no_sector};
use super::numbers::request_type;
use super::request::Request;
use super::state::feature;

/// The length of a range in a request, in bytes.
pub const RANGE_BYTES: usize = 16;
/// What sectors hold after they were discarded: a driver must not rely on anything.
pub const DISCARDED: u8 = 0xdd;
/// What sectors hold after they were erased.
pub const ERASED: u8 = 0xe5;

const UNMAP: u32 = 1;

/// A range of sectors in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectorRange {
    /// The first sector.
    pub sector: u64,
    /// The number of sectors.
    pub sectors: u32,
    /// The flags; bit 0 is unmap.
    pub flags: u32,
}

impl SectorRange {
    fn parse(bytes: &[u8]) -> Self {
        let field = |from: usize, to: usize| {
            bytes[from..to].iter().rev().fold(0, |value: u64, byte| value << 8 | u64::from(*byte))
        };
        let word = |from: usize| u32::try_from(field(from, from + 4)).unwrap_or(u32::MAX);
        Self { sector: field(0, 8), sectors: word(8), flags: word(12) }
    }

    /// The sectors of it.
    pub(super) fn span(self) -> std::ops::Range<u64> {
        self.sector..self.sector.saturating_add(self.sectors.into())
    }
}

/// The ranges in the data of a request of this type: the whole ones.
pub(super) fn parse(kind: u32, data: &[u8]) -> Vec<SectorRange> {
    let is_of_ranges =
        matches!(kind, request_type::DISCARD | request_type::WRITE_ZEROES | request_type::SECURE_ERASE);
    let data = if is_of_ranges { data } else { &[] };
    data.chunks_exact(RANGE_BYTES).map(SectorRange::parse).collect()
}

/// Says what is wrong with a request of ranges, if anything.
pub(super) fn judge(request: &Request, rules: &Rules<'_>) -> Result<(), Complaint> {
    let (feature, limits) = match request.request_type {
        request_type::DISCARD => (feature::DISCARD, rules.config.discard),
        request_type::WRITE_ZEROES => (feature::WRITE_ZEROES, rules.config.write_zeroes),
        _ => (feature::SECURE_ERASE, rules.config.secure_erase),
    };
    let RangeLimits { sectors_max, ranges_max, .. } = limits;
    let bytes = request.data_bytes;
    rules.expect_feature(request, feature)?;
    expect_no_sector(request)?;
    if bytes == 0 || !bytes.is_multiple_of(RANGE_BYTES as u64) {
        return Err(Complaint::io(format!("{bytes} bytes of data are no whole number of ranges")));
    }
    if request.ranges.len() > usize::try_from(ranges_max.max(1)).unwrap_or(usize::MAX) {
        let count = request.ranges.len();
        return Err(Complaint::io(format!("{count} ranges, more than the {ranges_max} of a request")));
    }
    let known = if request.request_type == request_type::WRITE_ZEROES { UNMAP } else { 0 };
    for range in &request.ranges {
        let SectorRange { sector, sectors, flags } = *range;
        if flags & !known != 0 {
            return Err(Complaint::unsupported(format!("flags {flags:#x} of a range")));
        }
        if sectors == 0 {
            return Err(Complaint::io(format!("a range of no sectors at {sector}")));
        }
        if sectors_max != 0 && sectors > sectors_max {
            return Err(Complaint::io(format!(
                "a range of {sectors} sectors, more than the {sectors_max} of a range"
            )));
        }
        rules.expect_in_reach(sector, sectors.into())?;
        if request.request_type == request_type::SECURE_ERASE {
            judge_zones(*range, rules)?;
        }
    }
    rules.expect_few_segments(request)
}

/// Erasing is done by zones. Spec: §5.2.6.3 Device Requirements: Device Operation.
fn judge_zones(range: SectorRange, rules: &Rules<'_>) -> Result<(), Complaint> {
    let Some(zones) = rules.zones.filter(|_| rules.is_agreed(feature::ZONED)) else {
        return Ok(());
    };
    let span = range.span();
    let ends = span.end == rules.capacity_sectors || zones.starting_at(span.end).is_some();
    if ends && zones.starting_at(span.start).is_some() {
        return Ok(());
    }
    Err(Complaint::zone(format!("{} sectors at {} to erase are no whole zones", range.sectors, range.sector)))
}

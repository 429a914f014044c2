//! How much of a disk one request may discard, zero or erase; longer ranges in pieces.
//!
//! Spec: §5.2.4 Device configuration layout (`max_discard_sectors` and its like), §5.2.5 Device Initialization.

use super::command::SectorRange;
use super::request::{RequestError, Sector};

/// Most pieces of a range.
const PIECES_MAX: u64 = 1 << 20;

/// Limits of requests with ranges. None of the numbers is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeLimits {
    /// Most sectors of one range.
    pub sectors_max: u32,
    /// Most ranges of one request.
    pub ranges_max: u32,
    /// Where a longer range is best cut: at multiples of so many sectors.
    pub alignment_sectors: u32,
}

impl RangeLimits {
    /// What a device says. Where it says 0, it means no limit of sectors, as everybody takes it; of ranges, one.
    pub(super) fn new(sectors_max: u32, ranges_max: u32, alignment_sectors: u32) -> Self {
        Self {
            sectors_max: if sectors_max == 0 { u32::MAX } else { sectors_max },
            ranges_max: ranges_max.max(1),
            alignment_sectors: alignment_sectors.max(1),
        }
    }

    /// The same, cut between zones only; `None` if not one zone fits.
    pub(super) fn of_whole_zones(self, zone_sectors: u32) -> Option<Self> {
        let beyond = self.sectors_max.checked_rem(zone_sectors)?;
        let sectors_max = self.sectors_max.checked_sub(beyond).filter(|sectors| *sectors != 0)?;
        let is_between = self.alignment_sectors.is_multiple_of(zone_sectors);
        let alignment_sectors = if is_between { self.alignment_sectors } else { zone_sectors };
        Some(Self { sectors_max, alignment_sectors, ..self })
    }

    /// A range, in pieces that the device takes; an error if they are more than anybody waits for.
    pub(super) fn pieces(self, range: SectorRange) -> Result<Pieces, RequestError> {
        // A cut at a multiple of the alignment gives up less than half of what a piece may be.
        let sectors_max = u64::from(self.sectors_max.div_ceil(2)) * PIECES_MAX;
        if range.sectors > sectors_max {
            return Err(RequestError::TooManySectors { sectors: range.sectors, sectors_max });
        }
        Ok(Pieces { limits: self, at: range.first.0, left: range.sectors })
    }
}

/// The pieces of a range: first sector and length.
#[derive(Debug)]
pub(super) struct Pieces {
    limits: RangeLimits,
    at: u64,
    left: u64,
}

impl Iterator for Pieces {
    type Item = (Sector, u32);

    fn next(&mut self) -> Option<(Sector, u32)> {
        let RangeLimits { sectors_max, alignment_sectors, .. } = self.limits;
        let mut sectors = u32::try_from(self.left).unwrap_or(u32::MAX).min(sectors_max);
        if sectors == 0 {
            return None;
        }
        let end = self.at.saturating_add(sectors.into());
        let beyond = end.checked_rem(alignment_sectors.into()).and_then(|beyond| u32::try_from(beyond).ok());
        let beyond = beyond.unwrap_or(0);
        // The last piece ends where the range does; others where it suits the device, unless that makes them short.
        if u64::from(sectors) < self.left && beyond < sectors.div_ceil(2) {
            sectors -= beyond;
        }
        let piece = (Sector(self.at), sectors);
        self.at = self.at.saturating_add(sectors.into());
        self.left -= u64::from(sectors);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn pieces(limits: RangeLimits, first: u64, sectors: u64) -> Vec<(u64, u32)> {
        let range = SectorRange { first: Sector(first), sectors };
        limits.pieces(range).unwrap().map(|(Sector(first), sectors)| (first, sectors)).collect()
    }

    #[test]
    fn a_long_range_is_cut_where_it_suits_the_device() {
        let limits = RangeLimits::new(100, 1, 64);
        assert_eq!(pieces(limits, 10, 300), [(10, 54), (64, 64), (128, 64), (192, 64), (256, 54)]);
        assert_eq!(pieces(limits, 10, 100), [(10, 100)]);
    }

    /// An alignment that no piece can keep is none.
    #[test]
    fn an_alignment_that_makes_pieces_short_is_left_alone() {
        assert_eq!(pieces(RangeLimits::new(10, 1, 1000), 5, 25), [(5, 10), (15, 10), (25, 5)]);
        assert_eq!(pieces(RangeLimits::new(1, 1, u32::MAX), 0, 3), [(0, 1), (1, 1), (2, 1)]);
    }

    #[test]
    fn whole_zones_are_cut_between_them() {
        let limits = RangeLimits::new(100, 1, 48).of_whole_zones(32).unwrap();
        assert_eq!(pieces(limits, 32, 200), [(32, 96), (128, 96), (224, 8)]);
        assert_eq!(RangeLimits::new(100, 1, 64).of_whole_zones(32).unwrap().alignment_sectors, 64);
        assert_eq!(RangeLimits::new(31, 1, 32).of_whole_zones(32), None);
    }

    /// Who discards a whole disk is not to be kept busy by a device that takes a sector at a time.
    #[test]
    fn a_range_in_more_pieces_than_a_million_is_refused() {
        let limits = RangeLimits::new(3, 1, 1);
        let range = |sectors| SectorRange { first: Sector(0), sectors };
        assert!(limits.pieces(range(2 << 20)).is_ok());
        let refused = limits.pieces(range((2 << 20) + 1)).err();
        assert_eq!(
            refused,
            Some(RequestError::TooManySectors { sectors: (2 << 20) + 1, sectors_max: 2 << 20 })
        );
    }

    #[test]
    fn zeros_are_no_limits_but_one_range() {
        let limits = RangeLimits::new(0, 0, 0);
        assert_eq!(limits, RangeLimits { sectors_max: u32::MAX, ranges_max: 1, alignment_sectors: 1 });
        let most = u64::from(u32::MAX);
        assert_eq!(pieces(limits, 0, most + 2), [(0, u32::MAX), (most, 2)]);
    }
}

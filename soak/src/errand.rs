//! One operation: what is done, and where.

use std::ops::Range;

use fastrand::Rng;
use virtio_guest::device::block::{RangeLimits, Sector, SectorRange, Shape, Unmap};

use crate::shadow::Shadow;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Sectors are read, and compared.
    Read,
    /// Sectors are written, with a mark.
    Write(u64),
    /// What was written is made safe. It has no sectors.
    Flush,
    /// Nobody needs them any more.
    Discard,
    /// They read as zeros.
    WriteZeroes(Unmap),
    /// They are erased for good.
    SecureErase,
}

/// An operation on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand {
    /// What is done.
    pub work: Work,
    /// From where on.
    pub first: u64,
    /// How far.
    pub sectors: u64,
}

/// What a disk can do besides reading, writing and flushing, as far as its driver knows.
pub fn range_limits(work: Work, shape: &Shape) -> Option<RangeLimits> {
    match work {
        Work::Discard => shape.discard,
        Work::WriteZeroes(_) => shape.write_zeroes,
        Work::SecureErase => shape.secure_erase,
        Work::Read | Work::Write(_) | Work::Flush => None,
    }
}

impl Errand {
    /// Any operation that the disk can do, of at most so many sectors.
    pub fn any(random: &mut Rng, shadow: &mut Shadow, shape: &Shape, sectors_max: u64) -> Self {
        let work = match random.u32(0..100) {
            0..45 => Work::Read,
            45..85 => Work::Write(shadow.new_mark()),
            85..88 => return Self { work: Work::Flush, first: 0, sectors: 0 },
            88..92 => Work::Discard,
            92..95 => Work::WriteZeroes(Unmap::Allowed),
            95..97 => Work::WriteZeroes(Unmap::Forbidden),
            _ => Work::SecureErase,
        };
        let is_known = range_limits(work, shape).is_some() || matches!(work, Work::Read | Work::Write(_));
        let work = if is_known { work } else { Work::Read };
        let sectors = random.u64(1..=sectors_max);
        Self { work, first: random.u64(0..=shape.capacity_sectors - sectors), sectors }
    }

    /// Whether it goes with a buffer.
    pub const fn has_buffer(&self) -> bool {
        matches!(self.work, Work::Read | Work::Write(_))
    }

    /// Its sectors, as requests name them.
    pub const fn sector_range(&self) -> SectorRange {
        SectorRange { first: self.sector(), sectors: self.sectors }
    }

    /// The same in several pieces: so many at most, each no longer than that.
    pub fn pieces(&self, random: &mut Rng, limits: RangeLimits) -> Option<Vec<SectorRange>> {
        let (mut pieces, end) = (Vec::new(), self.first + self.sectors);
        let mut at = self.first;
        while at < end {
            let is_last = pieces.len() + 1 >= usize::try_from(limits.ranges_max).expect("few");
            let longest = (end - at).min(limits.sectors_max.into());
            let sectors = if is_last { longest } else { random.u64(1..=longest) };
            pieces.push(SectorRange { first: Sector(at), sectors });
            at += sectors;
            if is_last {
                break;
            }
        }
        (at == end).then_some(pieces)
    }

    /// Where it begins.
    pub const fn sector(&self) -> Sector {
        Sector(self.first)
    }

    /// Whether it changes something.
    pub const fn writes(&self) -> bool {
        !matches!(self.work, Work::Read | Work::Flush)
    }

    /// Its sectors.
    pub fn sectors_of(&self) -> Range<u64> {
        self.first..self.first + self.sectors
    }

    /// The same, as indices.
    pub fn range(&self) -> Range<usize> {
        let Range { start, end } = self.sectors_of();
        usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX)
    }
}

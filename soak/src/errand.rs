//! One operation: what is done, and where.

use std::ops::Range;

use fastrand::Rng;
use virtio_guest::device::block::Sector;

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

impl Errand {
    /// Any operation on a disk of so many sectors, of at most so many.
    pub fn any(random: &mut Rng, shadow: &mut Shadow, capacity_sectors: u64, sectors_max: u64) -> Self {
        let work = match random.u32(0..100) {
            0..48 => Work::Read,
            48..96 => Work::Write(shadow.new_mark()),
            _ => return Self { work: Work::Flush, first: 0, sectors: 0 },
        };
        let sectors = random.u64(1..=sectors_max);
        Self { work, first: random.u64(0..=capacity_sectors - sectors), sectors }
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

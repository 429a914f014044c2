//! The zones of a disk.
//!
//! Spec: §5.2.6 Device Operation, what applies with `ZONED`. A test makes them with [`Disk::with_zones`](super::Disk::with_zones) and looks at
//! them with [`Disk::zones`](super::Disk::zones); requests about them are judged in `judge`, and done in the files beside it.
//!
//! ```text
//!   | conventional | sequential              | ... | last, may be smaller |
//!                  | written | writable | -- |
//!                  start     write     start  end
//!                            pointer   + capacity
//! ```

mod judge;
mod report;
mod states;
mod write;

use super::numbers::{status, zone_state, zone_type, zoned_model};
use std::ops::Range;

pub(super) use judge::{judge, judge_write};
pub use report::{DESCRIPTOR_BYTES, REPORT_HEADER_BYTES};

/// The length of the sector that an append tells, in bytes.
pub(super) const APPENDED_BYTES: usize = 8;
/// What is read where nothing was written.
pub const UNWRITTEN: u8 = 0xa5;

/// How a disk is divided into zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneSetup {
    /// One of [`zoned_model`].
    pub model: u8,
    /// Sectors of a zone.
    pub zone_sectors: u32,
    /// Sectors of a zone that can be written.
    pub capacity_sectors: u32,
    /// How many zones, from the first one on, are conventional.
    pub conventional: usize,
    /// Most zones that may be open; 0 is no limit.
    pub max_open: u32,
    /// Most zones that may be active; 0 is no limit.
    pub max_active: u32,
    /// Most sectors in one append; 0 if there are no appends.
    pub max_append_sectors: u32,
    /// Bytes that a write is a multiple of.
    pub write_granularity: u32,
}

impl ZoneSetup {
    /// Host-managed zones of so many sectors, all of them sequential and writable to their end, with no limit but one of 8 sectors for appends.
    pub const fn host_managed(zone_sectors: u32) -> Self {
        Self {
            model: zoned_model::HOST_MANAGED,
            zone_sectors,
            capacity_sectors: zone_sectors,
            conventional: 0,
            max_open: 0,
            max_active: 0,
            max_append_sectors: 8,
            write_granularity: 512,
        }
    }

    /// The same, host-aware.
    pub const fn host_aware(zone_sectors: u32) -> Self {
        Self { model: zoned_model::HOST_AWARE, ..Self::host_managed(zone_sectors) }
    }
}

/// A zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    /// Its first sector.
    pub start: u64,
    /// Its sectors.
    pub sectors: u64,
    /// Those of them that can be written.
    pub capacity_sectors: u64,
    /// Where it is written next; of no meaning in a conventional, a full, a read-only or an offline one.
    pub write_pointer: u64,
    /// One of [`zone_type`].
    pub zone_type: u8,
    /// One of [`zone_state`].
    pub state: u8,
}

impl Zone {
    /// Its sectors.
    pub fn span(&self) -> Range<u64> {
        self.start..self.start + self.sectors
    }

    fn writable_end(&self) -> u64 {
        self.start + self.capacity_sectors
    }

    fn is_open(&self) -> bool {
        matches!(self.state, zone_state::IMPLICITLY_OPEN | zone_state::EXPLICITLY_OPEN)
    }

    fn is_active(&self) -> bool {
        self.is_open() || self.state == zone_state::CLOSED
    }

    fn must_be_written_in_sequence(&self) -> bool {
        self.zone_type == zone_type::SEQUENTIAL_REQUIRED
    }

    fn empty(&mut self) {
        self.state = zone_state::EMPTY;
        self.write_pointer = self.start;
    }
}

/// Most zones that may be open, and that may be active; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ZoneLimits {
    pub(super) open: u32,
    pub(super) active: u32,
    /// In bytes.
    pub(super) write_granularity: u32,
}

/// All zones, in order.
#[derive(Debug, Clone)]
pub(super) struct Zones {
    list: Vec<Zone>,
}

impl Zones {
    /// Divides so many sectors into zones, all of them empty.
    pub(super) fn new(setup: &ZoneSetup, sectors: u64) -> Self {
        let sequential = match setup.model {
            zoned_model::HOST_MANAGED => zone_type::SEQUENTIAL_REQUIRED,
            _ => zone_type::SEQUENTIAL_PREFERRED,
        };
        let starts = (0..sectors).step_by(usize::try_from(setup.zone_sectors.max(1)).unwrap_or(usize::MAX));
        let zones = starts.enumerate().map(|(index, start)| {
            let is_conventional = index < setup.conventional;
            let sectors = (sectors - start).min(setup.zone_sectors.max(1).into());
            Zone {
                start,
                sectors,
                capacity_sectors: if is_conventional {
                    sectors
                } else {
                    sectors.min(setup.capacity_sectors.into())
                },
                write_pointer: start,
                zone_type: if is_conventional { zone_type::CONVENTIONAL } else { sequential },
                state: if is_conventional { zone_state::NOT_WRITE_POINTER } else { zone_state::EMPTY },
            }
        });
        Self { list: zones.collect() }
    }

    pub(super) fn all(&self) -> &[Zone] {
        &self.list
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Zone> {
        self.list.get_mut(index)
    }

    /// The zone in which a sector is.
    fn around(&self, sector: u64) -> Option<usize> {
        self.list.iter().position(|zone| zone.span().contains(&sector))
    }

    /// The zone that begins with a sector.
    pub(super) fn starting_at(&self, sector: u64) -> Option<usize> {
        self.list.iter().position(|zone| zone.start == sector)
    }

    /// Whether a range has sectors in a zone that is not conventional.
    pub(super) fn has_sequential(&self, span: &Range<u64>) -> bool {
        self.list[self.touched(span)].iter().any(|zone| zone.zone_type != zone_type::CONVENTIONAL)
    }

    /// Where the zones start that have sectors in a range.
    pub(super) fn starts_in(&self, span: &Range<u64>) -> Vec<u64> {
        self.list[self.touched(span)].iter().map(|zone| zone.start).collect()
    }

    /// The zones that have sectors in a range.
    fn touched(&self, span: &Range<u64>) -> Range<usize> {
        let first = self.list.partition_point(|zone| zone.span().end <= span.start);
        let end = self.list.partition_point(|zone| zone.start < span.end);
        first..end.max(first)
    }

    /// Whether a range may be read: not of a zone that is offline, and of a sequential zone not together with another one.
    pub(super) fn read(&self, span: &Range<u64>) -> Result<(), u8> {
        let touched = &self.list[self.touched(span)];
        let is_gone = touched.iter().any(|zone| zone.state == zone_state::OFFLINE);
        let is_torn = touched.len() > 1 && touched.iter().any(Zone::must_be_written_in_sequence);
        if is_gone || is_torn { Err(status::ZONE_INVALID_CMD) } else { Ok(()) }
    }
}

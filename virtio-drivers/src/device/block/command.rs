//! What a request asks for, besides the buffer that it may own.
//!
//! Spec: §5.2.6 Device Operation.

use super::request::Sector;
use crate::hal::Direction;
use crate::wire::block::{DEVICE_ID_BYTES, LIFETIME_BYTES, RangeFlags, WireRange, ZONE_BYTES, request};

/// Some sectors, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SectorRange {
    /// The first one.
    pub first: Sector,
    /// How many, at least one.
    pub sectors: u64,
}

/// Whether a disk may give the storage back that is behind zeros. They read as zeros in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unmap {
    /// It may: a later write may find no room any more.
    Allowed,
    /// It is to keep it.
    Forbidden,
}

/// What is done with a whole zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneAction {
    /// Opens it: resources for writing are kept for it.
    Open,
    /// Closes it: it keeps what is written, and gives resources back.
    Close,
    /// Makes it full: nothing more can be written.
    Finish,
    /// Makes it empty. What it held is lost.
    Reset,
}

/// What is done with ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeKind {
    Discard,
    WriteZeroes(Unmap),
    SecureErase,
}

/// See the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Read(Sector),
    Write(Sector),
    Flush,
    DeviceId,
    Lifetime,
    Ranges(RangeKind),
    Zone(ZoneAction, Sector),
    ResetAllZones,
    Append(Sector),
    ReportZones(Sector),
}

/// Bytes of the sector that an append answers with.
pub(super) const APPENDED_BYTES: usize = size_of::<u64>();

impl Command {
    /// Its number.
    pub(super) const fn request_type(self) -> u32 {
        match self {
            Self::Read(_) => request::IN,
            Self::Write(_) => request::OUT,
            Self::Flush => request::FLUSH,
            Self::DeviceId => request::GET_ID,
            Self::Lifetime => request::GET_LIFETIME,
            Self::Ranges(RangeKind::Discard) => request::DISCARD,
            Self::Ranges(RangeKind::WriteZeroes(_)) => request::WRITE_ZEROES,
            Self::Ranges(RangeKind::SecureErase) => request::SECURE_ERASE,
            Self::Zone(ZoneAction::Open, _) => request::ZONE_OPEN,
            Self::Zone(ZoneAction::Close, _) => request::ZONE_CLOSE,
            Self::Zone(ZoneAction::Finish, _) => request::ZONE_FINISH,
            Self::Zone(ZoneAction::Reset, _) => request::ZONE_RESET,
            Self::ResetAllZones => request::ZONE_RESET_ALL,
            Self::Append(_) => request::ZONE_APPEND,
            Self::ReportZones(_) => request::ZONE_REPORT,
        }
    }

    /// The sector in the request's header; 0 where it has none.
    pub(super) const fn sector(self) -> Sector {
        match self {
            Self::Read(sector)
            | Self::Write(sector)
            | Self::Zone(_, sector)
            | Self::Append(sector)
            | Self::ReportZones(sector) => sector,
            Self::Flush | Self::DeviceId | Self::Lifetime | Self::Ranges(_) | Self::ResetAllZones => {
                Sector(0)
            }
        }
    }

    /// The same request, so many sectors further on. Only reads and writes go on.
    pub(super) const fn further(self, sectors: u64) -> Self {
        match self {
            Self::Read(Sector(sector)) => Self::Read(Sector(sector.saturating_add(sectors))),
            Self::Write(Sector(sector)) => Self::Write(Sector(sector.saturating_add(sectors))),
            other => other,
        }
    }

    /// Whether it can go in several parts.
    pub(super) const fn can_be_split(self) -> bool {
        matches!(self, Self::Read(_) | Self::Write(_))
    }

    /// Which side writes the data that the caller hands in.
    pub(super) const fn direction(self) -> Direction {
        match self {
            Self::Write(_) | Self::Append(_) | Self::Ranges(_) => Direction::DeviceReadable,
            _ => Direction::DeviceWritable,
        }
    }

    /// Bytes that a device must have written for success, its status apart, where its data has room for `room` bytes.
    #[allow(clippy::cast_possible_truncation, reason = "sizes of small structures")]
    pub(super) const fn answer_bytes(self, room: u32) -> u32 {
        match self {
            Self::Read(_) => room,
            Self::DeviceId => DEVICE_ID_BYTES as u32,
            Self::Lifetime => LIFETIME_BYTES as u32,
            Self::Append(_) => APPENDED_BYTES as u32,
            // A report without a zone.
            Self::ReportZones(_) => ZONE_BYTES as u32,
            Self::Write(_) | Self::Flush | Self::Ranges(_) | Self::Zone(..) | Self::ResetAllZones => 0,
        }
    }

    /// Bytes of the queue's own memory that its answer takes, the sector of an append apart.
    pub(super) const fn own_answer_bytes(self) -> usize {
        match self {
            Self::DeviceId => DEVICE_ID_BYTES,
            Self::Lifetime => LIFETIME_BYTES,
            _ => 0,
        }
    }
}

impl RangeKind {
    /// A range as the device sees it.
    pub(super) fn on_the_wire(self, first: u64, sectors: u32) -> WireRange {
        let flags = match self {
            Self::WriteZeroes(Unmap::Allowed) => RangeFlags::UNMAP,
            Self::WriteZeroes(Unmap::Forbidden) | Self::Discard | Self::SecureErase => RangeFlags::empty(),
        };
        WireRange { sector: first.into(), num_sectors: sectors.into(), flags: flags.bits().into() }
    }
}

//! What a disk says of itself, as far as its request queues have to know.
//!
//! Spec: §5.2.4 Device configuration layout. A plain value: [`Control`](super::Control) reads it, and each queue has a copy, so that queues share nothing.

use super::command::{Command, RangeKind, SectorRange};
use super::range_limits::{Pieces, RangeLimits};
use super::request::{RequestError, Sector};
use super::zones::{ZoneReport, ZonedCharacteristics};
use crate::wire::block::{SECTOR_BYTES, ZONE_BYTES};

/// Bytes of a report with one zone.
const REPORT_BYTES_MIN: usize = 2 * ZONE_BYTES;

/// See the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The disk's size in sectors of 512 bytes.
    pub capacity_sectors: u64,
    /// How much can be discarded at a time; `None` if nothing can.
    pub discard: Option<RangeLimits>,
    /// How many zeros can be written at a time; `None` if the disk has no such command.
    pub write_zeroes: Option<RangeLimits>,
    /// Whether writing zeros may give the storage behind them back, as last read.
    pub write_zeroes_may_unmap: bool,
    /// How much can be erased at a time; `None` if nothing can.
    pub secure_erase: Option<RangeLimits>,
    /// How the disk is zoned; `None` if it is not.
    pub zoned: Option<ZonedCharacteristics>,
    pub(super) read_only: bool,
    /// The disk has a cache that can be flushed.
    pub(super) flush: bool,
    /// It tells how worn it is.
    pub(super) lifetime: bool,
    /// What the device says that it wrote means something.
    pub(super) lengths_count: bool,
}

impl Shape {
    /// Whether what was written has to be flushed to be safe from a power failure. Else the disk's cache writes through, as far as anybody can know.
    pub const fn has_flush(&self) -> bool {
        self.flush
    }

    /// The zones in a report, `report` being what the device wrote of it.
    pub fn zones_in<'b>(&self, report: &'b [u8]) -> ZoneReport<'b> {
        ZoneReport::new(report, self.zoned, self.capacity_sectors)
    }

    /// Checks a request with so many bytes of data, before the device is asked.
    pub(super) fn check(&self, command: Command, bytes: u64) -> Result<(), RequestError> {
        match command {
            Command::Read(sector) => self.check_data(sector, bytes),
            Command::Write(sector) => {
                self.check_writable()?;
                self.check_data(sector, bytes)?;
                self.check_granularity(sector, bytes)
            }
            Command::Flush | Command::DeviceId => Ok(()),
            Command::Lifetime => self.lifetime.then_some(()).ok_or(RequestError::Unsupported),
            Command::Ranges(kind) => {
                self.check_writable()?;
                self.range_limits(kind).map(|_| ())
            }
            Command::Zone(_, zone) => {
                self.check_writable()?;
                self.check_zone(zone)
            }
            Command::ResetAllZones => {
                self.check_writable()?;
                self.zoned.map(|_| ()).ok_or(RequestError::Unsupported)
            }
            Command::Append(zone) => {
                self.check_writable()?;
                self.check_zone(zone)?;
                self.check_data(zone, bytes)?;
                self.check_granularity(zone, bytes)?;
                let most =
                    self.zoned.and_then(|zoned| Some(zoned.max_append_sectors?.min(zoned.zone_sectors)));
                let sectors_max = most.ok_or(RequestError::Unsupported)?.into();
                let sectors = bytes / SECTOR_BYTES as u64;
                if sectors > sectors_max {
                    return Err(RequestError::TooManySectors { sectors, sectors_max });
                }
                Ok(())
            }
            Command::ReportZones(from) => {
                self.zoned.ok_or(RequestError::Unsupported)?;
                self.check_range(SectorRange { first: from, sectors: 1 })?;
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                if bytes < REPORT_BYTES_MIN {
                    return Err(RequestError::TooSmall { bytes, bytes_min: REPORT_BYTES_MIN });
                }
                Ok(())
            }
        }
    }

    /// Checks a range before the device is asked.
    pub(super) fn check_range(&self, range: SectorRange) -> Result<(), RequestError> {
        let SectorRange { first: Sector(sector), sectors } = range;
        let capacity_sectors = self.capacity_sectors;
        match sector.checked_add(sectors) {
            _ if sectors == 0 => Err(RequestError::Empty),
            Some(end) if end <= capacity_sectors => Ok(()),
            _ => Err(RequestError::OutOfRange { sector, sectors, capacity_sectors }),
        }
    }

    /// The limits of requests with ranges.
    pub(super) fn range_limits(&self, kind: RangeKind) -> Result<RangeLimits, RequestError> {
        let limits = match kind {
            RangeKind::Discard => self.discard,
            RangeKind::WriteZeroes(_) => self.write_zeroes,
            RangeKind::SecureErase => self.secure_erase,
        };
        limits.ok_or(RequestError::Unsupported)
    }

    /// The pieces in which the device takes a range; checked before the device is asked.
    pub(super) fn pieces(&self, kind: RangeKind, range: SectorRange) -> Result<Pieces, RequestError> {
        self.check(Command::Ranges(kind), 0)?;
        self.check_range_of(kind, range)?;
        self.range_limits(kind)?.pieces(range)
    }

    /// Checks a range before the device is asked. Zones are erased whole (§5.2.6.3).
    pub(super) fn check_range_of(&self, kind: RangeKind, range: SectorRange) -> Result<(), RequestError> {
        self.check_range(range)?;
        let Some(ZonedCharacteristics { zone_sectors, .. }) = self.zoned else { return Ok(()) };
        let end = range.first.0.saturating_add(range.sectors);
        let is_odd =
            |sector: &u64| *sector != self.capacity_sectors && !sector.is_multiple_of(zone_sectors.into());
        match [range.first.0, end].into_iter().find(is_odd) {
            Some(sector) if kind == RangeKind::SecureErase => {
                Err(RequestError::NotAZone { sector, zone_sectors })
            }
            _ => Ok(()),
        }
    }

    /// Whether a request may go out only when the one before is done: what is written to a sequential zone has to arrive in order.
    pub(super) const fn goes_alone(&self, command: Command) -> bool {
        matches!(command, Command::Write(_)) && self.zoned.is_some()
    }

    /// Bytes up to the end of the zone that a request is about: what is read and written does not cross it. No limit where there are no zones.
    pub(super) fn bytes_in_zone(&self, command: Command) -> u64 {
        let (Command::Read(Sector(sector))
        | Command::Write(Sector(sector))
        | Command::Append(Sector(sector))) = command
        else {
            return u64::MAX;
        };
        let Some(zoned) = self.zoned else { return u64::MAX };
        let zone_sectors = u64::from(zoned.zone_sectors);
        let Some(beyond) = sector.checked_rem(zone_sectors) else { return u64::MAX };
        zone_sectors.saturating_sub(beyond).saturating_mul(SECTOR_BYTES as u64)
    }

    /// What the parts of a request are a multiple of, in bytes: a granule of the queue's, and of what is written to zones.
    pub(super) fn granule(&self, command: Command, granule: u32) -> u32 {
        match self.zoned {
            Some(ZonedCharacteristics { write_granularity, .. })
                if matches!(command, Command::Write(_)) && !granule.is_multiple_of(write_granularity) =>
            {
                write_granularity
            }
            _ => granule,
        }
    }

    /// Where an append was written, if that is in its zone.
    pub(super) fn check_appended(&self, zone: Sector, appended: Sector) -> Result<Sector, RequestError> {
        let zone_sectors = self.zoned.map_or(0, |zoned| zoned.zone_sectors);
        let written = appended.0.checked_sub(zone.0).filter(|sectors| *sectors < zone_sectors.into());
        written.map(|_| appended).ok_or(RequestError::BadAnswer)
    }

    const fn check_writable(&self) -> Result<(), RequestError> {
        if self.read_only { Err(RequestError::ReadOnly) } else { Ok(()) }
    }

    fn check_data(&self, first: Sector, bytes: u64) -> Result<(), RequestError> {
        if !bytes.is_multiple_of(SECTOR_BYTES as u64) {
            return Err(RequestError::NotWholeSectors {
                bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            });
        }
        self.check_range(SectorRange { first, sectors: bytes / SECTOR_BYTES as u64 })
    }

    /// What is written to a disk with zones begins and ends at a multiple of its granularity, also where it is cut because a zone ends.
    fn check_granularity(&self, first: Sector, bytes: u64) -> Result<(), RequestError> {
        let Some(zoned) = self.zoned else { return Ok(()) };
        let granularity = zoned.write_granularity;
        let is_whole = |bytes: u64| bytes.is_multiple_of(granularity.into());
        let of_sectors = |sectors: u64| sectors.saturating_mul(SECTOR_BYTES as u64);
        let is_cut = bytes > self.bytes_in_zone(Command::Write(first));
        let is_cut_well = !is_cut || is_whole(of_sectors(zoned.zone_sectors.into()));
        if is_whole(bytes) && is_whole(of_sectors(first.0)) && is_cut_well {
            return Ok(());
        }
        Err(RequestError::NotGranular { granularity })
    }

    /// A zone is named by its first sector.
    fn check_zone(&self, zone: Sector) -> Result<(), RequestError> {
        let zoned = self.zoned.ok_or(RequestError::Unsupported)?;
        self.check_range(SectorRange { first: zone, sectors: 1 })?;
        if zone.0.is_multiple_of(zoned.zone_sectors.into()) {
            return Ok(());
        }
        Err(RequestError::NotAZone { sector: zone.0, zone_sectors: zoned.zone_sectors })
    }
}

//! Zones of a disk: what they are, and how a report of them is read.
//!
//! Spec: §5.2.4 Device configuration layout (`struct virtio_blk_zoned_characteristics`), §5.2.6 Device Operation (`VIRTIO_BLK_T_ZONE_REPORT`).

use zerocopy::FromBytes;

use super::request::{RequestError, Sector};
use crate::wire::block::{WireZone, ZONE_BYTES, ZoneReportHeader, zone_state, zone_type};

/// How a disk is zoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZonedCharacteristics {
    /// Whether sequential zones have to be written at their write pointer (host-managed), or only should be (host-aware).
    pub is_host_managed: bool,
    /// Sectors of each zone, but for the last one, which may have fewer. Not 0.
    pub zone_sectors: u32,
    /// Most zones that can be open; `None` is no limit.
    pub max_open_zones: Option<u32>,
    /// Most zones that can be open or closed; `None` is no limit.
    pub max_active_zones: Option<u32>,
    /// Most sectors of one append; `None` if the disk has no appends.
    pub max_append_sectors: Option<u32>,
    /// What positions and lengths of writes are multiples of, in bytes: whole sectors.
    pub write_granularity: u32,
}

/// What kind of zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneType {
    /// Written anywhere, like a disk without zones.
    Conventional,
    /// Has to be written at its write pointer.
    SequentialWriteRequired,
    /// Should be written at its write pointer.
    SequentialWritePreferred,
}

/// What state a zone is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneState {
    /// It has no write pointer: a conventional one.
    NotWritePointer,
    /// Nothing is written.
    Empty,
    /// A write opened it.
    ImplicitlyOpen,
    /// [`ZoneAction::Open`](super::ZoneAction::Open) opened it.
    ExplicitlyOpen,
    /// Written in part, and not open.
    Closed,
    /// It can only be read.
    ReadOnly,
    /// Nothing more can be written before it is reset.
    Full,
    /// It can be neither read nor written.
    Offline,
}

/// A zone, as the disk reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its first sector.
    pub start: Sector,
    /// Most sectors that can be written into it when it is empty.
    pub capacity_sectors: u64,
    /// Where the next write goes. `None` where that means nothing: in conventional zones, and those that cannot be written.
    pub write_pointer: Option<Sector>,
    /// What kind.
    pub zone_type: ZoneType,
    /// What state.
    pub state: ZoneState,
}

impl Zone {
    /// A zone of no disk: to fill an array that is to be overwritten.
    pub const NONE: Self = Self {
        start: Sector(0),
        capacity_sectors: 0,
        write_pointer: None,
        zone_type: ZoneType::Conventional,
        state: ZoneState::Offline,
    };

    /// A descriptor, judged: `None` if it makes no sense on such a disk.
    fn judge(wire: &WireZone, zoned: &ZonedCharacteristics, capacity_sectors: u64) -> Option<Self> {
        let zone_type = match wire.zone_type {
            zone_type::CONVENTIONAL => ZoneType::Conventional,
            zone_type::SEQUENTIAL_WRITE_REQUIRED => ZoneType::SequentialWriteRequired,
            zone_type::SEQUENTIAL_WRITE_PREFERRED => ZoneType::SequentialWritePreferred,
            _ => return None,
        };
        let state = match wire.state {
            zone_state::NOT_WRITE_POINTER => ZoneState::NotWritePointer,
            zone_state::EMPTY => ZoneState::Empty,
            zone_state::IMPLICITLY_OPEN => ZoneState::ImplicitlyOpen,
            zone_state::EXPLICITLY_OPEN => ZoneState::ExplicitlyOpen,
            zone_state::CLOSED => ZoneState::Closed,
            zone_state::READ_ONLY => ZoneState::ReadOnly,
            zone_state::FULL => ZoneState::Full,
            zone_state::OFFLINE => ZoneState::Offline,
            _ => return None,
        };
        let (start, capacity) = (wire.start.get(), wire.capacity.get());
        let zone_sectors = u64::from(zoned.zone_sectors);
        let has_write_pointer = matches!(
            state,
            ZoneState::Empty | ZoneState::ImplicitlyOpen | ZoneState::ExplicitlyOpen | ZoneState::Closed
        );
        let is_conventional = zone_type == ZoneType::Conventional;
        let is_of_its_type = match state {
            ZoneState::NotWritePointer => is_conventional,
            // From any other state, when the hardware fails.
            ZoneState::ReadOnly | ZoneState::Offline => true,
            _ => !is_conventional,
        };
        let pointer = wire.write_pointer.get();
        let is_sound = start.is_multiple_of(zone_sectors)
            && start < capacity_sectors
            && capacity <= zone_sectors
            && (!has_write_pointer || pointer.checked_sub(start).is_some_and(|written| written <= capacity))
            && is_of_its_type;
        is_sound.then_some(Self {
            start: Sector(start),
            capacity_sectors: capacity,
            write_pointer: has_write_pointer.then_some(Sector(pointer)),
            zone_type,
            state,
        })
    }
}

/// The zones in a report: as many as the device says, and as there are.
#[derive(Clone, Debug)]
pub struct ZoneReport<'b> {
    descriptors: &'b [u8],
    left: u64,
    zoned: Option<ZonedCharacteristics>,
    capacity_sectors: u64,
}

impl<'b> ZoneReport<'b> {
    /// Of the bytes that the device wrote.
    pub(super) fn new(report: &'b [u8], zoned: Option<ZonedCharacteristics>, capacity_sectors: u64) -> Self {
        let header = ZoneReportHeader::read_from_prefix(report);
        let (left, descriptors) = match header {
            Ok((header, _)) => (header.nr_zones.get(), report.get(ZONE_BYTES..).unwrap_or_default()),
            Err(_) => (0, [].as_slice()),
        };
        Self { descriptors, left, zoned, capacity_sectors }
    }
}

impl Iterator for ZoneReport<'_> {
    /// A zone, or [`RequestError::BadAnswer`] where the device says what makes no sense.
    type Item = Result<Zone, RequestError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (wire, rest) = WireZone::read_from_prefix(self.descriptors).ok()?;
        self.descriptors = rest;
        let zone = self.zoned.and_then(|zoned| Zone::judge(&wire, &zoned, self.capacity_sectors));
        Some(zone.ok_or(RequestError::BadAnswer))
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    const ZONED: ZonedCharacteristics = ZonedCharacteristics {
        is_host_managed: true,
        zone_sectors: 64,
        max_open_zones: None,
        max_active_zones: None,
        max_append_sectors: None,
        write_granularity: 512,
    };

    fn wire(start: u64, write_pointer: u64, zone_type: u8, state: u8) -> WireZone {
        WireZone {
            capacity: 60.into(),
            start: start.into(),
            write_pointer: write_pointer.into(),
            zone_type,
            state,
            reserved: [0; 38],
        }
    }

    #[test]
    fn a_zone_is_what_its_descriptor_says() {
        let zone = Zone::judge(&wire(64, 70, 2, 2), &ZONED, 128).unwrap();
        let expected = Zone {
            start: Sector(64),
            capacity_sectors: 60,
            write_pointer: Some(Sector(70)),
            zone_type: ZoneType::SequentialWriteRequired,
            state: ZoneState::ImplicitlyOpen,
        };
        assert_eq!(zone, expected);
        let full = Zone::judge(&wire(64, u64::MAX, 2, 14), &ZONED, 128).unwrap();
        assert_eq!((full.state, full.write_pointer), (ZoneState::Full, None));
    }

    /// Spec: §5.2.6 — from any other state; who reads a report is to learn of the zones after it, too.
    #[test]
    fn zones_of_each_type_can_fail() {
        for zone_type in 1..=3 {
            for (state, expected) in [(13, ZoneState::ReadOnly), (15, ZoneState::Offline)] {
                let zone = Zone::judge(&wire(64, 0, zone_type, state), &ZONED, 128).unwrap();
                assert_eq!((zone.state, zone.write_pointer), (expected, None));
            }
        }
    }

    #[test]
    fn a_descriptor_that_makes_no_sense_is_none() {
        let no_sense = [
            wire(64, 70, 0, 2),
            wire(64, 70, 4, 2),
            wire(64, 70, 2, 5),
            wire(64, 70, 2, 0),
            wire(64, 70, 1, 2),
            wire(65, 70, 2, 2),
            wire(128, 130, 2, 2),
            wire(64, 63, 2, 2),
            wire(64, 125, 2, 2),
            WireZone { capacity: 65.into(), ..wire(64, 70, 2, 2) },
        ];
        for wire in no_sense {
            assert_eq!(Zone::judge(&wire, &ZONED, 128), None, "{wire:?}");
        }
    }

    /// Neither what the device says that it wrote nor the number of zones is believed alone.
    #[test]
    fn a_report_has_no_more_zones_than_bytes() {
        let mut report = [0; 4 * ZONE_BYTES];
        let zone = wire(0, 0, 2, 1);
        for place in report.chunks_mut(ZONE_BYTES).skip(1) {
            place.copy_from_slice(zone.as_bytes());
        }
        for (says, bytes, zones) in
            [(3, 256, 3), (2, 256, 2), (u64::MAX, 256, 3), (3, 255, 2), (3, 64, 0), (3, 63, 0), (3, 0, 0)]
        {
            report[..8].copy_from_slice(&u64::to_le_bytes(says));
            assert_eq!(ZoneReport::new(&report[..bytes], Some(ZONED), 128).count(), zones, "{says}, {bytes}");
        }
    }
}

//! Disks that say nonsense about their zones: none of it is believed, and nothing hangs.
//!
//! Spec: §5.2.4 Device configuration layout, §5.2.6 Device Operation. Not under miri: zones are judged by safe code, and what a disk answers is read from the queue's memory in `block_says.rs` as well.

#![cfg(not(miri))]

mod support;

use support::levels::{Ask, Got, Level, LevelBench, range};
use virtio_guest::device::block::{Lifetime, RequestError, Sector, ZoneAction};
use virtio_model::Disk;
use virtio_model::block::{DiskConfig, RangeLimits, SECTOR_BYTES, WrittenLen, ZoneSetup};

const SECTORS: u64 = 64;
const ZONE: u64 = 8;

fn disk() -> Disk {
    Disk::with_sectors(SECTORS).with_zones(&ZoneSetup::host_managed(8))
}

/// A disk that says something else of itself than it is.
fn saying(change: impl Fn(&mut DiskConfig)) -> impl Fn() -> Disk {
    move || disk().with_config(&change)
}

/// The bytes of a report, with zones one after the other.
fn report(says: u64, zones: u64) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..8].copy_from_slice(&says.to_le_bytes());
    for zone in 0..zones {
        let mut descriptor = [0; 64];
        descriptor[0..8].copy_from_slice(&ZONE.to_le_bytes());
        descriptor[8..16].copy_from_slice(&(zone * ZONE).to_le_bytes());
        descriptor[16..24].copy_from_slice(&(zone * ZONE).to_le_bytes());
        descriptor[24..26].copy_from_slice(&[2, 1]);
        bytes.extend(descriptor);
    }
    bytes
}

fn count(got: Result<Got, RequestError>) -> Result<usize, RequestError> {
    got.map(|got| if let Got::Zones(zones) = got { zones.len() } else { usize::MAX })
}

#[test]
fn zones_without_a_size_or_of_an_unknown_model_are_none() {
    let hostile: [fn(&mut DiskConfig); 4] = [
        |config| config.zoned.zone_sectors = 0,
        |config| config.zoned.model = 0,
        |config| config.zoned.model = 3,
        |config| config.zoned.model = 255,
    ];
    for hostile in hostile {
        for mut bench in LevelBench::each(saying(hostile)) {
            assert_eq!(bench.control().shape().zoned, None);
            for ask in [
                Ask::Report(Sector(0), 1),
                Ask::ResetAllZones,
                Ask::Zone(ZoneAction::Open, Sector(0)),
                Ask::Append(Sector(0), 1, SECTOR_BYTES),
            ] {
                assert_eq!(bench.refusal(ask), RequestError::Unsupported);
            }
            assert_eq!(bench.ask(Ask::Write(Sector(0), 1, SECTOR_BYTES)), Ok(Got::Nothing));
            bench.finish();
        }
    }
}

#[test]
fn a_granularity_that_is_no_number_of_sectors_is_one_sector() {
    for granularity in [0, 1, 3, 511, 513, 1023, u32::MAX] {
        for mut bench in LevelBench::each(saying(|config| config.zoned.write_granularity = granularity)) {
            assert_eq!(bench.control().shape().zoned.unwrap().write_granularity, 512);
            let _ = bench.disk().clone().with_config(|config| config.zoned.write_granularity = 512);
            assert_eq!(bench.ask(Ask::Write(Sector(0), 1, SECTOR_BYTES)), Ok(Got::Nothing));
            assert_eq!(bench.ask(Ask::Append(Sector(0), 1, SECTOR_BYTES)), Ok(Got::Appended(Sector(1))));
            bench.finish();
        }
    }
}

/// As much as a driver can keep to; a disk of which nothing can be written is its own fault.
#[test]
fn a_granularity_beyond_everything_makes_writes_odd_and_nothing_worse() {
    let granularity = u32::MAX - 511;
    for mut bench in LevelBench::each(saying(|config| config.zoned.write_granularity = granularity)) {
        let odd = RequestError::NotGranular { granularity };
        assert_eq!(bench.refusal(Ask::Write(Sector(0), 1, SECTOR_BYTES)), odd);
        assert_eq!(bench.refusal(Ask::Append(Sector(0), 1, SECTOR_BYTES)), odd);
        assert!(matches!(bench.ask(Ask::Read(Sector(0), SECTOR_BYTES)), Ok(Got::Bytes(_))));
        bench.finish();
    }
}

#[test]
fn limits_of_all_ones_are_limits() {
    let hostile = |config: &mut DiskConfig| {
        let zoned = &mut config.zoned;
        (zoned.max_open_zones, zoned.max_active_zones) = (u32::MAX, u32::MAX);
        (zoned.max_append_sectors, zoned.zone_sectors) = (u32::MAX, u32::MAX);
    };
    for mut bench in LevelBench::each(saying(hostile)) {
        let zoned = bench.control().shape().zoned.unwrap();
        assert_eq!((zoned.max_open_zones, zoned.max_append_sectors), (Some(u32::MAX), Some(u32::MAX)));
        assert_eq!(bench.ask(Ask::Append(Sector(0), 1, 4 * SECTOR_BYTES)), Ok(Got::Appended(Sector(0))));
        let nowhere = RequestError::NotAZone { sector: 8, zone_sectors: u32::MAX };
        assert_eq!(bench.refusal(Ask::Zone(ZoneAction::Reset, Sector(8))), nowhere);
        bench.finish();
    }
}

#[test]
fn a_disk_that_erases_less_than_a_zone_at_a_time_erases_nothing() {
    let limits = RangeLimits { sectors_max: 7, ranges_max: 1, alignment_sectors: 3 };
    for mut bench in LevelBench::each(|| disk().with_secure_erase(limits)) {
        assert_eq!(bench.control().shape().secure_erase, None);
        assert_eq!(bench.refusal(Ask::SecureErase(range(0, 8))), RequestError::Unsupported);
        bench.finish();
    }
}

/// Neither the number of zones in a report nor the length that was written is believed alone.
#[test]
fn a_report_has_no_more_zones_than_were_asked_for_and_written() {
    for mut bench in LevelBench::each(disk) {
        let blocking = bench.level == Level::Blocking;
        // Where a call waits for all of them, none is not an answer.
        let none = if blocking { Err(RequestError::BadAnswer) } else { Ok(0) };
        for (says, zones, expected) in
            [(u64::MAX, 3, Ok(3)), (1 << 63, 8, Ok(3)), (3, 3, Ok(3)), (0, 3, none), (u64::MAX, 0, none)]
        {
            bench.disk().misbehave(|lies| lies.answer = Some(report(says, zones)));
            // One byte more than a header: with its status.
            bench.disk().misbehave(|lies| lies.written = WrittenLen::More(u32::from(zones == 0)));
            assert_eq!(count(bench.ask(Ask::Report(Sector(0), 3))), expected, "{says}, {zones}");
        }
        for written in 0..=129 {
            bench.disk().misbehave(|lies| {
                lies.answer = Some(report(u64::MAX, 3));
                lies.written = WrittenLen::Exactly(written);
            });
            let short = RequestError::Short { written_bytes: written, expected_bytes: 65 };
            let expected = match written {
                0..65 => Err(short),
                65..128 => none,
                _ => Ok(1),
            };
            assert_eq!(count(bench.ask(Ask::Report(Sector(0), 1))), expected, "{written}");
        }
        bench.finish();
    }
}

#[test]
fn descriptors_that_make_no_sense_are_no_answer() {
    for mut bench in LevelBench::each(disk) {
        for (at, byte) in [
            (64, 9),
            (71, 1),
            (72, 3),
            (79, 0x80),
            (80, 9),
            (87, 1),
            (88, 0),
            (88, 4),
            (88, 255),
            (89, 0),
            (89, 5),
            (89, 255),
        ] {
            let mut bytes = report(2, 2);
            bytes[at] = byte;
            bench.disk().misbehave(|lies| lies.answer = Some(bytes.clone()));
            assert_eq!(
                count(bench.ask(Ask::Report(Sector(0), 2))),
                Err(RequestError::BadAnswer),
                "{at}: {byte}"
            );
        }
        bench.finish();
    }
}

/// A call that reads all zones asks again from where it is: a disk that stays where it was would keep it for ever.
#[test]
fn a_report_that_does_not_go_on_ends_the_call() {
    for mut bench in LevelBench::at(&[Level::Blocking], disk) {
        bench.disk().misbehave(|lies| lies.answer = Some(report(1, 1)));
        assert_eq!(count(bench.ask(Ask::Report(Sector(0), 8))), Err(RequestError::BadAnswer));
        assert!(bench.disk().requests().len() <= 2);
        bench.finish();
    }
}

/// The disk says that it answered, and did not: what the request before got is no answer.
#[test]
fn silence_is_not_taken_for_what_was_answered_before() {
    for mut bench in LevelBench::each(|| disk().with_id("of this disk").with_lifetime(1, 2, 3)) {
        let answer = |bench: &LevelBench, answer: Option<(Vec<u8>, u32)>| {
            let written =
                answer.as_ref().map_or(WrittenLen::Honest, |(_, bytes)| WrittenLen::Exactly(*bytes));
            bench.disk().misbehave(|lies| {
                (lies.answer, lies.written) = (answer.map(|(bytes, _)| bytes), written);
            });
        };
        for (ask, bytes) in [
            (Ask::Append(Sector(0), 1, SECTOR_BYTES), 9),
            (Ask::DeviceId, 21),
            (Ask::Lifetime, 7),
            (Ask::Report(Sector(0), 1), 129),
        ] {
            answer(&bench, None);
            bench.ask(ask).unwrap();
            answer(&bench, Some((vec![], bytes)));
            match bench.ask(ask) {
                Err(error) => assert_eq!(error, RequestError::BadAnswer, "{ask:?}"),
                Ok(Got::Id(id)) => assert_eq!(id.as_bytes(), b""),
                Ok(Got::Lifetime(Lifetime { multi_level_cells, .. })) => assert_eq!(multi_level_cells, None),
                // Of a buffer of the caller's own.
                Ok(Got::Zones(zones)) => assert_eq!(zones, []),
                Ok(other) => panic!("{other:?} to {ask:?}"),
            }
        }
        bench.finish();
    }
}

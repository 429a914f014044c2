//! Zones: what is done with them at each level, what the device says of them, and what is refused before it is asked.
//!
//! Spec: §5.2.6 Device Operation, what applies with `ZONED`. Not under miri: zones are judged by safe code, and what a disk answers is read from the queue's memory in `block_says.rs` as well.

#![cfg(not(miri))]
#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::levels::{Ask, Got, Level, LevelBench, range};
use support::tasks::TaskBench;
use support::{Mapper, TestHal, claim};
use virtio_guest::device::block::{
    Block, RequestError, Sector, Storage, Zone, ZoneAction, ZoneState, ZoneType,
};
use virtio_guest::hal::Attempts;
use virtio_guest::transport::AnyTransport;
use virtio_model::Disk;
use virtio_model::block::{
    self as model, RangeLimits, SECTOR_BYTES, ZoneSetup, status, zone_state, zone_type,
};

const SIZE_MAX: u128 = 1 << 1;
const DISCARD: u128 = 1 << 13;
const ZONED: u128 = 1 << 17;

/// Zones of 8 sectors, of which 6 can be written: one conventional, six sequential, one of 5 sectors.
const SECTORS: u64 = 61;

fn setup() -> ZoneSetup {
    ZoneSetup { capacity_sectors: 6, conventional: 1, max_append_sectors: 4, ..ZoneSetup::host_managed(8) }
}

fn disk(setup: &ZoneSetup) -> Disk {
    Disk::with_sectors(SECTORS).with_zones(setup)
}

/// A zone as the driver is to see it.
fn seen(zone: &model::Zone) -> Zone {
    let states = [
        (zone_state::NOT_WRITE_POINTER, ZoneState::NotWritePointer),
        (zone_state::EMPTY, ZoneState::Empty),
        (zone_state::IMPLICITLY_OPEN, ZoneState::ImplicitlyOpen),
        (zone_state::EXPLICITLY_OPEN, ZoneState::ExplicitlyOpen),
        (zone_state::CLOSED, ZoneState::Closed),
        (zone_state::READ_ONLY, ZoneState::ReadOnly),
        (zone_state::FULL, ZoneState::Full),
        (zone_state::OFFLINE, ZoneState::Offline),
    ];
    let types = [
        (zone_type::CONVENTIONAL, ZoneType::Conventional),
        (zone_type::SEQUENTIAL_REQUIRED, ZoneType::SequentialWriteRequired),
        (zone_type::SEQUENTIAL_PREFERRED, ZoneType::SequentialWritePreferred),
    ];
    Zone {
        start: Sector(zone.start),
        capacity_sectors: zone.capacity_sectors,
        write_pointer: matches!(zone.state, 1..=4).then_some(Sector(zone.write_pointer)),
        zone_type: types.iter().find(|(number, _)| *number == zone.zone_type).unwrap().1,
        state: states.iter().find(|(number, _)| *number == zone.state).unwrap().1,
    }
}

fn state(bench: &LevelBench, zone: usize) -> u8 {
    bench.disk().zones()[zone].state
}

#[test]
fn a_report_is_what_the_zones_are() {
    for mut bench in LevelBench::each(|| disk(&setup())) {
        for (zone, state) in (1..8).zip([2, 3, 4, 13, 14, 15, 1]) {
            bench.disk().change_zone(zone, |zone| {
                zone.state = state;
                zone.write_pointer += u64::from(state != zone_state::EMPTY);
            });
        }
        let zones: Vec<_> = bench.disk().zones().iter().map(seen).collect();
        assert_eq!(bench.ask(Ask::Report(Sector(0), 8)), Ok(Got::Zones(zones.clone())));
        assert_eq!(
            bench.ask(Ask::Report(Sector(0), 20)),
            Ok(Got::Zones(zones.clone())),
            "no more than there are"
        );
        assert_eq!(bench.ask(Ask::Report(Sector(0), 3)), Ok(Got::Zones(zones[..3].to_vec())));
        assert_eq!(
            bench.ask(Ask::Report(Sector(39), 2)),
            Ok(Got::Zones(zones[4..6].to_vec())),
            "from within one"
        );
        assert_eq!(
            bench.ask(Ask::Report(Sector(39), 20)),
            Ok(Got::Zones(zones[4..].to_vec())),
            "longer than its zone"
        );
        assert_eq!(bench.ask(Ask::Report(Sector(60), 1)), Ok(Got::Zones(zones[7..].to_vec())));
        bench.finish();
    }
}

#[test]
fn zones_are_opened_closed_finished_and_reset() {
    for mut bench in LevelBench::each(|| disk(&setup())) {
        let zone = Sector(16);
        for (action, expected) in [
            (ZoneAction::Open, zone_state::EXPLICITLY_OPEN),
            (ZoneAction::Close, zone_state::EMPTY),
            (ZoneAction::Open, zone_state::EXPLICITLY_OPEN),
            (ZoneAction::Finish, zone_state::FULL),
            (ZoneAction::Reset, zone_state::EMPTY),
        ] {
            assert_eq!(bench.ask(Ask::Zone(action, zone)), Ok(Got::Nothing));
            assert_eq!(state(&bench, 2), expected);
        }
        for sector in [8, 16] {
            bench.ask(Ask::Write(Sector(sector), 1, SECTOR_BYTES)).unwrap();
        }
        assert_eq!(bench.ask(Ask::ResetAllZones), Ok(Got::Nothing));
        assert_eq!((state(&bench, 1), state(&bench, 2)), (zone_state::EMPTY, zone_state::EMPTY));
        bench.finish();
    }
}

#[test]
fn the_disk_says_which_rule_of_its_zones_was_broken() {
    let setup = ZoneSetup { max_open: 1, max_active: 2, ..setup() };
    for mut bench in LevelBench::each(|| disk(&setup)) {
        let write = |sector| Ask::Write(Sector(sector), 1, SECTOR_BYTES);
        assert_eq!(bench.ask(Ask::Zone(ZoneAction::Open, Sector(0))), Err(RequestError::ZoneInvalidCommand));
        assert_eq!(bench.ask(write(9)), Err(RequestError::ZoneUnalignedWritePointer));
        bench.ask(write(8)).unwrap();
        bench.ask(Ask::Zone(ZoneAction::Open, Sector(16))).unwrap();
        assert_eq!(bench.ask(write(9)), Err(RequestError::ZoneOpenResource));
        assert_eq!(bench.ask(Ask::Append(Sector(24), 1, 512)), Err(RequestError::ZoneActiveResource));
        bench.disk().change_zone(1, |zone| zone.state = zone_state::OFFLINE);
        assert_eq!(bench.ask(Ask::Zone(ZoneAction::Reset, Sector(8))), Err(RequestError::ZoneInvalidCommand));
        bench.finish();
    }
}

#[test]
fn statuses_about_zones_mean_something_on_a_disk_with_zones() {
    for mut bench in LevelBench::each(|| disk(&setup())) {
        for (byte, expected) in [
            (status::UNSUPP, RequestError::Unsupported),
            (status::ZONE_INVALID_CMD, RequestError::ZoneInvalidCommand),
            (status::ZONE_UNALIGNED_WP, RequestError::ZoneUnalignedWritePointer),
            (status::ZONE_OPEN_RESOURCE, RequestError::ZoneOpenResource),
            (status::ZONE_ACTIVE_RESOURCE, RequestError::ZoneActiveResource),
            (7, RequestError::UnknownStatus { status: 7 }),
            (254, RequestError::UnknownStatus { status: 254 }),
            (255, RequestError::NoStatus),
        ] {
            bench.disk().misbehave(|lies| lies.status = Some(byte));
            for ask in [
                Ask::Zone(ZoneAction::Open, Sector(8)),
                Ask::ResetAllZones,
                Ask::Append(Sector(8), 1, 512),
                Ask::Report(Sector(0), 2),
                Ask::Write(Sector(0), 1, 512),
            ] {
                assert_eq!(bench.ask(ask), Err(expected), "{ask:?}");
            }
        }
        bench.finish();
    }
}

#[test]
fn an_append_tells_where_it_went() {
    for mut bench in LevelBench::each(|| disk(&setup())) {
        for (sector, sectors) in [(16, 1), (17, 4), (21, 1)] {
            let ask = Ask::Append(Sector(16), sector, sectors * SECTOR_BYTES);
            assert_eq!(bench.ask(ask), Ok(Got::Appended(Sector(sector.into()))));
            assert_eq!(bench.disk().sector(sector.into()), [sector; SECTOR_BYTES]);
        }
        assert_eq!(bench.ask(Ask::Append(Sector(16), 1, 512)), Err(RequestError::ZoneInvalidCommand), "full");
        bench.finish();
    }
}

#[test]
fn an_append_that_went_nowhere_in_its_zone_is_not_believed() {
    for mut bench in LevelBench::each(|| disk(&setup())) {
        for told in [0, 15, 24, 60, u64::MAX, 1 << 63] {
            bench.disk().misbehave(|lies| lies.answer = Some(told.to_le_bytes().to_vec()));
            assert_eq!(bench.ask(Ask::Append(Sector(16), 1, 512)), Err(RequestError::BadAnswer), "{told}");
            bench.ask(Ask::Zone(ZoneAction::Reset, Sector(16))).unwrap();
        }
        bench.finish();
    }
}

#[test]
fn what_is_no_zone_or_no_append_is_refused_before_the_device_is_asked() {
    for mut bench in LevelBench::each(|| disk(&ZoneSetup { write_granularity: 1024, ..setup() })) {
        let beyond = |sector| RequestError::OutOfRange { sector, sectors: 1, capacity_sectors: SECTORS };
        for action in [ZoneAction::Open, ZoneAction::Close, ZoneAction::Finish, ZoneAction::Reset] {
            let nowhere = RequestError::NotAZone { sector: 9, zone_sectors: 8 };
            assert_eq!(bench.refusal(Ask::Zone(action, Sector(9))), nowhere);
            for sector in [64, u64::MAX] {
                assert_eq!(bench.refusal(Ask::Zone(action, Sector(sector))), beyond(sector));
            }
        }
        let nowhere = RequestError::NotAZone { sector: 17, zone_sectors: 8 };
        assert_eq!(bench.refusal(Ask::Append(Sector(17), 1, 1024)), nowhere);
        assert_eq!(
            bench.refusal(Ask::Append(Sector(16), 1, 512)),
            RequestError::NotGranular { granularity: 1024 }
        );
        let long = RequestError::TooManySectors { sectors: 6, sectors_max: 4 };
        assert_eq!(bench.refusal(Ask::Append(Sector(16), 1, 6 * 512)), long);
        assert_eq!(
            bench.refusal(Ask::Append(Sector(16), 1, 513)),
            RequestError::NotWholeSectors { bytes: 513 }
        );
        assert_eq!(bench.refusal(Ask::Report(Sector(SECTORS), 1)), beyond(SECTORS));
        bench.finish();
    }
    let zone_calls =
        [Ask::Zone(ZoneAction::Reset, Sector(16)), Ask::ResetAllZones, Ask::Append(Sector(16), 1, 512)];
    for mut bench in LevelBench::each(|| disk(&setup()).read_only()) {
        for ask in zone_calls {
            assert_eq!(bench.refusal(ask), RequestError::ReadOnly);
        }
        assert!(bench.ask(Ask::Report(Sector(0), 8)).is_ok());
        bench.finish();
    }
    for mut bench in LevelBench::each(|| Disk::with_sectors(SECTORS)) {
        for ask in zone_calls.into_iter().chain([Ask::Report(Sector(0), 1)]) {
            assert_eq!(bench.refusal(ask), RequestError::Unsupported);
        }
        bench.finish();
    }
    for mut bench in LevelBench::each(|| disk(&ZoneSetup { max_append_sectors: 0, ..setup() })) {
        assert_eq!(bench.refusal(Ask::Append(Sector(16), 1, 512)), RequestError::Unsupported);
        bench.finish();
    }
}

/// At each level alike; a call that waits has a report of its own.
#[test]
fn a_report_that_has_no_room_for_a_zone_is_refused_before_the_device_is_asked() {
    for mut bench in LevelBench::at(&[Level::Burst, Level::Task], || disk(&setup())) {
        let small = RequestError::TooSmall { bytes: 64, bytes_min: 128 };
        assert_eq!(bench.refusal(Ask::Report(Sector(0), 0)), small);
        bench.finish();
    }
}

/// Spec: §5.2.6.2 — an append goes to one zone, whatever the disk says that it takes.
#[test]
fn an_append_that_is_longer_than_a_zone_is_refused_before_the_device_is_asked() {
    for mut bench in LevelBench::each(|| {
        let setup = ZoneSetup { max_append_sectors: 100, ..ZoneSetup::host_managed(2) };
        Disk::with_sectors(SECTORS).with_zones(&setup)
    }) {
        let long = RequestError::TooManySectors { sectors: 4, sectors_max: 2 };
        assert_eq!(bench.refusal(Ask::Append(Sector(8), 1, 4 * SECTOR_BYTES)), long);
        assert_eq!(bench.ask(Ask::Append(Sector(8), 1, 2 * SECTOR_BYTES)), Ok(Got::Appended(Sector(8))));
        bench.finish();
    }
}

/// Several requests, and each in its zone: the model would refuse one that is in two, or comes before another.
#[test]
fn a_long_write_fills_zone_after_zone_in_order() {
    let whole = ZoneSetup { capacity_sectors: 8, ..setup() };
    for mut bench in LevelBench::each(|| disk(&whole)) {
        bench.disk().complete_in(model::Order::Reverse);
        assert_eq!(bench.ask(Ask::Write(Sector(4), 3, 37 * SECTOR_BYTES)), Ok(Got::Nothing));
        let written: Vec<_> = (0..SECTORS as usize).filter(|at| bench.disk().sector(*at)[0] == 3).collect();
        assert_eq!(written, (4..41).collect::<Vec<_>>());
        assert_eq!((state(&bench, 4), bench.disk().zones()[5].write_pointer), (zone_state::FULL, 41));
        bench.finish();
    }
}

/// Cut where a block of the granularity ends, though more would fit; not at all where not one block fits.
#[test]
fn parts_of_a_write_end_at_the_granularity() {
    let setup = ZoneSetup { capacity_sectors: 8, write_granularity: 1024, ..setup() };
    for level in [Level::Blocking, Level::Burst, Level::Task] {
        for (seg_max, parts) in [(3, Some(8)), (1, None)] {
            let disk = disk(&setup).with_config(|config| (config.size_max, config.seg_max) = (512, seg_max));
            let mut bench = LevelBench::new(level, TaskBench::of(disk, SIZE_MAX));
            // Tasks have room for a segment.
            let parts = parts.filter(|_| level != Level::Task);
            let ask = Ask::Write(Sector(8), 3, 16 * SECTOR_BYTES);
            if let Some(parts) = parts {
                assert_eq!(bench.ask(ask), Ok(Got::Nothing));
                assert_eq!(bench.disk().requests().len(), parts);
            } else {
                let expected = match level {
                    Level::Blocking => RequestError::NotGranular { granularity: 1024 },
                    _ => RequestError::TooLarge { segment_bytes_max: 512, segments_max: 1 },
                };
                assert_eq!(bench.refusal(ask), expected);
                assert!(
                    matches!(bench.ask(Ask::Read(Sector(8), 4096)), Ok(Got::Bytes(_))),
                    "reads are cut anywhere"
                );
            }
            bench.finish();
        }
    }
}

/// Spec: §5.2.6.1 — size and first sector are multiples of the granularity.
#[test]
fn a_write_begins_and_ends_at_the_granularity() {
    for mut bench in LevelBench::each(|| disk(&ZoneSetup { write_granularity: 1024, ..setup() })) {
        let write = |sector, sectors| Ask::Write(Sector(sector), 3, sectors * SECTOR_BYTES);
        for odd in [write(9, 2), write(8, 1), write(9, 1), write(8, 3)] {
            assert_eq!(bench.refusal(odd), RequestError::NotGranular { granularity: 1024 }, "{odd:?}");
        }
        assert_eq!(bench.ask(write(8, 2)), Ok(Got::Nothing));
        assert_eq!(bench.ask(write(10, 4)), Ok(Got::Nothing));
        bench.finish();
    }
}

/// It goes to one place, so it goes at once.
#[test]
fn an_append_that_does_not_fit_into_one_request_is_refused() {
    let setup = ZoneSetup { capacity_sectors: 8, max_append_sectors: 8, ..setup() };
    for level in [Level::Blocking, Level::Burst, Level::Task] {
        let disk = disk(&setup).with_config(|config| (config.size_max, config.seg_max) = (512, 3));
        let mut bench = LevelBench::new(level, TaskBench::of(disk, SIZE_MAX));
        let fitting = if level == Level::Task { 1 } else { 3 };
        let append = |sectors| Ask::Append(Sector(8), 3, sectors * SECTOR_BYTES);
        assert_eq!(bench.ask(append(fitting)), Ok(Got::Appended(Sector(8))));
        let refused = bench.refusal(append(fitting + 1));
        let segments_max = fitting as u16;
        assert_eq!(
            refused,
            match level {
                Level::Blocking => RequestError::TooManySectors { sectors: 4, sectors_max: 3 },
                _ => RequestError::TooLarge { segment_bytes_max: 512, segments_max },
            }
        );
        bench.finish();
    }
}

/// Spec: §5.2.6.3 — whole zones are erased, as they are reset.
#[test]
fn zones_are_erased_whole() {
    let limits = RangeLimits { sectors_max: 17, ranges_max: 2, alignment_sectors: 8 };
    for mut bench in LevelBench::each(|| disk(&setup()).with_secure_erase(limits)) {
        for sector in [8, 16, 56] {
            bench.ask(Ask::Write(Sector(sector), 1, SECTOR_BYTES)).unwrap();
        }
        let ask = |first, sectors| Ask::SecureErase(range(first, sectors));
        assert_eq!(bench.ask(ask(8, 16)), Ok(Got::Nothing));
        assert_eq!(bench.ask(ask(56, 5)), Ok(Got::Nothing), "the last zone is smaller");
        assert!(bench.disk().zones()[1..].iter().all(|zone| zone.state == zone_state::EMPTY));
        for (first, sectors) in [(9, 7), (8, 7), (9, 8)] {
            let refused = bench.refusal(ask(first, sectors));
            assert!(matches!(refused, RequestError::NotAZone { zone_sectors: 8, .. }), "{refused:?}");
        }
        bench.finish();
    }
}

/// Spec: §5.2.5.2 — a device that does not confirm its features has no zones, whatever it offers.
#[test]
fn a_legacy_disk_is_not_asked_for_zones() {
    let disk = disk(&setup());
    let device = disk.builder().features(ZONED | DISCARD).legacy().device_id(0x1001).build();
    let hal = TestHal::default();
    hal.put_memory_at(0x7_0000_0000); // where such a device finds it
    let transport = AnyTransport::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
    let mut storage = Storage::<16>::new();

    let mut disk = Block::start(transport, hal, &mut storage, Attempts(10)).unwrap();

    assert_eq!(device.negotiated_features() & (ZONED | DISCARD), DISCARD);
    assert_eq!(disk.control().shape().zoned, None);
}

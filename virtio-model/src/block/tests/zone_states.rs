//! Promises of zones: their states, what changes them, the limits, and the report.

use super::{Bench, Disk, request_type, status};
use crate::block::zone_state::{
    CLOSED, EMPTY, EXPLICITLY_OPEN, FULL, IMPLICITLY_OPEN, NOT_WRITE_POINTER, OFFLINE, READ_ONLY,
};
use crate::block::{REPORT_HEADER_BYTES, UNWRITTEN, ZoneSetup, zone_type};
use crate::pci::STANDARD_BAR;

pub(super) const ZONED: u128 = 1 << 17;

/// Zones of 4 sectors, of which 3 can be written: one conventional, three sequential, and one of 2 sectors.
pub(super) fn setup() -> ZoneSetup {
    ZoneSetup { capacity_sectors: 3, conventional: 1, ..ZoneSetup::host_managed(4) }
}

pub(super) fn bench(setup: &ZoneSetup) -> Bench {
    Bench::with_features(Disk::with_sectors(18).with_zones(setup), ZONED)
}

pub(super) fn states(bench: &Bench) -> Vec<u8> {
    bench.disk.zones().iter().map(|zone| zone.state).collect()
}

fn manage(bench: &mut Bench, kind: u32, sector: u64) -> u8 {
    bench.ask_well(kind, sector, &[], 0)
}

#[test]
fn a_disk_is_divided_into_zones() {
    let bench = bench(&setup());

    let zones = bench.disk.zones();
    let parts: Vec<_> = zones.iter().map(|zone| (zone.start, zone.sectors, zone.capacity_sectors)).collect();
    assert_eq!(parts, [(0, 4, 4), (4, 4, 3), (8, 4, 3), (12, 4, 3), (16, 2, 2)]);
    let types: Vec<_> = zones.iter().map(|zone| zone.zone_type).collect();
    assert_eq!(types, [1, 2, 2, 2, 2]);
    assert_eq!(states(&bench), [NOT_WRITE_POINTER, EMPTY, EMPTY, EMPTY, EMPTY]);
    assert_eq!((bench.disk.sector(3)[0], bench.disk.sector(4)[0]), (0, UNWRITTEN));
}

/// Spec: §5.2.6 Device Operation, the transitions of each state.
#[test]
fn requests_change_states_as_the_specification_lists_it() {
    const OPEN: u32 = request_type::ZONE_OPEN;
    const CLOSE: u32 = request_type::ZONE_CLOSE;
    const FINISH: u32 = request_type::ZONE_FINISH;
    const RESET: u32 = request_type::ZONE_RESET;
    const RESET_ALL: u32 = request_type::ZONE_RESET_ALL;
    const NO: Option<u8> = None;
    let table = [
        (EMPTY, [Some(EXPLICITLY_OPEN), NO, NO, Some(EMPTY), Some(EMPTY)]),
        (IMPLICITLY_OPEN, [Some(EXPLICITLY_OPEN), Some(CLOSED), Some(FULL), Some(EMPTY), Some(EMPTY)]),
        (EXPLICITLY_OPEN, [Some(EXPLICITLY_OPEN), Some(CLOSED), Some(FULL), Some(EMPTY), Some(EMPTY)]),
        (CLOSED, [Some(EXPLICITLY_OPEN), Some(CLOSED), NO, Some(EMPTY), Some(EMPTY)]),
        (FULL, [NO, NO, Some(FULL), Some(EMPTY), Some(EMPTY)]),
        (READ_ONLY, [NO, NO, NO, NO, Some(READ_ONLY)]),
        (OFFLINE, [NO, NO, NO, NO, Some(OFFLINE)]),
    ];
    for (from, row) in table {
        for (kind, into) in [OPEN, CLOSE, FINISH, RESET, RESET_ALL].into_iter().zip(row) {
            let mut bench = bench(&setup());
            bench.disk.change_zone(1, |zone| {
                zone.state = from;
                zone.write_pointer += u64::from(from != EMPTY);
            });

            let status = manage(&mut bench, kind, if kind == RESET_ALL { 0 } else { 4 });

            let expected = if into.is_some() { status::OK } else { status::ZONE_INVALID_CMD };
            assert_eq!((status, states(&bench)[1]), (expected, into.unwrap_or(from)), "{kind} from {from}");
            let zone = bench.disk.zones()[1];
            assert!(zone.state != EMPTY || zone.write_pointer == 4);
        }
    }
    let mut conventional = bench(&setup());
    for kind in [OPEN, CLOSE, FINISH, RESET] {
        assert_eq!(manage(&mut conventional, kind, 0), status::ZONE_INVALID_CMD);
    }
}

#[test]
fn an_open_zone_without_data_closes_to_empty() {
    let mut bench = bench(&setup());
    assert_eq!(manage(&mut bench, request_type::ZONE_OPEN, 4), status::OK);
    assert_eq!(manage(&mut bench, request_type::ZONE_CLOSE, 4), status::OK);
    assert_eq!(states(&bench)[1], EMPTY);
}

/// Spec: §5.2.6 Device Operation, the limits of open and of active zones.
#[test]
fn limits_close_what_a_write_opened_and_nothing_else() {
    let mut bench = bench(&ZoneSetup { max_open: 1, max_active: 2, ..setup() });
    assert_eq!(bench.ask_well(request_type::OUT, 4, &[1; 512], 512), status::OK);
    assert_eq!(manage(&mut bench, request_type::ZONE_OPEN, 8), status::OK);
    assert_eq!(states(&bench)[1..], [CLOSED, EXPLICITLY_OPEN, EMPTY, EMPTY]);

    assert_eq!(manage(&mut bench, request_type::ZONE_OPEN, 4), status::ZONE_OPEN_RESOURCE);
    assert_eq!(bench.ask_well(request_type::OUT, 5, &[1; 512], 512), status::ZONE_OPEN_RESOURCE);
    assert_eq!(manage(&mut bench, request_type::ZONE_OPEN, 12), status::ZONE_ACTIVE_RESOURCE);
    assert_eq!(bench.ask_well(request_type::OUT, 12, &[1; 512], 512), status::ZONE_ACTIVE_RESOURCE);
    assert_eq!(states(&bench)[1..], [CLOSED, EXPLICITLY_OPEN, EMPTY, EMPTY]);
    assert_eq!((bench.disk.zones()[1].write_pointer, bench.disk.sector(5)[0]), (5, UNWRITTEN));
}

#[test]
fn a_report_has_the_zones_that_fit_from_the_one_around_the_sector_on() {
    let mut bench = bench(&setup());
    bench.ask_well(request_type::OUT, 4, &[1; 512], 512);
    assert_eq!(bench.ask_well(request_type::ZONE_REPORT, 5, &[], 64 + 2 * 64 + 63), status::OK);

    assert_eq!(bench.used()[1].1, 64 + 2 * 64, "the status is not next to it");
    let report = bench.data(0, 192);
    let word = |at: usize| u64::from_le_bytes(report[at..at + 8].try_into().unwrap());
    assert_eq!((word(0), report[8..REPORT_HEADER_BYTES].iter().max()), (2, Some(&0)));
    assert_eq!((word(64), word(72), word(80)), (3, 4, 5));
    assert_eq!(report[88..90], [zone_type::SEQUENTIAL_REQUIRED, IMPLICITLY_OPEN]);
    assert_eq!((word(128), word(136), word(144), report[153]), (3, 8, 8, EMPTY));

    assert_eq!(bench.ask_well(request_type::ZONE_REPORT, 17, &[], 256), status::OK);
    assert_eq!((bench.data(0, 1)[0], bench.used()[2].1), (1, 128));
    bench.ask_well(request_type::ZONE_REPORT, 0, &[], 64);
    assert_eq!((bench.data(0, 1)[0], bench.used()[3].1), (0, 65));
}

/// Spec: §5.2.6.2 Driver Requirements: Device Operation.
#[test]
fn requests_that_name_no_zone_are_driver_errors() {
    for (kind, sector, len, text) in [
        (request_type::ZONE_OPEN, 5, 0, "where no zone starts"),
        (request_type::ZONE_CLOSE, 1, 0, "where no zone starts"),
        (request_type::ZONE_FINISH, 18, 0, "where no zone starts"),
        (request_type::ZONE_RESET, u64::MAX, 0, "where no zone starts"),
        (request_type::ZONE_APPEND, 5, 512, "where no zone starts"),
        (request_type::ZONE_REPORT, 18, 128, "beyond the end"),
        (request_type::ZONE_REPORT, 0, 63, "63 bytes for a zone report"),
    ] {
        let mut bench = bench(&setup());
        let (status, complaint) = bench.ask(kind, sector, &[], len);
        assert_eq!(status, status::ZONE_INVALID_CMD);
        assert!(complaint.as_ref().is_some_and(|said| said.contains(text)), "{complaint:?}: {text}");
    }
    let mut bench = bench(&setup());
    let (status, complaint) = bench.ask(request_type::ZONE_RESET_ALL, 4, &[], 0);
    assert_eq!((status, complaint.unwrap().contains("sector 4, which")), (status::IOERR, true));
    let (status, complaint) = bench.ask(request_type::ZONE_OPEN, 4, &[], 512);
    assert_eq!((status, complaint.unwrap().contains("does not have")), (status::IOERR, true));
}

/// Writes features, and says whether the device is content with them.
fn negotiate(disk: &Disk, accepted: u32) -> (bool, Vec<String>, u32) {
    let device = disk.builder().build();
    let write = |offset, width, value| device.bar_write(STANDARD_BAR, offset, width, value);
    for status in [0, 1, 3] {
        write(0x14, 1, status);
        device.bar_read(STANDARD_BAR, 0x14, 1);
        if status == 0 {
            device.config_write(0x04, 0b110);
        }
    }
    device.config_write(0x04, 0b110);
    device.bar_write(STANDARD_BAR, 0x14, 1, 0);
    device.bar_read(STANDARD_BAR, 0x14, 1);
    let before = device.driver_errors().len();
    for (offset, width, value) in
        [(0x14, 1, 1), (0x14, 1, 3), (0x0c, 4, accepted), (0x08, 4, 1), (0x0c, 4, 1), (0x14, 1, 0x0b)]
    {
        write(offset, width, value);
    }
    let is_content = device.bar_read(STANDARD_BAR, 0x14, 1) & 8 != 0;
    let zone_sectors = device.bar_read(STANDARD_BAR, 0x2048, 4);
    (is_content, device.driver_errors().split_off(before), zone_sectors)
}

/// Spec: §5.2.5.1, §5.2.5.2 Device Initialization.
#[test]
fn a_host_managed_disk_insists_on_zones_and_bears_no_discard() {
    const ZONED: u32 = 1 << 17;
    const DISCARD: u32 = 1 << 13;
    let managed = Disk::with_sectors(8).with_zones(&ZoneSetup::host_managed(4));
    let managed = managed.with_discard(crate::block::RangeLimits::default());
    let aware = Disk::with_sectors(8).with_zones(&ZoneSetup::host_aware(4));

    assert_eq!(negotiate(&managed, ZONED), (true, vec![], 4));
    assert!(!negotiate(&managed, 0).0);
    let (is_content, errors, _) = negotiate(&managed, ZONED | DISCARD);
    assert!(is_content && errors[0].contains("0x2000 accepted, which this device does not bear"));
    assert_eq!(negotiate(&aware, ZONED), (true, vec![], 4));
    assert_eq!(negotiate(&aware, 0), (true, vec![], 0), "what it says of zones is 0 then");
}

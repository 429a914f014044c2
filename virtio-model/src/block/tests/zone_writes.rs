//! Promises of zones: where they can be written and read.

use super::zone_states::{ZONED, bench, setup, states};
use super::{Bench, Disk, SECTOR_BYTES, SLOTS, STATUS_IN_SLOT, request_type, status};
use crate::block::zone_state::{EMPTY, FULL, IMPLICITLY_OPEN, OFFLINE, READ_ONLY};
use crate::block::{RangeLimits, UNWRITTEN, ZoneSetup};

const OK: u8 = status::OK;
const INVALID: u8 = status::ZONE_INVALID_CMD;
const UNALIGNED: u8 = status::ZONE_UNALIGNED_WP;

fn write(bench: &mut Bench, sector: u64, fill: u8) -> u8 {
    bench.ask_well(request_type::OUT, sector, &[fill; SECTOR_BYTES], 512)
}

/// The sector that an append told.
fn appended(bench: &Bench) -> u64 {
    let mut bytes = [0; 8];
    bench.memory.read(SLOTS + STATUS_IN_SLOT - 8, &mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// Spec: §5.2.6.3 Device Requirements: Device Operation.
#[test]
fn a_sequential_zone_is_written_at_its_write_pointer_until_it_is_full() {
    let mut bench = bench(&setup());
    assert_eq!((write(&mut bench, 5, 1), states(&bench)[1]), (UNALIGNED, EMPTY));
    for sector in 4..7 {
        assert_eq!(states(&bench)[1], if sector == 4 { EMPTY } else { IMPLICITLY_OPEN });
        assert_eq!(write(&mut bench, sector, 9), OK);
        assert_eq!(bench.disk.zones()[1].write_pointer, sector + 1);
        assert_eq!(write(&mut bench, 4, 1), if sector == 6 { INVALID } else { UNALIGNED });
    }
    assert_eq!((states(&bench)[1], write(&mut bench, 7, 1)), (FULL, INVALID));
    assert_eq!((bench.disk.sector(6)[0], bench.disk.sector(7)[0]), (9, UNWRITTEN));
    assert_eq!((write(&mut bench, 3, 1), write(&mut bench, 0, 1)), (OK, OK), "conventional: anywhere");

    assert_eq!(bench.ask_well(request_type::ZONE_RESET, 4, &[], 0), OK);
    assert_eq!((bench.disk.sector(4)[0], write(&mut bench, 4, 3)), (UNWRITTEN, OK));
}

#[test]
fn what_lies_in_two_zones_is_neither_read_nor_written() {
    let setup = ZoneSetup { write_granularity: 512, ..setup() };
    let mut bench = bench(&setup);
    bench.disk.change_zone(1, |zone| zone.write_pointer = 6);
    // The slot has room for 768 bytes: two sectors are described one after the other, in the space of the next slot.
    for (kind, sector) in [(request_type::IN, 7), (request_type::IN, 3), (request_type::OUT, 3)] {
        assert_eq!(bench.ask_well(kind, sector, &[], 1024), INVALID);
    }
    assert_eq!(bench.ask_well(request_type::OUT, 6, &[], 1024), INVALID, "past the capacity");
    assert_eq!(bench.ask_well(request_type::IN, 6, &[], 1024), OK, "unwritten, and past the capacity");
    assert_eq!(bench.data(0, 2), [UNWRITTEN; 2]);
}

#[test]
fn a_write_ends_at_a_multiple_of_the_granularity() {
    let mut bench = bench(&ZoneSetup { write_granularity: 1024, capacity_sectors: 4, ..setup() });
    for (sector, len) in [(4, 512), (5, 1024)] {
        let (status, complaint) = bench.ask(request_type::OUT, sector, &[], len);
        assert_eq!((status, complaint.unwrap().contains("no multiple of 1024")), (UNALIGNED, true));
    }
    assert_eq!(bench.ask_well(request_type::OUT, 4, &[], 1024), OK);
    assert_eq!(write(&mut bench, 1, 1), OK, "a conventional zone has none");
}

#[test]
fn zones_that_fail_are_read_only_or_gone() {
    let mut bench = bench(&setup());
    bench.disk.change_zone(1, |zone| zone.state = READ_ONLY);
    bench.disk.change_zone(2, |zone| zone.state = OFFLINE);
    assert_eq!((write(&mut bench, 4, 1), write(&mut bench, 8, 1)), (INVALID, INVALID));
    assert_eq!(bench.ask_well(request_type::IN, 4, &[], 512), OK);
    assert_eq!(bench.ask_well(request_type::IN, 8, &[], 512), INVALID);
    for sector in [4, 8] {
        assert_eq!(bench.ask_well(request_type::ZONE_APPEND, sector, &[1; 512], 512), INVALID);
    }
}

#[test]
fn an_append_goes_to_the_write_pointer_and_tells_where_that_was() {
    let mut bench = bench(&setup());
    for sector in 4..7 {
        assert_eq!(bench.ask_well(request_type::ZONE_APPEND, 4, &[sector; 512], 512), OK);
        assert_eq!((appended(&bench), bench.disk.sector(sector.into())[0]), (sector.into(), sector));
        assert_eq!(bench.used().pop(), Some((0, 9)));
    }
    assert_eq!(bench.ask_well(request_type::ZONE_APPEND, 4, &[1; 512], 512), INVALID, "full");
    assert_eq!(bench.ask_well(request_type::ZONE_APPEND, 0, &[1; 512], 512), INVALID, "conventional");
    bench.disk.change_zone(2, |zone| zone.write_pointer = 10);
    assert_eq!(bench.ask_well(request_type::ZONE_APPEND, 8, &[1; 512], 1024), INVALID, "past the capacity");
    assert_eq!(bench.disk.requests()[0].data_segments(), [512]);
}

/// Spec: §5.2.6.2 Driver Requirements: Device Operation.
#[test]
fn an_append_that_is_too_long_or_odd_is_a_driver_error() {
    for (most, granularity, len, expected, text) in [
        (1, 512, 1024, INVALID, "2 sectors, more than 1"),
        (0, 512, 512, status::UNSUPP, "without appends"),
        (8, 1024, 512, INVALID, "512 bytes, no multiple of 1024"),
        (8, 512, 513, status::IOERR, "no whole number of sectors"),
    ] {
        let mut bench =
            bench(&ZoneSetup { max_append_sectors: most, write_granularity: granularity, ..setup() });
        let (status, complaint) = bench.ask(request_type::ZONE_APPEND, 4, &[], len);
        assert_eq!((status, states(&bench)[1]), (expected, EMPTY));
        assert!(complaint.as_ref().is_some_and(|said| said.contains(text)), "{complaint:?}: {text}");
    }
}

#[test]
fn zones_of_a_host_aware_disk_are_written_anywhere() {
    let mut bench = bench(&ZoneSetup { model: 2, conventional: 0, ..setup() });
    assert_eq!((write(&mut bench, 1, 5), bench.disk.zones()[0].write_pointer), (OK, 2));
    assert_eq!((write(&mut bench, 0, 5), bench.disk.zones()[0].write_pointer), (OK, 2));
    assert_eq!((write(&mut bench, 2, 5), write(&mut bench, 0, 6)), (OK, OK));
    assert_eq!(states(&bench)[0], FULL);
    assert_eq!(bench.ask_well(request_type::OUT, 7, &[], 1024), OK, "two zones at once");
    assert_eq!(bench.ask_well(request_type::ZONE_APPEND, 4, &[], 512), INVALID);
}

/// Spec: §5.2.6.3 Device Requirements: Device Operation — erasing is like resetting.
#[test]
fn erasing_zones_resets_them() {
    let limits = RangeLimits { alignment_sectors: 4, ..RangeLimits::default() };
    let range = |sector: u64, count: u8| [&sector.to_le_bytes()[..], &[count, 0, 0, 0, 0, 0, 0, 0]].concat();
    let disk = Disk::with_sectors(18).with_zones(&setup()).with_secure_erase(limits);
    let mut bench = Bench::with_features(disk.with_write_zeroes(limits, false), ZONED | 1 << 16 | 1 << 14);
    write(&mut bench, 4, 1);
    write(&mut bench, 16, 1);

    for (kind, sector, count) in [(request_type::SECURE_ERASE, 0, 4), (request_type::WRITE_ZEROES, 8, 1)] {
        assert_eq!(bench.ask_well(kind, 0, &range(sector, count), 16), INVALID);
    }
    assert_eq!(bench.ask_well(request_type::SECURE_ERASE, 0, &range(4, 14), 16), OK);
    assert_eq!((states(&bench)[1], states(&bench)[4], bench.disk.sector(4)[0]), (EMPTY, EMPTY, UNWRITTEN));
    for (sector, count) in [(4, 3), (5, 3), (4, 5)] {
        let (status, complaint) = bench.ask(request_type::SECURE_ERASE, 0, &range(sector, count), 16);
        assert_eq!((status, complaint.unwrap().contains("no whole zones")), (INVALID, true));
    }
}

//! Promises of requests that carry ranges of sectors, and of the lifetime.

use super::{Bench, Disk, SECTOR_BYTES, request_type, status};
use crate::block::{DISCARDED, ERASED, RangeLimits, SectorRange};
use crate::pci::STANDARD_BAR;

const DISCARD: u32 = 13;
const LIFETIME: u32 = 15;
const ALL: u128 = 1 << DISCARD | 1 << 14 | 1 << LIFETIME | 1 << 16;
const LIMITS: RangeLimits = RangeLimits { sectors_max: 4, ranges_max: 2, alignment_sectors: 1 };

fn disk() -> Disk {
    let disk = Disk::with_contents(vec![7; 16 * SECTOR_BYTES]).with_lifetime(1, 2, 3);
    disk.with_discard(LIMITS).with_write_zeroes(LIMITS, true).with_secure_erase(LIMITS)
}

fn range(sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
    [&sector.to_le_bytes()[..], &sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
}

fn ask(bench: &mut Bench, kind: u32, sector: u64, data: &[u8]) -> (u8, Option<String>) {
    bench.ask(kind, sector, data, data.len().try_into().unwrap())
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn each_request_does_its_own_to_its_ranges() {
    for (kind, flags, byte) in [
        (request_type::DISCARD, 0, DISCARDED),
        (request_type::WRITE_ZEROES, 0, 0),
        (request_type::WRITE_ZEROES, 1, 0),
        (request_type::SECURE_ERASE, 0, ERASED),
    ] {
        let mut bench = Bench::with_features(disk(), ALL);

        let answer = ask(&mut bench, kind, 0, &[range(1, 4, flags), range(15, 1, flags)].concat());

        assert_eq!(answer, (status::OK, None));
        for sector in 0..16 {
            let expected = if matches!(sector, 1..5 | 15) { byte } else { 7 };
            assert_eq!(bench.disk.sector(sector), [expected; SECTOR_BYTES]);
        }
        let seen = bench.disk.requests().remove(0).ranges;
        assert_eq!(seen[1], SectorRange { sector: 15, sectors: 1, flags });
    }
}

/// Spec: §5.2.6.2 Driver Requirements: Device Operation.
#[test]
fn ranges_that_are_not_in_order_are_driver_errors() {
    let all = [request_type::DISCARD, request_type::WRITE_ZEROES, request_type::SECURE_ERASE];
    let unmap = [request_type::DISCARD, request_type::SECURE_ERASE];
    let one = || range(0, 1, 0);
    for (kinds, sector, data, expected, text) in [
        (&all[..], 0, one()[..15].to_vec(), status::IOERR, "15 bytes of data are no whole number of ranges"),
        (&all, 0, Vec::new(), status::IOERR, "0 bytes of data are no whole"),
        (&all, 1, one(), status::IOERR, "sector 1, which request type"),
        (&all, 0, [one(), one(), one()].concat(), status::IOERR, "3 ranges, more than the 2"),
        (&all, 0, range(0, 5, 0), status::IOERR, "5 sectors, more than the 4"),
        (&all, 0, range(0, 0, 0), status::IOERR, "a range of no sectors"),
        (&all, 0, range(15, 2, 0), status::IOERR, "2 sectors at 15 are beyond the end"),
        (&all, 0, range(u64::MAX, 2, 0), status::IOERR, "beyond the end"),
        (&all, 0, range(0, 1, 2), status::UNSUPP, "flags 0x2"),
        (&all, 0, [one(), range(0, 1, 1 << 31)].concat(), status::UNSUPP, "flags 0x80000000"),
        (&unmap, 0, range(0, 1, 1), status::UNSUPP, "flags 0x1"),
    ] {
        for kind in kinds {
            let mut bench = Bench::with_features(disk(), ALL);

            let (status, complaint) = ask(&mut bench, *kind, sector, &data);

            assert!(complaint.as_ref().is_some_and(|said| said.contains(text)), "{complaint:?}: {text}");
            assert_eq!((status, bench.disk.contents()), (expected, vec![7; 16 * SECTOR_BYTES]));
            assert_eq!(bench.device.driver_errors().len(), 1);
        }
    }
}

#[test]
fn limits_of_zero_are_no_limit_of_sectors_and_one_range() {
    let mut bench = Bench::with_features(disk().with_discard(RangeLimits::default()), ALL);

    assert_eq!(ask(&mut bench, request_type::DISCARD, 0, &range(0, 16, 0)), (status::OK, None));
    let two = [range(0, 1, 0), range(2, 1, 0)].concat();
    assert_eq!(ask(&mut bench, request_type::DISCARD, 0, &two).0, status::IOERR);
}

#[test]
fn what_was_not_agreed_on_is_not_supported() {
    for kind in [10, 11, 13, 14, 15, 16, 18, 20, 22, 24, 26] {
        let mut bench = Bench::new(disk());
        let data_len = if kind == 10 { 6 } else { u32::from(matches!(kind, 11..=16)) * 16 };

        let (status, complaint) = bench.ask(kind, 0, &range(0, 1, 0), data_len);

        assert_eq!(status, status::UNSUPP);
        assert!(complaint.unwrap().contains("without feature"));
    }
}

#[test]
fn a_read_only_disk_changes_no_range() {
    for kind in [request_type::DISCARD, request_type::WRITE_ZEROES, request_type::SECURE_ERASE] {
        let mut bench = Bench::with_features(disk().read_only(), ALL);

        assert_eq!(ask(&mut bench, kind, 0, &range(0, 1, 0)), (status::IOERR, None));
        assert_eq!(bench.disk.sector(0), [7; SECTOR_BYTES]);
    }
}

#[test]
fn the_lifetime_is_told_and_asked_for_with_six_bytes() {
    let mut bench = Bench::with_features(disk(), ALL);

    assert_eq!(bench.ask_well(request_type::GET_LIFETIME, 0, &[], 6), status::OK);
    assert_eq!(bench.data(0, 6), [1, 0, 2, 0, 3, 0]);
    assert_eq!(bench.used(), [(0, 7)]);
    for (sector, len, text) in [(0, 5, "5 bytes for the lifetime"), (1, 6, "sector 1, which")] {
        let (status, complaint) = bench.ask(request_type::GET_LIFETIME, sector, &[], len);
        assert_eq!(status, status::IOERR);
        assert!(complaint.unwrap().contains(text));
    }
}

/// Spec: §5.2.4 Device configuration layout, §2.5.1 Driver Requirements: Device Configuration Space.
#[test]
fn a_field_is_read_only_if_its_feature_is_offered() {
    let bench = Bench::with_features(disk(), 0);
    let read = |at: u64| bench.device.bar_read(STANDARD_BAR, 0x2000 + at, 4);

    assert_eq!((read(0x24), read(0x34)), (4, 2));
    bench.device.assert_driver_was_correct();
    read(0x48);
    assert!(bench.device.driver_errors()[0].contains("feature 17 is not offered"));
}

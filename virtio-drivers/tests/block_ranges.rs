//! Discard, write zeroes, secure erase, lifetime: what each does at each level, and how long ranges are cut.
//!
//! Spec: §5.2.6 Device Operation, §5.2.4 (`max_discard_sectors` and its like).
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]
#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::levels::{Ask, Got, Level, LevelBench, range};
use support::tasks::TaskBench;
use virtio_guest::device::block::{Lifetime, RequestError, ReservedBlocks, Sector, SectorRange, Unmap};
use virtio_model::Disk;
use virtio_model::block::{DISCARDED, ERASED, RangeLimits, SECTOR_BYTES, WrittenLen, request_type, status};

const SECTORS: u64 = 64;
const SIZE_MAX: u128 = 1 << 1;
const SEG_MAX: u128 = 1 << 2;
/// What the disks hold at first.
const FILL: u8 = 7;

const fn limits(sectors_max: u32, ranges_max: u32, alignment_sectors: u32) -> RangeLimits {
    RangeLimits { sectors_max, ranges_max, alignment_sectors }
}

fn plain() -> Disk {
    Disk::with_contents(vec![FILL; SECTORS as usize * SECTOR_BYTES])
}

fn disk(limits: RangeLimits) -> Disk {
    plain()
        .with_discard(limits)
        .with_write_zeroes(limits, true)
        .with_secure_erase(limits)
        .with_lifetime(1, 5, 11)
}

/// Each of the requests, with the type that the device sees, the flags, and what is read afterwards.
fn kinds(range: SectorRange) -> [(Ask, u32, u32, u8); 4] {
    [
        (Ask::Discard(range), request_type::DISCARD, 0, DISCARDED),
        (Ask::WriteZeroes(range, Unmap::Allowed), request_type::WRITE_ZEROES, 1, 0),
        (Ask::WriteZeroes(range, Unmap::Forbidden), request_type::WRITE_ZEROES, 0, 0),
        (Ask::SecureErase(range), request_type::SECURE_ERASE, 0, ERASED),
    ]
}

/// The contents of a disk on which these sectors were changed.
fn changed(range: SectorRange, byte: u8) -> Vec<u8> {
    let mut contents = vec![FILL; SECTORS as usize * SECTOR_BYTES];
    let start = range.first.0 as usize * SECTOR_BYTES;
    contents[start..][..range.sectors as usize * SECTOR_BYTES].fill(byte);
    contents
}

#[test]
fn each_call_does_its_own_to_its_range_and_nothing_else() {
    let whole = range(3, 50);
    for (ask, kind, flags, byte) in kinds(whole) {
        for mut bench in LevelBench::each(|| disk(limits(64, 1, 1))) {
            assert_eq!(bench.ask(ask), Ok(Got::Nothing));

            let seen = bench.disk().requests();
            assert_eq!((seen.len(), seen[0].request_type, seen[0].sector), (1, kind, 0));
            let sent: Vec<_> = seen[0].ranges.iter().map(|it| (it.sector, it.sectors, it.flags)).collect();
            assert_eq!((sent, bench.disk().contents()), (vec![(3, 50, flags)], changed(whole, byte)));
            bench.finish();
        }
    }
}

/// The model complains of every request beyond its limits, so that is all that is to be seen.
#[test]
fn a_long_range_is_cut_to_what_the_device_takes_at_a_time() {
    let odd = [1, 2, 3, 7, 63, 64, u32::MAX];
    for sectors_max in if cfg!(miri) { &odd[3..5] } else { &odd[..] } {
        for (ranges_max, alignment) in [(1, 1), (3, 2), (5, 48), (u32::MAX, u32::MAX), (0, 0)] {
            let limits = limits(*sectors_max, ranges_max, alignment);
            let whole = range(1, 61);
            let bench = LevelBench::at(&[Level::Blocking, Level::Task], || disk(limits));
            for mut bench in bench {
                assert_eq!(bench.ask(Ask::Discard(whole)), Ok(Got::Nothing));

                let mut at = 1;
                for request in bench.disk().requests() {
                    assert!(request.ranges.len() <= ranges_max.max(1) as usize);
                    for piece in request.ranges {
                        assert_eq!(piece.sector, at, "one after the other");
                        at += u64::from(piece.sectors);
                    }
                }
                assert_eq!((at, bench.disk().contents()), (62, changed(whole, DISCARDED)), "{limits:?}");
                bench.finish();
            }
            if cfg!(miri) {
                break;
            }
        }
    }
}

#[test]
fn zeros_in_the_configuration_are_no_limit_of_sectors_and_one_range() {
    for mut bench in LevelBench::each(|| disk(limits(0, 0, 0))) {
        for (ask, ..) in kinds(range(0, SECTORS)) {
            assert_eq!(bench.ask(ask), Ok(Got::Nothing));
        }
        assert_eq!(bench.disk().requests().len(), 4);
        bench.finish();
    }
}

#[test]
fn a_range_is_cut_where_the_device_likes_it() {
    for mut bench in LevelBench::at(&[Level::Blocking, Level::Task], || disk(limits(20, 1, 8))) {
        bench.ask(Ask::SecureErase(range(3, 50))).unwrap();
        let pieces = bench
            .disk()
            .requests()
            .into_iter()
            .map(|request| (request.ranges[0].sector, request.ranges[0].sectors));
        assert_eq!(pieces.collect::<Vec<_>>(), [(3, 13), (16, 16), (32, 16), (48, 5)]);
        bench.finish();
    }
}

#[test]
fn ranges_that_are_not_on_the_disk_are_refused_before_the_device_is_asked() {
    for mut bench in LevelBench::each(|| disk(limits(16, 1, 1))) {
        for (first, sectors) in
            [(SECTORS, 1), (SECTORS - 1, 2), (0, u64::MAX), (u64::MAX, 1), (u64::MAX, u64::MAX)]
        {
            let capacity_sectors = SECTORS;
            for (ask, ..) in kinds(range(first, sectors)) {
                let expected = RequestError::OutOfRange { sector: first, sectors, capacity_sectors };
                assert_eq!(bench.refusal(ask), expected);
            }
        }
        for (ask, ..) in kinds(range(5, 0)) {
            assert_eq!(bench.refusal(ask), RequestError::Empty);
        }
        bench.finish();
    }
}

#[test]
fn what_a_disk_does_not_offer_or_bear_is_refused_before_the_device_is_asked() {
    for mut bench in LevelBench::each(plain) {
        for (ask, ..) in kinds(range(0, 1)) {
            assert_eq!(bench.refusal(ask), RequestError::Unsupported);
        }
        assert_eq!(bench.refusal(Ask::Lifetime), RequestError::Unsupported);
        bench.finish();
    }
    for mut bench in LevelBench::each(|| disk(limits(16, 1, 1)).read_only()) {
        for (ask, ..) in kinds(range(0, 1)) {
            assert_eq!(bench.refusal(ask), RequestError::ReadOnly);
        }
        assert!(bench.ask(Ask::Lifetime).is_ok());
        bench.finish();
    }
}

/// Spec: §5.2.6.1 — each kind of request has a limit of its own.
#[test]
fn a_request_has_as_many_ranges_as_the_disk_takes_of_its_kind() {
    let each_its_own = || {
        let disk = plain().with_discard(limits(4, 3, 1)).with_write_zeroes(limits(4, 2, 1), true);
        disk.with_secure_erase(limits(4, 1, 1))
    };
    for mut bench in LevelBench::at(&[Level::Blocking], each_its_own) {
        for ((ask, kind, ..), most) in kinds(range(0, 24)).into_iter().zip([3, 2, 2, 1]) {
            let before = bench.disk().requests().len();
            assert_eq!(bench.ask(ask), Ok(Got::Nothing));
            let sent = bench.disk().requests().split_off(before);
            assert!(sent.iter().all(|request| request.request_type == kind && request.ranges.len() == most));
            assert_eq!(sent.len() * most, 6);
        }
        bench.finish();
    }
    for mut bench in LevelBench::at(&[Level::Burst], each_its_own) {
        let (queue, ranges) = (bench.queue(), [0, 4, 8, 12].map(|first| range(first, 4)));
        let too_many = |most| Err(RequestError::TooManyRanges { ranges: most + 1, ranges_max: most });
        assert_eq!(queue.submit_discard(&ranges), too_many(3));
        assert_eq!(queue.submit_write_zeroes(&ranges[1..], Unmap::Allowed), too_many(2));
        assert_eq!(queue.submit_secure_erase(&ranges[2..]), too_many(1));
        bench.finish();
    }
}

/// A burst says itself how its ranges are cut.
#[test]
fn a_burst_has_no_more_ranges_and_none_longer_than_the_device_takes() {
    for mut bench in LevelBench::at(&[Level::Burst], || disk(limits(4, 3, 1))) {
        let four = [range(0, 4), range(8, 4), range(16, 1), range(20, 1)];
        let queue = bench.queue();
        assert_eq!(queue.submit_discard(&[]), Err(RequestError::Empty));
        assert_eq!(
            queue.submit_discard(&four),
            Err(RequestError::TooManyRanges { ranges: 4, ranges_max: 3 })
        );
        let long = [range(0, 4), range(8, 5)];
        assert_eq!(
            queue.submit_secure_erase(&long),
            Err(RequestError::TooManySectors { sectors: 5, sectors_max: 4 })
        );
        queue.submit_write_zeroes(&four[..3], Unmap::Forbidden).unwrap();
        queue.publish();
        assert_eq!(bench.bench.disk.serve(&bench.bench.device, &bench.bench.hal.space), 1);
        assert_eq!(bench.queue().next_completion().unwrap().unwrap().result, Ok(()));
        assert_eq!(bench.disk().requests()[0].ranges.len(), 3);
        bench.finish();
    }
}

/// Where there are no zones, statuses about zones mean nothing.
#[test]
fn every_status_is_what_it_is() {
    for mut bench in LevelBench::each(|| disk(limits(64, 1, 1))) {
        for byte in (0..=u8::MAX).filter(|byte| !cfg!(miri) || *byte < 4 || *byte > 254) {
            bench.disk().misbehave(|lies| lies.status = Some(byte));
            let expected = match byte {
                status::OK => Ok(Got::Nothing),
                status::IOERR => Err(RequestError::Device),
                status::UNSUPP => Err(RequestError::Unsupported),
                255 => Err(RequestError::NoStatus),
                status => Err(RequestError::UnknownStatus { status }),
            };
            for (ask, ..) in kinds(range(0, 64)) {
                assert_eq!(bench.ask(ask), expected, "{ask:?}");
            }
            assert_eq!(bench.ask(Ask::Lifetime).map(|_| Got::Nothing), expected);
        }
        bench.disk().misbehave(|lies| (lies.status, lies.skips_status) = (None, true));
        for (ask, ..) in kinds(range(0, 64)) {
            bench.disk().misbehave(|lies| lies.written = WrittenLen::Exactly(1));
            assert_eq!(bench.ask(ask), Err(RequestError::NoStatus));
        }
        bench.finish();
    }
}

#[test]
fn a_call_ends_with_the_first_piece_that_fails() {
    for mut bench in LevelBench::at(&[Level::Blocking, Level::Task], || disk(limits(4, 1, 1))) {
        bench.disk().fail_nth(3, status::IOERR);
        assert_eq!(bench.ask(Ask::Discard(range(0, 40))), Err(RequestError::Device));
        assert_eq!(
            (bench.disk().requests().len(), bench.disk().contents()),
            (3, changed(range(0, 8), DISCARDED))
        );
        assert_eq!(bench.ask(Ask::Discard(range(0, 40))), Ok(Got::Nothing), "and the next one goes on");
        bench.finish();
    }
}

/// Spec: §5.2.6.1 — of a request that failed, nothing is known of any of its ranges: it is one failure, and whoever asks again asks for all of them.
#[test]
fn a_request_of_several_ranges_fails_as_one_and_is_asked_for_again_as_one() {
    for mut bench in LevelBench::at(&[Level::Blocking], || disk(limits(4, 3, 1))) {
        for ask in [Ask::Discard(range(0, 12)), Ask::WriteZeroes(range(0, 12), Unmap::Forbidden)] {
            let before = bench.disk().requests().len();
            bench.disk().fail_nth(1, status::IOERR);
            assert_eq!(bench.ask(ask), Err(RequestError::Device));

            assert_eq!(bench.ask(ask), Ok(Got::Nothing));

            let seen = bench.disk().requests().split_off(before);
            let firsts = |at: usize| seen[at].ranges.iter().map(|it| it.sector).collect::<Vec<_>>();
            assert_eq!((seen.len(), firsts(0), firsts(1)), (2, vec![0, 4, 8], vec![0, 4, 8]));
        }
        bench.finish();
    }
}

/// Spec: §5.2.6.1 — what a discarded range holds is the disk's to say.
#[test]
fn what_is_read_of_a_discarded_range_is_what_the_disk_says() {
    for mut bench in LevelBench::each(|| disk(limits(64, 1, 1))) {
        assert_eq!(bench.ask(Ask::Discard(range(3, 2))), Ok(Got::Nothing));

        let read = bench.ask(Ask::Read(Sector(2), 4 * SECTOR_BYTES));

        let expected = [FILL, DISCARDED, DISCARDED, FILL].map(|byte| [byte; SECTOR_BYTES]).concat();
        assert_eq!(read, Ok(Got::Bytes(expected)));
        bench.finish();
    }
}

/// Spec: §2.7.8.1 — where only a status is written, it tells all that there is to tell.
#[test]
fn an_answer_has_to_be_all_there() {
    for mut bench in LevelBench::each(|| disk(limits(64, 1, 1))) {
        bench.disk().misbehave(|lies| lies.written = WrittenLen::Exactly(0));
        for (ask, ..) in kinds(range(0, 1)) {
            assert_eq!(bench.ask(ask), Ok(Got::Nothing));
        }
        for (written_bytes, is_enough) in [(0, false), (6, false), (7, true)] {
            bench.disk().misbehave(|lies| lies.written = WrittenLen::Exactly(written_bytes));
            let short = Err(RequestError::Short { written_bytes, expected_bytes: 7 });
            let got = bench.ask(Ask::Lifetime).map(|_| Got::Nothing);
            assert_eq!(got, if is_enough { Ok(Got::Nothing) } else { short });
        }
        bench.finish();
    }
}

#[test]
fn a_lifetime_says_what_the_device_says_and_nothing_where_that_is_reserved() {
    for mut bench in LevelBench::each(|| disk(limits(1, 1, 1))) {
        let said = Lifetime {
            reserved_blocks: Some(ReservedBlocks::Normal),
            single_level_cells: Some(5),
            multi_level_cells: Some(11),
        };
        assert_eq!(bench.ask(Ask::Lifetime), Ok(Got::Lifetime(said)));
        let none = Lifetime { reserved_blocks: None, single_level_cells: None, multi_level_cells: None };
        for nonsense in [[0, 0, 0, 0, 0, 0], [4, 0, 12, 0, 1, 1], [255; 6], [1, 128, 0, 1, 0, 255]] {
            bench.disk().misbehave(|lies| lies.answer = Some(nonsense.to_vec()));
            assert_eq!(bench.ask(Ask::Lifetime), Ok(Got::Lifetime(none)));
        }
        for (value, blocks) in [(2, ReservedBlocks::Warning), (3, ReservedBlocks::Urgent)] {
            bench.disk().misbehave(|lies| lies.answer = Some(vec![value, 0, 0, 0, 0, 0]));
            let expected = Lifetime { reserved_blocks: Some(blocks), ..none };
            assert_eq!(bench.ask(Ask::Lifetime), Ok(Got::Lifetime(expected)));
        }
        bench.finish();
    }
}

/// A shape is a plain value: what a caller puts into it may be refused, and is never told of as done.
#[test]
fn limits_that_no_disk_has_are_survived() {
    for mut bench in LevelBench::at(&[Level::Blocking], || disk(limits(64, 4, 1))) {
        for (sectors_max, ranges_max, alignment_sectors) in [(64, 4, 0), (64, 0, 1), (0, 4, 1), (0, 0, 0)] {
            let mut shape = bench.control().shape();
            let odd = virtio_guest::device::block::RangeLimits { sectors_max, ranges_max, alignment_sectors };
            shape.secure_erase = Some(odd);
            bench.queue().set_shape(shape);
            let erased = bench.ask(Ask::SecureErase(range(0, 8)));
            assert_eq!(erased.is_ok(), sectors_max > 0, "{odd:?}: {erased:?}");
        }
        assert_eq!(bench.disk().requests().len(), 2);
        bench.finish();
    }
}

/// Spec: §5.2.4 `size_max` — the ranges of a burst's request are one segment.
#[test]
fn ranges_fit_into_a_segment_that_the_device_takes() {
    let small = || disk(limits(64, 5, 1)).with_config(|config| (config.size_max, config.seg_max) = (40, 20));
    let ring = SIZE_MAX | SEG_MAX | disk(limits(64, 5, 1)).features();
    let mut bench = LevelBench::new(Level::Burst, TaskBench::of(small(), ring));
    let three = [range(0, 1), range(2, 1), range(4, 1)];
    let refused = bench.queue().submit_discard(&three);
    assert_eq!(refused, Err(RequestError::TooManyRanges { ranges: 3, ranges_max: 2 }));
    bench.queue().submit_discard(&three[..2]).unwrap();
    bench.queue().publish();
    bench.bench.disk.serve(&bench.bench.device, &bench.bench.hal.space);
    assert_eq!(bench.queue().next_completion().unwrap().unwrap().result, Ok(()));
    bench.finish();
}

//! What the block driver promises.
//!
//! Spec: §5.2 Block Device.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::DiskBench;
use virtio_guest::device::block::{RequestError, Sector, Slots, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{ConfigError, ResetError};
use virtio_guest::ring::Broken;
use virtio_model::block::{DiskMisbehaviour, Order, WrittenLen};

const ROUNDS: usize = 50;

#[test]
fn sectors_are_read_as_they_are_and_written_where_they_belong() {
    for indirect in [true, false] {
        let bench = DiskBench::new(|config| config.indirect = indirect);
        let mut storage = Storage::<16>::new();
        let mut disk = bench.start(&mut storage).unwrap();
        assert_eq!((disk.capacity_sectors(), disk.is_read_only()), (64, false));

        let mut read = [0; 3 * 512];
        disk.read_blocking(Sector(5), &mut read, bench.working(ROUNDS)).unwrap();
        assert_eq!((read[0], read[512], read[1535]), (5, 6, 7));

        disk.write_blocking(Sector(9), &[0xaa; 1024], bench.working(ROUNDS)).unwrap();
        disk.flush_blocking(bench.working(ROUNDS)).unwrap();
        assert_eq!(bench.disk.contents()[9 * 512..11 * 512], [0xaa; 1024]);
        assert_eq!((bench.disk.contents()[8 * 512 + 511], bench.disk.contents()[11 * 512]), (8, 11));
        assert_eq!(disk.device_id_blocking(bench.working(ROUNDS)).unwrap().as_bytes(), b"model-disk");

        disk.close(Attempts(10)).unwrap();
        bench.assert_all_returned();
    }
}

/// Spec: §5.2.6 — header, data, status; types IN 0, OUT 1, FLUSH 4 (at sector 0), GET_ID 8.
#[test]
fn requests_are_framed_as_header_data_and_status() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    disk.read_blocking(Sector(1), &mut [0; 512], bench.working(ROUNDS)).unwrap();
    disk.write_blocking(Sector(2), &[0; 1024], bench.working(ROUNDS)).unwrap();
    disk.flush_blocking(bench.working(ROUNDS)).unwrap();
    disk.device_id_blocking(bench.working(ROUNDS)).unwrap();

    let seen: Vec<_> = bench
        .disk
        .requests()
        .into_iter()
        .map(|request| (request.request_type, request.sector, request.readable_lens, request.writable_lens))
        .collect();
    let expected = [
        (0, 1, vec![16], vec![512, 1]),
        (1, 2, vec![16, 1024], vec![1]),
        (4, 0, vec![16], vec![1]),
        (8, 0, vec![16], vec![20, 1]),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn scattered_pieces_are_one_transfer() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    let (mut one, mut two, mut three) = ([0; 100], [0; 2000], [0; 1484]);

    disk.read_vectored_blocking(
        Sector(1),
        &mut [&mut one, &mut [], &mut two, &mut three],
        bench.working(ROUNDS),
    )
    .unwrap();
    let read = [&one[..], &two, &three].concat();
    let expected: Vec<u8> = (1..8u8).flat_map(|sector| [sector; 512]).collect();
    assert_eq!(read, expected);

    disk.write_vectored_blocking(
        Sector(20),
        &[&read[..700], &read[700..701], &read[701..]],
        bench.working(ROUNDS),
    )
    .unwrap();
    assert_eq!(bench.disk.contents()[20 * 512..27 * 512], expected);
}

/// Long transfers go out together: several requests, one notification.
#[test]
fn a_long_transfer_is_a_burst_with_one_notification() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    let mut read = [0; 32 * 512];

    disk.read_blocking(Sector(0), &mut read, bench.working(ROUNDS)).unwrap();

    assert_eq!(bench.disk.requests().len(), 8, "2048 bytes each");
    assert_eq!(bench.device.notifications(0), 1);
    let statistics = disk.statistics();
    assert_eq!((statistics.chains, statistics.notifications_sent), (8, 1));
}

#[test]
fn requests_that_complete_out_of_order_get_their_own_data() {
    for indirect in [true, false] {
        let bench = DiskBench::new(|config| config.indirect = indirect);
        bench.disk.complete_in(Order::Reverse);
        let mut storage = Storage::<16>::new();
        let mut disk = bench.start(&mut storage).unwrap();
        let mut read = vec![0; 64 * 512];

        disk.read_blocking(Sector(0), &mut read, bench.working(ROUNDS)).unwrap();

        assert_eq!(read[..], bench.disk.contents()[..]);
    }
}

#[test]
fn bad_requests_are_refused_before_the_device_is_asked() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    let out_of_range =
        |sector, sectors| Err(RequestError::OutOfRange { sector, sectors, capacity_sectors: 64 });

    assert_eq!(disk.read_blocking(Sector(0), &mut [], Attempts(1)), Err(RequestError::Empty));
    assert_eq!(disk.read_vectored_blocking(Sector(0), &mut [], Attempts(1)), Err(RequestError::Empty));
    assert_eq!(
        disk.read_blocking(Sector(0), &mut [0; 511], Attempts(1)),
        Err(RequestError::NotWholeSectors { bytes: 511 })
    );
    assert_eq!(
        disk.write_blocking(Sector(0), &[0; 513], Attempts(1)),
        Err(RequestError::NotWholeSectors { bytes: 513 })
    );
    assert_eq!(disk.read_blocking(Sector(64), &mut [0; 512], Attempts(1)), out_of_range(64, 1));
    assert_eq!(disk.write_blocking(Sector(63), &[0; 1024], Attempts(1)), out_of_range(63, 2));
    assert_eq!(disk.read_blocking(Sector(u64::MAX), &mut [0; 512], Attempts(1)), out_of_range(u64::MAX, 1));

    bench.serve();
    assert!(bench.disk.requests().is_empty());
    assert_eq!(bench.device.notifications(0), 0);
}

#[test]
fn a_read_only_disk_is_not_asked_to_write() {
    let bench = DiskBench::new(|config| config.read_only = true);
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();

    assert!(disk.is_read_only());
    assert_eq!(disk.write_blocking(Sector(0), &[0; 512], Attempts(1)), Err(RequestError::ReadOnly));
    disk.read_blocking(Sector(0), &mut [0; 512], bench.working(ROUNDS)).unwrap();
    assert!(bench.disk.requests().iter().all(|request| request.request_type == 0));
}

/// Spec: §5.2.6.2 — flush is sent only if it was agreed on.
#[test]
fn a_disk_without_flush_is_not_asked_to_flush() {
    let bench = DiskBench::new(|config| config.flush = false);
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();

    assert_eq!(disk.flush_blocking(Attempts(1)), Ok(()));

    bench.serve();
    assert!(bench.disk.requests().is_empty());
}

fn read_with(lie: impl FnOnce(&mut DiskMisbehaviour)) -> Result<(), RequestError> {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    // Fills the bounce buffer with something that must not be taken for data.
    disk.write_blocking(Sector(0), &[0x5a; 512], bench.working(ROUNDS)).unwrap();
    bench.disk.misbehave(lie);
    let result = disk.read_blocking(Sector(1), &mut [0; 512], bench.working(ROUNDS));

    bench.disk.misbehave(|lies| *lies = DiskMisbehaviour::default());
    if !matches!(result, Err(RequestError::Broken(_))) {
        disk.read_blocking(Sector(1), &mut [0; 512], bench.working(ROUNDS))
            .expect("the next request is served");
    }
    disk.close(Attempts(10)).unwrap();
    bench.assert_all_returned();
    result
}

#[test]
fn a_request_returned_without_a_status_is_an_error_never_a_stale_success() {
    assert_eq!(read_with(|lies| lies.skips_status = true), Err(RequestError::NoStatus));
}

#[test]
fn every_status_means_what_it_says() {
    let with = |status| read_with(|lies| lies.status = Some(status));
    assert_eq!(with(0), Ok(()));
    assert_eq!(with(1), Err(RequestError::Device));
    assert_eq!(with(2), Err(RequestError::Unsupported));
    let unknown: &[u8] = if cfg!(miri) { &[3, 254] } else { &[3, 4, 5, 6, 7, 100, 200, 254] };
    for &status in unknown {
        assert_eq!(with(status), Err(RequestError::UnknownStatus { status }));
    }
    assert_eq!(with(255), Err(RequestError::NoStatus));
}

#[test]
fn bytes_that_the_device_did_not_write_are_not_taken_for_data() {
    let short = read_with(|lies| lies.written = WrittenLen::Less(100));

    assert_eq!(short, Err(RequestError::Short { written_bytes: 413, expected_bytes: 513 }));
}

#[test]
fn a_lie_about_the_request_breaks_the_queue_and_a_new_start_mends_it() {
    let result = read_with(|lies| lies.used_id = Some(77));

    assert_eq!(result, Err(RequestError::Broken(Broken::UnknownChain { id: 77 })));
}

/// The caller's buffer is free when the call returns; the late answer goes nowhere, and its slot serves again.
#[test]
fn a_call_that_gave_up_leaves_the_next_call_its_own_answer() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    bench.disk.hold();
    let mut abandoned = [0xee; 512];
    assert_eq!(disk.read_blocking(Sector(1), &mut abandoned, bench.working(3)), Err(RequestError::TimedOut));

    bench.disk.release_all();
    let mut read = [0; 512];
    disk.read_blocking(Sector(2), &mut read, bench.working(ROUNDS)).unwrap();

    assert_eq!((abandoned, read), ([0xee; 512], [2; 512]));
    disk.close(Attempts(10)).unwrap();
    bench.assert_all_returned();
}

#[test]
fn a_device_that_never_answers_ends_every_call_and_gives_all_slots_back_after_a_reset() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    bench.disk.hold();
    for _ in 0..40 {
        assert_eq!(
            disk.read_blocking(Sector(0), &mut [0; 4096], bench.working(2)),
            Err(RequestError::TimedOut)
        );
    }
    drop(disk);
    bench.assert_all_returned();

    bench.disk.release_all();
    let mut disk = bench.start(&mut storage).unwrap();
    disk.read_blocking(Sector(3), &mut [0; 512], bench.working(ROUNDS)).unwrap();
}

#[test]
fn a_device_that_needs_a_reset_says_so_and_can_be_started_again() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    bench.device.set_needs_reset();
    assert_eq!(disk.read_blocking(Sector(0), &mut [0; 512], bench.working(3)), Err(RequestError::NeedsReset));

    disk.close(Attempts(10)).unwrap();
    let mut disk = bench.start(&mut storage).unwrap();

    disk.read_blocking(Sector(0), &mut [0; 512], bench.working(ROUNDS)).unwrap();
    drop(disk);
    bench.assert_all_returned();
}

#[test]
fn what_a_driver_keeps_may_be_on_the_heap_and_is_used_again() {
    let bench = DiskBench::new(|_| {});
    let mut slots = Slots::allocate(16);
    for _ in 0..2 {
        let mut disk = bench.start(slots).unwrap();
        assert_eq!(disk.active_paths().queue_size, 16);
        disk.read_blocking(Sector(0), &mut [0; 512], bench.working(ROUNDS)).unwrap();
        slots = disk.close(Attempts(10)).unwrap().storage;
    }
    bench.assert_all_returned();
}

/// Surprise removal: errors, no hang, and memory that the device might still know stays lent.
#[test]
fn a_device_that_is_gone_ends_every_call_with_an_error() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    let regions = bench.hal.dma_regions();
    bench.device.misbehave(|lies| lies.all_ones = true);
    bench.disk.hold();

    assert_eq!(disk.read_blocking(Sector(0), &mut [0; 512], bench.working(3)), Err(RequestError::Removed));
    assert_eq!(disk.flush_blocking(bench.working(3)), Err(RequestError::Removed));
    assert_eq!(disk.refresh_capacity_sectors(), Err(ConfigError::Removed), "all ones is no capacity");
    assert_eq!(disk.capacity_sectors(), 64);
    assert_eq!(disk.close(Attempts(3)).unwrap_err().error, ResetError::Removed);
    assert_eq!(bench.hal.dma_regions(), regions, "nothing is freed without a confirmed reset");
}

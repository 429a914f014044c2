//! What a disk can say wrongly of requests in frames: in the status, in the length, in the id.
//!
//! Spec: §5.2.6 Device Operation, §2.7.14 and §2.8.22 Receiving Used Buffers From The Device.
//!
//! Not under miri: what is judged here is judged by safe code; `block_frames` runs there.

#![cfg(not(miri))]
#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::bursts::{Asked, BurstBench, Segments};
use virtio_guest::device::block::{BurstFailed, RequestError, Sector};
use virtio_guest::ring::Broken;
use virtio_model::block::{DiskMisbehaviour, WrittenLen};

const INDIRECT_DESC: u128 = 1 << 28;
const RING_PACKED: u128 = 1 << 34;
const SIZE: u16 = 8;
/// Flags of a packed descriptor.
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// By the short way, with one page in a request, and by the long one, with two: which is to come to the same.
fn both_ways() -> impl Iterator<Item = (BurstBench, usize)> {
    [1, 2].into_iter().flat_map(|pages| BurstBench::each(SIZE, 0).map(move |bench| (bench, pages)))
}

/// Hands in a read and a write, lets the disk lie about them, and says what became of both.
fn lie(
    bench: &mut BurstBench,
    pages: usize,
    change: impl FnOnce(&mut DiskMisbehaviour),
) -> [Result<(), RequestError>; 2] {
    bench.submit(&[Asked::Read(1, pages), Asked::Write(3, pages, 9)]);
    bench.bench.disk.misbehave(change);
    assert_eq!(bench.serve(), 2);
    bench.bench.disk.misbehave(|lies| *lies = DiskMisbehaviour::default());
    let mut done = bench.complete(9).unwrap();
    done.sort_unstable_by_key(|(asked, _)| *asked);
    [done[0].1, done[1].1]
}

/// Also in a place where the disk has written one before.
#[test]
fn a_request_without_a_status_did_not_succeed() {
    for (mut bench, pages) in both_ways() {
        for _ in 0..3 {
            let none = lie(&mut bench, pages, |lies| lies.skips_status = true);
            assert_eq!(none, [Err(RequestError::NoStatus); 2]);
            assert_eq!(lie(&mut bench, pages, |_| {}), [Ok(()); 2]);
        }
        bench.finish();
    }
}

#[test]
fn what_the_disk_says_of_a_request_is_what_its_owner_is_told() {
    let told = [
        (1, RequestError::Device),
        (2, RequestError::Unsupported),
        (3, RequestError::UnknownStatus { status: 3 }),
        (0xee, RequestError::UnknownStatus { status: 0xee }),
        (0xff, RequestError::NoStatus),
    ];
    for (mut bench, pages) in both_ways() {
        for (status, error) in told {
            let both = lie(&mut bench, pages, |lies| lies.status = Some(status));
            assert_eq!(both, [Err(error); 2], "status {status}");
        }
        bench.finish();
    }
}

/// Spec: §2.7.8.2 — a device writes as much as it says, so a read that says less did not fill its buffer. Of a write nothing but the status is written, which many do not count.
#[test]
fn a_read_that_is_short_did_not_succeed_and_a_write_is_not_measured() {
    for (mut bench, pages) in both_ways() {
        let expected_bytes = 512 * pages as u32 + 1;
        for (written_bytes, result) in [
            (0, Err(RequestError::Short { written_bytes: 0, expected_bytes })),
            (
                expected_bytes - 1,
                Err(RequestError::Short { written_bytes: expected_bytes - 1, expected_bytes }),
            ),
            (expected_bytes, Ok(())),
        ] {
            bench.submit(&[Asked::Read(1, pages)]);
            bench.bench.disk.misbehave(|lies| lies.written = WrittenLen::Exactly(written_bytes));
            bench.serve();
            assert_eq!(bench.complete(1).unwrap(), [(Asked::Read(1, pages), result)]);
        }
        bench.bench.disk.misbehave(|lies| lies.written = WrittenLen::Exactly(0));
        bench.submit(&[Asked::Write(1, pages, 4)]);
        bench.serve();
        assert_eq!(bench.complete(1).unwrap(), [(Asked::Write(1, pages, 4), Ok(()))]);
        bench.finish();
    }
}

/// Takes what comes before the queue breaks, and sees that it stays broken; says how many that were, and why.
fn break_down(mut bench: BurstBench) -> (usize, Broken) {
    let mut before = Vec::new();
    let broken = bench.queue.complete_burst(9, |done| before.push(done)).unwrap_err();
    let count = before.len();
    for done in before {
        assert_eq!(bench.take_note(done).1, Ok(()));
    }
    assert_eq!((bench.queue.broken(), bench.complete(9).unwrap_err()), (Some(broken), broken));
    assert_eq!(bench.queue.next_completion().unwrap_err(), broken);
    assert_eq!((bench.queue.free_requests(), bench.queue.publish()), (0, false));
    let refused = Some(RequestError::Broken(broken));
    assert_eq!(bench.submit(&[Asked::Read(1, 1), Asked::Read(1, 1)]), (0, refused, 1));
    let call = bench.queue.read_blocking(Sector(0), &mut [0; 512], || false);
    assert_eq!(call, Err(RequestError::Broken(broken)));
    let out = bench.out.len();
    assert_eq!(bench.take_down(), out, "the rest comes with the reset");
    (count, broken)
}

/// Serves what there is, the last of it under this id and with this length.
fn serve_with_last_as(bench: &mut BurstBench, id: u32, written: WrittenLen) {
    let (disk, device, memory) = (&bench.bench.disk, &bench.bench.device, &bench.bench.hal.space);
    bench.queue.publish();
    disk.hold();
    disk.serve(device, memory);
    disk.release(disk.waiting() - 1);
    disk.serve(device, memory);
    disk.misbehave(|lies| (lies.used_id, lies.written) = (Some(id), written));
    disk.release(1);
    assert_eq!(disk.serve(device, memory), 1);
}

/// By the short way, the long way, and the short way after a long one.
const BURSTS: [&[Asked]; 3] = [
    &[Asked::Read(1, 1), Asked::Write(2, 1, 2), Asked::Read(3, 1)],
    &[Asked::Read(1, 2), Asked::Write(3, 2, 2), Asked::Read(5, 2)],
    &[Asked::Read(1, 1), Asked::Write(3, 2, 2), Asked::Read(5, 1)],
];

#[test]
fn an_id_that_is_nobodys_breaks_the_queue() {
    for asked in BURSTS {
        for id in [3, SIZE.into(), 0xff, 0xffff, 0x1_0000, u32::MAX] {
            for mut bench in BurstBench::each(SIZE, 0) {
                let is_packed = bench.bench.device.negotiated_features() & RING_PACKED != 0;
                if is_packed && id > 0xffff {
                    continue;
                }
                bench.submit(asked);
                serve_with_last_as(&mut bench, id, WrittenLen::Honest);
                assert_eq!(break_down(bench), (2, Broken::UnknownChain { id }));
            }
        }
    }
}

#[test]
fn an_id_that_came_back_already_breaks_the_queue() {
    for asked in BURSTS {
        for mut bench in BurstBench::each(SIZE, 0) {
            bench.submit(asked);
            let first = bench.out.iter().find(|(_, (_, what))| *what == asked[0]).map(|(index, _)| *index);
            let id = first.unwrap() as u32;
            serve_with_last_as(&mut bench, id, WrittenLen::Honest);
            assert_eq!(break_down(bench), (2, Broken::UnknownChain { id }));
        }
    }
}

/// Its place is still in use, and no request's of the queue.
#[test]
fn an_id_whose_completion_is_kept_for_its_owner_breaks_the_queue() {
    for mut bench in BurstBench::each(SIZE, 0) {
        bench.submit(&[Asked::Read(1, 1)]);
        let id = *bench.out.keys().next().unwrap() as u32;
        let serve = bench.working();
        bench.queue.read_blocking(Sector(0), &mut [0; 512], serve).unwrap();
        bench.submit(&[Asked::Read(2, 1)]);
        serve_with_last_as(&mut bench, id, WrittenLen::Honest);

        assert_eq!(break_down(bench), (1, Broken::UnknownChain { id }), "what was kept comes first");
    }
}

/// What was done before it broke is its owner's, who may ask for it later; its place is nobody's any more.
#[test]
fn a_completion_that_is_kept_outlives_the_queue() {
    for mut bench in BurstBench::each(SIZE, 0) {
        bench.submit(&[Asked::Read(1, 1), Asked::Read(2, 1)]);
        let serve = bench.working();
        bench.queue.read_blocking(Sector(0), &mut [0; 512], serve).unwrap();
        bench.bench.disk.misbehave(|lies| lies.used_id = Some(0xff));
        let serve = bench.working();
        let broken = Broken::UnknownChain { id: 0xff };
        let call = bench.queue.read_blocking(Sector(0), &mut [0; 512], serve);
        assert_eq!(call, Err(RequestError::Broken(broken)));

        assert_eq!(bench.complete(1).unwrap(), [(Asked::Read(1, 1), Ok(()))]);

        assert_eq!(bench.queue.free_requests(), 0);
        assert_eq!(break_down(bench), (1, broken));
    }
}

#[test]
fn a_request_that_was_not_shown_yet_cannot_be_done() {
    for asked in BURSTS {
        for mut bench in BurstBench::each(SIZE, 0) {
            bench.submit(asked);
            bench.queue.publish();
            let shown: Vec<_> = bench.out.keys().copied().collect();
            bench.submit(&[Asked::Write(9, 1, 9)]);
            let id = *bench.out.keys().find(|index| !shown.contains(index)).unwrap() as u32;
            let (disk, device, memory) = (&bench.bench.disk, &bench.bench.device, &bench.bench.hal.space);
            disk.misbehave(|lies| lies.used_id = Some(id));
            disk.serve(device, memory);

            assert_eq!(break_down(bench), (0, Broken::UnknownChain { id }));
        }
    }
}

#[test]
fn more_bytes_than_the_buffer_has_break_the_queue() {
    for (pages, asked) in [(1, BURSTS[0]), (2, BURSTS[1])] {
        for mut bench in BurstBench::each(SIZE, 0) {
            bench.submit(asked);
            let last = bench.out.iter().find(|(_, (_, what))| *what == asked[2]).map(|(index, _)| *index);
            let (id, writable_bytes) = (last.unwrap() as u32, 512 * pages + 1);
            let written_len = writable_bytes + 1;
            serve_with_last_as(&mut bench, id, WrittenLen::Exactly(written_len));
            let broken = Broken::WrittenTooMuch { id, written_len, writable_bytes };
            assert_eq!(break_down(bench), (2, broken));
        }
    }
}

/// Spec: §2.7.14 — no more than the device holds.
#[test]
fn a_used_index_that_is_ahead_of_the_requests_breaks_the_queue() {
    let mut bench = BurstBench::offering(SIZE, INDIRECT_DESC);
    bench.submit(BURSTS[0]);
    bench.queue.publish();
    let (disk, device) = (bench.bench.disk.clone(), bench.bench.device.clone());
    disk.with_queue(&device, &bench.bench.hal.space, 0, |queue| queue.split().set_used_idx(4).unwrap());

    assert_eq!(break_down(bench), (0, Broken::UsedIndexJumped { by: 4, held: 3 }));
}

/// Whoever took all that the disk had does not look again; what the disk says meanwhile waits for the next look.
#[test]
fn one_more_that_is_said_to_be_done_once_all_were_taken_is_found_out_at_the_next_look() {
    for mut bench in BurstBench::each(SIZE, 0) {
        bench.submit(BURSTS[0]);
        assert_eq!(bench.serve(), 3);
        let (disk, device, memory) =
            (bench.bench.disk.clone(), bench.bench.device.clone(), bench.bench.hal.space.clone());
        let is_packed = device.negotiated_features() & RING_PACKED != 0;
        let (mut back, mut id) = (Vec::new(), 0);

        let count = bench.queue.complete_burst(9, |done| {
            id = done.ticket.index() as u16;
            back.push(done);
            if back.len() == 3 {
                disk.with_queue(&device, &memory, 0, |queue| {
                    if is_packed {
                        queue.packed().put_used(3, id, 0, AVAIL | USED).unwrap();
                    } else {
                        queue.split().set_used_idx(4).unwrap();
                    }
                });
            }
        });

        assert_eq!(count, Ok(3));
        for done in back {
            assert_eq!(bench.take_note(done).1, Ok(()));
        }
        let broken = if is_packed {
            Broken::UnknownChain { id: id.into() }
        } else {
            Broken::UsedIndexJumped { by: 1, held: 0 }
        };
        assert_eq!(break_down(bench), (0, broken), "all had come back");
    }
}

#[test]
fn a_burst_that_failed_says_so_in_words() {
    let mut bench = BurstBench::offering(SIZE, INDIRECT_DESC);
    let accesses = [Asked::Read(1, 1), Asked::Read(256, 1)].map(|asked| bench.access(asked));
    let mut tickets = Vec::new();

    let failed: BurstFailed<Segments> =
        bench.queue.submit_burst(accesses, |ticket| tickets.push(ticket)).unwrap_err();

    assert_eq!(
        failed.to_string(),
        "after 1 requests: 1 sectors from sector 256 on reach past the disk's 256"
    );
    assert!(format!("{failed:?}").contains("submitted: 1"));
    bench.note(tickets[0], Asked::Read(1, 1));
    drop(failed);
    assert_eq!(bench.take_down(), 1);
}

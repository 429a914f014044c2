//! Requests that own their buffers: they go out together, come back in any order, and each buffer comes back once.
//!
//! Spec: §5.2.6 Device Operation. Beside blocking calls on the same queue, too.

mod support;

use support::tasks::{Load, Pool, TaskBench};
use support::{DiskBench, Either, TestHal};
use virtio_guest::device::block::{
    Completion, Control, Failed, RequestError, RequestQueue, Sector, Storage, Ticket,
};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::raw::{MappedBuffer, Tag};
use virtio_guest::ring::{Broken, Rearmed};
use virtio_model::Disk;
use virtio_model::block::Order;

const SIZE_MAX: u128 = 1 << 1;
const READ_ONLY: u128 = 1 << 5;
const FLUSH: u128 = 1 << 9;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
/// Requests in flight with storage for 16 descriptors, three each.
const PLACES: usize = 5;

type Queue = RequestQueue<'static, TestHal, Load>;

fn start(bench: &TaskBench) -> (Control<'static, Either>, Queue) {
    let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
    bench.bring_up(bench.open(2), storage)
}

/// A page that the disk may write, and one that it may read.
fn to_fill(bench: &TaskBench, pool: &Pool) -> Load {
    MappedBuffer::map(&bench.hal, pool.take(0xee), Direction::DeviceWritable).unwrap()
}
fn filled(bench: &TaskBench, pool: &Pool, fill: u8) -> Load {
    MappedBuffer::map(&bench.hal, pool.take(fill), Direction::DeviceReadable).unwrap()
}

/// All that is done.
fn completions(queue: &mut Queue) -> Vec<Completion<Load>> {
    std::iter::from_fn(|| queue.next_completion().unwrap()).collect()
}

fn bytes(completion: Completion<Load>) -> Vec<u8> {
    assert_eq!(completion.result, Ok(()));
    completion.payload.expect("what was handed in").unmap().bytes().to_vec()
}

/// The error, and whether the buffer came back.
fn refusal<P>(refused: Result<Ticket, Failed<P>>) -> (RequestError, bool) {
    let Failed { error, payload } = refused.unwrap_err();
    (error, payload.is_some())
}

#[test]
fn a_burst_comes_back_in_any_order_each_with_its_own_bytes() {
    for bench in TaskBench::each() {
        let (pool, (control, mut queue)) = (Pool::new(8, 512), start(&bench));
        bench.disk.complete_in(Order::Reverse);
        for round in 0..3u8 {
            let mut sectors = [None; PLACES];
            for sector in 0..4 {
                let ticket = queue.submit_write(Sector(sector), filled(&bench, &pool, 100 + round)).unwrap();
                assert!(sectors[ticket.index()].replace(sector).is_none(), "no other's while it is out");
            }
            let ticket = queue.submit_read(Sector(9), to_fill(&bench, &pool)).unwrap();
            assert!(sectors[ticket.index()].replace(9).is_none());
            assert_eq!((bench.disk.serve(&bench.device, &bench.hal.space), queue.free_requests()), (0, 0));
            assert!(queue.next_completion().unwrap().is_none());
            assert!(queue.publish());
            assert_eq!(queue.rearm(), Rearmed::Quiet);
            bench.disk.serve(&bench.device, &bench.hal.space);
            assert_eq!(bench.device.take_messages().len(), 1, "one burst, one interrupt");

            let done = completions(&mut queue);
            let order: Vec<_> = done.iter().map(|done| sectors[done.ticket.index()].unwrap()).collect();
            assert_eq!(order, [9, 3, 2, 1, 0]);
            let mut done = done.into_iter();
            assert_eq!(bytes(done.next().unwrap()), [9; 512]);
            assert!(done.all(|done| bytes(done) == [100 + round; 512]));
            assert_eq!((queue.free_requests(), bench.disk.sector(2)), (PLACES, vec![100 + round; 512]));
        }
        assert_eq!(pool.pages(), 8);
        end(&bench, control, queue);
    }
}

/// Takes a disk down of which nothing is in flight.
fn end(bench: &TaskBench, control: Control<'_, Either>, queue: Queue) {
    let down = control.take_down(Attempts(10)).unwrap();
    assert_eq!(queue.reclaim(&down.reset).unwrap().count(), 0);
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

#[test]
fn every_refusal_gives_the_buffer_back() {
    let bench = TaskBench::new(0, |builder| builder);
    let (pool, odd, (control, mut queue)) = (Pool::new(9, 512), Pool::new(1, 513), start(&bench));
    let at = Sector;

    let wrong = RequestError::WrongDirection;
    assert_eq!(refusal(queue.submit_read(at(0), filled(&bench, &pool, 1))), (wrong, true));
    assert_eq!(refusal(queue.submit_write(at(0), to_fill(&bench, &pool))), (wrong, true));
    let odd = queue.submit_read(at(0), to_fill(&bench, &odd));
    assert_eq!(refusal(odd), (RequestError::NotWholeSectors { bytes: 513 }, true));
    for sector in [256, u64::MAX] {
        let beyond = RequestError::OutOfRange { sector, sectors: 1, capacity_sectors: 256 };
        assert_eq!(refusal(queue.submit_read(at(sector), to_fill(&bench, &pool))), (beyond, true));
    }
    let elsewhere = TaskBench::new(0, |builder| builder);
    let foreign = refusal(queue.submit_read(at(0), to_fill(&elsewhere, &pool)));
    assert!(matches!(foreign, (RequestError::Refused(_), true)), "mapped for another device: {foreign:?}");

    assert_eq!(queue.free_requests(), PLACES, "nothing is left of them");
    for _ in 0..PLACES {
        queue.submit_read(at(0), to_fill(&bench, &pool)).unwrap();
    }
    assert_eq!(refusal(queue.submit_read(at(0), to_fill(&bench, &pool))), (RequestError::Full, true));
    queue.publish();
    bench.disk.misbehave(|lies| lies.used_id = Some(0xff));
    bench.disk.serve(&bench.device, &bench.hal.space);
    let broken = Broken::UnknownChain { id: 0xff };
    assert_eq!((queue.next_completion().err(), queue.broken()), (Some(broken), Some(broken)));
    let refused = queue.submit_read(at(0), to_fill(&bench, &pool));
    assert_eq!(refusal(refused), (RequestError::Broken(broken), true));
    assert_eq!(pool.pages(), 9 - PLACES);

    let down = control.take_down(Attempts(10)).unwrap();
    assert_eq!(queue.reclaim(&down.reset).unwrap().count(), PLACES);
    assert_eq!(pool.pages(), 9);
    bench.hal.assert_all_returned();
    elsewhere.hal.assert_all_returned();
}

#[test]
fn a_disks_own_limits_and_buffers_of_nothing_are_refused_too() {
    let bench = TaskBench::new(READ_ONLY, |builder| builder);
    let (pool, (control, mut queue)) = (Pool::new(1, 1024), start(&bench));
    let refused = queue.submit_write(Sector(0), filled(&bench, &pool, 1));
    assert_eq!(refusal(refused), (RequestError::ReadOnly, true));
    end(&bench, control, queue);

    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    assert_eq!(refusal(disk.queue().submit_read(Sector(0), Tag(()))), (RequestError::Empty, true));
    assert_eq!(refusal(disk.queue().submit_write(Sector(0), Tag(()))), (RequestError::Empty, true));
}

/// Spec: §5.2.4 `size_max` — each part is a request of its own, sent when the one before is done; there is one ticket.
#[test]
fn a_buffer_that_is_too_much_for_one_request_goes_part_by_part() {
    for features in [SIZE_MAX, SIZE_MAX | RING_PACKED, SIZE_MAX | EVENT_IDX] {
        let bench = TaskBench::new(features, |builder| {
            let limited = Disk::with_sectors(256).with_config(|config| config.size_max = 512);
            builder.config(limited.config().bytes())
        });
        let (pool, (control, mut queue)) = (Pool::new(2, 1536), start(&bench));

        let read = queue.submit_read(Sector(7), to_fill(&bench, &pool)).unwrap();
        let write = queue.submit_write(Sector(100), filled(&bench, &pool, 9)).unwrap();
        queue.publish();
        let mut done = Vec::new();
        for part in 1..=3 {
            assert_eq!((done.len(), queue.free_requests()), (0, PLACES - 2), "before part {part}");
            assert_eq!(bench.disk.serve(&bench.device, &bench.hal.space), 2);
            done = completions(&mut queue);
        }

        for done in done {
            assert_eq!(done.result, Ok(()));
            let expected = if done.ticket == read { [7, 8, 9] } else { [9; 3] };
            let expected: Vec<u8> = expected.into_iter().flat_map(|sector| [sector; 512]).collect();
            assert_eq!(bytes(done), expected, "{read:?}, {write:?}");
        }
        assert!((100..103).all(|sector| bench.disk.sector(sector) == [9; 512]));
        let sent: Vec<_> =
            bench.disk.requests().iter().map(|request| (request.sector, request.data_bytes)).collect();
        assert_eq!(sent, [(7, 512), (100, 512), (8, 512), (101, 512), (9, 512), (102, 512)]);
        end(&bench, control, queue);
    }
}

/// What a part comes back with ends the whole: nothing more of it is sent.
#[test]
fn a_part_that_fails_is_the_last_one() {
    let bench = TaskBench::new(SIZE_MAX, |builder| {
        let limited = Disk::with_sectors(256).with_config(|config| config.size_max = 512);
        builder.config(limited.config().bytes())
    });
    let (pool, (control, mut queue)) = (Pool::new(1, 1536), start(&bench));
    queue.submit_read(Sector(7), to_fill(&bench, &pool)).unwrap();
    queue.publish();
    bench.disk.serve(&bench.device, &bench.hal.space);
    assert_eq!(completions(&mut queue).len(), 0);

    bench.disk.misbehave(|lies| lies.status = Some(1));
    bench.disk.serve(&bench.device, &bench.hal.space);

    let done = completions(&mut queue).pop().unwrap();
    assert_eq!(done.result, Err(RequestError::Device));
    drop(done);
    assert_eq!((pool.pages(), queue.free_requests(), bench.disk.requests().len()), (1, PLACES, 2));
    end(&bench, control, queue);
}

/// Spec: §5.2.6.2 — a disk without the feature has no cache to be flushed.
#[test]
fn a_flush_is_a_request_where_there_is_something_to_flush() {
    for (features, flushes) in [(0, 0), (FLUSH, 1)] {
        let bench = TaskBench::new(features, |builder| builder);
        let (control, mut queue) = start(&bench);

        let ticket = queue.submit_flush().unwrap();
        queue.publish();
        bench.disk.serve(&bench.device, &bench.hal.space);

        let done = completions(&mut queue);
        assert!(done.iter().all(|done| done.result == Ok(()) && done.payload.is_none()));
        assert_eq!(done.first().map(|done| done.ticket), ticket);
        assert_eq!((bench.disk.requests().len(), bench.disk.flushes()), (flushes, flushes));
        end(&bench, control, queue);
    }
}

/// What is done while a call waits is kept for those who have its tickets, and their next interrupt is not waited for in vain.
#[test]
fn calls_that_block_and_bursts_use_one_queue() {
    for bench in TaskBench::each() {
        let (pool, (control, mut queue)) = (Pool::new(3, 512), start(&bench));
        let tickets =
            [3, 4, 5].map(|sector| queue.submit_read(Sector(sector), to_fill(&bench, &pool)).unwrap());
        let serve = || bench.disk.serve(&bench.device, &bench.hal.space) < usize::MAX;

        // 4 KiB: more requests than there are places, beside those of the burst.
        let (mut read, expected) = ([0; 4096], (16..24).flat_map(|sector| [sector; 512]));
        queue.read_blocking(Sector(16), &mut read, serve).unwrap();

        assert!(read.into_iter().eq(expected));
        assert_eq!(queue.rearm(), Rearmed::MoreWaiting, "they were told of, and will not be again");
        assert_eq!(queue.rearm_delayed(9), Rearmed::MoreWaiting);
        for (ticket, sector) in tickets.into_iter().zip(3..) {
            let done = queue.next_completion().unwrap().expect("it was kept");
            assert_eq!((done.ticket, bytes(done)), (ticket, vec![sector; 512]));
        }
        assert_eq!((completions(&mut queue).len(), queue.free_requests()), (0, PLACES));
        assert_eq!(queue.rearm(), Rearmed::Quiet);
        end(&bench, control, queue);
    }
}

/// Places are whoever's has the tickets until he has looked: a call does not wait for ever for him who calls.
#[test]
fn a_call_is_refused_when_every_place_waits_to_be_looked_after() {
    let bench = TaskBench::new(0, |builder| builder);
    let (pool, (control, mut queue)) = (Pool::new(PLACES, 512), start(&bench));
    for sector in 0..PLACES {
        queue.submit_read(Sector(sector as u64), to_fill(&bench, &pool)).unwrap();
    }
    let mut waits = 0;
    let serve = || {
        waits += 1;
        bench.disk.serve(&bench.device, &bench.hal.space);
        waits < 10
    };

    assert_eq!(queue.read_blocking(Sector(0), &mut [0; 512], serve), Err(RequestError::Full));

    assert!(waits < 10, "at once when the last one is done");
    assert_eq!(completions(&mut queue).len(), PLACES);
    let serve = || bench.disk.serve(&bench.device, &bench.hal.space) < usize::MAX;
    assert_eq!(queue.read_blocking(Sector(0), &mut [0; 512], serve), Ok(()));
    end(&bench, control, queue);
}

/// In flight, kept since a call found it, or on the ring and not looked at: once each, with what is known of it.
#[test]
fn a_reset_gives_back_everything_once() {
    for bench in TaskBench::each() {
        let (pool, (control, mut queue)) = (Pool::new(4, 512), start(&bench));
        let submit =
            |queue: &mut Queue, sector| queue.submit_read(Sector(sector), to_fill(&bench, &pool)).unwrap();
        let kept = submit(&mut queue, 7);
        let serve = || bench.disk.serve(&bench.device, &bench.hal.space) < usize::MAX;
        queue.read_blocking(Sector(0), &mut [0; 512], serve).unwrap();
        let on_the_ring = submit(&mut queue, 8);
        queue.publish();
        bench.disk.serve(&bench.device, &bench.hal.space);
        let in_flight = submit(&mut queue, 9);
        queue.publish();
        let not_shown = submit(&mut queue, 10);

        let down = control.take_down(Attempts(10)).unwrap();
        let back: Vec<_> = queue.reclaim(&down.reset).unwrap().collect();

        let mut results: Vec<_> = back.iter().map(|back| (back.ticket, back.result)).collect();
        assert_eq!(results.remove(0), (kept, Ok(())));
        let reset = Err(RequestError::Reset);
        for ticket in [on_the_ring, in_flight, not_shown] {
            assert_eq!(results.iter().filter(|back| **back == (ticket, reset)).count(), 1);
        }
        assert_eq!(results.len(), 3);
        let pages: Vec<_> = back.into_iter().map(|back| back.payload.expect("its buffer").unmap()).collect();
        assert_eq!((pages[0].bytes(), pool.pages()), (&[7; 512][..], 0));
        drop(pages);
        assert_eq!(pool.pages(), 4);
        bench.hal.assert_all_returned();
    }
}

//! Buffers that are more than the device takes in one request: sent part by part, and whole again.
//!
//! Spec: §5.2.4 (`size_max`, `seg_max`). The model complains of every segment that is too long, and of every one too many.

mod support;

use support::levels::{Ask, Got, Level, LevelBench, by_task};
use support::tasks::{Load, Pool, Task, TaskBench, run_woken};
use virtio_guest::device::block::{RequestError, Sector, Ticket};
use virtio_guest::hal::Direction;
use virtio_guest::raw::MappedBuffer;
use virtio_model::Disk;
use virtio_model::block::{Order, SECTOR_BYTES, WrittenLen, status};

const SIZE_MAX: u128 = 1 << 1;
const INDIRECT_DESC: u128 = 1 << 28;
const RING_PACKED: u128 = 1 << 34;
const SECTORS: usize = 64;

/// Sectors that hold their number.
fn disk(size_max: u32, seg_max: u32) -> Disk {
    Disk::with_contents(held(0, SECTORS))
        .with_config(|config| (config.size_max, config.seg_max) = (size_max, seg_max))
}

/// What such a disk holds from a sector on.
fn held(first: usize, sectors: usize) -> Vec<u8> {
    let sectors = first..first + sectors;
    sectors.map(|sector| [u8::try_from(sector).unwrap(); SECTOR_BYTES]).collect::<Vec<_>>().concat()
}

/// Limits of devices, some of them odd; a segment is at least so long that 16 of them hold a sector.
fn limits() -> impl Iterator<Item = (u32, u32)> {
    let sizes = [100, 511, 512, 513, 700, 1024, 4096, u32::MAX];
    let counts = [0, 1, 2, 5, 126, u32::MAX];
    let pairs = sizes.into_iter().flat_map(move |size| counts.map(|count| (size, count)));
    // Else not one sector fits into a request.
    let pairs = pairs.filter(|(size, count)| u64::from(*size) * u64::from(*count).clamp(1, 14) >= 512);
    pairs.step_by(if cfg!(miri) { 16 } else { 1 })
}

#[test]
fn a_buffer_of_any_length_is_transferred_whole_whatever_the_device_takes() {
    for (turn, (size_max, seg_max)) in limits().enumerate() {
        let levels = [Level::Blocking, Level::Burst, Level::Task];
        // Under miri, which is slow, one level each.
        let levels = if cfg!(miri) { &levels[turn % 3..][..1] } else { &levels[..] };
        for &level in levels {
            let rings = [SIZE_MAX | RING_PACKED | INDIRECT_DESC, SIZE_MAX];
            for ring in rings.into_iter().take(if cfg!(miri) { 1 } else { 2 }) {
                let mut bench = LevelBench::new(level, TaskBench::of(disk(size_max, seg_max), ring));
                for (first, sectors) in
                    [(3, 5), (0, 1), (10, 16), (0, SECTORS)].into_iter().take(if cfg!(miri) { 1 } else { 4 })
                {
                    let at = Sector(first as u64);
                    let read = bench.ask(Ask::Read(at, sectors * SECTOR_BYTES));
                    assert_eq!(
                        read,
                        Ok(Got::Bytes(held(first, sectors))),
                        "{size_max}, {seg_max}: {level:?}"
                    );
                }
                assert_eq!(bench.ask(Ask::Write(Sector(7), 0xab, 9 * SECTOR_BYTES)), Ok(Got::Nothing));
                let written = [held(0, 7), vec![0xab; 9 * SECTOR_BYTES], held(16, SECTORS - 16)].concat();
                assert_eq!(bench.disk().contents(), written);
                bench.finish();
            }
        }
    }
}

/// Room for several segments makes fewer requests of it.
#[test]
fn parts_are_as_long_as_there_is_room_for() {
    let room = [(2, 8), (5, 4), (1, 16), (100, 2)];
    for (data_segments, requests) in room.into_iter().take(if cfg!(miri) { 1 } else { 4 }) {
        for ring in [SIZE_MAX, SIZE_MAX | RING_PACKED | INDIRECT_DESC] {
            let bench = TaskBench::of(disk(512, 126), ring);
            let mut bench = LevelBench::with_settings(Level::Burst, bench, |settings| {
                (settings.request_bytes, settings.data_segments) = (512, data_segments);
            });
            bench.ask(Ask::Read(Sector(0), 16 * SECTOR_BYTES)).unwrap();
            assert_eq!(bench.disk().requests().len(), requests, "{data_segments} segments each");
            bench.finish();
        }
    }
}

#[test]
fn a_part_that_fails_is_the_last_one_and_the_buffer_comes_back() {
    for nth in 1..=if cfg!(miri) { 2u8 } else { 4 } {
        for mut bench in LevelBench::at(&[Level::Burst, Level::Task], || disk(512, 1)) {
            // Without SIZE_MAX offered, one part is all.
            assert!(bench.ask(Ask::Read(Sector(0), 4 * SECTOR_BYTES)).is_ok());
            assert_eq!(bench.disk().requests().len(), 1);
            bench.finish();
        }
        for level in [Level::Burst, Level::Task] {
            let mut bench = LevelBench::new(level, TaskBench::of(disk(512, 1), SIZE_MAX));
            bench.disk().fail_nth(nth.into(), status::IOERR);
            assert_eq!(bench.ask(Ask::Write(Sector(0), 0xab, 4 * SECTOR_BYTES)), Err(RequestError::Device));
            assert_eq!(bench.disk().requests().len(), nth.into());
            let written = usize::from(nth) - 1;
            assert!((0..4).all(|sector| (bench.disk().sector(sector)[0] == 0xab) == (sector < written)));
            assert!(
                bench.ask(Ask::Write(Sector(0), 0xab, 4 * SECTOR_BYTES)).is_ok(),
                "and the queue goes on"
            );
            bench.finish();
        }
    }
}

#[test]
fn a_part_that_is_short_is_the_last_one() {
    for level in [Level::Blocking, Level::Burst, Level::Task] {
        let mut bench = LevelBench::new(level, TaskBench::of(disk(512, 1), SIZE_MAX));
        bench.disk().misbehave(|lies| lies.written = WrittenLen::Less(1));
        let short = RequestError::Short { written_bytes: 512, expected_bytes: 513 };
        assert_eq!(bench.ask(Ask::Read(Sector(0), 4 * SECTOR_BYTES)), Err(short));
        let sent = bench.disk().requests().len();
        // Requests of a call that waits are in flight together.
        assert_eq!(sent, if level == Level::Blocking { 4 } else { 1 });
        bench.finish();
    }
}

/// Each part waits for the one before, and the parts of others go on between.
#[test]
fn large_buffers_together_each_get_their_own() {
    for order in [Order::Reverse, Order::Fifo].into_iter().take(if cfg!(miri) { 1 } else { 2 }) {
        let bench = TaskBench::of(disk(1024, 1), SIZE_MAX | RING_PACKED);
        let mut bench = LevelBench::new(Level::Burst, bench);
        bench.disk().complete_in(order);
        let hal = bench.bench.hal.clone();
        let mut tickets: Vec<(Ticket, usize, usize)> = Vec::new();
        for (first, sectors) in [(0, 7), (20, 1), (30, 12), (5, 2), (60, 4)] {
            let page = Pool::new(1, sectors * SECTOR_BYTES).take(0xee);
            let load: Load = MappedBuffer::map(&hal, page, Direction::DeviceWritable).unwrap();
            let ticket = bench.queue().submit_read(Sector(first as u64), load).unwrap();
            tickets.push((ticket, first, sectors));
        }
        bench.queue().publish();
        let mut sizes = Vec::new();
        while !tickets.is_empty() {
            assert_ne!(bench.bench.disk.serve(&bench.bench.device, &bench.bench.hal.space), 0);
            while let Some(done) = bench.queue().next_completion().unwrap() {
                let place =
                    tickets.iter().position(|(ticket, ..)| *ticket == done.ticket).expect("once each");
                let (_, first, sectors) = tickets.swap_remove(place);
                assert_eq!(done.result, Ok(()));
                assert_eq!(done.payload.unwrap().unmap().bytes(), held(first, sectors));
                sizes.push(sectors);
            }
        }
        assert!(sizes.is_sorted() || order == Order::Reverse, "the shortest first: {sizes:?}");
        assert_eq!(bench.queue().free_requests(), bench.queue().requests());
        bench.finish();
    }
}

/// Dropped, the call is the queue's business: its buffer stays there until the device is done with all of it.
#[test]
fn a_dropped_future_leaves_its_buffer_with_the_queue_to_the_last_part() {
    for served in (0..3).skip(if cfg!(miri) { 2 } else { 0 }) {
        let bench = TaskBench::of(disk(512, 1), SIZE_MAX);
        let running = bench.start::<16>();
        let shape = running.control.shape();
        let pool = Pool::new(1, 8 * SECTOR_BYTES);
        let page = pool.take(0xab);
        let mut task = [Task::new(running.tasks.write(Sector(0), page))];
        run_woken(&mut task);
        for _ in 0..served {
            bench.serve(&running.handlers);
            run_woken(&mut task);
        }
        task[0].cancel();
        let mut next = [Task::new(by_task(&running.tasks, shape, Ask::Read(Sector(40), SECTOR_BYTES)))];
        bench.run_to_end(&running.handlers, &mut next);
        assert_eq!(next[0].result, Some(Ok(Got::Bytes(held(40, 1)))));
        while running.tasks.service() > 0 {
            assert_eq!(pool.pages(), 0, "the device may still read it");
            bench.serve(&running.handlers);
        }
        assert_eq!(pool.pages(), 1, "back, and once");
        drop((task, next));
        bench.finish(running);
    }
}

//! What a disk answers, and what it cannot do, is the same for calls that wait, for bursts, and for tasks.
//!
//! Spec: §5.2.4 Device configuration layout, §5.2.6 Device Operation.

mod support;

use support::TestHal;
use support::tasks::{Load, Pool, Running, Task, TaskBench};
use virtio_guest::device::block::{
    Failed, RequestError, RequestQueue, Sector, SectorRange, Ticket, Unmap, ZoneAction,
};
use virtio_guest::hal::Direction;
use virtio_guest::raw::MappedBuffer;
use virtio_model::Disk;
use virtio_model::block::DiskConfig;

const SIZE_MAX: u128 = 1 << 1;
const SEG_MAX: u128 = 1 << 2;
const READ_ONLY: u128 = 1 << 5;
const BLK_SIZE: u128 = 1 << 6;
const DISCARD: u128 = 1 << 13;
const WRITE_ZEROES: u128 = 1 << 14;
const SECURE_ERASE: u128 = 1 << 16;

type Queue = RequestQueue<'static, TestHal, Load>;
type Outcome = Result<(), RequestError>;

/// The queue's own levels, and back to the tasks.
fn with_queue<R>(running: &Running, act: impl FnOnce(&mut Queue) -> R) -> R {
    let mut queue = running.tasks.take_queue().expect("nothing is in flight");
    let result = act(&mut queue);
    running.tasks.put_up(queue, running.control.interrupts()).expect("there was none");
    result
}

fn working(bench: &TaskBench) -> impl FnMut() -> bool {
    let mut looks = 0;
    move || {
        bench.disk.serve(&bench.device, &bench.hal.space);
        looks += 1;
        looks < 50
    }
}

/// What becomes of a request that was handed in: its page comes back.
fn outcome<P>(bench: &TaskBench, queue: &mut Queue, ticket: Result<Ticket, Failed<P>>) -> Outcome {
    let ticket = ticket.map_err(|failed| {
        assert!(failed.payload.is_some(), "what is refused comes back");
        failed.error
    })?;
    queue.publish();
    bench.disk.serve(&bench.device, &bench.hal.space);
    let done = queue.next_completion().unwrap().expect("the disk has answered");
    assert!(done.ticket == ticket && done.payload.is_some(), "with its page");
    done.result
}

fn task(bench: &TaskBench, running: &Running, future: impl Future<Output = Outcome>) -> Outcome {
    let mut tasks = [Task::new(future)];
    bench.run_to_end(&running.handlers, &mut tasks);
    tasks[0].result.take().expect("it is over")
}

/// A read of one sector at each level, into pages of a pool to which all of them come back.
fn reads(bench: &TaskBench, running: &Running, sector: u64) -> [Outcome; 3] {
    let (pool, from) = (Pool::new(1, 512), Sector(sector));
    let of_the_queue = with_queue(running, |queue| {
        let call = queue.read_blocking(from, &mut [0; 512], working(bench));
        let page = MappedBuffer::map(&bench.hal, pool.take(0), Direction::DeviceWritable).unwrap();
        let ticket = queue.submit_read(from, page);
        [call, outcome(bench, queue, ticket)]
    });
    let read =
        async { running.tasks.read(from, pool.take(0)).await.map(drop).map_err(|failed| failed.error) };
    let [call, burst] = of_the_queue;
    let outcomes = [call, burst, task(bench, running, read)];
    assert_eq!(pool.pages(), 1);
    outcomes
}

/// Spec: §5.2.6 — a status byte that was not written is no success of an earlier request's.
#[test]
fn every_status_means_the_same_for_calls_bursts_and_tasks() {
    for bench in TaskBench::each() {
        let running = bench.start::<16>();
        let statuses = if cfg!(miri) { vec![2, 254] } else { (0..=u8::MAX).collect() };
        for status in statuses {
            bench.disk.misbehave(|lies| lies.status = Some(status));
            let expected = match status {
                0 => Ok(()),
                1 => Err(RequestError::Device),
                2 => Err(RequestError::Unsupported),
                255 => Err(RequestError::NoStatus),
                status => Err(RequestError::UnknownStatus { status }),
            };
            assert_eq!(reads(&bench, &running, 1), [expected; 3], "{status}");
            bench.disk.misbehave(|lies| lies.status = None);
        }
        assert_eq!(reads(&bench, &running, 2), [Ok(()); 3], "which leaves a success behind");
        bench.disk.misbehave(|lies| lies.skips_status = true);
        assert_eq!(reads(&bench, &running, 2), [Err(RequestError::NoStatus); 3]);
        bench.disk.misbehave(|lies| lies.skips_status = false);
        assert_eq!(reads(&bench, &running, 2), [Ok(()); 3], "the next ones are served");
        bench.finish(running);
    }
}

/// A disk that says this of itself, with 256 sectors behind it.
fn saying(features: u128, change: impl FnOnce(&mut DiskConfig)) -> TaskBench {
    let config = Disk::with_sectors(256).with_config(change).config();
    TaskBench::new(features, |builder| builder.features(1 << 32 | features).config(config.bytes()))
}

#[test]
fn limits_that_make_no_sense_are_survived_by_calls_bursts_and_tasks() {
    let nonsense = [
        saying(SEG_MAX, |config| config.seg_max = 0),
        saying(SIZE_MAX, |config| config.size_max = 0),
        saying(SEG_MAX | SIZE_MAX, |config| (config.seg_max, config.size_max) = (u32::MAX, u32::MAX)),
        saying(BLK_SIZE, |config| config.blk_size = 0),
        saying(BLK_SIZE, |config| config.blk_size = 513),
        saying(BLK_SIZE, |config| config.blk_size = 1 << 31),
        saying(BLK_SIZE, |config| config.blk_size = u32::MAX),
        saying(0, |config| config.capacity_sectors = u64::MAX),
    ];
    for bench in nonsense {
        let running = bench.start::<16>();
        assert_eq!(reads(&bench, &running, 7), [Ok(()); 3], "{:?}", bench.device.config());
        assert!(running.control.block_bytes().is_none_or(|bytes| bytes == 1 << 31));
        bench.finish(running);
    }
}

#[test]
fn a_disk_of_no_sectors_is_not_asked_by_calls_bursts_or_tasks() {
    let bench = saying(0, |config| config.capacity_sectors = 0);
    let running = bench.start::<16>();

    let refused = RequestError::OutOfRange { sector: 0, sectors: 1, capacity_sectors: 0 };
    assert_eq!(reads(&bench, &running, 0), [Err(refused); 3]);

    assert!(bench.disk.requests().is_empty());
    bench.finish(running);
}

/// Whatever would change it, also where the disk seems to offer it.
#[test]
fn a_read_only_disk_is_asked_for_no_change_by_calls_bursts_or_tasks() {
    let bench = TaskBench::new(READ_ONLY | DISCARD | WRITE_ZEROES | SECURE_ERASE, |builder| builder);
    let (running, pool) = (bench.start::<16>(), Pool::new(3, 512));
    let (at, range) = (Sector(0), SectorRange { first: Sector(0), sectors: 1 });
    let page = || MappedBuffer::map(&bench.hal, pool.take(1), Direction::DeviceReadable).unwrap();

    let of_the_queue = with_queue(&running, |queue| {
        let never = || false;
        let handed_in: [Result<Ticket, RequestError>; 7] = [
            queue.submit_write(at, page()).map_err(Into::into),
            queue.submit_append(at, page()).map_err(Into::into),
            queue.submit_discard(&[range]),
            queue.submit_write_zeroes(&[range], Unmap::Forbidden),
            queue.submit_secure_erase(&[range]),
            queue.submit_zone(ZoneAction::Reset, at),
            queue.submit_reset_all_zones(),
        ];
        let calls = [
            queue.write_blocking(at, &[0; 512], never),
            queue.append_blocking(at, &[0; 512], never).map(drop),
            queue.discard_blocking(range, never),
            queue.write_zeroes_blocking(range, Unmap::Forbidden, never),
            queue.secure_erase_blocking(range, never),
            queue.zone_blocking(ZoneAction::Reset, at, never),
            queue.reset_all_zones_blocking(never),
        ];
        [handed_in.map(|result| result.map(drop)), calls].concat()
    });
    let tasks = &running.tasks;
    let of_tasks = [
        task(&bench, &running, async { Ok(tasks.write(at, pool.take(1)).await.map(drop)?) }),
        task(&bench, &running, async { Ok(tasks.append(at, pool.take(1)).await.map(drop)?) }),
        task(&bench, &running, tasks.discard(range)),
        task(&bench, &running, tasks.write_zeroes(range, Unmap::Forbidden)),
        task(&bench, &running, tasks.secure_erase(range)),
        task(&bench, &running, tasks.zone(ZoneAction::Reset, at)),
        task(&bench, &running, tasks.reset_all_zones()),
    ];

    let all = [of_the_queue, of_tasks.to_vec()].concat();
    assert!(all.iter().all(|result| *result == Err(RequestError::ReadOnly)), "{all:?}");
    assert!(bench.disk.requests().is_empty());
    assert_eq!(pool.pages(), 3);
    bench.finish(running);
}

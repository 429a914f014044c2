//! Buffers of several segments, and cuts that zones ask for: what cannot be transferred whole is refused, and never told of as done.
//!
//! Spec: §5.2.4 (`size_max`, `seg_max`, `write_granularity`), §5.2.6 Device Operation.

mod support;

use support::levels::{Ask, Got, Level, LevelBench};
use support::tasks::{Load, Pool, TaskBench};
use support::{Either, TestHal};
use virtio_guest::device::block::{
    Block, Completion, Control, Failed, HANDLED, RequestError, RequestQueue, Sector, Settings, Storage,
};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::MappedBuffer;
use virtio_model::Disk;
use virtio_model::block::{SECTOR_BYTES, ZoneSetup};

/// What a request carries: up to four segments.
type Segments = [Option<Load>; 4];
type Queue = RequestQueue<'static, TestHal, Segments>;

fn start(bench: &TaskBench, settings: Settings) -> (Control<'static, Either>, Queue) {
    let storage: &'static mut Storage<16, Segments> = Box::leak(Box::default());
    let settings = Settings { drop_attempts: Attempts(5), ..settings };
    let wants = Wants::features(HANDLED);
    let started =
        Block::start_with(bench.open(0), bench.hal.clone(), storage, &settings, wants, Attempts(10));
    started.unwrap().split()
}

/// Segments of these lengths, which the disk may write.
fn to_fill<const N: usize>(bench: &TaskBench, lens: [usize; N]) -> Segments {
    let mut segments = [const { None }; 4];
    for (place, len) in segments.iter_mut().zip(lens) {
        let page = Pool::new(1, len).take(0xee);
        *place = Some(MappedBuffer::map(&bench.hal, page, Direction::DeviceWritable).unwrap());
    }
    segments
}

fn bytes(segments: Segments) -> Vec<u8> {
    segments.into_iter().flatten().flat_map(|load| load.unmap().bytes().to_vec()).collect()
}

/// Has the disk work until a request is done.
fn completion(bench: &TaskBench, queue: &mut Queue) -> Completion<Segments> {
    queue.publish();
    for _ in 0..100 {
        bench.disk.serve(&bench.device, &bench.hal.space);
        if let Some(done) = queue.next_completion().unwrap() {
            return done;
        }
    }
    panic!("nothing is done");
}

fn end(bench: &TaskBench, control: Control<'_, Either>, queue: Queue) {
    let down = control.take_down(Attempts(10)).unwrap();
    assert_eq!(queue.reclaim(&down.reset).unwrap().count(), 0);
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

/// As often as it is refused: it takes nobody's place.
#[test]
fn a_buffer_that_is_refused_for_its_segments_takes_no_place() {
    let bench = TaskBench::new(0, |builder| builder);
    let (control, mut queue) = start(&bench, Settings::default());
    for _ in 0..2 * queue.requests() {
        let Failed { error, payload } =
            queue.submit_read(Sector(0), to_fill(&bench, [256, 256])).unwrap_err();
        assert!(matches!(error, RequestError::TooLarge { .. }) && payload.is_some(), "{error}");
    }
    assert_eq!(queue.free_requests(), queue.requests());
    queue.submit_read(Sector(9), to_fill(&bench, [512])).unwrap();
    assert_eq!(bytes(completion(&bench, &mut queue).payload.unwrap()), [9; 512]);
    end(&bench, control, queue);
}
/// The first part fits, and what comes after it does not: what was filled is not the whole.
#[test]
fn a_buffer_that_cannot_go_on_is_not_done() {
    for lens in [[512, 256, 256], [1024, 100, 924]] {
        let bench = TaskBench::new(0, |builder| builder);
        let (control, mut queue) = start(&bench, Settings::default());
        queue.submit_read(Sector(9), to_fill(&bench, lens)).unwrap();

        let done = completion(&bench, &mut queue);

        assert!(matches!(done.result, Err(RequestError::TooLarge { .. })), "{done:?}");
        assert_eq!((done.payload.is_some(), bench.disk.requests().len()), (true, 1));
        assert_eq!(queue.free_requests(), queue.requests());
        drop(done);
        end(&bench, control, queue);
    }
}

/// Spec: §5.2.6.3 — no read is in two zones. A block that begins in one and ends in the next is cut there.
#[test]
fn what_is_read_across_zones_is_read_whole_wherever_it_begins() {
    let setup = ZoneSetup { write_granularity: 2048, ..ZoneSetup::host_managed(16) };
    for mut bench in LevelBench::each(|| Disk::with_sectors(64).with_zones(&setup)) {
        bench.ask(Ask::Write(Sector(0), 3, 64 * SECTOR_BYTES)).unwrap();
        for (first, sectors) in [(2, 40), (15, 2), (0, 64), (13, 51)] {
            let read = bench.ask(Ask::Read(Sector(first), sectors * SECTOR_BYTES));
            assert_eq!(read, Ok(Got::Bytes(vec![3; sectors * SECTOR_BYTES])), "{first}, {sectors}");
        }
        bench.finish();
    }
}

/// Spec: §5.2.6.2 — no request is for what is beyond the capacity, nor is a part of one.
#[test]
fn no_part_is_sent_for_what_a_disk_has_lost_meanwhile() {
    let bench = TaskBench::new(0, |builder| builder);
    let (mut control, mut queue) = start(&bench, Settings::default());
    queue.submit_read(Sector(253), to_fill(&bench, [512, 512, 512])).unwrap();
    bench.disk.resize(&bench.device, 254);
    queue.set_shape(control.refresh_shape().unwrap());

    let done = completion(&bench, &mut queue);

    let beyond = RequestError::OutOfRange { sector: 254, sectors: 1, capacity_sectors: 254 };
    assert_eq!((done.result, bench.disk.requests().len()), (Err(beyond), 1));
    drop(done);
    end(&bench, control, queue);
}

/// Spec: §5.2.6.2 — what is written is a multiple of the granularity, each request of it. The levels differ in what they can do in one.
#[test]
fn no_write_is_cut_within_a_granule() {
    let setup = |zone_sectors| ZoneSetup { write_granularity: 8192, ..ZoneSetup::host_managed(zone_sectors) };
    for mut bench in LevelBench::each(|| Disk::with_sectors(64).with_zones(&setup(32))) {
        let write = Ask::Write(Sector(0), 3, 48 * SECTOR_BYTES);
        if bench.level == Level::Blocking {
            assert_eq!(bench.refusal(write), RequestError::NotGranular { granularity: 8192 });
        } else {
            assert_eq!(bench.ask(write), Ok(Got::Nothing));
        }
        bench.finish();
    }
    for mut bench in LevelBench::each(|| Disk::with_sectors(64).with_zones(&setup(20))) {
        let across = bench.refusal(Ask::Write(Sector(16), 3, 16 * SECTOR_BYTES));
        assert_eq!(across, RequestError::NotGranular { granularity: 8192 });
        bench.finish();
    }
    for request_bytes in [10_000, 8192].into_iter().take(if cfg!(miri) { 1 } else { 2 }) {
        let bench = TaskBench::of(Disk::with_sectors(64).with_zones(&setup(32)), 0);
        let mut bench = LevelBench::with_settings(Level::Blocking, bench, |settings| {
            settings.request_bytes = request_bytes;
        });
        assert_eq!(bench.ask(Ask::Write(Sector(0), 3, 64 * SECTOR_BYTES)), Ok(Got::Nothing));
        assert_eq!(bench.disk().requests().len(), 4);
        bench.finish();
    }
}

//! Buffers of several segments, and cuts that zones ask for: what cannot be transferred whole is refused, and never told of as done.
//!
//! Spec: §5.2.4 (`size_max`, `seg_max`, `write_granularity`), §5.2.6 Device Operation.

mod support;

use support::tasks::{Load, Pool, TaskBench};
use support::{Either, TestHal};
use virtio_guest::device::block::{
    Block, Completion, Control, Failed, HANDLED, RequestError, RequestQueue, Sector, Settings, Storage,
};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::MappedBuffer;

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

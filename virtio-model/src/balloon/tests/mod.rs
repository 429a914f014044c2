//! Promises of the balloon, against a driver of bare stores.

mod free_pages;
mod judgements;
mod statistics;

use super::{Balloon, BalloonQueue, feature};
use crate::bare::Bare;
use crate::block::WrittenLen;
use crate::memory::AddressSpace;
use std::ptr::NonNull;

const INFLATE: u16 = 0;
const DEFLATE: u16 = 1;

const fn bit(feature: u32) -> u128 {
    1 << feature
}

struct Bench {
    bare: Bare,
    balloon: Balloon,
}

impl Bench {
    fn new(balloon: Balloon) -> Self {
        Self { bare: Bare::new(balloon.builder()), balloon }
    }

    /// A balloon of these features.
    fn with(features: &[u32]) -> Self {
        Self::new(Balloon::new().with_features(features.iter().fold(0, |set, feature| set | bit(*feature))))
    }

    fn serve(&self) -> usize {
        self.balloon.serve(&self.bare.device, &self.bare.memory)
    }

    /// Makes an array of page numbers available.
    fn submit(&mut self, queue: u16, frames: &[u32]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.to_le_bytes()).collect();
        self.bare.submit(queue, &[&bytes], &[]);
    }

    /// Has pages inflated and acknowledged, and tells the new size.
    fn inflate(&mut self, frames: &[u32]) {
        self.submit(INFLATE, frames);
        self.serve();
        self.tell(u32::try_from(self.balloon.held().len()).unwrap());
    }

    fn tell(&self, actual: u32) {
        self.bare.write_config(4, 4, actual);
        self.serve();
    }

    fn held(&self) -> Vec<u32> {
        self.balloon.held().into_iter().collect()
    }

    fn set_target(&self, frames: u32) {
        self.balloon.set_target(&self.bare.device, frames);
    }
}

/// Spec: §5.5.6 Device Operation.
#[test]
fn pages_come_and_go_and_the_driver_tells_how_many_there_are() {
    let mut bench = Bench::with(&[feature::MUST_TELL_HOST]);
    bench.set_target(3);
    assert_eq!((bench.bare.read_config(0, 4), bench.bare.device.config_interrupts()), (3, 1));

    bench.inflate(&[7, 0x10_0000, 8]);
    assert_eq!((bench.held(), bench.bare.used(INFLATE)), (vec![7, 8, 0x10_0000], vec![(0, 0)]));
    assert_eq!(bench.balloon.actual(&bench.bare.device), 3);

    bench.set_target(1);
    bench.submit(DEFLATE, &[7, 8]);
    bench.serve();
    bench.tell(1);
    assert_eq!((bench.held(), bench.bare.used(DEFLATE)), (vec![0x10_0000], vec![(0, 0)]));
    let bursts = [(BalloonQueue::Inflate, vec![7, 0x10_0000, 8]), (BalloonQueue::Deflate, vec![7, 8])];
    assert_eq!(bench.balloon.take_bursts(), bursts);
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn what_is_held_back_is_not_in_the_balloon_and_not_out_of_it() {
    let mut bench = Bench::with(&[]);
    bench.balloon.hold();
    bench.submit(INFLATE, &[1]);
    bench.serve();
    assert_eq!((bench.held(), bench.balloon.touched().len(), bench.balloon.waiting()), (vec![], 1, 1));
    bench.balloon.release(1);
    bench.serve();
    assert_eq!(bench.held(), [1]);

    bench.balloon.release_all();
    bench.balloon.hold_queue(BalloonQueue::Deflate);
    bench.submit(DEFLATE, &[1]);
    bench.submit(INFLATE, &[2]);
    bench.serve();
    assert_eq!((bench.held(), bench.bare.used(DEFLATE)), (vec![1, 2], vec![]));
    bench.balloon.release_all();
    bench.serve();
    assert_eq!(bench.held(), [2]);
    bench.bare.device.assert_driver_was_correct();
}

/// Spec: §5.5.6.2 Device Requirements: Device Operation.
#[test]
fn inflated_pages_are_overwritten_where_the_device_reaches_them() {
    let mut backing = vec![0u64; 2048];
    let guest = AddressSpace::new();
    let pointer = NonNull::new(backing.as_mut_ptr().cast()).unwrap();
    // SAFETY: the memory stays until the end, and is accessed through the address space only.
    unsafe { guest.map(0x40_0000, pointer, 0x4000, true, true) };
    let pages = |guest: &AddressSpace| {
        [0x40_0000u64, 0x40_1000, 0x40_2000]
            .map(|at| guest.load_u64(at + 8, std::sync::atomic::Ordering::Relaxed))
    };
    let balloon = || Balloon::new().with_guest_memory(guest.clone());

    Bench::new(balloon().keeping_contents()).inflate(&[0x400]);
    assert_eq!(pages(&guest), [Ok(0), Ok(0), Ok(0)]);
    Bench::new(balloon()).inflate(&[0x401, 0x999]);

    assert_eq!(pages(&guest), [Ok(0), Ok(0xdbdb_dbdb_dbdb_dbdb), Ok(0)]);
    assert_eq!(guest.faults(), []);
}

/// Spec: §5.5.2 Virtqueues.
#[test]
fn queues_are_where_the_specification_has_them_or_one_after_the_other() {
    let (stats, hint, report) = (feature::STATS_VQ, feature::FREE_PAGE_HINT, feature::PAGE_REPORTING);
    for (features, sizes, compacted, reporting) in [
        (&[][..], vec![16, 16], vec![16, 16], 2),
        (&[stats], vec![16, 16, 16], vec![16; 3], 3),
        (&[stats, report], vec![16, 16, 16, 0, 16], vec![16; 4], 3),
        (&[report], vec![16, 16, 0, 0, 16], vec![16; 3], 2),
        (&[hint], vec![16, 16, 0, 16], vec![16; 3], 3),
        (&[stats, hint, report], vec![16; 5], vec![16; 5], 4),
    ] {
        let set = features.iter().fold(0, |set, feature| set | bit(*feature));
        for (is_compacted, sizes) in [(false, sizes), (true, compacted)] {
            let balloon = Balloon::new().with_features(set);
            let balloon = if is_compacted { balloon.with_compacted_queues() } else { balloon };
            let device = balloon.builder().build();
            let found: Vec<_> =
                (0..device.queue_count()).map(|queue| device.queue(queue).unwrap().max_size).collect();
            assert_eq!(found, sizes);
            let index = balloon.queue_index(BalloonQueue::Reporting);
            assert_eq!(index, if is_compacted { reporting } else { 4 });
        }
    }
}

#[test]
fn a_reset_empties_the_balloon() {
    let mut bench = Bench::with(&[]);
    bench.inflate(&[1, 2]);
    bench.bare.write_config(4, 4, 9);

    bench.bare.reset();
    bench.serve();

    assert_eq!(bench.held(), [] as [u32; 0]);
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn lies_about_used_buffers_are_told_of_the_queue_that_they_are_about() {
    let mut bench = Bench::with(&[]);
    bench.balloon.misbehave(|lies| {
        (lies.written, lies.used_id) = (WrittenLen::Exactly(3), Some(9));
        lies.only = Some(BalloonQueue::Deflate);
    });
    bench.inflate(&[1]);
    bench.submit(DEFLATE, &[1]);
    bench.serve();

    assert_eq!((bench.bare.used(INFLATE), bench.bare.used(DEFLATE)), (vec![(0, 0)], vec![(9, 3)]));
}

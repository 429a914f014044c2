//! Devices that break the protocol of a balloon's queues: every page stays in one place, and comes back after a reset.
//!
//! Spec: §2.7.14 and §2.8.22 Receiving Used Buffers From The Device. Not under miri: lies are judged by safe code, and what is under them is run in `balloon_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use support::balloon::{Make, OOM, STATS};
use virtio_guest::device::balloon::{BalloonError, Progress};
use virtio_model::balloon::BalloonQueue;
use virtio_model::block::WrittenLen;

#[test]
fn an_answer_to_what_was_not_asked_loses_no_page() {
    for queue in [BalloonQueue::Inflate, BalloonQueue::Deflate] {
        for make in (Make { features: OOM | STATS, ..Make::default() }).each_ring() {
            let mut bench = make.start();
            assert_eq!(bench.reach(40), Ok(Progress::AtTarget));
            bench.model.misbehave(|lies| (lies.used_id, lies.only) = (Some(11), Some(queue)));

            let target = if queue == BalloonQueue::Inflate { 50 } else { 30 };
            let refused = bench.reach(target);

            assert!(matches!(refused, Err(BalloonError::Broken(_))), "{refused:?}");
            assert_eq!(bench.driver.unanswered_frames(), 10);
            let again = bench.driver.poll(&mut bench.kernel);
            assert!(matches!(again, Err(BalloonError::Broken(_))), "{again:?}");
            let patience = bench.host().patience(9);
            let refused = bench.driver.deflate_for_oom(&mut bench.kernel, 5, patience);
            assert!(matches!(refused, Err(BalloonError::Broken(_))), "{refused:?}");
            assert_eq!(bench.kernel.dropped(), 0);
            bench.end();
        }
    }
}

/// Spec: §2.7.8 — a length means nothing where the device cannot write.
#[test]
fn a_length_for_what_the_device_cannot_write_is_ignored() {
    for make in (Make { features: STATS, ..Make::default() }).each() {
        let mut bench = make.start();
        bench.model.misbehave(|lies| lies.written = WrittenLen::Exactly(64));

        assert_eq!(bench.reach(40), Ok(Progress::AtTarget));
        assert_eq!(bench.reach(4), Ok(Progress::AtTarget));

        assert_eq!(bench.actual(), 4);
        bench.end();
    }
}

/// A burst that is acknowledged before the device can have seen it.
#[test]
fn used_elements_out_of_nowhere_end_the_balloon_and_lose_no_page() {
    for make in Make::default().each_ring().filter(|make| make.ring & (1 << 34) == 0) {
        let mut bench = make.start();
        assert_eq!(bench.reach(40), Ok(Progress::AtTarget));
        bench.model.hold();
        bench.set_target(90);
        assert_eq!(bench.poll(), Progress::Working);
        let (device, memory) = (&bench.device, &bench.hal.space);
        bench.model.with_queue(device, memory, BalloonQueue::Inflate, |queue| {
            queue.split().set_used_idx(9).unwrap();
        });

        let refused = bench.driver.poll(&mut bench.kernel);

        assert!(matches!(refused, Err(BalloonError::Broken(_))), "{refused:?}");
        assert_eq!((bench.driver.held_frames(), bench.driver.unanswered_frames()), (40, 16));
        bench.end();
    }
}

/// Spec: §2.5.1 — a configuration that never rests cannot be read; the balloon stays as it is.
#[test]
fn a_target_that_cannot_be_read_moves_nothing() {
    let mut bench = Make::default().start();
    assert_eq!(bench.reach(40), Ok(Progress::AtTarget));
    bench.device.misbehave(|lies| lies.generation_never_rests = true);

    let refused = bench.driver.poll(&mut bench.kernel);

    assert!(matches!(refused, Err(BalloonError::Config(_))), "{refused:?}");
    assert_eq!((bench.driver.held_frames(), bench.driver.unanswered_frames()), (40, 0));
    bench.device.misbehave(|lies| lies.generation_never_rests = false);
    assert_eq!(bench.reach(41), Ok(Progress::AtTarget));
    bench.end();
}

//! A kernel that is out of memory takes pages out of its balloon.
//!
//! Spec: §5.5.6.1 Driver Requirements: Device Operation (`DEFLATE_ON_OOM`). Not under miri: pages are in books of safe code, and their numbers are copied in `balloon_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use support::balloon::{Make, OOM};
use virtio_guest::device::balloon::{BalloonError, Progress};
use virtio_guest::hal::Attempts;

const WITH_OOM: Make = Make {
    features: OOM,
    ring: 0,
    legacy: false,
    compacted: false,
    notified: false,
    pages: 100,
    page_frames: 1,
    room: 1000,
    blocks: 100,
    burst_frames: 16,
    poison: None,
    queue_size: 16,
};

#[test]
fn pages_come_out_whatever_the_target_is_and_the_balloon_does_not_grow_until_that_changes() {
    for make in WITH_OOM.each() {
        let mut bench = make.start();
        bench.reach(60).unwrap();

        let patience = bench.host().patience(100);
        assert_eq!(bench.driver.deflate_for_oom(&mut bench.kernel, 20, patience), Ok(20));

        assert_eq!((bench.driver.held_frames(), bench.actual(), bench.kernel.free.len()), (40, 40, 60));
        bench.assert_ledger();
        assert_eq!([bench.poll(), bench.poll()], [Progress::Paused; 2]);
        assert_eq!(bench.reach(61), Ok(Progress::AtTarget), "another target");
        assert_eq!(bench.actual(), 61);
        bench.end();
    }
}

#[test]
fn a_balloon_grows_again_when_its_kernel_says_so() {
    for make in WITH_OOM.each() {
        let mut bench = make.start();
        bench.reach(60).unwrap();
        let patience = bench.host().patience(100);
        assert_eq!(bench.driver.deflate_for_oom(&mut bench.kernel, 1, patience), Ok(1));
        assert_eq!(bench.poll(), Progress::Paused);

        bench.driver.resume();

        assert_eq!(bench.reach(60), Ok(Progress::AtTarget));
        assert_eq!(bench.actual(), 60);
        bench.end();
    }
}

#[test]
fn a_target_below_is_followed_while_the_balloon_does_not_grow() {
    let mut bench = WITH_OOM.start();
    bench.reach(60).unwrap();
    let patience = bench.host().patience(100);
    bench.driver.deflate_for_oom(&mut bench.kernel, 10, patience).unwrap();

    assert_eq!(bench.reach(30), Ok(Progress::AtTarget));

    assert_eq!(bench.actual(), 30);
    bench.end();
}

/// Whole pages: as many as are needed, not fewer.
#[test]
fn as_many_whole_pages_come_out_as_are_needed_or_all_that_there_are() {
    for make in (Make { page_frames: 8, ..WITH_OOM }).each() {
        let mut bench = make.start();
        bench.reach(80).unwrap();

        let patience = bench.host().patience(100);
        assert_eq!(bench.driver.deflate_for_oom(&mut bench.kernel, 9, patience), Ok(16));
        let patience = bench.host().patience(100);
        assert_eq!(bench.driver.deflate_for_oom(&mut bench.kernel, u32::MAX, patience), Ok(64));
        let patience = bench.host().patience(100);
        assert_eq!(bench.driver.deflate_for_oom(&mut bench.kernel, 1, patience), Ok(0));

        assert_eq!(bench.actual(), 0);
        bench.end();
    }
}

/// Spec: §5.5.6.1 — without the feature no page is used that the device wants.
#[test]
fn a_device_that_did_not_agree_is_not_asked() {
    let mut bench = Make { features: 0, ..WITH_OOM }.start();
    bench.reach(60).unwrap();

    assert_eq!(
        bench.driver.deflate_for_oom(&mut bench.kernel, 1, Attempts(10)),
        Err(BalloonError::Unsupported)
    );

    assert_eq!(bench.poll(), Progress::AtTarget);
    bench.end();
}

/// A burst that is on its way in comes first.
#[test]
fn pages_that_are_on_their_way_in_come_out_as_well() {
    for make in WITH_OOM.each() {
        let mut bench = make.start();
        bench.set_target(16);
        assert_eq!(bench.poll(), Progress::Working);
        assert_eq!(bench.kernel.free.len(), 84);

        let patience = bench.host().patience(100);
        assert_eq!(bench.driver.deflate_for_oom(&mut bench.kernel, 16, patience), Ok(16));

        assert_eq!((bench.kernel.free.len(), bench.actual()), (100, 0));
        bench.end();
    }
}

#[test]
fn a_device_that_does_not_answer_ends_the_call() {
    for make in WITH_OOM.each() {
        let mut bench = make.start();
        bench.reach(60).unwrap();
        bench.model.hold();
        let patience = bench.host().patience(20);
        assert_eq!(
            bench.driver.deflate_for_oom(&mut bench.kernel, 40, patience),
            Err(BalloonError::TimedOut)
        );
        assert_eq!(bench.driver.unanswered_frames(), 16);

        bench.model.release(1);

        let patience = bench.host().patience(20);
        assert_eq!(bench.driver.deflate_for_oom(&mut bench.kernel, 40, patience), Ok(16), "what came back");
        bench.model.release_all();
        bench.serve();
        assert_eq!(bench.poll(), Progress::Paused);
        bench.assert_ledger();
        bench.end();
    }
}

//! A balloon follows its target: every page is in one place, and the device is told how many it has.
//!
//! Spec: §5.5.6 Device Operation. Not under miri: pages are in books of safe code, and their numbers are copied in `balloon_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use support::balloon::{Make, OOM};
use virtio_guest::device::balloon::{BalloonError, Progress};
use virtio_guest::hal::Attempts;
use virtio_model::balloon::BalloonQueue;

/// Spec: §5.5.6 Device Operation, steps 1 to 4.
#[test]
fn a_balloon_goes_to_half_the_memory_and_back_and_says_so() {
    for make in Make::default().each() {
        let mut bench = make.start();
        for target in [50, 20, 100, 99, 0] {
            assert_eq!(bench.reach(target), Ok(Progress::AtTarget));

            assert_eq!((bench.driver.held_frames(), bench.actual()), (target, target));
            assert_eq!(bench.driver.unanswered_frames(), 0);
            bench.assert_ledger();
        }
        bench.end();
    }
}

/// Spec: §5.5.6 Device Operation — arrays, and one notification for each.
#[test]
fn frames_go_in_bursts() {
    for make in (Make { burst_frames: 16, ..Make::default() }).each() {
        let mut bench = make.start();
        bench.reach(40).unwrap();
        bench.reach(7).unwrap();

        let bursts = bench.model.take_bursts();
        let sizes: Vec<_> = bursts.iter().map(|(queue, frames)| (*queue, frames.len())).collect();
        let (inflate, deflate) = (BalloonQueue::Inflate, BalloonQueue::Deflate);
        assert_eq!(
            sizes,
            [(inflate, 16), (inflate, 16), (inflate, 8), (deflate, 16), (deflate, 16), (deflate, 1)]
        );
        let chains = bench.driver.queue_statistics().map(|queue| queue.chains);
        assert_eq!(chains, [3, 3]);
        bench.end();
    }
}

/// Spec: §5.5.6 — frames of 4096 bytes, whatever the pages of the kernel are: 16 KiB, 64 KiB, 2 MiB.
#[test]
fn all_frames_of_large_pages_are_told_and_only_whole_pages_move() {
    for page_frames in [4, 16, 512] {
        for make in (Make { page_frames, pages: 6, burst_frames: 512, ..Make::default() }).each() {
            let mut bench = make.start();
            let size = u32::from(page_frames);
            let (up, down) = (3 * size + 1, 2 * size - 1);
            assert_eq!(bench.reach(up), Ok(Progress::AtTarget));
            assert_eq!((bench.driver.held_frames(), bench.actual()), (3 * size, 3 * size), "not more");
            bench.assert_ledger();

            assert_eq!(bench.reach(down), Ok(Progress::AtTarget));

            assert_eq!((bench.driver.held_frames(), bench.actual()), (2 * size, 2 * size), "not less");
            bench.assert_ledger();
            bench.end();
        }
    }
}

#[test]
fn a_page_with_more_frames_than_a_burst_has_goes_straight_back() {
    for make in (Make { page_frames: 32, pages: 3, burst_frames: 31, ..Make::default() }).each_ring() {
        let mut bench = make.start();

        assert_eq!(bench.reach(90), Ok(Progress::PageUnusable));

        assert_eq!((bench.driver.held_frames(), bench.kernel.free.len()), (0, 3));
        bench.end();
    }
}

/// Spec: §5.5.6 — a 32-bit array: what is beyond 2⁴⁴ bytes has no number.
#[test]
fn a_page_beyond_the_numbers_goes_straight_back_and_those_before_it_are_in_the_balloon() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        let at = bench.kernel.free.len() - 3;
        bench.kernel.add(1 << 32, 1);
        let last = bench.kernel.free.len() - 1;
        bench.kernel.free.swap(at, last);

        assert_eq!(bench.reach(90), Ok(Progress::PageUnusable));

        assert_eq!((bench.driver.held_frames(), bench.actual()), (3, 3));
        bench.end();
    }
}

/// Corner case: a target larger than memory.
#[test]
fn a_target_larger_than_memory_takes_what_there_is_and_goes_on_when_asked_again() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.kernel.keeps = 30;
        assert_eq!(bench.reach(u32::MAX), Ok(Progress::OutOfPages));
        assert_eq!((bench.driver.held_frames(), bench.actual()), (70, 70));
        bench.assert_ledger();

        bench.kernel.keeps = 10;

        assert_eq!(bench.reach(u32::MAX), Ok(Progress::OutOfPages));
        assert_eq!((bench.driver.held_frames(), bench.actual()), (90, 90));
        assert_eq!(bench.reach(0), Ok(Progress::AtTarget));
        bench.end();
    }
}

#[test]
fn a_target_larger_than_the_storage_fills_it() {
    for make in (Make { room: 21, ..Make::default() }).each() {
        let mut bench = make.start();

        assert_eq!(bench.reach(60), Ok(Progress::StorageFull));
        assert_eq!((bench.driver.held_frames(), bench.actual()), (21, 21));
        assert_eq!(bench.poll(), Progress::StorageFull);

        assert_eq!(bench.reach(5), Ok(Progress::AtTarget));
        bench.assert_ledger();
        bench.end();
    }
}

/// Corner case: an allocation that fails half-way.
#[test]
fn what_was_given_before_an_allocation_failed_is_in_the_balloon() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.kernel.gives = Some(21);
        assert_eq!(bench.reach(40), Ok(Progress::OutOfPages));
        assert_eq!((bench.driver.held_frames(), bench.actual()), (21, 21));
        bench.assert_ledger();
        bench.kernel.gives = None;

        assert_eq!(bench.poll(), Progress::Working);

        bench.serve();
        bench.reach(40).unwrap();
        assert_eq!((bench.driver.held_frames(), bench.actual()), (40, 40));
        bench.end();
    }
}

/// Corner case: a target that changes during inflation. Spec: §5.5.6.1 — no deflation before the inflation was acknowledged.
#[test]
fn a_target_that_changes_in_between_is_followed_once_the_burst_is_acknowledged() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.set_target(100);
        bench.model.hold();
        assert_eq!(bench.poll(), Progress::Working);
        bench.serve();
        bench.set_target(3);

        for _ in 0..5 {
            assert_eq!(bench.poll(), Progress::Working);
            bench.serve();
        }
        assert_eq!((bench.driver.held_frames(), bench.driver.unanswered_frames()), (0, 16));
        assert_eq!(bench.model.take_bursts().len(), 1, "nothing more before the answer");
        bench.model.release_all();

        bench.reach(3).unwrap();
        assert_eq!((bench.driver.held_frames(), bench.actual()), (3, 3));
        bench.assert_ledger();
        bench.end();
    }
}

/// Spec: §5.5.6.1 — with `MUST_TELL_HOST`, and here always.
#[test]
fn a_page_goes_back_only_after_the_device_acknowledged_that() {
    for make in [0, 1].into_iter().flat_map(|features| Make { features, ..Make::default() }.each()) {
        let mut bench = make.start();
        bench.reach(10).unwrap();
        bench.model.hold();
        bench.set_target(0);

        for _ in 0..5 {
            assert_eq!(bench.poll(), Progress::Working);
            bench.serve();
        }

        assert_eq!((bench.kernel.free.len(), bench.driver.held_frames(), bench.actual()), (90, 10, 10));
        assert_eq!(bench.driver.unanswered_frames(), 10);
        bench.model.release_all();
        bench.reach(0).unwrap();
        assert_eq!((bench.kernel.free.len(), bench.actual()), (100, 0));
        bench.end();
    }
}

/// Spec: §5.5.6.1 — no page is used while the device wants as many as there are.
#[test]
fn no_page_is_taken_out_that_the_device_wants() {
    for make in [0, OOM].into_iter().flat_map(|features| Make { features, ..Make::default() }.each()) {
        let mut bench = make.start();
        bench.reach(10).unwrap();
        bench.model.take_bursts();

        for target in [10, 10, 11] {
            bench.set_target(target);
            bench.kernel.keeps = 90;
            for _ in 0..3 {
                bench.poll();
                bench.serve();
            }
        }

        assert_eq!((bench.driver.held_frames(), bench.model.take_bursts()), (10, vec![]));
        bench.end();
    }
}

/// Corner case: the device never answers an inflation.
#[test]
fn a_device_that_never_answers_ends_the_call_and_no_page_is_lost() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.reach(20).unwrap();
        bench.model.hold();

        assert_eq!(bench.reach(60), Err(BalloonError::TimedOut));

        assert_eq!((bench.driver.held_frames(), bench.driver.unanswered_frames()), (20, 16));
        assert_eq!(bench.kernel.free.len(), 64);
        assert_eq!(bench.reach(0), Err(BalloonError::TimedOut));
        bench.end();
    }
}

#[test]
fn the_same_call_takes_it_from_there_when_the_device_answers_again() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.model.hold();
        assert_eq!(bench.reach(60), Err(BalloonError::TimedOut));
        bench.model.release_all();

        assert_eq!(bench.reach(60), Ok(Progress::AtTarget));

        assert_eq!((bench.driver.held_frames(), bench.actual()), (60, 60));
        bench.assert_ledger();
        bench.end();
    }
}

/// A device that wants something else whenever it is looked at holds nobody for ever.
#[test]
fn a_target_that_never_rests_ends_the_call_within_its_patience() {
    for make in (Make { notified: true, ..Make::default() }).each() {
        let mut bench = make.start();
        let (host, mut looks) = (bench.host(), 0);
        let restless = || {
            looks += 1;
            host.model.set_target(&host.device, if looks % 2 == 0 { 100 } else { 0 });
            host.serve();
            looks < 50
        };
        bench.set_target(100);

        assert_eq!(
            bench.driver.reach_target_blocking(&mut bench.kernel, restless),
            Err(BalloonError::TimedOut)
        );

        bench.serve();
        bench.reach(9).unwrap();
        bench.assert_ledger();
        bench.end();
    }
}

#[test]
fn queues_of_any_size_do() {
    for queue_size in [1, 2, 4, 7] {
        let ring = if queue_size == 7 { 1 << 34 } else { 0 };
        let mut bench = Make { ring, queue_size, features: 1 << 1, ..Make::default() }.start();

        bench.reach(70).unwrap();
        bench.reach(3).unwrap();

        assert_eq!((bench.driver.held_frames(), bench.actual()), (3, 3));
        bench.end();
    }
}

/// A kernel may look without waiting: it is told when there is nothing to do.
#[test]
fn a_balloon_at_its_target_asks_the_kernel_for_nothing() {
    let mut bench = Make::default().start();
    bench.reach(10).unwrap();
    let wanted = bench.kernel.wanted;

    assert_eq!([bench.poll(), bench.poll()], [Progress::AtTarget; 2]);

    assert_eq!(bench.kernel.wanted, wanted);
    let patience = Attempts(1);
    assert_eq!(bench.driver.reach_target_blocking(&mut bench.kernel, patience), Ok(Progress::AtTarget));
    bench.end();
}

/// Spec: §5.5.6.1.1 Legacy Interface: Device Operation — all 4 bytes, with one operation.
#[test]
fn the_device_is_told_how_many_frames_there_are_with_one_access() {
    for make in Make::default().each() {
        let mut bench = make.start();
        let before = bench.device.config_writes().len();
        assert_eq!(bench.reach(40), Ok(Progress::AtTarget));

        let writes = bench.device.config_writes();
        assert_eq!(writes[before..], [(4, 4, 0), (4, 4, 16), (4, 4, 32), (4, 4, 40)]);
        bench.end();
    }
}

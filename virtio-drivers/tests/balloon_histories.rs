//! A thousand targets in a row, and whatever may happen in between: every page is in one place.
//!
//! Spec: §5.5.6 Device Operation. Not under miri: pages are in books of safe code, and their numbers are copied in `balloon_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use proptest::prelude::*;
use support::balloon::{BalloonBench, Make, OOM, STATS};
use virtio_guest::device::balloon::{BalloonError, Progress};
use virtio_guest::hal::Attempts;

const PAGES: u32 = 64;

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    /// The device wants so many frames, and gets them.
    Reach(u32),
    /// It wants so many, and the driver takes some steps.
    Want(u32, u8),
    /// It works.
    Serve,
    /// It gives nothing back, or all again.
    Hold(bool),
    /// It gives back so many.
    Release(usize),
    /// The kernel keeps so many pages for itself.
    Keep(usize),
    /// The kernel is out of memory.
    OutOfMemory(u32),
    /// It is not any more.
    Resume,
    /// The device asks for statistics.
    Ask,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..PAGES * 2).prop_map(Step::Reach),
        4 => (0..PAGES * 2, 1..4_u8).prop_map(|(frames, steps)| Step::Want(frames, steps)),
        3 => Just(Step::Serve),
        1 => any::<bool>().prop_map(Step::Hold),
        1 => (0..3_usize).prop_map(Step::Release),
        1 => (0..40_usize).prop_map(Step::Keep),
        1 => (0..PAGES).prop_map(Step::OutOfMemory),
        1 => Just(Step::Resume),
        1 => Just(Step::Ask),
    ]
}

fn take(bench: &mut BalloonBench, step: &Step) {
    match *step {
        Step::Reach(frames) => {
            if bench.reach(frames) == Ok(Progress::AtTarget) {
                assert_eq!(bench.driver.unanswered_frames(), 0);
                assert_eq!(bench.actual(), bench.driver.held_frames());
                bench.assert_ledger();
            }
        }
        Step::Want(frames, steps) => {
            bench.set_target(frames);
            for _ in 0..steps {
                bench.poll();
            }
        }
        Step::Serve => bench.serve(),
        Step::Hold(true) => bench.model.hold(),
        Step::Hold(false) => bench.model.release_all(),
        Step::Release(count) => bench.model.release(count),
        Step::Keep(pages) => bench.kernel.keeps = pages,
        Step::OutOfMemory(frames) => {
            let patience = bench.host().patience(5);
            let before = bench.kernel.frames().len();
            match bench.driver.deflate_for_oom(&mut bench.kernel, frames, patience) {
                Ok(came) => assert_eq!(bench.kernel.frames().len(), before + came as usize),
                Err(error) => assert_eq!(error, BalloonError::TimedOut),
            }
        }
        Step::Resume => bench.driver.resume(),
        Step::Ask => bench.model.ask_for_statistics(),
    }
    // With the kernel, in the balloon, or on the way there.
    let here = bench.kernel.frames().len();
    let (held, unanswered) = (bench.driver.held_frames() as usize, bench.driver.unanswered_frames() as usize);
    let all = PAGES as usize;
    assert!(here + held == all || here + held + unanswered == all, "{here}, {held}, {unanswered}");
    let there = bench.model.touched();
    assert!(bench.kernel.frames().iter().all(|frame| !there.contains(&u32::try_from(*frame).unwrap())));
    assert_eq!(bench.kernel.dropped(), 0);
}

fn make(ring: usize, page_frames: u16, notified: bool) -> Make {
    let make = Make {
        features: OOM | STATS,
        pages: u64::from(PAGES) / u64::from(page_frames),
        page_frames,
        burst_frames: 8,
        notified,
        ..Make::default()
    };
    let all: Vec<_> = make.each().collect();
    all[ring % all.len()]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn in_every_history_each_page_is_in_one_place(
        ring in 0..5_usize,
        page_exponent in 0..3_u32,
        notified in any::<bool>(),
        steps in prop::collection::vec(step(), 120),
    ) {
        let mut bench = make(ring, 1 << page_exponent, notified).start();
        for step in &steps {
            take(&mut bench, step);
        }
        bench.end();
    }
}

/// Spec: §5.5.6 Device Operation.
#[test]
fn a_thousand_targets_in_a_row_lose_nothing() {
    for make in (Make { pages: 64, ..Make::default() }).each() {
        let mut bench = make.start();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..1000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let target = (seed % 65) as u32;
            assert_eq!(bench.reach(target), Ok(Progress::AtTarget));
            assert_eq!((bench.driver.held_frames(), bench.actual()), (target, target));
        }
        bench.assert_ledger();
        bench.end();
    }
}

/// A device that is in the middle of nothing is left in peace.
#[test]
fn a_patience_of_one_look_is_enough_where_there_is_nothing_to_wait_for() {
    let mut bench = make(1, 1, false).start();
    bench.kernel.keeps = 64;
    bench.set_target(9);
    let progress = bench.driver.reach_target_blocking(&mut bench.kernel, Attempts(1));
    assert_eq!(progress, Ok(Progress::OutOfPages));
    bench.end();
}

//! Statistics: the device has the buffer, and gets it again with what is so when it asks.
//!
//! Spec: §5.5.6.3 Memory Statistics. Not under miri: statistics are copied in `balloon_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use std::collections::BTreeMap;

use support::balloon::{Make, STATS};
use virtio_guest::device::balloon::{BalloonError, Progress, Statistics};
use virtio_guest::ring::Rearmed;
use virtio_model::balloon::{BalloonQueue, statistic};

fn make(notified: bool) -> Make {
    Make { features: STATS, notified, ..Make::default() }
}

/// All of them, each with a value of its own.
const ALL: Statistics = Statistics {
    swap_in_bytes: Some(1 << 40),
    swap_out_bytes: Some(2),
    major_faults: Some(3),
    minor_faults: Some(4),
    free_bytes: Some(5),
    total_bytes: Some(6),
    available_bytes: Some(7),
    cache_bytes: Some(8),
    huge_page_allocations: Some(9),
    huge_page_failures: Some(u64::MAX),
};

/// Spec: §5.5.6.4 Memory Statistics Tags.
#[test]
fn every_statistic_has_its_tag() {
    for make in make(false).each_ring() {
        let mut bench = make.start();
        bench.kernel.statistics = ALL;

        assert_eq!(bench.poll(), Progress::AtTarget);
        bench.serve();

        let tags = [
            (statistic::SWAP_IN, 1 << 40),
            (statistic::SWAP_OUT, 2),
            (statistic::MAJFLT, 3),
            (statistic::MINFLT, 4),
            (statistic::MEMFREE, 5),
            (statistic::MEMTOT, 6),
            (statistic::AVAIL, 7),
            (statistic::CACHES, 8),
            (statistic::HTLB_PGALLOC, 9),
            (statistic::HTLB_PGFAIL, u64::MAX),
        ];
        assert_eq!(bench.model.statistics(), BTreeMap::from(tags));
        assert!(bench.model.has_statistics());
        bench.end();
    }
}

/// Spec: §5.5.6.3.1 Driver Requirements: Memory Statistics — a buffer each time, at most one, and the same statistics in all of them.
#[test]
fn the_device_gets_new_statistics_as_often_as_it_asks_and_the_same_ones_each_time() {
    for make in make(false).each() {
        let mut bench = make.start();
        bench.kernel.statistics = Statistics { free_bytes: Some(1), total_bytes: Some(100), ..ALL };
        bench.kernel.statistics.swap_in_bytes = None;
        bench.poll();
        bench.serve();
        for free in 2..6 {
            bench.kernel.statistics = Statistics { free_bytes: Some(free), ..Statistics::default() };
            bench.kernel.statistics.swap_in_bytes = Some(7);
            bench.model.ask_for_statistics();
            bench.serve();
            bench.poll();
            bench.serve();

            let said = bench.model.statistics();
            assert_eq!((said[&statistic::MEMFREE], said[&statistic::MEMTOT]), (free, 100));
            assert_eq!((said.len(), said.get(&statistic::SWAP_IN)), (9, None));
            assert!(bench.model.has_statistics());
        }
        assert_eq!(bench.kernel.asked, 5, "when the device wants to know, and not else");
        bench.end();
    }
}

/// Corner case: asked twice without an answer between.
#[test]
fn two_questions_before_an_answer_are_both_answered() {
    for make in make(false).each() {
        let mut bench = make.start();
        bench.kernel.statistics.free_bytes = Some(1);
        bench.poll();
        bench.serve();
        bench.model.ask_for_statistics();
        bench.model.ask_for_statistics();

        for _ in 0..4 {
            bench.serve();
            bench.poll();
        }

        assert_eq!(bench.kernel.asked, 3);
        bench.serve();
        assert!(bench.model.has_statistics());
        bench.end();
    }
}

/// A buffer cannot be empty, and the device is to have one: it gets a tag that no device knows.
#[test]
fn a_kernel_that_says_nothing_supplies_a_buffer_all_the_same() {
    for make in make(false).each_ring() {
        let mut bench = make.start();

        bench.poll();
        bench.serve();

        assert_eq!(bench.model.raw_statistics(), [[(u16::MAX, 0)]]);
        assert!(bench.model.has_statistics());
        bench.end();
    }
}

/// Statistics have nothing to wait for: neither for a target, nor for a device that holds pages.
#[test]
fn questions_are_answered_while_a_burst_is_with_the_device() {
    let mut bench = make(false).start();
    bench.kernel.statistics.free_bytes = Some(1);
    bench.model.hold_queue(BalloonQueue::Inflate);
    bench.set_target(50);
    assert_eq!(bench.poll(), Progress::Working);
    bench.serve();
    bench.kernel.statistics.free_bytes = Some(2);
    bench.model.ask_for_statistics();
    bench.serve();

    assert_eq!(bench.poll(), Progress::Working);

    bench.serve();
    assert_eq!(bench.model.statistics()[&statistic::MEMFREE], 2);
    bench.end();
}

/// A device that asks without end gets an answer for each look at it, and no more.
#[test]
fn a_device_that_never_stops_asking_holds_nobody() {
    for make in make(true).each() {
        let mut bench = make.start();
        bench.model.misbehave(|lies| lies.floods_statistics = true);

        assert_eq!(bench.reach(50), Ok(Progress::AtTarget));

        assert_eq!(bench.actual(), 50);
        bench.model.misbehave(|lies| lies.floods_statistics = false);
        bench.end();
    }
}

/// Spec: §2.7.14, §2.8.22 — a chain that the device does not hold.
#[test]
fn a_lie_about_the_buffer_ends_the_balloon_and_loses_no_page() {
    for make in make(false).each_ring() {
        let mut bench = make.start();
        bench.reach(20).unwrap();
        bench.model.misbehave(|lies| {
            (lies.used_id, lies.only) = (Some(9), Some(BalloonQueue::Statistics));
        });
        bench.model.ask_for_statistics();
        bench.serve();

        let refused = bench.driver.poll(&mut bench.kernel);

        assert!(matches!(refused, Err(BalloonError::Broken(_))), "{refused:?}");
        assert_eq!(bench.driver.held_frames(), 20);
        bench.end();
    }
}

/// For a kernel that is interrupted: the question comes with an interrupt, if it was asked for.
#[test]
fn a_question_that_came_before_interrupts_were_asked_for_is_seen() {
    for make in make(true).each() {
        let mut bench = make.start();
        bench.poll();
        assert_eq!(bench.driver.rearm(), Rearmed::Quiet);
        bench.serve();

        bench.model.ask_for_statistics();
        bench.model.serve(&bench.device, &bench.hal.space);
        assert_eq!(bench.driver.rearm(), Rearmed::MoreWaiting);

        bench.poll();
        assert_eq!(bench.driver.rearm(), Rearmed::Quiet);
        bench.end();
    }
}

//! Free pages: hints by rounds, and reports.
//!
//! Spec: §5.5.6.5 Free Page Hinting, §5.5.6.7 Free Page Reporting. Not under miri, where pages take long: blocks travel as all mapped buffers do (`bursts.rs`, `ownership.rs`), and end in `balloon_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use support::balloon::{Blocks, HINT, Make, REPORTING, STATS};
use virtio_guest::device::balloon::{HintCommand, HintProgress, ReportError, ReportProgress};
use virtio_model::balloon::BalloonQueue;
use virtio_model::block::Order;

const PAGE: usize = 4096;

fn hinting() -> Make {
    Make { features: HINT, ..Make::default() }
}

/// One step of the hints, with the command as it is.
fn step(bench: &mut support::balloon::BalloonBench, blocks: &mut Blocks) -> HintProgress {
    let command = bench.driver.hint_command().unwrap();
    let progress = bench.hints.as_mut().unwrap().poll(command, blocks).unwrap();
    bench.serve();
    progress
}

/// Steps until nothing is left to do.
fn settle(bench: &mut support::balloon::BalloonBench, blocks: &mut Blocks) {
    for _ in 0..50 {
        if step(bench, blocks) == HintProgress::Idle {
            return;
        }
    }
    panic!("it never comes to an end");
}

/// Spec: §5.5.6.5 — the id, blocks, the id that ends it; blocks come back when the device is done.
#[test]
fn a_round_is_begun_filled_and_ended_and_its_blocks_come_back_when_it_is_done() {
    for make in hinting().each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(40, 2 * PAGE, 1);
        settle(&mut bench, &mut blocks);
        assert_eq!((blocks.free.len(), bench.model.take_hint_commands()), (40, vec![]));

        let id = bench.model.start_hinting(&bench.device);
        settle(&mut bench, &mut blocks);

        assert_eq!(bench.model.take_hint_commands(), [id, 0]);
        let hinted = bench.model.hinted();
        assert!(hinted.iter().all(|hint| hint.is_taken && hint.bytes as usize == 2 * PAGE));
        assert_eq!((hinted.len(), blocks.free.len(), blocks.back.len()), (40, 0, 0));
        let hints = bench.hints.as_ref().unwrap();
        assert_eq!((hints.kept_blocks(), hints.blocks_in_flight()), (40, 0));
        bench.model.end_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!((blocks.back.len(), bench.hints.as_ref().unwrap().kept_blocks()), (40, 0));
        assert_eq!(bench.model.take_hint_commands(), []);
        bench.end();
    }
}

/// Spec: §5.5.6.5 — after STOP no more, and nothing goes back; another round goes on where it ended.
#[test]
fn after_a_stop_blocks_are_kept_until_the_device_is_done() {
    for make in hinting().each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(40, PAGE, 1);
        let id = bench.model.start_hinting(&bench.device);
        assert_eq!(step(&mut bench, &mut blocks), HintProgress::Working);
        bench.model.stop_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        let (first, left) = (bench.model.hinted().len(), blocks.free.len());
        assert!(first > 0 && left > 0 && blocks.back.is_empty());
        assert_eq!(bench.model.take_hint_commands(), [id, 0]);

        let again = bench.model.start_hinting(&bench.device);
        settle(&mut bench, &mut blocks);

        assert_eq!(bench.model.take_hint_commands(), [again, 0]);
        assert_eq!((bench.model.hinted().len(), blocks.back.len()), (40, 0));
        bench.model.end_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!(blocks.back.len(), 40);
        bench.end();
    }
}

/// Corner case: the id changes in the middle of a round. What is with the device then is for a round that nobody wants; it comes back like the rest.
#[test]
fn an_id_that_changes_in_the_middle_of_a_round_begins_another_one() {
    for make in hinting().each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(40, PAGE, 1);
        let first = bench.model.start_hinting(&bench.device);
        let command = bench.driver.hint_command().unwrap();
        assert_eq!(command, HintCommand::Round(first));
        let hints = bench.hints.as_mut().unwrap();
        assert_eq!(hints.poll(command, &mut blocks), Ok(HintProgress::Working));
        let second = bench.model.start_hinting(&bench.device);
        bench.serve();
        settle(&mut bench, &mut blocks);

        assert_eq!(bench.model.take_hint_commands(), [first, 0, second, 0]);
        let hinted = bench.model.hinted();
        assert!(hinted.iter().all(|hint| hint.is_taken == (hint.round == second)));
        assert_eq!((hinted.len(), blocks.back.len()), (40, 0));
        bench.model.end_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!(blocks.back.len(), 40);
        bench.end();
    }
}

/// An id is not overwritten while the device may still read it.
#[test]
fn ids_that_change_while_the_device_reads_nothing_arrive_as_they_were() {
    for make in hinting().each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(3, PAGE, 1);
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(bench.model.start_hinting(&bench.device));
            let command = bench.driver.hint_command().unwrap();
            assert_eq!(bench.hints.as_mut().unwrap().poll(command, &mut blocks), Ok(HintProgress::Working));
        }

        settle(&mut bench, &mut blocks);

        assert_eq!(bench.model.take_hint_commands(), [ids[0], 0, ids[3], 0]);
        bench.model.end_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!(blocks.back.len(), 3);
        bench.end();
    }
}

/// Spec: §5.5.6.5.1 — unable to supply more, a driver ends the round: also where there is no room to keep more.
#[test]
fn a_round_ends_when_there_is_no_room_for_more_blocks() {
    for make in (Make { blocks: 5, ..hinting() }).each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(40, PAGE, 1);
        let id = bench.model.start_hinting(&bench.device);

        settle(&mut bench, &mut blocks);

        assert_eq!(bench.model.take_hint_commands(), [id, 0]);
        assert_eq!((bench.model.hinted().len(), blocks.free.len()), (5, 35));
        bench.model.end_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!(blocks.back.len(), 5);
        bench.end();
    }
}

/// Spec: §5.5.6.5.1 — hinted pages may be released at any time.
#[test]
fn a_kernel_in_need_gets_its_blocks_before_the_device_is_done() {
    for make in hinting().each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(10, PAGE, 1);
        bench.model.start_hinting(&bench.device);
        settle(&mut bench, &mut blocks);

        bench.hints.as_mut().unwrap().release(&mut blocks);

        assert_eq!((blocks.back.len(), blocks.early), (10, 10), "the kernel initializes all of them");
        bench.model.end_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!((blocks.back.len(), blocks.early), (10, 10), "once");
        bench.end();
    }
}

/// Spec: §5.5.6.5.1 — what is released before the device is done is initialized.
#[test]
fn blocks_that_come_back_with_a_reset_are_early_unless_the_device_was_done() {
    for (is_done, make) in [false, true].into_iter().zip(hinting().each()) {
        let mut bench = make.start();
        let mut blocks = Blocks::new(10, PAGE, 1);
        bench.model.start_hinting(&bench.device);
        if is_done {
            settle(&mut bench, &mut blocks);
            bench.model.end_hinting(&bench.device);
            settle(&mut bench, &mut blocks);
        } else {
            bench.model.hold();
            step(&mut bench, &mut blocks);
        }

        bench.end_with(&mut blocks);

        let early = if is_done { 0 } else { 10 };
        assert_eq!((blocks.back.len(), blocks.early), (10, early));
    }
}

/// What is in a hinted block is lost: the device overwrites it here.
#[test]
fn blocks_come_back_whose_device_is_done_while_it_still_has_some() {
    for make in hinting().each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(10, PAGE, 1);
        bench.model.start_hinting(&bench.device);
        bench.model.hold();
        step(&mut bench, &mut blocks);
        bench.model.end_hinting(&bench.device);
        assert_eq!(step(&mut bench, &mut blocks), HintProgress::Working);
        assert_eq!(blocks.back.len(), 0);

        bench.model.release_all();
        bench.serve();
        settle(&mut bench, &mut blocks);

        assert_eq!(blocks.back.len(), 10);
        assert!(blocks.back.iter().all(|block| block.iter().all(|byte| *byte != 1)));
        bench.end();
    }
}

/// Whatever the device has when it is reset comes back, once.
#[test]
fn a_reset_gives_all_blocks_back() {
    for make in (Make { features: HINT | REPORTING, ..Make::default() }).each() {
        for holds in [false, true] {
            let mut bench = make.start();
            let (mut hinted, mut reported) = (Blocks::new(20, PAGE, 1), Blocks::new(20, PAGE, 1));
            bench.model.start_hinting(&bench.device);
            if holds {
                bench.model.hold();
            }
            step(&mut bench, &mut hinted);
            bench.reports.as_mut().unwrap().poll(&mut reported).unwrap();
            bench.serve();
            let mut blocks = Blocks::default();

            bench.end_with(&mut blocks);

            let left = hinted.free.len() + reported.free.len();
            assert_eq!(left + hinted.back.len() + reported.back.len() + blocks.back.len(), 40);
        }
    }
}

/// A device that has no command of which the driver was told wants nothing.
#[test]
fn without_the_feature_there_is_no_command() {
    let bench = Make::default().start();

    assert_eq!(bench.driver.hint_command(), Ok(HintCommand::Done));

    assert!(bench.hints.is_none() && bench.reports.is_none());
    bench.end();
}

/// Mappings run out: what cannot be mapped goes straight back, and the round ends.
#[test]
fn a_block_that_cannot_be_mapped_goes_straight_back() {
    for make in (Make { features: HINT | REPORTING, ..Make::default() }).each_ring() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(10, PAGE, 1);
        bench.hal.limit_maps(3);
        let id = bench.model.start_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!((bench.model.hinted().len(), blocks.back.len(), blocks.free.len()), (3, 1, 6));
        assert_eq!(bench.model.take_hint_commands(), [id, 0]);

        let reports = bench.reports.as_mut().unwrap();
        assert_eq!(reports.poll(&mut blocks), Err(ReportError::NotMapped));
        bench.hal.limit_maps(2);
        let said = ReportProgress { in_flight: 2, ..ReportProgress::default() };
        assert_eq!(reports.poll(&mut blocks), Ok(said));
        bench.serve();
        let patience = bench.host().patience(9);
        let reports = bench.reports.as_mut().unwrap();
        assert_eq!(reports.report_blocking(&mut blocks, patience), Err(ReportError::NotMapped));

        assert_eq!(blocks.free.len() + blocks.back.len(), 7);
        bench.end_with(&mut blocks);
        assert_eq!(blocks.free.len() + blocks.back.len(), 10);
    }
}

/// Corner case: the reporting queue at its own index, or after those that there are (as QEMU numbers them).
#[test]
fn queues_are_found_with_gaps_and_without() {
    for features in
        [REPORTING, HINT, STATS | REPORTING, STATS | HINT, HINT | REPORTING, STATS | HINT | REPORTING]
    {
        for compacted in [false, true] {
            for notified in [false, true] {
                let make = Make { features, compacted, notified, ..Make::default() };
                let mut bench = make.start();
                let mut blocks = Blocks::new(3, PAGE, 1);
                bench.poll();
                let index = |queue| bench.model.queue_index(queue);
                if let Some(hints) = &bench.hints {
                    assert_eq!(hints.index(), index(BalloonQueue::FreePages));
                }
                if let Some(reports) = &bench.reports {
                    assert_eq!(reports.index(), index(BalloonQueue::Reporting));
                }
                assert_eq!(bench.hints.is_some(), features & HINT != 0);
                if bench.hints.is_some() {
                    bench.model.start_hinting(&bench.device);
                    settle(&mut bench, &mut blocks);
                    assert_eq!(bench.model.hinted().len(), 3);
                } else {
                    let patience = bench.host().patience(9);
                    let reports = bench.reports.as_mut().unwrap();
                    assert_eq!(reports.report_blocking(&mut blocks, patience), Ok(3));
                }
                bench.reach(7).unwrap();
                assert_eq!(bench.actual(), 7);
                bench.end();
            }
        }
    }
}

/// Spec: §2.7.8 — used in any order.
#[test]
fn blocks_come_back_in_any_order() {
    for make in (Make { features: HINT | REPORTING, ..Make::default() }).each() {
        let mut bench = make.start();
        bench.model.complete_in(Order::Reverse);
        let mut blocks = Blocks::new(20, PAGE, 1);
        bench.model.start_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        bench.model.end_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!(blocks.back.len(), 20);

        std::mem::swap(&mut blocks.free, &mut blocks.back);
        let patience = bench.host().patience(99);
        let reports = bench.reports.as_mut().unwrap();

        assert_eq!(reports.report_blocking(&mut blocks, patience), Ok(20));
        bench.end();
    }
}

/// Spec: §2.7.14, §2.8.22 — a chain that the device does not hold.
#[test]
fn lies_about_blocks_lose_none() {
    for queue in [BalloonQueue::FreePages, BalloonQueue::Reporting] {
        for make in (Make { features: HINT | REPORTING, ..Make::default() }).each_ring() {
            let mut bench = make.start();
            let mut blocks = Blocks::new(30, PAGE, 1);
            bench.model.misbehave(|lies| (lies.used_id, lies.only) = (Some(15), Some(queue)));
            bench.model.start_hinting(&bench.device);

            for _ in 0..5 {
                let command = bench.driver.hint_command().unwrap();
                let _ = bench.hints.as_mut().unwrap().poll(command, &mut blocks);
                let _ = bench.reports.as_mut().unwrap().poll(&mut blocks);
                bench.serve();
            }

            bench.end_with(&mut blocks);
            assert_eq!(blocks.free.len() + blocks.back.len(), 30);
        }
    }
}

/// Queues of one descriptor.
#[test]
fn the_smallest_queues_do() {
    for queue_size in [1, 2] {
        let make = Make { features: STATS | HINT | REPORTING, queue_size, ..Make::default() };
        let mut bench = make.start();
        let mut blocks = Blocks::new(5, PAGE, 1);
        let id = bench.model.start_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!((bench.model.take_hint_commands(), bench.model.hinted().len()), (vec![id, 0], 5));
        bench.model.end_hinting(&bench.device);
        settle(&mut bench, &mut blocks);
        assert_eq!(blocks.back.len(), 5);
        bench.end();
    }
}

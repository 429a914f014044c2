//! Reports of free pages: a block goes to the device, and is the kernel's again when that is acknowledged.
//!
//! Spec: §5.5.6.7 Free Page Reporting. Not under miri, where pages take long: blocks travel as all mapped buffers do (`bursts.rs`, `ownership.rs`), and end in `balloon_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use std::collections::BTreeSet;

use support::balloon::{Blocks, Make, POISON, REPORTING};
use virtio_guest::device::balloon::{FreeBlocks, ReportError, ReportProgress};
use virtio_guest::hal::Attempts;
use virtio_guest::ring::Rearmed;

const PAGE: usize = 4096;

fn reporting() -> Make {
    Make { features: REPORTING, ..Make::default() }
}

/// Spec: §5.5.6.7 — reported, acknowledged, and the kernel's again; a burst takes one notification.
#[test]
fn blocks_are_reported_in_bursts_and_come_back_when_that_is_acknowledged() {
    for make in reporting().each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(40, 4 * PAGE, 1);
        bench.model.hold();
        let said = bench.reports.as_mut().unwrap().poll(&mut blocks).unwrap();
        bench.serve();
        assert_eq!(said, ReportProgress { acknowledged: 0, in_flight: 16, out_of_blocks: false });
        assert_eq!((blocks.free.len(), blocks.back.len()), (24, 0));
        bench.model.release_all();
        bench.serve();

        let patience = bench.host().patience(100);
        let reports = bench.reports.as_mut().unwrap();
        assert_eq!(reports.report_blocking(&mut blocks, patience), Ok(40));

        assert_eq!((blocks.free.len(), blocks.back.len()), (0, 40));
        let reported = bench.model.reported();
        assert_eq!(reported.iter().map(|(address, _)| address).collect::<BTreeSet<_>>().len(), 40);
        let statistics = bench.reports.as_ref().unwrap().statistics();
        assert_eq!(statistics.notifications_sent + statistics.notifications_suppressed, 3);
        bench.end();
    }
}

/// Spec: §5.5.6.7.2 — without `PAGE_POISON` contents are lost, with it a block has that value.
#[test]
fn what_is_in_a_block_that_was_reported_is_the_poison_or_anything() {
    let poison = 0x5a5a_1234_u32;
    for (features, told) in [(REPORTING, None), (REPORTING | POISON, Some(poison))] {
        for make in (Make { features, poison: told, ..Make::default() }).each() {
            let mut bench = make.start();
            let mut blocks = Blocks::default();
            blocks.free.push(poison.to_le_bytes().repeat(PAGE / 4).into());

            let patience = bench.host().patience(100);
            bench.reports.as_mut().unwrap().report_blocking(&mut blocks, patience).unwrap();

            let kept = blocks.back[0].chunks(4).all(|word| word == poison.to_le_bytes());
            assert_eq!(kept, told.is_some());
            bench.end();
        }
    }
}

#[test]
fn a_device_that_does_not_answer_a_report_ends_the_call() {
    for make in (Make { notified: true, ..reporting() }).each() {
        let mut bench = make.start();
        let mut blocks = Blocks::new(3, PAGE, 1);
        bench.model.hold();
        let patience = bench.host().patience(9);
        let reports = bench.reports.as_mut().unwrap();
        assert_eq!(reports.report_blocking(&mut blocks, patience), Err(ReportError::TimedOut));
        assert_eq!((reports.in_flight(), blocks.back.len(), reports.rearm()), (3, 0, Rearmed::Quiet));
        bench.model.release_all();

        let patience = bench.host().patience(9);
        let reports = bench.reports.as_mut().unwrap();
        assert_eq!(reports.report_blocking(&mut blocks, patience), Ok(3));

        assert_eq!(reports.report_blocking(&mut blocks, Attempts(1)), Ok(0), "nothing to report");
        bench.end();
    }
}

/// A kernel that lends again what came back, to a device that takes it at once: patience ends that.
#[test]
fn a_kernel_that_lends_the_same_blocks_again_and_again_is_stopped_by_its_patience() {
    struct Eager(Blocks);
    impl FreeBlocks for Eager {
        type Block = support::balloon::Block;

        fn lend(&mut self) -> Option<Self::Block> {
            self.0.lend().or_else(|| self.0.back.pop())
        }

        fn take_back(&mut self, block: Self::Block) {
            self.0.take_back(block);
        }

        fn take_back_early(&mut self, _: Self::Block) {
            panic!("reported blocks never come back early");
        }
    }
    for make in (Make { notified: true, ..reporting() }).each_ring() {
        let mut bench = make.start();
        let mut blocks = Eager(Blocks::new(5, PAGE, 1));
        let patience = bench.host().patience(200);

        let reported = bench.reports.as_mut().unwrap().report_blocking(&mut blocks, patience);

        assert_eq!(reported, Err(ReportError::TimedOut));
        bench.end_with(&mut blocks.0);
        assert_eq!(blocks.0.free.len() + blocks.0.back.len(), 5);
    }
}

//! Corners of a balloon's life: storage that is lent again, and devices and kernels that give up in the middle.
//!
//! Spec: §5.5.5 Device Initialization, §2.1.2 (DEVICE_NEEDS_RESET).

mod support;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

use support::balloon::{BalloonBench, Kernel, Make, Page, STATS};
use support::tasks::Task;
use virtio_guest::device::balloon::{
    Balloon, BalloonError, BalloonFeatures, Down, PLAIN, Pages, Progress, Settings, Slots, Statistics,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Condition, Wants};
use virtio_model::balloon::statistic;

/// Spec: §5.5.2 Virtqueues — a balloon without statistics leaves room for one with them.
#[test]
fn storage_of_a_balloon_without_statistics_does_for_one_with_them() {
    let make = Make { features: STATS, ..Make::default() };
    for make in make.each() {
        let mut bench = make.start();
        let Down { transport, pages, .. } = bench.driver.take_down(Attempts(10)).unwrap();
        let (settings, slots) = (Settings::default(), pages.into_slots());
        let wants = Wants::features(PLAIN.difference(BalloonFeatures::STATS_VQ));
        let without = Balloon::start_with(transport, &bench.hal, slots, &settings, wants, Attempts(10));
        let Down { transport, pages, .. } = without.unwrap().take_down(Attempts(10)).unwrap();
        let slots: Slots<'static, _> = pages.into_slots();

        let with = Balloon::start(transport, &bench.hal, slots, Attempts(10));

        bench.driver = with.unwrap();
        bench.poll();
        bench.end();
    }
}

/// Spec: §2.1.2 — a device that needs a reset answers no more.
#[test]
fn a_task_whose_device_needs_a_reset_does_not_sleep_for_ever() {
    for make in (Make { notified: true, ..Make::default() }).each_ring() {
        let mut bench = make.start();
        bench.model.hold();
        bench.set_target(60);
        let host = bench.host();
        let kernel = RefCell::new(std::mem::take(&mut bench.kernel));
        let mut task = Task::new(bench.driver.reach_target(&kernel));
        while task.run() {}
        assert!(!task.is_over(), "its burst is with the device");

        host.device.set_needs_reset();
        host.interrupt();
        while task.run() {}

        assert_eq!(task.result, Some(Err(BalloonError::NotLive(Condition::NeedsReset))));
        drop(task);
        bench.kernel = kernel.into_inner();
        bench.end();
    }
}

/// A kernel that panics when it gives or takes back the page of this number, counted from here on, or is asked for statistics.
struct Panicking<'k> {
    kernel: &'k mut Kernel,
    left: usize,
}

impl Panicking<'_> {
    fn step(&mut self) {
        self.left = self.left.checked_sub(1).expect("the kernel panics");
    }
}

impl Pages for Panicking<'_> {
    type Page = Page;

    fn give(&mut self) -> Option<Page> {
        self.step();
        self.kernel.give()
    }

    fn take_back(&mut self, page: Page) {
        self.kernel.take_back(page);
        self.step();
    }

    fn statistics(&mut self) -> Statistics {
        self.step();
        self.kernel.statistics()
    }
}

/// Polls with a kernel that panics.
fn poll_with_a_panic(bench: &mut BalloonBench, left: usize) {
    let mut kernel = Panicking { kernel: &mut bench.kernel, left };
    let driver = &mut bench.driver;
    let result = panic::catch_unwind(AssertUnwindSafe(|| driver.poll(&mut kernel)));
    assert!(result.is_err(), "it went through the driver");
}

/// Spec: §5.5.6.1 — no page is asked back that the device was not told of.
#[test]
fn a_panic_of_the_kernel_in_the_middle_of_a_burst_leaves_every_page_in_one_place() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.reach(20).unwrap();

        bench.set_target(40);
        poll_with_a_panic(&mut bench, 5);
        assert_eq!(bench.reach(40), Ok(Progress::AtTarget));
        assert_eq!(bench.actual(), 40);
        bench.assert_ledger();

        bench.set_target(30);
        assert_eq!(bench.poll(), Progress::Working);
        bench.serve();
        poll_with_a_panic(&mut bench, 3);
        assert_eq!(bench.reach(0), Ok(Progress::AtTarget));

        assert_eq!(bench.actual(), 0);
        bench.assert_ledger();
        bench.end();
    }
}

/// Spec: §5.5.6.3.1 — upon detecting that the device has used a buffer, the driver makes one available.
#[test]
fn a_panic_of_a_kernel_that_is_asked_leaves_the_question_unanswered_until_the_next_call() {
    for make in (Make { features: STATS, ..Make::default() }).each() {
        let mut bench = make.start();
        bench.kernel.statistics.free_bytes = Some(1);
        bench.poll();
        bench.serve();
        bench.model.ask_for_statistics();
        bench.serve();
        bench.kernel.statistics.free_bytes = Some(2);
        poll_with_a_panic(&mut bench, 0);

        bench.poll();

        bench.serve();
        assert_eq!(bench.model.statistics()[&statistic::MEMFREE], 2);
        bench.end();
    }
}

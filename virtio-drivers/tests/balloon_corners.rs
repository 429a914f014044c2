//! Corners of a balloon's life: storage that is lent again, and devices that give up in the middle.
//!
//! Spec: §5.5.5 Device Initialization, §2.1.2 (DEVICE_NEEDS_RESET).

mod support;

use std::cell::RefCell;

use support::balloon::{Make, STATS};
use support::tasks::Task;
use virtio_guest::device::balloon::{Balloon, BalloonError, BalloonFeatures, Down, PLAIN, Settings, Slots};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Condition, Wants};

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

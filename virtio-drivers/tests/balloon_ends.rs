//! How a balloon comes up, and to its end: no page is lost, and none comes back that the device may still have.
//!
//! Spec: §5.5.5 Device Initialization, §2.4 Device Reset.

mod support;

use support::balloon::{Blocks, HINT, Make, POISON, Page, REPORTING, STATS};
use support::{TestHal, claim};
use virtio_guest::device::balloon::{
    Balloon, BalloonError, BalloonFeatures, Down, HANDLED, HintSlots, PLAIN, Pages, Progress, ReportSlots,
    Settings, Slots, StartError, Starting, Storage,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{ConfigError, ResetError, Wants};
use virtio_guest::ring::Broken;
use virtio_guest::wire::device_type::DeviceType;
use virtio_model::pci::Completion;

const ALL: u128 = 0x3f;

#[test]
fn a_balloon_that_is_taken_down_gives_all_pages_back_wherever_they_are() {
    for make in (Make { features: STATS, ..Make::default() }).each() {
        for target in [70, 5] {
            let mut bench = make.start();
            bench.reach(30).unwrap();
            bench.model.hold();
            bench.set_target(target);
            assert_eq!(bench.poll(), Progress::Working);
            bench.serve();
            assert!(bench.driver.unanswered_frames() > 0);

            bench.end();
        }
    }
}

/// Spec: §2.4.1 — what the device may still have stays with the driver.
#[test]
fn a_device_that_does_not_answer_a_reset_keeps_its_pages_until_it_does() {
    for make in (Make { features: ALL, poison: Some(0), ..Make::default() }).each() {
        let mut bench = make.start();
        bench.reach(30).unwrap();
        bench.device.misbehave(|lies| lies.reset = Completion::Never);
        let memory = bench.hal.dma_regions();

        let failed = bench.driver.take_down(Attempts(10)).unwrap_err();

        assert!(matches!(failed.error, ResetError::TimedOut { .. }));
        bench.driver = failed.balloon;
        assert_eq!((bench.driver.held_frames(), bench.kernel.free.len()), (30, 70));
        let refused = bench.driver.poll(&mut bench.kernel);
        assert!(
            matches!(
                refused,
                Err(BalloonError::Broken(Broken::ResetPending)
                    | BalloonError::Config(ConfigError::DeviceResetPending))
            ),
            "{refused:?}"
        );
        assert_eq!(
            (bench.kernel.free.len(), bench.kernel.dropped(), bench.hal.dma_regions()),
            (70, 0, memory)
        );
        bench.device.misbehave(|lies| lies.reset = Completion::Prompt);
        bench.end();
    }
}

#[test]
fn a_dropped_balloon_drops_its_pages_after_the_reset_and_leaks_them_without() {
    for make in Make::default().each() {
        for (reset, dropped) in [(Completion::Prompt, 46), (Completion::Never, 0)] {
            let mut bench = make.start();
            bench.reach(30).unwrap();
            bench.model.hold();
            bench.set_target(100);
            assert_eq!(bench.poll(), Progress::Working);
            bench.device.misbehave(|lies| lies.reset = reset);

            drop(bench.driver);

            assert_eq!(bench.kernel.dropped(), dropped);
            assert_eq!(bench.hal.dma_regions() > 0, dropped == 0);
        }
    }
}

/// Corner case: surprise removal.
#[test]
fn a_device_that_was_taken_out_ends_every_call_and_keeps_its_pages() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.reach(30).unwrap();
        bench.model.set_target(&bench.device, 100);
        assert_eq!(bench.poll(), Progress::Working);
        bench.device.misbehave(|lies| lies.all_ones = true);

        let gave_up = bench.driver.reach_target_blocking(&mut bench.kernel, Attempts(10));
        assert!(matches!(gave_up, Err(BalloonError::TimedOut | BalloonError::Config(_))), "{gave_up:?}");
        assert!(bench.driver.target_frames().is_err() && bench.driver.hint_command().is_ok());

        let failed = bench.driver.take_down(Attempts(10)).unwrap_err();
        assert_eq!((failed.balloon.held_frames(), failed.balloon.unanswered_frames()), (30, 16));
        drop(failed);
        assert_eq!((bench.kernel.free.len(), bench.kernel.dropped()), (54, 0));
    }
}

#[test]
fn a_balloon_that_was_taken_down_leaves_everything_for_another_one() {
    let mut bench = Make::default().start();
    bench.reach(30).unwrap();
    let Down { transport, pages, .. } = bench.driver.take_down(Attempts(10)).unwrap();
    let mut pages = pages;
    pages.by_ref().for_each(|page| bench.kernel.take_back(page));

    let again = Balloon::start(transport, &bench.hal, pages.into_slots(), Attempts(10));
    bench.driver = again.unwrap();

    assert_eq!((bench.driver.held_frames(), bench.reach(60)), (0, Ok(Progress::AtTarget)));
    assert_eq!(bench.actual(), 60);
    bench.assert_ledger();
    bench.end();
}

/// A device may still say what an earlier driver told it.
#[test]
fn a_balloon_that_comes_up_says_that_it_is_empty() {
    let (model, device) = Make::default().device();
    let mut config = device.config();
    config[4] = 77;
    device.set_config(config);
    let mut bench = Make::default().start_on(model, device);

    assert_eq!(bench.poll(), Progress::AtTarget);

    assert_eq!(bench.actual(), 0);
    bench.end();
}

#[test]
fn a_device_of_another_type_is_left_alone() {
    let device = virtio_model::Disk::with_sectors(1).builder().build();
    let hal = TestHal::default();

    let storage = Slots::<Page>::allocate(1);
    let failed = Balloon::start(Make::default().open(&device), &hal, storage, Attempts(10)).unwrap_err();

    assert_eq!(failed.error, StartError::NotABalloon(DeviceType::BLOCK));
    assert_eq!(device.statuses_written(), []);
    hal.assert_all_returned();
}

/// Spec: §5.5.3.1 — `MUST_TELL_HOST` is accepted; `PAGE_POISON` by those who fill pages; reports by those who do not expect a value to stay, or whose device knows of it.
#[test]
fn features_are_accepted_by_what_the_kernel_does_with_pages() {
    let all = BalloonFeatures::all();
    let (poison, reports) = (BalloonFeatures::PAGE_POISON, BalloonFeatures::PAGE_REPORTING);
    let agreed = |offered: BalloonFeatures, poison, wants| {
        let (_, device) = Make { features: offered.bits(), ..Make::default() }.device();
        let settings = Settings { poison, ..Settings::default() };
        let starting =
            Starting::begin(Make::default().open(&device), &settings, Wants::features(wants), Attempts(10));
        let features = starting.unwrap().features();
        device.assert_driver_was_correct();
        features
    };
    assert_eq!(agreed(all, None, HANDLED), all - poison);
    assert_eq!(agreed(all, Some(0), HANDLED), all);
    assert_eq!(agreed(all - poison, Some(0), HANDLED), all - poison - reports);
    assert_eq!(agreed(all - poison, None, HANDLED), all - poison);
    assert_eq!(agreed(all, None, BalloonFeatures::empty()), BalloonFeatures::MUST_TELL_HOST);
    assert_eq!(agreed(all, None, PLAIN), PLAIN - poison);
    assert_eq!(agreed(BalloonFeatures::empty(), Some(1), HANDLED), BalloonFeatures::empty());
}

/// Spec: §5.5.6.6.1 Driver Requirements: Page Poison — before DRIVER_OK, and not after it.
#[test]
fn the_device_is_told_the_poison_value_before_it_is_live() {
    for make in (Make { features: POISON, poison: Some(0xaabb_ccdd), ..Make::default() }).each() {
        let mut bench = make.start();
        assert_eq!(bench.model.poison(&bench.device), 0xaabb_ccdd);
        bench.reach(10).unwrap();
        bench.end();
    }
    let bench = Make { features: POISON, ..Make::default() }.start();
    assert_eq!(bench.model.poison(&bench.device), 0);
    bench.end();
}

#[test]
fn a_configuration_without_a_target_is_no_balloons() {
    for bytes in [0, 4] {
        let (_, device) =
            Make::default().device_with(|builder| builder.config(vec![0; bytes]).config_fields(Vec::new()));
        let hal = TestHal::default();
        let slots = Slots::<Page>::allocate(1);

        let failed = Balloon::start(Make::default().open(&device), &hal, slots, Attempts(10)).unwrap_err();

        assert!(matches!(failed.error, StartError::Config(ConfigError::Absent { .. })), "{failed}");
        hal.assert_all_returned();
    }
}

/// Whichever queue is missing, or has no memory: what was installed before gives its memory back.
#[test]
fn a_balloon_that_does_not_come_up_gives_everything_back() {
    for missing in 0..3 {
        let mut sizes = [16; 5];
        sizes[missing] = 0;
        let make = Make { features: ALL, ..Make::default() };
        let (_, device) = make.device_with(|builder| builder.queue_sizes(&sizes));
        let hal = TestHal::default();
        let mut storage = Storage::<Page, 4, 16>::new();
        let wants = Wants::features(HANDLED);
        let mut starting =
            Starting::begin(make.open(&device), &make.settings(), wants, Attempts(10)).unwrap();
        let hints = starting.install_hints::<_, Vec<u8>>(&hal, HintSlots::allocate(4)).unwrap();
        let reports = starting.install_reports::<_, Vec<u8>>(&hal, ReportSlots::allocate(4)).unwrap();

        let failed = starting.start(&hal, &mut storage).unwrap_err();

        assert!(matches!(failed.error, StartError::Queue(_)), "{failed}");
        let reset = failed.reset.expect("it resets");
        drop((hints.reclaim(&reset).unwrap(), reports.reclaim(&reset).unwrap()));
        hal.assert_all_returned();
        let (_, device) = Make::default().device();
        for limit in [0, 1, 3] {
            hal.limit_allocations(limit);
            let mut storage = Storage::<Page, 4, 16>::new();
            let started = Balloon::start(Make::default().open(&device), &hal, &mut storage, Attempts(10));
            assert!(matches!(started.unwrap_err().error, StartError::Queue(_)));
            hal.assert_all_returned();
        }
        device.assert_driver_was_correct();
    }
}

#[test]
fn a_queue_is_installed_once_and_only_for_a_feature() {
    let hal = TestHal::default();
    for features in [0, HINT | REPORTING] {
        let make = Make { features, ..Make::default() };
        let (_, device) = make.device();
        let wants = Wants::features(HANDLED);
        let mut starting =
            Starting::begin(make.open(&device), &make.settings(), wants, Attempts(10)).unwrap();
        let slots = || HintSlots::<_, Vec<u8>>::allocate(4);
        let hints = (features != 0).then(|| starting.install_hints(&hal, slots()).unwrap());
        assert_eq!(starting.install_hints(&hal, slots()).unwrap_err().error, StartError::NoSuchQueue);
        let slots = || ReportSlots::<_, Vec<u8>>::allocate(4);
        let reports = (features != 0).then(|| starting.install_reports(&hal, slots()).unwrap());
        assert_eq!(starting.install_reports(&hal, slots()).unwrap_err().error, StartError::NoSuchQueue);

        let reset = starting.give_up(Attempts(10)).unwrap();

        drop(hints.map(|hints| hints.reclaim(&reset).unwrap()));
        drop(reports.map(|reports| reports.reclaim(&reset).unwrap()));
        device.assert_driver_was_correct();
        hal.assert_all_returned();
    }
}

/// Dropped hints and reports leak what the device may have, and nothing of it comes back twice.
#[test]
fn queues_of_another_balloon_are_out_of_service() {
    let make = Make { features: HINT | REPORTING, ..Make::default() };
    let (one, two) = (make.start(), make.start());
    let (_, device) = make.device();
    let wants = Wants::features(HANDLED);
    let mut starting = Starting::begin(make.open(&device), &make.settings(), wants, Attempts(10)).unwrap();
    let hints = starting.install_hints(&one.hal, HintSlots::allocate(4)).unwrap();
    let reports = starting.install_reports(&one.hal, ReportSlots::allocate(4)).unwrap();
    let mut blocks = Blocks::new(2, 4096, 1);

    let (mut hints, mut reports) = (two.driver.activate_hints(hints), two.driver.activate_reports(reports));

    assert_eq!(hints.broken(), Some(Broken::OtherDevice));
    assert!(hints.poll(two.driver.hint_command().unwrap(), &mut blocks).is_err());
    assert!(reports.poll(&mut blocks).is_err());
    assert_eq!(blocks.free.len() + blocks.back.len(), 2);
    let reset = starting.give_up(Attempts(10)).unwrap();
    drop((hints.reclaim(&reset, &mut blocks).unwrap(), reports.reclaim(&reset, &mut blocks).unwrap()));
    let _ = claim(&device);
    one.end();
    two.end();
}

/// Pages of a burst that its queue does not take are where they were.
#[test]
fn a_device_in_the_middle_of_a_reset_is_told_of_no_page() {
    for make in Make::default().each() {
        for target in [60, 10] {
            let mut bench = make.start();
            assert_eq!(bench.reach(30), Ok(Progress::AtTarget));
            bench.device.misbehave(|lies| lies.reset = Completion::Never);
            bench.driver = bench.driver.take_down(Attempts(10)).unwrap_err().balloon;
            bench.model.set_target(&bench.device, target);

            let refused = bench.driver.poll(&mut bench.kernel);

            assert_eq!(refused, Err(BalloonError::Broken(Broken::ResetPending)));
            assert_eq!((bench.kernel.free.len(), bench.driver.held_frames()), (70, 30));
            assert_eq!(bench.driver.unanswered_frames(), 0);
            bench.device.misbehave(|lies| lies.reset = Completion::Prompt);
            bench.end();
        }
    }
}

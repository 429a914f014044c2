//! What bring-up promises: the specification's order, and a way down.
//!
//! No feature by accident; and down again from every step.
//!
//! Spec: §2.1 Device Status Field, §2.2 Feature Bits, §2.5 Device Configuration Space, §3.1 Device Initialization.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{Bench, RingBench};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{InstallError, NegotiateError, Negotiating, ResetError, Wants};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Broken, Chain, Portion, QueueSettings, RefusedReason, Slots, Storage};
use virtio_guest::transport::QueueError;
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;
use virtio_model::pci::{ACKNOWLEDGE, Completion, DRIVER, DRIVER_OK, FEATURES_OK, Misbehaviour, PciDevice};

const VERSION_1: u128 = 1 << 32;
const PATIENCE: Attempts = Attempts(10);
const SETTINGS: QueueSettings = QueueSettings { size_max: 16, indirect_segments: 4, memory_bytes: 64 };

fn device(features: u128) -> Bench {
    Bench::new(
        PciDevice::builder()
            .device_id(0x107e)
            .features(features)
            .config((0..64).collect::<Vec<u8>>())
            .build(),
    )
}

/// Spec: §3.1.1 — the model complains about every step out of order.
#[test]
fn bring_up_takes_the_steps_one_at_a_time_and_in_order() {
    let bench = device(VERSION_1);

    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    assert_eq!(bench.device.status(), ACKNOWLEDGE | DRIVER);
    let mut device = device.negotiate(Wants::<BlockFeatures>::none()).unwrap();
    assert_eq!(bench.device.status(), ACKNOWLEDGE | DRIVER | FEATURES_OK);
    let queue = device.install_queue(0, &bench.hal, &SETTINGS, Slots::<Tag<()>>::allocate(16)).unwrap();
    let device = device.start();
    assert_eq!(bench.device.status(), ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);

    let (_, reset) = device.reset(PATIENCE).map_err(|failed| failed.error).unwrap();
    assert_eq!(bench.device.status(), 0);
    assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

#[test]
fn a_reset_is_waited_for() {
    let bench = device(VERSION_1);
    std::mem::forget(Negotiating::begin(bench.transport(), PATIENCE).unwrap());
    bench.device.misbehave(|lies| lies.reset = Completion::AfterReads(5));

    assert!(Negotiating::begin(bench.transport(), PATIENCE).is_ok());

    bench.device.assert_driver_was_correct();
}

#[test]
fn a_reset_that_never_ends_is_an_error() {
    let bench = device(VERSION_1);
    let first = Negotiating::begin(bench.transport(), PATIENCE).unwrap().with_drop_attempts(Attempts(3));
    bench.device.misbehave(|lies| lies.reset = Completion::Never);
    drop(first);

    let error = Negotiating::begin(bench.transport(), PATIENCE).unwrap_err();

    assert!(matches!(error, ResetError::TimedOut { .. }), "{error:?}");
}

#[test]
fn a_device_that_is_gone_ends_bring_up_with_an_error() {
    let bench = device(VERSION_1);
    let transport = bench.transport();
    bench.device.misbehave(|lies| lies.all_ones = true);

    assert_eq!(Negotiating::begin(transport, PATIENCE).unwrap_err(), ResetError::Removed);
}

/// A removal at any register access of a bring-up: never a panic, a hang, or memory that is freed while lent.
#[test]
fn a_removal_in_the_middle_of_bring_up_is_an_error_or_noticed_later() {
    for accesses in (0..80).step_by(if cfg!(miri) { 7 } else { 1 }) {
        let bench = device(VERSION_1);
        let transport = bench.transport();
        bench.device.misbehave(|lies| lies.removed_after = Some(accesses));
        let Ok(device) = Negotiating::begin(transport, PATIENCE) else { continue };
        let Ok(mut device) = device.with_drop_attempts(Attempts(2)).negotiate(Wants::<BlockFeatures>::none())
        else {
            continue;
        };
        let queue = device.install_queue(0, &bench.hal, &SETTINGS, Slots::<Tag<()>>::allocate(16));
        let Ok(queue) = queue else {
            bench.hal.assert_all_returned();
            continue;
        };
        let device = device.start();
        let before = bench.hal.dma_regions();
        match device.reset(PATIENCE) {
            Ok((_, reset)) => assert_eq!(queue.reclaim(&reset).unwrap().count(), 0),
            Err(failed) => {
                assert_eq!(failed.error, ResetError::Removed);
                drop((failed, queue));
                assert_eq!(bench.hal.dma_regions(), before, "lent memory stays");
            }
        }
    }
}

#[test]
fn only_features_that_are_wanted_and_handled_are_accepted_whatever_is_offered() {
    let bench = device(u128::MAX);
    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    assert_eq!(device.offered().bits(), u128::MAX);

    let device = device.negotiate(Wants::features(BlockFeatures::FLUSH)).unwrap();

    let not_handled = CommonFeatures::SR_IOV | CommonFeatures::ADMIN_VQ;
    let handled = CommonFeatures::all() - not_handled - CommonFeatures::ANY_LAYOUT;
    let features = device.features();
    assert_eq!((features.common, features.device), (handled, BlockFeatures::FLUSH));
    assert_eq!(bench.device.negotiated_features(), handled.bits() | BlockFeatures::FLUSH.bits());
}

/// Spec: §6.1 — `VERSION_1` is accepted whatever a driver does without.
#[test]
fn no_driver_can_do_without_version_1() {
    let bench = device(u128::MAX);
    let wants = Wants::<BlockFeatures>::none().without(CommonFeatures::all());

    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap().negotiate(wants).unwrap();

    assert_eq!(device.features().common, CommonFeatures::VERSION_1);
    assert_eq!(bench.device.negotiated_features(), VERSION_1);
}

/// A device feature type cannot slip in a ring feature by claiming its bit.
#[test]
fn a_wish_outside_of_the_devices_own_bits_is_not_granted() {
    let bench = device(u128::MAX);
    let wants = Wants::features(BlockFeatures::from_bits_retain(1 << 37 | 1 << 41));

    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap().negotiate(wants).unwrap();

    assert!(device.features().device.is_empty());
    assert_eq!(bench.device.negotiated_features() & (1 << 37 | 1 << 41), 0);
}

#[test]
fn a_feature_offered_without_what_it_needs_is_not_accepted() {
    let bench = device(VERSION_1 | BlockFeatures::CONFIG_WCE.bits());
    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();

    let error = device.negotiate(Wants::none().require(BlockFeatures::CONFIG_WCE)).unwrap_err();

    assert_eq!(error, NegotiateError::Missing { bits: BlockFeatures::CONFIG_WCE.bits() });
    assert_eq!((bench.device.status(), bench.device.resets()), (0, 2), "given up and reset");
}

#[test]
fn a_device_without_version_1_is_refused() {
    let bench = device(0);

    let error = Negotiating::begin(bench.transport(), PATIENCE)
        .unwrap()
        .negotiate(Wants::<BlockFeatures>::none())
        .unwrap_err();

    assert_eq!(error, NegotiateError::Legacy);
    assert_eq!(bench.device.status(), 0);
}

#[test]
fn a_device_that_drops_features_ok_is_given_up_and_reset() {
    let bench = device(VERSION_1);
    bench.device.misbehave(|lies| lies.drops_features_ok = true);

    let error = Negotiating::begin(bench.transport(), PATIENCE)
        .unwrap()
        .negotiate(Wants::<BlockFeatures>::none())
        .unwrap_err();

    assert_eq!(error, NegotiateError::Refused { bits: VERSION_1 });
    assert_eq!(bench.device.status(), 0);
    bench.device.assert_driver_was_correct();
}

#[test]
fn features_that_change_after_features_ok_change_nothing() {
    let bench = device(VERSION_1 | BlockFeatures::FLUSH.bits());
    bench.device.misbehave(|lies| lies.features_after_ok = Some(u128::MAX));

    let device = Negotiating::begin(bench.transport(), PATIENCE)
        .unwrap()
        .negotiate(Wants::features(BlockFeatures::all()))
        .unwrap();

    assert_eq!(device.features().device, BlockFeatures::FLUSH);
    drop(device);
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_bring_up_that_is_dropped_leaves_the_device_reset() {
    let bench = device(VERSION_1);
    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    drop(device);
    assert_eq!((bench.device.status(), bench.device.resets()), (0, 2));

    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    drop(device.negotiate(Wants::<BlockFeatures>::none()).unwrap().start());
    assert_eq!((bench.device.status(), bench.device.resets()), (0, 4));
    bench.device.assert_driver_was_correct();
}

fn install_error(bench: &Bench) -> InstallError {
    let error =
        bench.install().install_queue(0, &bench.hal, &SETTINGS, Slots::<Tag<()>>::allocate(16)).unwrap_err();
    bench.hal.assert_all_returned();
    error.into()
}

#[test]
fn a_queue_that_is_absent_or_in_use_is_not_installed() {
    let bench = device(VERSION_1);
    bench.device.misbehave(|lies| lies.queue_size = Some(0));
    assert_eq!(install_error(&bench), InstallError::Queue { index: 0, error: QueueError::Absent });

    let bench = device(VERSION_1);
    bench.device.misbehave(|lies| lies.queue_already_enabled = true);
    assert_eq!(install_error(&bench), InstallError::Queue { index: 0, error: QueueError::AlreadyEnabled });

    let bench = device(VERSION_1);
    let beyond =
        bench.install().install_queue(1, &bench.hal, &SETTINGS, Slots::<Tag<()>>::allocate(16)).unwrap_err();
    assert_eq!(beyond.error, InstallError::Queue { index: 1, error: QueueError::Absent });
}

#[test]
fn a_doorbell_outside_of_the_notification_registers_is_refused() {
    let bench = device(VERSION_1);
    bench.device.misbehave(|lies| lies.notify_off = Some(0x0400));

    assert_eq!(
        install_error(&bench),
        InstallError::Queue { index: 0, error: QueueError::DoorbellOutOfBounds }
    );
}

#[test]
fn memory_that_runs_out_in_the_middle_of_a_queue_is_all_given_back() {
    for allocations in 0..3 {
        let bench = device(VERSION_1 | 1 << 28);
        bench.hal.limit_allocations(allocations);
        assert_eq!(install_error(&bench), InstallError::NoMemory { index: 0 });
    }
    let bench = device(VERSION_1);
    let error =
        bench.install().install_queue(0, &bench.hal, &SETTINGS, Slots::<Tag<()>>::allocate(0)).unwrap_err();
    assert_eq!(error.error, InstallError::NoStorage { index: 0, size_max: 16 });
}

/// A device without an allocator has its storage once: what was lent for a queue that came to nothing serves the next.
#[test]
fn a_queue_that_is_not_installed_gives_its_storage_back() {
    type Lies = fn(&mut Misbehaviour);
    let lies: [(Lies, usize); 5] = [
        (|lies| lies.queue_size = Some(0), usize::MAX),
        (|lies| lies.queue_already_enabled = true, usize::MAX),
        (|lies| lies.notify_off = Some(0x0400), usize::MAX),
        (|_| {}, 0),
        (|_| {}, 1),
    ];
    let mut storage = Storage::<Tag<()>, 16>::new();
    let mut slots = Slots::from(&mut storage);
    for (lies, allocations) in lies {
        let bench = device(VERSION_1);
        bench.device.misbehave(lies);
        bench.hal.limit_allocations(allocations);
        let refused = bench.install().install_queue(0, &bench.hal, &SETTINGS, slots);
        slots = refused.unwrap_err().storage;
    }

    let bench = device(VERSION_1);
    let mut installing = bench.install();
    let queue = installing.install_queue(0, &bench.hal, &SETTINGS, slots).unwrap();

    assert_eq!(queue.size(), 16);
    assert_eq!(queue.reclaim(&installing.reset(PATIENCE).unwrap()).unwrap().count(), 0);
}

#[test]
fn interrupts_have_causes_only_while_the_device_is_there() {
    let bench = RingBench::<Tag<()>>::new(4, false, false);
    assert_eq!(
        bench.running.acknowledge_interrupt(),
        virtio_guest::transport::InterruptCause::default(),
        "spurious"
    );

    bench.device.raise_used(0);
    bench.device.raise_config();
    let cause = bench.running.acknowledge_interrupt();
    assert!(cause.used_buffer && cause.configuration_change, "one read shows and clears both");
    assert_eq!(bench.running.acknowledge_interrupt(), virtio_guest::transport::InterruptCause::default());

    bench.device.misbehave(|lies| lies.all_ones = true);
    assert_eq!(bench.running.acknowledge_interrupt(), virtio_guest::transport::InterruptCause::default());
    assert!(bench.running.is_removed() && !bench.running.needs_reset());
}

/// Spec: §2.1.2 — a device that asks for a reset gets one, gives everything back, and can be brought up again.
#[test]
fn a_device_that_needs_a_reset_can_be_brought_up_again() {
    let mut bench = RingBench::new(4, false, false);
    let portion = [Portion { offset: 0, len: 8 }];
    bench.queue.make_available(Chain { readable: &portion, writable: &[] }, Tag(3)).unwrap();
    bench.queue.publish();
    assert!(!bench.running.needs_reset());
    bench.device.set_needs_reset();
    assert!(bench.running.needs_reset());
    let (device, hal) = (bench.device.clone(), bench.hal.clone());

    assert_eq!(bench.finish(), [Tag(3)]);

    let again = Bench { device, hal };
    let mut installing = again.install();
    assert!(installing.install_queue(0, &again.hal, &SETTINGS, Slots::<Tag<()>>::allocate(16)).is_ok());
}

/// Spec: §3.1.1 — no notification before DRIVER_OK: a queue becomes usable with its own device's, and with no other's.
#[test]
fn a_queue_is_not_activated_by_another_device_than_its_own() {
    let (one, other) = (device(VERSION_1), device(VERSION_1));
    let mut installing = one.install();
    let queue = installing.install_queue(0, &one.hal, &SETTINGS, Slots::<Tag<()>>::allocate(16)).unwrap();
    let running = other.install().start();

    let mut queue = running.activate(queue);

    assert_eq!(queue.broken(), Some(Broken::OtherDevice));
    let portion = [Portion { offset: 0, len: 8 }];
    let refused = queue.make_available(Chain { readable: &portion, writable: &[] }, Tag(())).unwrap_err();
    assert_eq!(refused.reason, RefusedReason::Broken);
    let reset = installing.reset(PATIENCE).unwrap();
    assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
}

/// Spec: §2.1.1 — a driver clears no bit of the status: what the device set, while it came up, is still there when it is up.
#[test]
fn a_device_that_asks_for_a_reset_before_it_is_up_is_still_heard_afterwards() {
    let bench = device(VERSION_1);
    let negotiating = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    let installing = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap();
    bench.device.set_needs_reset();

    let running = installing.start();

    assert_eq!(bench.device.statuses_written(), [0, 1, 3, 11, 15 | 64]);
    assert!(running.needs_reset());
    bench.device.assert_driver_was_correct();
}

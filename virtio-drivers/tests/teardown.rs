//! The way down, and what it leaves behind.
//!
//! After a bring-up that fails, a driver that is closed, a device that is slow to reset.
//!
//! Spec: §2.1 (FAILED), §2.4 Device Reset, §3.1.1 (last paragraph of the steps).

mod support;

use std::rc::Rc;

use support::{Bench, DiskBench, RING_SETTINGS, RingBench};
use virtio_guest::device::block::{self, Block, RequestError, Sector, Settings, StartError, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{
    ConfigError, InstallError, NegotiateError, Negotiating, QueueResetError, ResetError, Wants,
};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Broken, Chain, Portion, Slots};
use virtio_guest::transport::QueueError;
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::field::Field;
use virtio_model::pci::{Completion, DRIVER_OK, FAILED, PciDevice};

const VERSION_1: u128 = 1 << 32;
const RING_RESET: u128 = 1 << 40;
const PATIENCE: Attempts = Attempts(10);

/// Spec: §3.1.1 — a driver that gives up sets FAILED; then it resets.
#[test]
fn a_bring_up_that_is_given_up_sets_failed_and_then_resets() {
    let bench = Bench::new(PciDevice::builder().device_id(0x107e).features(0).build());

    Negotiating::begin(bench.transport(), PATIENCE)
        .unwrap()
        .negotiate(Wants::<BlockFeatures>::none())
        .unwrap_err();

    let statuses = bench.device.statuses_written();
    let [.., failed, reset] = statuses[..] else { panic!("{statuses:?}") };
    assert_eq!((failed & FAILED, reset), (FAILED, 0));
    bench.device.assert_driver_was_correct();
}

/// Spec: §2.1.2 — a device that asks for a reset is not brought on; nor are bits written back that are not the driver's.
#[test]
fn a_device_that_needs_a_reset_during_bring_up_is_given_up() {
    let bench = Bench::new(PciDevice::builder().device_id(0x107e).features(VERSION_1).build());
    let negotiating = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    bench.device.set_needs_reset();

    let error = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap_err();

    assert!(matches!(error, NegotiateError::Refused { .. }), "{error}");
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_bring_up_that_is_reset_half_way_is_reset_once() {
    let bench = Bench::with_queue(4, 0);
    let installing = bench.install();
    let before = (bench.device.resets(), bench.device.statuses_written().len());

    installing.reset(PATIENCE).unwrap();

    assert_eq!((bench.device.resets(), bench.device.statuses_written().len()), (before.0 + 1, before.1 + 1));
}

/// Spec: §2.4.1 — until a reset is seen to be complete nothing is written but the request for it; the model lists all else.
#[test]
fn a_device_in_the_middle_of_a_reset_is_told_nothing_else() {
    let builder = PciDevice::builder().device_id(0x107e).queue_sizes(&[4; 3]).config([0; 64]);
    let bench = Bench::new(builder.features(VERSION_1 | RING_RESET).build());
    let slots = || Slots::<Tag<u8>>::allocate(4);
    let mut installing = bench.install();
    let [late, live, gone] =
        [0, 1, 2].map(|index| installing.install_queue(index, &bench.hal, &RING_SETTINGS, slots()).unwrap());
    let mut running = installing.start();
    let (live, gone) = (running.activate(live), running.activate(gone));
    let vacancy = running.reset_queue(gone, PATIENCE).unwrap().vacancy;
    bench.device.misbehave(|lies| lies.reset = Completion::AfterReads(8));

    let mut running = running.reset(Attempts(2)).unwrap_err().device;

    let mut late = running.activate(late);
    assert_eq!(late.broken(), Some(Broken::ResetPending));
    let portion = [Portion { offset: 0, len: 8 }];
    assert!(late.make_available(Chain { readable: &portion, writable: &[] }, Tag(1)).is_err());
    assert!(!late.publish());
    let refused = running.reset_queue(live, PATIENCE).unwrap_err();
    assert_eq!(refused.error, QueueResetError::DeviceResetPending);
    assert_eq!(refused.queue.broken(), Some(Broken::ResetPending));
    let reinstalled = running.reinstall_queue(vacancy, &bench.hal, &RING_SETTINGS, slots());
    assert_eq!(reinstalled.unwrap_err().error, InstallError::DeviceResetPending { index: 2 });
    assert_eq!(running.write_config(Field::<u16>::at(0), 1), Err(ConfigError::DeviceResetPending));
    assert!(bench.device.config_writes().is_empty());

    let (_, reset) = running.reset(PATIENCE).expect("the second time");
    for queue in [late, refused.queue] {
        assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
    }
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

/// The same on the way up: a device that was asked for a reset is not told FAILED, too.
#[test]
fn a_bring_up_that_does_not_reset_in_time_is_asked_again_and_told_nothing_else() {
    let bench = Bench::with_queue(4, 0);
    let installing = bench.install();
    let before = bench.device.statuses_written().len();
    bench.device.misbehave(|lies| lies.reset = Completion::AfterReads(8));

    assert!(matches!(installing.reset(Attempts(2)), Err(ResetError::TimedOut { .. })));

    assert_eq!(bench.device.statuses_written()[before..], [0, 0]);
    bench.device.assert_driver_was_correct();
}

/// A close that ran out of patience can be tried again, and gives everything back then.
#[test]
fn a_driver_that_was_not_closed_in_time_comes_back() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let disk = bench.start(&mut storage).unwrap();
    bench.device.misbehave(|lies| lies.reset = Completion::AfterReads(4));

    let failed = disk.close(Attempts(2)).unwrap_err();
    assert!(matches!(failed.error, ResetError::TimedOut { .. }));
    let mut disk = failed.disk;
    let refused = disk.read_blocking(Sector(0), &mut [0; 512], bench.working(3));
    assert!(matches!(refused, Err(RequestError::Broken(Broken::ResetPending))), "{refused:?}");

    disk.close(PATIENCE).unwrap();
    bench.hal.assert_all_returned();
}

/// Storage that was lent for ever serves one driver after the other.
#[test]
fn a_closed_driver_gives_its_storage_back() {
    let bench = DiskBench::new(|_| {});
    let storage: &'static mut Storage<16> = Box::leak(Box::default());
    let disk: Block<'static, _, _> = bench.start(storage).unwrap();

    let closed = disk.close(PATIENCE).unwrap();
    let mut again: Block<'static, _, _> =
        Block::start(closed.transport, bench.hal.clone(), closed.storage, PATIENCE).unwrap();

    let mut sector = [0; 512];
    again.read_blocking(Sector(3), &mut sector, bench.working(10)).unwrap();
    assert_eq!(sector, [3; 512]);
    again.close(PATIENCE).unwrap();
    bench.assert_all_returned();
}

/// Storage that was lent for ever is not lost to a start that fails, wherever it does.
#[test]
fn a_start_that_fails_gives_its_storage_back() {
    type Fault = fn(&DiskBench, &mut support::Altered);
    let faults: [Fault; 6] = [
        |bench, _| bench.device.misbehave(|lies| lies.all_ones = true),
        |bench, _| bench.device.misbehave(|lies| lies.drops_features_ok = true),
        |bench, _| bench.device.misbehave(|lies| lies.queue_size = Some(0)),
        |bench, _| bench.device.misbehave(|lies| lies.queue_already_enabled = true),
        |bench, _| bench.hal.limit_allocations(1),
        |_, transport| transport.later_size = 4,
    ];
    let storage: &'static mut Storage<16> = Box::leak(Box::default());
    let mut storage: block::Slots<'static> = storage.into();
    for fault in faults {
        let bench = DiskBench::new(|_| {});
        let mut transport =
            support::Altered::new(Bench { device: bench.device.clone(), hal: bench.hal.clone() }.transport());
        fault(&bench, &mut transport);
        let failed = Block::start(transport, bench.hal.clone(), storage, PATIENCE).unwrap_err();
        storage = failed.storage;
        bench.hal.assert_all_returned();
        let statuses = bench.device.statuses_written();
        assert!(statuses.iter().all(|status| status & DRIVER_OK == 0), "it does not go on: {statuses:?}");
    }

    let bench = DiskBench::new(|_| {});
    let transport = Bench { device: bench.device.clone(), hal: bench.hal.clone() }.transport();
    let disk: Block<'static, _, _> = Block::start(transport, bench.hal.clone(), storage, PATIENCE).unwrap();

    assert_eq!(disk.active_paths().queue_size, 16);
    drop(disk);
    bench.assert_all_returned();
}

#[test]
fn a_disk_without_its_queue_is_named_as_such() {
    let bench = DiskBench::new(|config| config.queue_size = 0);
    let mut storage = Storage::<16>::new();

    let error = bench.start(&mut storage).unwrap_err();

    assert_eq!(error, StartError::Queue(InstallError::Queue { index: 0, error: QueueError::Absent }));
}

/// Every call gives up and is answered late: all slots come back each time.
#[test]
fn late_answers_give_their_slots_back() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    for _ in 0..40 {
        bench.disk.hold();
        let timed_out = disk.read_blocking(Sector(1), &mut [0; 512], bench.working(3));
        assert_eq!(timed_out, Err(RequestError::TimedOut));
        bench.disk.release_all();
        bench.serve();
    }

    let mut all = vec![0; 64 * 512];
    disk.read_blocking(Sector(0), &mut all, bench.working(100)).unwrap();
    assert_eq!(all[512 * 63..], [63; 512]);
}

/// A queue whose size changes between two looks at it: an error of the start, not of every request.
#[test]
fn a_queue_size_that_changes_during_bring_up_is_an_error_of_the_start() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let transport = Bench { device: bench.device.clone(), hal: bench.hal.clone() }.transport();
    let mut shrinking = support::Altered::new(transport);
    shrinking.later_size = 2;
    let (settings, wants) = (Settings::default(), Wants::none());

    let error = Block::start_with(shrinking, bench.hal.clone(), &mut storage, &settings, wants, PATIENCE);

    assert_eq!(error.unwrap_err().error, StartError::LimitsTooSmall { queue_size: 2 });
    bench.assert_all_returned();
}

/// What a reset returns and nobody takes is dropped, once.
#[test]
fn payloads_that_nobody_takes_after_a_reset_are_dropped() {
    let mut bench = RingBench::<Tag<Rc<()>>>::new(8, false, false);
    let context = Rc::new(());
    let chain = Chain { readable: &[Portion { offset: 0, len: 16 }], writable: &[] };
    for _ in 0..3 {
        bench.queue.make_available(chain, Tag(Rc::clone(&context))).unwrap();
    }
    let (_, reset) = bench.running.reset(PATIENCE).unwrap();
    let mut returned = bench.queue.reclaim(&reset).unwrap();

    drop(returned.next());
    assert_eq!(Rc::strong_count(&context), 3);
    drop(returned);

    assert_eq!(Rc::strong_count(&context), 1);
}

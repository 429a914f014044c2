//! A device is suspended, and goes on with what was in flight.
//!
//! Spec: §3.4 Device Suspend. In between nothing is said to it. Behind PCI and behind MMIO, in both layouts. The model lists whatever a driver must not do meanwhile. Devices that do not do as they are
//! told are in `suspend_hostile.rs`.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use support::{Bench, RING_SETTINGS, Sleeper, read_sector, sectors_read};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{SuspendFailed, SuspendRefused};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Broken, QueueSettings, Slots};
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::field::Field;
use virtio_model::pci::{Completion, DRIVER_OK, SUSPEND};

const FLUSH: u128 = 1 << 9;
const CONFIG_WCE: u128 = 1 << 11;
const PATIENCE: Attempts = Attempts(10);

/// Spec: §3.4.1 — used and not taken, begun, not begun, not published: each comes back once, with the right contents, after the device runs again.
#[test]
fn chains_in_flight_come_back_once_after_the_device_resumes() {
    for bench in Sleeper::each() {
        let (mut device, mut queue) = bench.start();
        bench.disk.hold();
        for slot in [0, 1] {
            read_sector(&mut queue, slot);
        }
        queue.publish();
        bench.disk.release(1);
        assert_eq!((bench.serve(), bench.disk.waiting()), (1, 1));
        read_sector(&mut queue, 2);
        queue.publish();
        read_sector(&mut queue, 3);
        bench.disk.release_all();

        let parked = device.park(queue).unwrap();
        let (ring, told) = (bench.ring(), bench.told());
        let device = device.suspend(PATIENCE).unwrap();
        assert_eq!((bench.suspension(), bench.serve(), parked.in_flight()), (SUSPEND, 0, 4));
        assert_eq!(bench.ring(), ring, "nothing made available");
        let mut device = device.resume(PATIENCE).unwrap();
        assert_eq!((bench.suspension(), bench.told()), (DRIVER_OK, (told.0 + 2, told.1)), "no notification");

        let mut queue = device.unpark(parked).unwrap();
        assert_eq!((sectors_read(&mut queue), bench.serve()), (vec![0], 2));
        assert_eq!((sectors_read(&mut queue), bench.serve()), (vec![1, 2], 0), "3 was not published");
        queue.publish();
        assert_eq!((bench.serve(), sectors_read(&mut queue)), (1, vec![3]));
        assert_eq!(bench.disk.requests().len(), 4);

        let (_, reset) = device.reset(PATIENCE).unwrap();
        assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
        bench.assert_all_returned();
    }
}

/// Spec: §3.4.2 — a device that first finishes what it has begun, and begins with nothing more.
#[test]
fn a_device_that_finishes_its_work_first_is_waited_for() {
    for bench in Sleeper::each() {
        let (mut device, mut queue) = bench.start();
        bench.disk.hold();
        read_sector(&mut queue, 0);
        queue.publish();
        bench.serve();
        read_sector(&mut queue, 1);
        queue.publish();
        bench.device.misbehave(|lies| lies.suspend = Completion::Never);
        let parked = device.park(queue).unwrap();
        let mut looks = 0;

        let device = device
            .suspend(|| {
                looks += 1;
                bench.disk.release_all();
                if looks == 3 {
                    assert_eq!((bench.serve(), bench.disk.requests().len()), (1, 1));
                    bench.device.misbehave(|lies| lies.suspend = Completion::Prompt);
                }
                true
            })
            .unwrap();

        assert_eq!(looks, 3);
        let mut device = device.resume(PATIENCE).unwrap();
        let mut queue = device.unpark(parked).unwrap();
        assert_eq!(
            (sectors_read(&mut queue), bench.serve(), sectors_read(&mut queue)),
            (vec![0], 1, vec![1])
        );
        bench.device.assert_driver_was_correct();
    }
}

/// As often as one likes, with the same queue.
#[test]
fn a_device_can_be_suspended_again() {
    for bench in Sleeper::each() {
        let (mut device, mut queue) = bench.start();
        for slot in [1, 2, 1] {
            let parked = device.park(queue).unwrap();
            device = device.suspend(PATIENCE).unwrap().resume(PATIENCE).unwrap();
            queue = device.unpark(parked).unwrap();
            read_sector(&mut queue, slot);
            assert!(queue.publish());
            assert_eq!((bench.serve(), sectors_read(&mut queue)), (1, vec![slot]));
        }
        bench.device.assert_driver_was_correct();
    }
}

/// Spec: §3.4.1 — reading is no change; the configuration can be written again when the device runs.
#[test]
fn the_configuration_of_a_suspended_device_can_be_read() {
    for bench in Sleeper::each_with(|features| features | FLUSH | CONFIG_WCE) {
        let (mut device, queue) = bench.start();
        let _parked = device.park(queue).unwrap();

        let device = device.suspend(PATIENCE).unwrap();
        assert_eq!(device.config().read(Field::<u64>::at(0)), Ok(4));
        assert!(device.features().common.contains(CommonFeatures::SUSPEND));
        assert!(!device.needs_reset() && !device.is_removed());
        let mut device = device.resume(PATIENCE).unwrap();

        assert!(bench.device.config_writes().is_empty());
        device.write_config(Field::<u8>::at(32), 1).unwrap();
        bench.device.assert_driver_was_correct();
    }
}

/// Spec: §3.4.1 — SUSPEND is not set without the feature, be it that the device does not offer it or that the driver does not want it.
#[test]
fn a_device_that_cannot_be_suspended_is_not_asked_to() {
    let unwanted = Sleeper::each().map(|bench| (bench, CommonFeatures::SUSPEND));
    let not_offered = Sleeper::each_with(|features| features & !CommonFeatures::SUSPEND.bits());
    for (bench, without) in unwanted.chain(not_offered.map(|bench| (bench, CommonFeatures::empty()))) {
        let (device, [mut queue]) = bench.start_without(without);
        let told = bench.told();

        let SuspendFailed::Refused { error, device } = device.suspend(PATIENCE).unwrap_err() else {
            panic!("it was asked");
        };

        assert_eq!((error, bench.told()), (SuspendRefused::NotAgreed, told));
        read_sector(&mut queue, 3);
        queue.publish();
        assert_eq!((bench.serve(), sectors_read(&mut queue)), (1, vec![3]), "it runs on");
        drop(device);
        bench.device.assert_driver_was_correct();
    }
}

/// Spec: §3.4.1 — as long as somebody could make buffers available, or notify, the device is not asked.
#[test]
fn a_device_with_a_live_queue_is_not_suspended() {
    for bench in Sleeper::each() {
        let (mut device, [first, second]) = bench.start_without(CommonFeatures::empty());
        let told = bench.told();
        let refuse = |device: support::Live, live| match device.suspend(PATIENCE).unwrap_err() {
            SuspendFailed::Refused { error, device } => {
                assert_eq!((error, bench.told()), (SuspendRefused::QueuesInUse { queues: live }, told));
                device
            }
            SuspendFailed::NotConfirmed(_) => panic!("it was asked"),
        };

        device = refuse(device, 2);
        let first = device.park(first).unwrap();
        device = refuse(device, 1);
        let second = device.park(second).unwrap();
        let first = device.unpark(first).unwrap();
        device = refuse(device, 1);
        let _parked = (device.park(first).unwrap(), second);

        assert!(device.suspend(PATIENCE).is_ok());
        bench.device.assert_driver_was_correct();
    }
}

/// A queue that was reset by itself is no more; one that is installed in its place is live.
#[test]
fn a_queue_that_was_reset_does_not_keep_its_device_from_being_suspended() {
    let settings = QueueSettings { size_max: 8, indirect_segments: 0, memory_bytes: 0 };
    for bench in Sleeper::each() {
        let (mut device, queue) = bench.start();
        let vacancy = device.reset_queue(queue, PATIENCE).unwrap().vacancy;

        let mut device = device.suspend(PATIENCE).unwrap().resume(PATIENCE).unwrap();
        let slots = Slots::<Tag<u32>>::allocate(8);
        let queue = device.reinstall_queue(vacancy, &bench.hal, &settings, slots).unwrap();

        let refused = device.suspend(PATIENCE).unwrap_err();
        assert!(matches!(
            refused,
            SuspendFailed::Refused { error: SuspendRefused::QueuesInUse { queues: 1 }, .. }
        ));
        drop(queue);
        bench.device.assert_driver_was_correct();
    }
}

/// The device knows of a queue from its installation on.
#[test]
fn a_queue_that_was_never_activated_is_to_be_parked_too() {
    let bench = Bench::with_queue(4, CommonFeatures::SUSPEND.bits());
    let mut installing = bench.install();
    let queue =
        installing.install_queue(0, &bench.hal, &RING_SETTINGS, Slots::<Tag<u32>>::allocate(4)).unwrap();

    let refused = installing.start().suspend(PATIENCE).unwrap_err();

    let SuspendFailed::Refused { error: SuspendRefused::QueuesInUse { queues: 1 }, mut device } = refused
    else {
        panic!("{refused}");
    };
    let queue = device.activate(queue);
    let _parked = device.park(queue).unwrap();
    assert!(device.suspend(PATIENCE).is_ok());
    bench.device.assert_driver_was_correct();
}

/// Nobody sees a queue go that is dropped: its device is not suspended any more, on the safe side.
#[test]
fn a_queue_that_was_dropped_keeps_its_device_from_being_suspended() {
    for bench in Sleeper::each() {
        let (device, queue) = bench.start();
        drop(queue);

        let refused = device.suspend(PATIENCE).unwrap_err();

        assert!(matches!(
            refused,
            SuspendFailed::Refused { error: SuspendRefused::QueuesInUse { queues: 1 }, .. }
        ));
    }
}

/// Nor does another device's queue count, or is it taken.
#[test]
fn another_devices_queue_is_neither_parked_nor_unparked() {
    let (one, other) = (Sleeper::each().next().unwrap(), Sleeper::each().next().unwrap());
    let ((mut device, queue), (mut other_device, other_queue)) = (one.start(), other.start());

    let other_queue = device.park(other_queue).unwrap_err();
    assert_eq!(other_queue.broken(), None);
    let other_parked = other_device.park(other_queue).unwrap();
    let other_parked = device.unpark(other_parked).unwrap_err();
    let refused = device.suspend(PATIENCE).unwrap_err();
    assert!(matches!(
        refused,
        SuspendFailed::Refused { error: SuspendRefused::QueuesInUse { queues: 1 }, .. }
    ));

    let mut other_device = other_device.suspend(PATIENCE).unwrap().resume(PATIENCE).unwrap();
    let mut other_queue = other_device.unpark(other_parked).unwrap();
    read_sector(&mut other_queue, 1);
    other_queue.publish();
    assert_eq!((other.serve(), sectors_read(&mut other_queue)), (1, vec![1]));
    drop(queue);
}

/// Spec: §2.4.1 — until a reset is seen to be complete nothing is written but the request for it.
#[test]
fn a_device_in_the_middle_of_a_reset_is_not_suspended() {
    for bench in Sleeper::each() {
        let (mut device, queue) = bench.start();
        let parked = device.park(queue).unwrap();
        bench.device.misbehave(|lies| lies.reset = Completion::AfterReads(8));
        let device = device.suspend(PATIENCE).unwrap().reset(Attempts(2)).unwrap_err().device;
        let told = bench.told();

        let SuspendFailed::Refused { error, mut device } = device.suspend(PATIENCE).unwrap_err() else {
            panic!("it was asked");
        };

        assert_eq!((error, bench.told()), (SuspendRefused::DeviceResetPending, told));
        let queue = device.unpark(parked).unwrap();
        assert_eq!(queue.broken(), Some(Broken::ResetPending));
        let (_, reset) = device.reset(PATIENCE).unwrap();
        assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
        bench.assert_all_returned();
    }
}

/// A reset while suspended gives back what is in flight, from a queue that is still parked.
#[test]
fn a_suspended_device_can_be_reset_and_gives_everything_back() {
    for bench in Sleeper::each() {
        let (mut device, mut queue) = bench.start();
        read_sector(&mut queue, 0);
        queue.publish();
        read_sector(&mut queue, 1);
        let parked = device.park(queue).unwrap();

        let (transport, reset) = device.suspend(PATIENCE).unwrap().reset(PATIENCE).unwrap();

        let returned = parked.reclaim(&reset).unwrap().collect::<Vec<_>>();
        assert_eq!((returned, bench.device.status()), (vec![Tag(0), Tag(1)], 0));
        drop(transport);
        bench.assert_all_returned();
        let (_device, mut queue) = bench.start();
        read_sector(&mut queue, 2);
        queue.publish();
        assert_eq!((bench.serve(), sectors_read(&mut queue)), (1, vec![2]), "brought up again");
    }
}

#[test]
fn a_suspended_device_that_is_dropped_is_reset() {
    for bench in Sleeper::each() {
        let (mut device, queue) = bench.start();
        let _parked = device.park(queue).unwrap();
        let resets = bench.device.resets();

        drop(device.suspend(PATIENCE).unwrap());

        assert_eq!((bench.device.status(), bench.device.resets()), (0, resets + 1));
        bench.device.assert_driver_was_correct();
    }
}

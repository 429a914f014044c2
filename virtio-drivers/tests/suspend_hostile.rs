//! Devices that are asked to suspend themselves, and do something else.
//!
//! Spec: §3.4 Device Suspend, §2.1.2 (DEVICE_NEEDS_RESET).
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use support::{Live, Sleeper, TagQueue, TestHal, read_sector, sectors_read};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{ResetError, SuspendFailed, SuspendNotConfirmed, Unconfirmed};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Broken, ParkedQueue};
use virtio_model::pci::{Completion, DRIVER_OK, NEEDS_RESET, SUSPEND};

const PATIENCE: Attempts = Attempts(10);
const BETWEEN: u8 = 1 | 2 | 8 | DRIVER_OK | SUSPEND;

type Parked = ParkedQueue<'static, TestHal, Tag<u32>>;

/// A device with a read in flight, and its queue parked.
fn parked(bench: &Sleeper) -> (Live, Parked) {
    let (mut device, mut queue) = bench.start();
    read_sector(&mut queue, 3);
    queue.publish();
    let queue = device.park(queue).unwrap();
    (device, queue)
}

/// Asks for a suspension that is not confirmed.
fn not_confirmed(
    device: Live,
) -> SuspendNotConfirmed<support::Either, virtio_guest::wire::block::BlockFeatures> {
    match device.suspend(PATIENCE).unwrap_err() {
        SuspendFailed::NotConfirmed(failed) => failed,
        SuspendFailed::Refused { error, .. } => panic!("{error}"),
    }
}

/// The one read in flight comes back, and the device is reset.
fn finish(bench: &Sleeper, device: Live, mut queue: TagQueue) {
    assert_eq!((bench.serve(), sectors_read(&mut queue)), (1, vec![3]));
    finish_empty(bench, device, queue);
}

/// Nothing is in flight, and the device is reset.
fn finish_empty(bench: &Sleeper, device: Live, queue: TagQueue) {
    let (_, reset) = device.reset(PATIENCE).unwrap();
    assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
    bench.assert_all_returned();
}

/// Spec: §3.4.1 — SUSPEND set and DRIVER_OK clear, and nothing else, say that it is suspended; the other way round, that it runs.
#[test]
fn of_all_statuses_only_those_that_say_so_confirm_a_suspension_or_a_resumption() {
    let step = if cfg!(miri) { 51 } else { 1 };
    for status in (0..=u8::MAX).step_by(step) {
        let suspension = status & (SUSPEND | DRIVER_OK);
        let error = match status {
            u8::MAX => Unconfirmed::Removed,
            _ if status & NEEDS_RESET != 0 => Unconfirmed::NeedsReset,
            _ => Unconfirmed::TimedOut { status },
        };
        for bench in Sleeper::each().take(if cfg!(miri) { 1 } else { 2 }) {
            let (device, queue) = parked(&bench);
            bench.device.misbehave(|lies| lies.status_read = Some(status));
            match device.suspend(PATIENCE) {
                Ok(device) => {
                    assert_eq!((suspension, status & NEEDS_RESET), (SUSPEND, 0), "{status:#x}");
                    std::mem::forget(device);
                }
                Err(SuspendFailed::NotConfirmed(failed)) => {
                    assert!(suspension != SUSPEND || status & NEEDS_RESET != 0, "{status:#x}");
                    assert_eq!(failed.error, error);
                    std::mem::forget(failed.device);
                }
                Err(SuspendFailed::Refused { error, .. }) => panic!("{error}"),
            }
            bench.device.misbehave(|lies| lies.status_read = None);
            drop(queue);

            let (device, queue) = parked(&bench);
            let device = device.suspend(PATIENCE).unwrap();
            bench.device.misbehave(|lies| lies.status_read = Some(status));
            match device.resume(PATIENCE) {
                Ok(device) => {
                    assert_eq!((suspension, status & NEEDS_RESET), (DRIVER_OK, 0), "{status:#x}");
                    std::mem::forget(device);
                }
                Err(failed) => {
                    assert!(suspension != DRIVER_OK || status & NEEDS_RESET != 0, "{status:#x}");
                    assert_eq!(failed.error, error);
                    std::mem::forget(failed.device);
                }
            }
            drop(queue);
        }
    }
}

/// A device that takes long is asked once, and waited for as often as its driver likes.
#[test]
fn a_suspension_that_is_not_confirmed_is_waited_for_and_not_asked_for_again() {
    for bench in Sleeper::each() {
        let (device, parked) = parked(&bench);
        bench.device.misbehave(|lies| lies.suspend = Completion::AfterReads(25));
        let told = bench.told();

        let SuspendNotConfirmed { error, device } = not_confirmed(device);
        assert_eq!(error, Unconfirmed::TimedOut { status: BETWEEN });
        let device = device.wait(PATIENCE).unwrap_err().device;
        let device = device.wait(PATIENCE).unwrap();

        assert_eq!((bench.suspension(), bench.told()), (SUSPEND, (told.0 + 1, told.1)));
        let mut device = device.resume(PATIENCE).unwrap();
        let queue = device.unpark(parked).unwrap();
        finish(&bench, device, queue);
    }
}

/// The same on the way back; one that resumed in between is not sent to sleep again.
#[test]
fn a_resumption_that_is_not_confirmed_is_waited_for_and_not_asked_for_again() {
    for bench in Sleeper::each() {
        let (device, parked) = parked(&bench);
        let device = device.suspend(PATIENCE).unwrap();
        bench.device.misbehave(|lies| lies.resume = Completion::AfterReads(11));
        let told = bench.told();

        let failed = device.resume(PATIENCE).unwrap_err();
        assert_eq!(failed.error, Unconfirmed::TimedOut { status: BETWEEN });
        let mut device = failed.device.resume(PATIENCE).unwrap();

        assert_eq!((bench.suspension(), bench.told()), (DRIVER_OK, (told.0 + 1, told.1)));
        let queue = device.unpark(parked).unwrap();
        finish(&bench, device, queue);
    }
}

/// A device that never confirms is reset: that gives everything back, as does a drop.
#[test]
fn a_device_that_never_confirms_can_be_reset() {
    for bench in Sleeper::each() {
        bench.device.misbehave(|lies| (lies.suspend, lies.resume) = (Completion::Never, Completion::Never));
        let (device, queue) = parked(&bench);
        let (_, reset) = not_confirmed(device).device.reset(PATIENCE).unwrap();
        assert_eq!(queue.reclaim(&reset).unwrap().collect::<Vec<_>>(), [Tag(3)]);

        bench.device.misbehave(|lies| lies.suspend = Completion::Prompt);
        let (device, queue) = parked(&bench);
        let failed = device.suspend(PATIENCE).unwrap().resume(PATIENCE).unwrap_err();
        let (_, reset) = failed.device.reset(PATIENCE).unwrap();
        assert_eq!(queue.reclaim(&reset).unwrap().collect::<Vec<_>>(), [Tag(3)]);
        bench.assert_all_returned();

        bench.device.misbehave(|lies| lies.suspend = Completion::Never);
        let (device, _queue) = parked(&bench);
        drop(not_confirmed(device));
        assert_eq!(bench.device.status(), 0, "reset by the drop");
        bench.device.assert_driver_was_correct();
    }
}

/// Spec: §3.4.2 — a device that fails sets DEVICE_NEEDS_RESET; nothing is waited for then.
#[test]
fn a_device_that_needs_a_reset_instead_says_so_at_once() {
    let at_once = || panic!("there is nothing to wait for");
    for bench in Sleeper::each() {
        bench.device.misbehave(|lies| lies.fails_suspension = true);
        let (device, queue) = parked(&bench);
        let SuspendFailed::NotConfirmed(failed) = device.suspend(at_once).unwrap_err() else {
            panic!("it was not asked");
        };
        assert_eq!(failed.error, Unconfirmed::NeedsReset);
        let (_, reset) = failed.device.reset(PATIENCE).unwrap();
        assert_eq!(queue.reclaim(&reset).unwrap().collect::<Vec<_>>(), [Tag(3)]);

        bench.device.misbehave(|lies| lies.fails_suspension = false);
        let (device, queue) = parked(&bench);
        let device = device.suspend(PATIENCE).unwrap();
        bench.device.misbehave(|lies| lies.fails_suspension = true);
        let failed = device.resume(at_once).unwrap_err();
        assert_eq!((failed.error, failed.device.needs_reset()), (Unconfirmed::NeedsReset, true));
        let (_, reset) = failed.device.reset(PATIENCE).unwrap();
        assert_eq!(queue.reclaim(&reset).unwrap().collect::<Vec<_>>(), [Tag(3)]);
        bench.assert_all_returned();
    }
}

/// A device that is pulled out at any register access: an error that says so, and memory stays lent.
#[test]
fn a_device_that_is_gone_is_neither_suspended_nor_resumed() {
    for accesses in (0..12).step_by(if cfg!(miri) { 4 } else { 1 }) {
        for bench in Sleeper::each() {
            bench.device.misbehave(|lies| {
                (lies.suspend, lies.resume) = (Completion::AfterReads(2), Completion::AfterReads(2));
            });
            let (device, queue) = parked(&bench);
            let memory = bench.hal.dma_regions();
            bench.device.misbehave(|lies| lies.removed_after = Some(accesses));

            let (error, reset) = match device.suspend(PATIENCE) {
                Err(SuspendFailed::NotConfirmed(failed)) => (failed.error, failed.device.reset(PATIENCE)),
                Err(SuspendFailed::Refused { error, .. }) => panic!("{error}"),
                Ok(device) => match device.resume(PATIENCE) {
                    Err(failed) => (failed.error, failed.device.reset(PATIENCE)),
                    Ok(device) => (Unconfirmed::Removed, device.reset(PATIENCE)),
                },
            };

            assert_eq!((error, reset.unwrap_err().error), (Unconfirmed::Removed, ResetError::Removed));
            drop(queue);
            assert_eq!(bench.hal.dma_regions(), memory, "after {accesses} accesses");
            bench.device.assert_driver_was_correct();
        }
    }
}

/// What a device writes to its queues though it is suspended is judged afterwards, as always.
#[test]
fn a_suspended_device_that_uses_chains_is_judged_when_it_runs_again() {
    for lies in [false, true] {
        for bench in Sleeper::each() {
            let (device, parked) = parked(&bench);
            let mut other_side = bench.device.device_queue(0, &bench.hal.space).unwrap().unwrap();
            let device = device.suspend(PATIENCE).unwrap();
            let chain = other_side.pop().unwrap().unwrap();
            chain.write_all(&bench.hal.space, &[3; 512]).unwrap();
            chain.write_at(&bench.hal.space, 512, &[0]).unwrap();
            let place = other_side.push_used(chain.head, 513).unwrap();
            if lies {
                other_side.put_used_id(place, 9, 513).unwrap();
            }
            other_side.publish_used().unwrap();

            let mut device = device.resume(PATIENCE).unwrap();
            let mut queue = device.unpark(parked).unwrap();

            if lies {
                let broken = queue.take_used().unwrap_err();
                assert_eq!(broken, Broken::UnknownChain { id: 9 });
                let parked = device.park(queue).unwrap();
                device = device.suspend(PATIENCE).unwrap().resume(PATIENCE).unwrap();
                assert_eq!(device.unpark(parked).unwrap().broken(), Some(broken), "it stays so");
            } else {
                assert_eq!(sectors_read(&mut queue), [3]);
                finish_empty(&bench, device, queue);
            }
        }
    }
}

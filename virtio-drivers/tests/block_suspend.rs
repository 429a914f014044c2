//! Disks that are suspended, and go on with all that they were told.
//!
//! Spec: §3.4 Device Suspend. What the lifecycle promises of any device is in `suspend.rs`; how tasks sleep meanwhile, in `block_sleep.rs`.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use support::tasks::{Load, Page, Pool, TaskBench, handlers};
use support::{Either, TestHal};
use virtio_guest::device::block::{
    Block, Control, Down, NotConfirmed, ParkedRequestQueue, RequestError, RequestQueue, Requests, Sector,
    Settings, Starting, Storage, SuspendFailed, Suspending, Waiters,
};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::{
    Condition, ResetError, Signals, SignalsInUse, SuspendRefused, Unconfirmed, Wants,
};
use virtio_guest::raw::MappedBuffer;
use virtio_guest::ring::{Broken, Rearmed};
use virtio_model::pci::{Completion, DRIVER_OK, SUSPEND};

const PATIENCE: Attempts = Attempts(10);
const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const F_SUSPEND: u128 = 1 << 43;

type Disk = Control<'static, Either>;
type Queue = RequestQueue<'static, TestHal, Load>;
type Parked = ParkedRequestQueue<'static, TestHal, Load>;

/// A disk that can be suspended, with each kind of ring. Under miri, which is slow, two of the four.
fn each() -> impl Iterator<Item = TaskBench> {
    let rings = [EVENT_IDX, RING_PACKED, 0, EVENT_IDX | RING_PACKED];
    let features = rings.into_iter().take(if cfg!(miri) { 2 } else { 4 });
    features.map(|ring| TaskBench::new(F_SUSPEND | INDIRECT_DESC | ring, |builder| builder))
}

/// One of them.
fn one() -> TaskBench {
    each().next().unwrap()
}

/// The driver of it, its queue for bursts.
fn start(bench: &TaskBench) -> (Disk, Queue) {
    let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
    bench.bring_up(bench.open(2), storage)
}

/// The same with reads of these sectors in flight, and its queue parked.
fn parked(bench: &TaskBench, pool: &Pool, sectors: std::ops::Range<u64>) -> (Disk, Parked) {
    let (mut control, mut queue) = start(bench);
    sectors.for_each(|sector| submit(bench, &mut queue, pool, sector));
    queue.publish();
    let queue = control.park(queue).unwrap();
    (control, queue)
}

fn submit(bench: &TaskBench, queue: &mut Queue, pool: &Pool, sector: u64) {
    let page = MappedBuffer::map(&bench.hal, pool.take(0xee), Direction::DeviceWritable).unwrap();
    queue.submit_read(Sector(sector), page).unwrap();
}

/// All sectors that were read: each whole, and once.
fn sectors_read(queue: &mut Queue) -> Vec<u8> {
    let mut sectors = Vec::new();
    while let Some(done) = queue.next_completion().unwrap() {
        assert_eq!(done.result, Ok(()));
        let page: Page = done.payload.unwrap().unmap();
        assert_eq!(page.bytes(), [page.bytes()[0]; 512]);
        sectors.push(page.bytes()[0]);
    }
    sectors.sort_unstable();
    sectors
}

/// How often the driver wrote the status, and how often it notified the device.
fn told(bench: &TaskBench) -> (usize, usize) {
    (bench.device.statuses_written().len(), bench.device.notifications(0))
}

/// Takes a disk down, and its queue: nothing is left. Says how many requests were in flight.
fn finish(bench: &TaskBench, control: Disk, queue: Queue) -> usize {
    let down = control.take_down(PATIENCE).unwrap();
    let in_flight = queue.reclaim(&down.reset).unwrap().filter_map(|request| request.payload).count();
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
    in_flight
}

fn not_confirmed(disk: Disk) -> NotConfirmed<Suspending<'static, Either>> {
    match disk.suspend(PATIENCE).unwrap_err() {
        SuspendFailed::NotConfirmed(failed) => failed,
        SuspendFailed::Refused { error, .. } => panic!("{error}"),
    }
}

fn refused(disk: Disk) -> (SuspendRefused, Disk) {
    match disk.suspend(PATIENCE).unwrap_err() {
        SuspendFailed::Refused { error, control } => (error, control),
        SuspendFailed::NotConfirmed(_) => panic!("it was asked"),
    }
}

/// Done and not taken, begun with, not begun with, not even published: all are there afterwards, in the same queue, with the same interrupts.
#[test]
fn requests_in_flight_come_back_once_after_the_disk_resumes() {
    for bench in each() {
        let pool = Pool::new(9, 512);
        let (mut control, mut queue) = start(&bench);
        let signals: &'static Signals = Box::leak(Box::default());
        let handlers = handlers(control.connect_interrupts(signals).unwrap());
        bench.disk.hold();
        bench.disk.release(2);
        (0..4).for_each(|sector| submit(&bench, &mut queue, &pool, sector));
        queue.publish();
        assert_eq!(bench.disk.serve(&bench.device, &bench.hal.space), 2);
        (4..7).for_each(|sector| submit(&bench, &mut queue, &pool, sector));
        queue.publish();
        (7..9).for_each(|sector| submit(&bench, &mut queue, &pool, sector));

        let queue = control.park(queue).unwrap();
        let asleep = control.suspend(PATIENCE).unwrap();
        bench.disk.release_all();
        let told_before = told(&bench);
        assert_eq!((queue.index(), queue.in_flight(), bench.serve(&handlers)), (0, 9, 1), "one from before");
        assert_eq!((asleep.capacity_sectors(), asleep.device().needs_reset()), (256, false));
        assert!(asleep.interrupts().is_some() && told(&bench) == told_before);
        let mut control = asleep.resume(PATIENCE).unwrap();
        let queue = control.unpark(queue).unwrap();
        let waiters: &'static mut Waiters<16, Load> = Box::leak(Box::default());
        let mut queue = Requests::new(queue, waiters, None).expect_err("tickets are out").queue;

        assert_eq!(sectors_read(&mut queue), [0, 1]);
        assert_eq!(queue.rearm(), Rearmed::Quiet);
        queue.publish();
        assert!(bench.serve(&handlers) > 0, "handlers have the objects that they had");
        assert_eq!(sectors_read(&mut queue), [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((queue.free_requests(), pool.pages()), (queue.requests(), 9));
        assert_eq!(finish(&bench, control, queue), 0);
    }
}

/// What a call that gave up left behind is the disk's over the sleep, too; the disk is in one piece afterwards.
#[test]
fn a_disk_in_one_piece_sleeps_with_a_request_that_nobody_waits_for() {
    for bench in each() {
        let (control, queue) = start(&bench);
        let mut disk = Block::join(control, queue);
        let mut sector = [0; 512];
        assert_eq!(disk.read_blocking(Sector(1), &mut sector, Attempts(1)), Err(RequestError::TimedOut));

        let (mut control, queue) = disk.split();
        let queue = control.park(queue).unwrap();
        assert_eq!(queue.in_flight(), 1);
        let mut control = control.suspend(PATIENCE).unwrap().resume(PATIENCE).unwrap();
        let queue = control.unpark(queue).unwrap();
        let mut disk = Block::join(control, queue);

        let until_message = || {
            bench.disk.serve(&bench.device, &bench.hal.space);
            !bench.device.take_messages().is_empty()
        };
        disk.read_blocking(Sector(2), &mut sector, until_message).unwrap();
        assert_eq!((sector, disk.queue().free_requests()), ([2; 512], disk.queue().requests()));
        disk.close(PATIENCE).unwrap();
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

/// Spec: §3.4.2 — a device that sleeps tells of nothing; when it runs again its driver hears of what changed, by the object that it had.
#[test]
fn a_disk_that_was_resized_in_its_sleep_says_so_when_it_runs_again() {
    let bench = one();
    let (mut control, queue) = start(&bench);
    let signals: &'static Signals = Box::leak(Box::default());
    let handlers = handlers(control.connect_interrupts(signals).unwrap());
    let queue = control.park(queue).unwrap();

    let asleep = control.suspend(PATIENCE).unwrap();
    bench.device.set_config([64, 0, 0, 0, 0, 0, 0, 0]);
    bench.device.raise_config();
    assert_eq!(bench.interrupt(&handlers), 0);
    let other = one();
    let (mut other_control, _other_queue) = start(&other);
    assert_eq!(other_control.connect_interrupts(signals).map(drop), Err(SignalsInUse), "in use asleep");
    let mut control = asleep.resume(PATIENCE).unwrap();

    assert_eq!(bench.interrupt(&handlers), 1);
    assert_eq!(control.take_configuration_change(), Some(Condition::Live));
    assert_eq!(control.refresh_shape().unwrap().capacity_sectors, 64);
    let queue = control.unpark(queue).unwrap();
    finish(&bench, control, queue);
}

/// Spec: §3.4.1 — the disk is told nothing, and runs on: without the feature, with a queue that could be used, and in the middle of a reset.
#[test]
fn a_disk_that_may_not_be_suspended_runs_on() {
    let unable = TaskBench::new(INDIRECT_DESC, |builder| builder);
    let (control, queue) = start(&unable);
    let (error, control) = refused(control);
    assert_eq!((error, control.condition()), (SuspendRefused::NotAgreed, Condition::Live));
    finish(&unable, control, queue);

    for bench in each() {
        let pool = Pool::new(1, 512);
        let (mut control, mut queue) = start(&bench);
        let signals: &'static Signals = Box::leak(Box::default());
        control.connect_interrupts(signals).unwrap();
        let told_before = told(&bench);
        let (error, mut control) = refused(control);
        assert_eq!((error, told(&bench)), (SuspendRefused::QueuesInUse { queues: 1 }, told_before));
        submit(&bench, &mut queue, &pool, 3);
        queue.publish();
        bench.disk.serve(&bench.device, &bench.hal.space);
        assert_eq!(sectors_read(&mut queue), [3]);

        let queue = control.park(queue).unwrap();
        bench.device.misbehave(|lies| lies.reset = Completion::Never);
        let asleep = control.suspend(PATIENCE).unwrap();
        let failed = asleep.take_down(PATIENCE).unwrap_err();
        assert!(matches!(failed.error, ResetError::TimedOut { .. }), "{failed}");
        let (error, mut control) = refused(failed.control);
        assert!(error == SuspendRefused::DeviceResetPending && control.interrupts().is_some());
        let queue = control.unpark(queue).unwrap();
        assert_eq!(queue.broken(), Some(Broken::ResetPending));
        bench.device.misbehave(|lies| lies.reset = Completion::Prompt);
        assert_eq!(finish(&bench, control, queue), 0);
    }
}

/// The device knows of a queue from its installation on: one that was never activated counts.
#[test]
fn a_disk_with_a_queue_that_was_never_activated_is_not_suspended() {
    let bench = one();
    let settings = Settings { request_bytes: 512, drop_attempts: Attempts(5), ..Settings::default() };
    let mut starting = Starting::begin(bench.open(2), &settings, Wants::none(), PATIENCE).unwrap();
    let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
    let queue = starting.install_queue(&bench.hal, storage).unwrap();

    let (error, mut control) = refused(starting.start());
    assert_eq!(error, SuspendRefused::QueuesInUse { queues: 1 });
    let queue = control.activate(queue);
    let queue = control.park(queue).unwrap();

    let mut control = control.suspend(PATIENCE).unwrap().resume(PATIENCE).unwrap();
    let queue = control.unpark(queue).unwrap();
    finish(&bench, control, queue);
}

#[test]
fn another_disks_queue_is_neither_parked_nor_unparked() {
    let (bench, other) = (one(), one());
    let ((mut control, queue), (mut other_control, other_queue)) = (start(&bench), start(&other));

    let other_queue = control.park(other_queue).unwrap_err();
    assert_eq!(other_queue.broken(), None);
    let other_queue = other_control.park(other_queue).unwrap();
    let other_queue = control.unpark(other_queue).unwrap_err();
    let Down { reset, .. } = control.take_down(PATIENCE).unwrap();
    let other_queue = other_queue.reclaim(&reset).unwrap_err();

    let other_queue = other_control.unpark(other_queue).unwrap();
    finish(&other, other_control, other_queue);
    assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
}

/// A suspension, or a resumption, that takes longer than its caller's patience is waited for, and asked for once.
#[test]
fn a_disk_that_does_not_confirm_in_time_is_waited_for() {
    for bench in each() {
        let pool = Pool::new(1, 512);
        let (control, queue) = parked(&bench, &pool, 3..4);
        let told_before = told(&bench);
        let late = Completion::AfterReads(25);
        bench.device.misbehave(|lies| (lies.suspend, lies.resume) = (late, late));

        let NotConfirmed { error, disk } = not_confirmed(control);
        assert_eq!(error, Unconfirmed::TimedOut { status: 0xf | SUSPEND });
        let disk = disk.wait(PATIENCE).unwrap_err().disk;
        let asleep = disk.wait(PATIENCE).unwrap();
        let asleep = asleep.resume(PATIENCE).unwrap_err().disk;
        let asleep = asleep.resume(PATIENCE).unwrap_err().disk;
        let mut control = asleep.resume(PATIENCE).unwrap();

        assert_eq!(told(&bench), (told_before.0 + 2, told_before.1));
        let mut queue = control.unpark(queue).unwrap();
        bench.disk.serve(&bench.device, &bench.hal.space);
        assert_eq!(sectors_read(&mut queue), [3]);
        finish(&bench, control, queue);
    }
}

/// On the way to sleep and asleep: what was in flight comes back, the storage serves again, handlers find no cause, and the signals are free.
#[test]
fn a_disk_that_sleeps_can_be_taken_down() {
    for (bench, is_asleep) in each().flat_map(|bench| [(bench, false), (one(), true)]) {
        let pool = Pool::new(3, 512);
        let (mut control, queue) = parked(&bench, &pool, 0..3);
        let signals: &'static Signals = Box::leak(Box::default());
        let old = handlers(control.connect_interrupts(signals).unwrap());

        let Down { transport, reset, handlers: ended } = if is_asleep {
            control.suspend(PATIENCE).unwrap().take_down(PATIENCE).unwrap()
        } else {
            bench.device.misbehave(|lies| lies.fails_suspension = true);
            let NotConfirmed { error, disk } = not_confirmed(control);
            assert_eq!(
                (error, disk.device().acknowledge_interrupt().used_buffer),
                (Unconfirmed::NeedsReset, false)
            );
            disk.take_down(PATIENCE).unwrap()
        };

        let mut reclaimed = queue.reclaim(&reset).unwrap();
        assert!(reclaimed.by_ref().all(|request| request.result == Err(RequestError::Reset)));
        assert_eq!((ended, pool.pages(), bench.device.status()), (Ok(()), 3, 0));
        assert!(!old[1].handle().used_buffer);
        bench.hal.assert_all_returned();
        let (mut control, queue) = bench.bring_up(transport, reclaimed.into_slots());
        assert!(control.connect_interrupts(signals).is_ok());
        finish(&bench, control, queue);
    }
}

/// As with any other disk that is up: reset first, then handlers find no cause.
#[test]
fn a_disk_that_is_dropped_in_its_sleep_is_reset() {
    for never in [Completion::Prompt, Completion::Never] {
        let (bench, pool) = (one(), Pool::new(1, 512));
        let (mut control, queue) = parked(&bench, &pool, 0..1);
        let signals: &'static Signals = Box::leak(Box::default());
        let old = handlers(control.connect_interrupts(signals).unwrap());
        bench.device.misbehave(|lies| lies.suspend = never);
        let (regions, resets) = (bench.hal.dma_regions(), bench.device.resets());

        drop(control.suspend(PATIENCE));

        assert_eq!((bench.device.status() & DRIVER_OK, bench.device.resets()), (0, resets + 1));
        assert!(!old[1].handle().used_buffer);
        drop(queue);
        assert_eq!((bench.hal.dma_regions(), pool.pages()), (regions, 0), "what was parked is leaked");
        bench.device.assert_driver_was_correct();
    }
}

/// All ones: nothing is freed, and the way down is an error.
#[test]
fn a_disk_that_vanishes_in_its_sleep_is_gone() {
    let (bench, pool) = (one(), Pool::new(1, 512));
    let (control, queue) = parked(&bench, &pool, 0..1);
    let asleep = control.suspend(PATIENCE).unwrap();
    bench.device.misbehave(|lies| lies.all_ones = true);
    let regions = bench.hal.dma_regions();

    let NotConfirmed { error, disk } = asleep.resume(PATIENCE).unwrap_err();
    let failed = disk.take_down(PATIENCE).unwrap_err();

    assert_eq!((error, failed.error), (Unconfirmed::Removed, ResetError::Removed));
    drop((failed, queue));
    assert_eq!((bench.hal.dma_regions(), pool.pages()), (regions, 0));
}

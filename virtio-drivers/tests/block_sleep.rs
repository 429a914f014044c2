//! Guests that sleep: their disks are suspended with all that they were told, or taken down and brought up again.
//!
//! Spec: §3.4 Device Suspend, §2.4 Device Reset; PCI Bus Power Management Interface Specification 1.2, §5.4. Tasks notice a pause, and nothing else.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use support::tasks::{Load, Mutexed, Pool, Task, TaskBench, Tasks, handlers, run_woken};
use support::{Either, Mapper, TestHal, claim};
use virtio_guest::device::block::{
    Block, Closed, Control, Down, RequestError, RequestQueue, Requests, Sector, Shared, StartError, Storage,
    Waiters,
};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::{Condition, Interrupts, ResetError, Signals};
use virtio_guest::raw::MappedBuffer;
use virtio_model::Disk;
use virtio_model::pci::PciDevice;

const PATIENCE: Attempts = Attempts(10);
const INDIRECT_DESC: u128 = 1 << 28;
const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const F_SUSPEND: u128 = 1 << 43;
const BARS: [u16; 6] = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24];
const COMMAND: u16 = 0x04;
const MEMORY_SPACE: u32 = 1 << 1;

/// A disk with these features, with each kind of ring. Under miri, which is slow, one of the four.
fn each(features: u128) -> impl Iterator<Item = TaskBench> {
    let rings = [EVENT_IDX, RING_PACKED, 0, EVENT_IDX | RING_PACKED];
    let rings = rings.into_iter().take(if cfg!(miri) { 1 } else { 4 });
    rings.map(move |ring| TaskBench::new(features | INDIRECT_DESC | ring, |builder| builder))
}

/// A driver's queue for bursts.
fn start(bench: &TaskBench, transport: Either) -> (Control<'static, Either>, Queue) {
    let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
    bench.bring_up(transport, storage)
}

type Queue = RequestQueue<'static, TestHal, Load>;

/// Shares a disk's queue among tasks.
fn share(bench: &TaskBench, queue: Queue, interrupts: &Interrupts<'static>) -> Tasks {
    let waiters: &'static mut Waiters<16, Load> = Box::leak(Box::default());
    let requests = Requests::new(queue, waiters, Some(interrupts)).unwrap();
    Shared::new(Mutexed::new(requests), bench.hal.clone())
}

/// Polls all of them until nobody is woken any more.
fn run(drain: &mut Task<'_, ()>, readers: &mut [Task<'_, impl Sized>]) {
    while readers.iter_mut().map(Task::run).fold(drain.run(), |any, ran| any | ran) {}
}

/// Takes the power of a function for a while. As a kernel does it, its BARs get the addresses back that they had, and nothing else does.
fn power_cycle(device: &PciDevice) {
    let addresses = BARS.map(|bar| device.config_read(bar));
    device.lose_power();
    give_addresses(device, addresses);
}

fn give_addresses(device: &PciDevice, addresses: [u32; 6]) {
    BARS.into_iter().zip(addresses).for_each(|(bar, address)| device.config_write(bar, address));
}

/// Nothing is left of a disk.
fn finish(bench: &TaskBench, control: Control<'static, Either>, tasks: &Tasks) {
    let down = control.take_down(PATIENCE).unwrap();
    assert_eq!(down.handlers, Ok(()));
    drop(tasks.take_down(&down.reset).expect("the queue's own reset"));
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

/// Tasks that were in flight are done before the disk sleeps; those that come meanwhile wait, and go on with the same queue.
#[test]
fn tasks_go_on_after_their_disk_was_suspended() {
    for bench in each(F_SUSPEND) {
        let pool = Pool::new(6, 512);
        let (mut control, queue) = start(&bench, bench.open(2));
        let signals: &'static Signals = Box::leak(Box::default());
        let interrupts = control.connect_interrupts(signals).unwrap();
        let (tasks, handlers) = (share(&bench, queue, interrupts), handlers(interrupts));
        let read = |sector| Task::new(tasks.read(Sector(sector), pool.take(0xee)));
        let mut readers = (0..3).map(read).collect::<Vec<_>>();
        run_woken(&mut readers);
        let mut drain = Task::new(tasks.drain());
        readers.extend((3..6).map(read));
        run(&mut drain, &mut readers);
        readers[0].cancel();
        assert!(tasks.take_queue().is_none(), "requests are in flight, one of nobody's");
        assert!(bench.serve(&handlers) > 0);
        run(&mut drain, &mut readers);
        assert!(drain.is_over(), "nothing is in flight");

        let queue = tasks.take_queue().unwrap();
        assert!(tasks.take_queue().is_none() && tasks.in_flight() == 0);
        let queue = control.park(queue).unwrap();
        let asleep = control.suspend(PATIENCE).unwrap();
        run_woken(&mut readers);
        assert_eq!(readers.iter().filter(|task| !task.is_over()).count(), 3, "they wait");
        let mut control = asleep.resume(PATIENCE).unwrap();
        let queue = control.unpark(queue).unwrap();
        tasks.put_up(queue, control.interrupts()).unwrap();

        run_woken(&mut readers);
        assert!(bench.serve(&handlers) > 0);
        run_woken(&mut readers);
        for (sector, task) in (0u8..).zip(readers).skip(1) {
            assert_eq!(task.result.unwrap().unwrap().bytes(), [sector; 512]);
        }
        drop(drain);
        finish(&bench, control, &tasks);
    }
}

/// A request that a blocking call left behind before the queue was shared is no task's: it may stay in flight, and whoever drains has not waited in vain.
#[test]
fn a_queue_can_be_taken_out_with_a_request_that_is_no_tasks() {
    let bench = each(F_SUSPEND).next().unwrap();
    let (mut control, mut queue) = start(&bench, bench.open(2));
    let gave_up = queue.read_blocking(Sector(1), &mut [0; 512], Attempts(1));
    assert_eq!(gave_up, Err(RequestError::TimedOut));
    let signals: &'static Signals = Box::leak(Box::default());
    let tasks = share(&bench, queue, control.connect_interrupts(signals).unwrap());
    let mut drain = [Task::new(tasks.drain())];
    run_woken(&mut drain);
    assert!(!drain[0].is_over());

    let queue = tasks.take_queue().unwrap();

    run_woken(&mut drain);
    assert!(drain[0].is_over());
    tasks.put_up(queue, control.interrupts()).unwrap();
    drop(drain);
    finish(&bench, control, &tasks);
}

/// Without SUSPEND a disk is taken down, and brought up again: with the same transport, or with its function opened anew.
fn go_on_after_a_reset(bench: &TaskBench, messages: u32, loses_power: bool) {
    let pool = Pool::new(7, 512);
    let (mut control, queue) = start(bench, bench.open(messages));
    let signals: &'static Signals = Box::leak(Box::default());
    let interrupts = control.connect_interrupts(signals).unwrap();
    let (tasks, old) = (share(bench, queue, interrupts), handlers(interrupts));
    let read = |sector| Task::new(tasks.read(Sector(sector), pool.take(0xee)));
    let mut readers = (0..3).map(read).collect::<Vec<_>>();
    run_woken(&mut readers);
    let mut drain = Task::new(tasks.drain());
    readers.extend((3..6).map(read));
    run(&mut drain, &mut readers);
    assert!(bench.serve(&old) > 0);
    run(&mut drain, &mut readers);
    assert!(drain.is_over());

    let Down { mut transport, reset, handlers: ended } = control.take_down(PATIENCE).unwrap();
    let storage = tasks.take_down(&reset).unwrap();
    assert_eq!((ended, bench.hal.dma_regions()), (Ok(()), 0));
    readers.push(read(6));
    run_woken(&mut readers);
    if loses_power {
        power_cycle(&bench.device);
        transport = bench.open(messages);
    }
    assert_eq!(readers.iter().filter(|task| !task.is_over()).count(), 4, "they wait");
    let (mut control, queue) = bench.bring_up(transport, storage);
    let new = handlers(control.connect_interrupts(signals).unwrap());
    tasks.put_up(queue, control.interrupts()).unwrap();

    run_woken(&mut readers);
    bench.disk.serve(&bench.device, &bench.hal.space);
    let raised = bench.device.line_is_raised();
    assert!(old.iter().all(|interrupt| !interrupt.handle().used_buffer), "old objects stay outside");
    assert_eq!((bench.device.line_is_raised(), raised), (messages == 0, messages == 0));
    assert!(bench.interrupt(&new) > 0);
    run_woken(&mut readers);
    for (sector, task) in (0u8..).zip(readers) {
        assert_eq!(task.result.unwrap().unwrap().bytes(), [sector; 512]);
    }
    assert_eq!((pool.pages(), bench.device.withheld_messages()), (7, 0));
    drop(drain);
    finish(bench, control, &tasks);
}

#[test]
fn tasks_go_on_after_their_disk_was_taken_down_for_a_while() {
    for messages in [2, 0] {
        each(0).for_each(|bench| go_on_after_a_reset(&bench, messages, false));
    }
}

/// What the function forgets, with its power: addresses, COMMAND, the table of messages and its switch. It is opened again.
#[test]
fn tasks_go_on_after_their_disks_function_lost_its_configuration() {
    for messages in [2, 0] {
        each(0).for_each(|bench| go_on_after_a_reset(&bench, messages, true));
    }
}

/// The same for blocking calls, through either interface.
#[test]
fn a_disk_is_closed_before_its_function_loses_its_configuration_and_opened_and_started_afterwards() {
    for is_legacy in [false, true] {
        let disk = Disk::with_sectors(16);
        let builder = disk.builder();
        let device = if is_legacy { builder.device_id(0x1001).legacy() } else { builder }.build();
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        let open = || Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
        let served = || disk.serve(&device, &hal.space) > 0;
        let mut storage = Storage::<16>::new();

        let mut block = Block::start(open(), hal.clone(), &mut storage, PATIENCE).unwrap();
        block.write_blocking(Sector(3), &[3; 512], served).unwrap();
        let Closed { storage, .. } = block.close(PATIENCE).unwrap();
        power_cycle(&device);
        let mut block = Block::start(open(), hal.clone(), storage, PATIENCE).unwrap();
        let mut sector = [0; 512];
        block.read_blocking(Sector(3), &mut sector, served).unwrap();

        assert_eq!(sector, [3; 512]);
        block.close(PATIENCE).unwrap();
        device.assert_driver_was_correct();
        hal.assert_all_returned();
    }
}

/// A transport knows what it wrote, and not that the function forgot it.
#[test]
fn a_function_that_lost_its_configuration_is_gone_for_the_transport_that_it_had() {
    let bench = each(0).next().unwrap();
    let transport = bench.open(2);
    let addresses = BARS.map(|bar| bench.device.config_read(bar));
    bench.device.lose_power();

    let mut storage = Storage::<16>::new();
    let failed = Block::start(transport, bench.hal.clone(), &mut storage, PATIENCE).unwrap_err();

    assert_eq!(failed.error, StartError::Reset(ResetError::Removed));
    give_addresses(&bench.device, addresses);
    let disk = Block::start(bench.open(2), bench.hal.clone(), failed.storage, PATIENCE).unwrap();
    disk.close(PATIENCE).unwrap();
    bench.device.assert_driver_was_correct();
}

/// Nobody told the driver: it sees a device that is gone, and once addresses are decoded again, one that was reset by somebody else. Everything comes back with a reset of its own.
#[test]
fn a_function_that_loses_its_configuration_behind_its_drivers_back_can_be_taken_down_and_opened_again() {
    for bench in each(0) {
        let pool = Pool::new(2, 512);
        let (control, mut queue) = start(&bench, bench.open(2));
        for sector in 0..2 {
            let page = MappedBuffer::map(&bench.hal, pool.take(0), Direction::DeviceWritable).unwrap();
            queue.submit_read(Sector(sector), page).unwrap();
        }
        queue.publish();
        let addresses = BARS.map(|bar| bench.device.config_read(bar));
        bench.device.lose_power();

        assert_eq!(control.condition(), Condition::Removed);
        let failed = control.take_down(PATIENCE).unwrap_err();
        assert_eq!(failed.error, ResetError::Removed);
        give_addresses(&bench.device, addresses);
        bench.device.config_write(COMMAND, MEMORY_SPACE);
        assert_eq!(failed.control.condition(), Condition::Lost);
        let Down { reset, .. } = failed.control.take_down(PATIENCE).unwrap();

        let mut reclaimed = queue.reclaim(&reset).unwrap();
        assert!(reclaimed.by_ref().all(|request| request.result == Err(RequestError::Reset)));
        assert_eq!(pool.pages(), 2);
        let (control, queue) = bench.bring_up(bench.open(2), reclaimed.into_slots());
        let down = control.take_down(PATIENCE).unwrap();
        drop(queue.reclaim(&down.reset).unwrap());
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

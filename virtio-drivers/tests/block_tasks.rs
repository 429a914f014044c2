//! Tasks that share a disk: each gets its own answer, whoever looks, and sleeps until there is one.
//!
//! Spec: §5.2.6 Device Operation, §2.7.7 Used Buffer Notification Suppression. Whenever the disk has done something for tasks that sleep, one of them is woken: what is not is a failure.

mod support;

use support::TestHal;
use support::tasks::{Page, Pool, Task, TaskBench, run_woken};
use virtio_guest::device::block::{RequestError, Requests, Sector, Shared, Storage, Transfer, Waiters};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::{Interrupt, Interrupts, Signals, SignalsRef};
use virtio_guest::raw::MappedBuffer;
use virtio_model::block::Order;

const FLUSH: u128 = 1 << 9;
const READ_ONLY: u128 = 1 << 5;
/// Requests in flight with storage for 16 descriptors, three each.
const PLACES: u8 = 5;

#[test]
fn each_task_reads_its_own_sectors_whatever_the_order_in_which_they_come_back() {
    for bench in TaskBench::each() {
        let pool = Pool::new(20, 1024);
        let running = bench.start::<16>();
        bench.disk.complete_in(Order::Reverse);

        let mut tasks: Vec<_> =
            (0..20).map(|sector| Task::new(running.tasks.read(Sector(sector), pool.take(0xee)))).collect();
        run_woken(&mut tasks);
        assert!(tasks.iter().all(|task| !task.is_over()), "the disk has done nothing yet");
        let mut interrupts = 0;
        while tasks.iter().any(|task| !task.is_over()) {
            let came = bench.serve(&running.handlers);
            assert!(came > 0, "asleep for ever");
            interrupts += came;
            run_woken(&mut tasks);
        }

        for (sector, task) in (0u8..).zip(tasks) {
            let page = task.result.unwrap().unwrap();
            assert_eq!(page.bytes(), [vec![sector; 512], vec![sector + 1; 512]].concat());
        }
        assert!(interrupts <= 4, "{interrupts} interrupts for two bursts");
        assert_eq!(pool.pages(), 20);
        bench.finish(running);
    }
}

/// With a message for everything, with the line, and with neither.
#[test]
fn tasks_are_woken_by_whatever_the_disk_has_to_interrupt_with() {
    for (messages, pin) in [(1, 1), (0, 1), (0, 0)] {
        let bench = TaskBench::new(0, |builder| builder.interrupt_pin(pin));
        let pool = Pool::new(8, 512);
        let running = bench.start_with::<16>(messages);
        assert_eq!(running.handlers.len(), usize::from(messages > 0 || pin > 0));

        let mut tasks: Vec<_> =
            (0..8).map(|sector| Task::new(running.tasks.write(Sector(sector), pool.take(0xa0)))).collect();
        for _ in 0..10 {
            for task in &mut tasks {
                task.run();
            }
            bench.serve(&running.handlers);
        }

        assert!(tasks.iter().all(Task::is_over));
        let polls: usize = tasks.iter().map(|task| task.polls).sum();
        assert!(polls <= 40, "{polls} polls: one of them asks to be polled again and again, and no more");
        drop(tasks);
        assert_eq!((bench.disk.sector(7), pool.pages()), (vec![0xa0; 512], 8));
        bench.finish(running);
    }
}

#[test]
fn more_tasks_than_places_and_room_are_refused_with_their_buffers() {
    let bench = TaskBench::new(0, |builder| builder);
    let pool = Pool::new(24, 512);
    let running = bench.start::<16>();

    let mut tasks: Vec<_> =
        (0..24).map(|sector| Task::new(running.tasks.read(Sector(sector), pool.take(0xee)))).collect();
    run_woken(&mut tasks);

    for task in tasks.drain(usize::from(PLACES) + 16..) {
        let failed = task.result.expect("it is over").unwrap_err();
        assert_eq!(
            (failed.error, failed.payload.map(|page| page.bytes().len())),
            (RequestError::Full, Some(512))
        );
    }
    bench.run_to_end(&running.handlers, &mut tasks);
    assert!(tasks.iter().all(|task| task.result.as_ref().unwrap().is_ok()));
    drop(tasks);
    bench.finish(running);
}

/// Spec: §5.2.6.2 Driver Requirements: Device Operation — no flush without the feature, no write to a disk that is read-only.
#[test]
fn a_disk_is_asked_for_nothing_that_it_did_not_offer() {
    let bench = TaskBench::new(READ_ONLY, |builder| builder);
    let pool = Pool::new(1, 512);
    let running = bench.start::<16>();

    let mut flush = Task::new(running.tasks.flush());
    let mut write = Task::new(running.tasks.write(Sector(0), pool.take(1)));
    flush.poll();
    write.poll();

    assert_eq!(flush.result, Some(Ok(())));
    let failed = write.result.take().expect("it is over").unwrap_err();
    assert_eq!((failed.error, failed.payload.is_some()), (RequestError::ReadOnly, true));
    drop((flush, write, failed));
    bench.disk.serve(&bench.device, &bench.hal.space);
    assert!(bench.disk.requests().is_empty());
    bench.finish(running);
}

#[test]
fn a_flush_comes_after_what_was_written_before() {
    let bench = TaskBench::new(FLUSH, |builder| builder);
    let pool = Pool::new(1, 512);
    let running = bench.start::<16>();

    let both = async {
        running.tasks.write(Sector(3), pool.take(7)).await?;
        running.tasks.flush().await
    };
    let mut tasks = [Task::new(both)];
    bench.run_to_end(&running.handlers, &mut tasks);

    assert_eq!(tasks[0].result, Some(Ok(())));
    assert_eq!((bench.disk.flushes(), bench.disk.sector(3)), (1, vec![7; 512]));
    drop(tasks);
    bench.finish(running);
}

/// Each error that is found out before the disk is asked: at the first poll, with the buffer.
#[test]
fn a_request_that_cannot_be_is_refused_with_its_buffer() {
    let bench = TaskBench::new(0, |builder| builder);
    let running = bench.start::<16>();
    for (sector, bytes, error) in [
        (0, 0, RequestError::NotMapped),
        (0, 100, RequestError::NotWholeSectors { bytes: 100 }),
        (256, 512, RequestError::OutOfRange { sector: 256, sectors: 1, capacity_sectors: 256 }),
    ] {
        let pool = Pool::new(1, bytes);
        let mut task = Task::new(running.tasks.read(Sector(sector), pool.take(0)));
        task.poll();
        let failed = task.result.take().expect("it is over").unwrap_err();
        assert_eq!((failed.error, failed.payload.map(|page| page.bytes().len())), (error, Some(bytes)));
    }
    let pool = Pool::new(2, 512);
    let mapped = MappedBuffer::map(&bench.hal, pool.take(0), Direction::DeviceReadable).unwrap();
    let mut task = Task::new(running.tasks.read_mapped(Sector(0), mapped));
    task.poll();
    let failed = task.result.take().expect("it is over").unwrap_err();
    assert_eq!((failed.error, failed.payload.is_some()), (RequestError::WrongDirection, true));
    drop((task, failed));
    bench.hal.limit_maps(0);
    let mut task = Task::new(running.tasks.read(Sector(0), pool.take(0)));
    task.poll();
    let failed = task.result.take().expect("it is over").unwrap_err();
    assert_eq!((failed.error, failed.payload.is_some()), (RequestError::NotMapped, true));
    drop((task, failed));
    assert_eq!((running.tasks.in_flight(), pool.pages()), (0, 2));
    bench.finish(running);
}

/// What the disk says of a request is its task's, and nobody else's.
#[test]
fn a_request_that_fails_is_told_to_its_task_alone() {
    let bench = TaskBench::new(0, |builder| builder);
    let pool = Pool::new(2, 512);
    let running = bench.start::<16>();
    let mut tasks = [1, 2].map(|sector| Task::new(running.tasks.read(Sector(sector), pool.take(0xee))));
    run_woken(&mut tasks);

    bench.disk.hold();
    bench.disk.release(1);
    bench.disk.misbehave(|lies| lies.status = Some(1));
    bench.serve(&running.handlers);
    run_woken(&mut tasks);
    bench.disk.misbehave(|lies| lies.status = None);
    bench.disk.release_all();
    bench.run_to_end(&running.handlers, &mut tasks);

    let [first, second] = tasks.map(|task| task.result.expect("it is over"));
    let failed = first.unwrap_err();
    assert_eq!((failed.error, failed.payload.is_some()), (RequestError::Device, true));
    assert_eq!(second.unwrap().bytes(), [2; 512]);
    drop(failed);
    bench.finish(running);
}

/// The kernel looks after interrupts in a place of its own: tasks are polled when they are done, and not before.
#[test]
fn a_service_alone_finishes_what_is_in_flight() {
    for bench in TaskBench::each() {
        let pool = Pool::new(8, 512);
        let running = bench.start::<16>();
        let mut tasks: Vec<_> =
            (0..8).map(|sector| Task::new(running.tasks.read(Sector(sector), pool.take(0xee)))).collect();
        run_woken(&mut tasks);
        for task in &mut tasks[..2] {
            task.cancel();
        }
        assert_eq!(running.tasks.in_flight(), PLACES.into());

        bench.disk.serve(&bench.device, &bench.hal.space);
        assert_eq!(running.tasks.service(), 0);

        assert_eq!((pool.pages(), tasks.iter().filter(|task| task.is_woken()).count()), (2, 6));
        bench.run_to_end(&running.handlers, &mut tasks);
        assert!(tasks.iter().skip(2).all(|task| task.result.as_ref().unwrap().is_ok()));
        drop(tasks);
        bench.finish(running);
    }
}

/// Requests with tickets are not mixed with those of tasks.
#[test]
fn a_queue_with_tickets_out_is_not_shared() {
    let bench = TaskBench::new(0, |builder| builder);
    let pool = Pool::new(1, 512);
    let storage: &'static mut Storage<16, _> = Box::leak(Box::default());
    let waiters: &'static mut Waiters<16, _> = Box::leak(Box::default());
    let (control, mut queue) = bench.bring_up(bench.open(2), storage);
    let mapped = MappedBuffer::map(&bench.hal, pool.take(0), Direction::DeviceWritable).unwrap();
    queue.submit_read(Sector(0), mapped).unwrap();

    let refused = Requests::new(queue, waiters, None).unwrap_err();

    let down = control.take_down(Attempts(10)).unwrap();
    assert_eq!(refused.queue.reclaim(&down.reset).unwrap().count(), 1);
    bench.hal.assert_all_returned();
}

/// Tasks may be any processor's, and so may handlers.
#[test]
fn what_tasks_and_handlers_have_may_go_to_any_processor() {
    type Load = MappedBuffer<TestHal, Page>;
    type Locked = spin::Mutex<Requests<'static, TestHal, Load>>;
    fn is_send(_: &impl Send) {}
    fn is_sync<T: Send + Sync>() {}

    fn futures(tasks: &Shared<TestHal, Locked>, page: Page, other: Page, load: Load) {
        let transfer: Transfer<'_, 'static, TestHal, Load, Locked> = tasks.read_mapped(Sector(0), load);
        is_send(&(
            tasks.read(Sector(0), page),
            tasks.write(Sector(0), other),
            tasks.flush(),
            tasks.drain(),
            transfer,
        ));
    }

    is_sync::<Shared<TestHal, Locked>>();
    is_sync::<(Interrupt<'static>, Interrupts<'static>, Signals, SignalsRef<'static>)>();
    let _ = futures;
}

/// Spec: §5.2.4 — the capacity, which may change at run time.
#[test]
fn tasks_reach_what_was_added_to_a_disk_once_they_were_told() {
    let bench = TaskBench::new(0, |builder| builder);
    let pool = Pool::new(2, 512);
    let mut running = bench.start::<16>();
    bench.disk.resize(&bench.device, 257);

    let mut too_early = [Task::new(running.tasks.read(Sector(256), pool.take(0xee)))];
    run_woken(&mut too_early);
    running.tasks.set_shape(running.control.refresh_shape().unwrap());
    let mut in_time = [Task::new(running.tasks.read(Sector(256), pool.take(0xee)))];
    bench.run_to_end(&running.handlers, &mut in_time);

    let [refused, read] = [too_early, in_time].map(|[task]| task.result.unwrap());
    let refused = refused.unwrap_err().error;
    assert_eq!(refused, RequestError::OutOfRange { sector: 256, sectors: 1, capacity_sectors: 256 });
    assert_eq!(read.unwrap().bytes(), [0; 512]);
    bench.finish(running);
}

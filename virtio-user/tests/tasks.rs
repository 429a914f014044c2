//! Tasks of tokio's at real back-ends: drivers' futures wake up when something came, and nobody runs meanwhile.

mod support;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{process, ptr, thread};

use qemu_tests::backend::{Forwarding, Testpmd, TestpmdSettings};
use qemu_tests::{DiskDevice, Image, StorageDaemon, random_seed};
use support::{LIMIT, memory, patience};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use virtio_guest::device::block::{self, Block, Requests, Sector, Shared, Waiters};
use virtio_guest::device::net::{self, ControlSlots, FramePool, Net, PLAIN, PairSlots, PoolSettings, Slots};
use virtio_guest::lifecycle::{Condition, Interrupt, Signals, Wants};
use virtio_guest::raw::{MappedBuffer, PoolEntries};
use virtio_guest::wire::device_type::DeviceType;
use virtio_user::memory::{SharedBuffer, SharedHal};
use virtio_user::tokio::handle_interrupts;
use virtio_user::{Settings, Vector, VhostUser};

type Payload = MappedBuffer<SharedHal, SharedBuffer>;
type Disk = Shared<SharedHal, spin::Mutex<Requests<'static, SharedHal, Payload>>>;

/// A task that counts how often it runs.
struct Counted<'c, F>(Pin<Box<F>>, &'c AtomicU64);

impl<F: Future> Future for Counted<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.as_mut().poll(context)
    }
}

fn counted<F: Future>(task: F, runs: &AtomicU64) -> Counted<'_, F> {
    Counted(Box::pin(task), runs)
}

/// Where everything is that tasks have for ever: who looks for leaks finds none.
static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// What a task may have for ever.
fn keep<T>(value: T) -> &'static mut T {
    let kept = Box::leak(Box::new(value));
    KEPT.lock().expect("nobody panics with it").push(ptr::from_mut(kept).expose_provenance());
    kept
}

fn settings() -> Settings {
    Settings { answer_limit: LIMIT, ..Settings::default() }
}

/// Has handlers called, by tasks of their own, which count their runs.
fn spawn_handlers(handlers: Vec<(Vector, Interrupt<'static>)>, runs: &'static AtomicU64) {
    for (vector, interrupt) in handlers {
        tokio::spawn(counted(handle_interrupts(vector, interrupt), runs));
    }
}

/// Runs a task on a runtime of so many threads, with a time limit: also for one that runs all the time, and lets no timer run.
fn run(threads: usize, task: impl Future<Output = ()>) {
    let runtime = match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    let (is_over, over) = mpsc::channel::<()>();
    thread::spawn(move || {
        if over.recv_timeout(LIMIT * 3) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("a task runs for ever");
            process::abort();
        }
    });
    runtime.expect("a runtime").block_on(async { timeout(LIMIT * 2, task).await.expect("in time") });
    drop(is_over);
}

const TASKS: u64 = 8;
const READS: u64 = 64;
const SECTORS: u64 = TASKS * READS * 8;

/// A disk for tasks, and its interrupts.
fn share(
    transport: VhostUser,
    hal: SharedHal,
) -> (block::Control<'static, VhostUser>, Disk, Vec<(Vector, Interrupt<'static>)>) {
    let vectors = [0, 1].map(|vector| transport.vector(vector).expect("a vector"));
    let settings = block::Settings { notifications: true, ..block::Settings::default() };
    let storage = keep(block::Storage::<32, Payload>::for_buffers());
    let wants = Wants::features(block::HANDLED);
    let disk = Block::start_with(transport, hal, storage, &settings, wants, patience()).expect("it comes up");
    let (mut control, queue) = disk.split();
    let interrupts = control.connect_interrupts(&*keep(Signals::<1>::new())).expect("nobody else's signals");
    let handlers =
        (0..).zip(vectors).map(|(number, vector)| (vector, interrupts.vector(number).expect("as many")));
    let handlers = handlers.collect();
    let waiters = keep(Waiters::<16, Payload>::new());
    let Ok(requests) = Requests::new(queue, waiters, Some(interrupts)) else { panic!("the queue is new") };
    (control, Shared::new(spin::Mutex::new(requests), hal), handlers)
}

/// Reads a disk with several tasks, compares, and looks how often anything ran, meanwhile and afterwards.
fn read_with_tasks(threads: usize) {
    let image = Image::random(SECTORS, random_seed());
    let daemon = StorageDaemon::of_image(&image, &DiskDevice::default());
    let (memory, expected) = (memory(), image.bytes());
    let transport =
        VhostUser::connect(daemon.address(), DeviceType::BLOCK, &memory, &settings()).expect("it is there");
    let (control, disk, handlers) = share(transport, memory.hal());
    let (handler_runs, task_runs): (&AtomicU64, &AtomicU64) =
        (keep(AtomicU64::new(0)), keep(AtomicU64::new(0)));
    let disk: &Disk = keep(disk);

    run(threads, async {
        spawn_handlers(handlers, handler_runs);
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let mut buffer = memory.buffer(4096).expect("room for a page");
                let reads = async move {
                    let mut all = Vec::new();
                    for read in 0..READS {
                        let place = (task * READS + read) * 8;
                        buffer = disk.read(Sector(place), buffer).await.expect("it reads");
                        all.extend(buffer.to_vec());
                    }
                    all
                };
                tokio::spawn(counted(reads, task_runs))
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.expect("it ends"));
        }
        assert!(all == expected, "what was read is what is in the file");

        let runs = || (handler_runs.load(Ordering::Relaxed), task_runs.load(Ordering::Relaxed));
        sleep(Duration::from_millis(50)).await;
        let before = runs();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(runs(), before, "nobody runs where nothing comes");
        let reads = TASKS * READS;
        assert!(before.0 <= reads + 4, "{} runs of the handlers for {reads} reads", before.0);
        assert!(before.1 <= 3 * reads + TASKS, "{} runs of the tasks for {reads} reads", before.1);
    });
    drop(control);
}

#[test]
fn tasks_of_one_thread_read_a_disk_and_run_only_when_something_came() {
    read_with_tasks(1);
}

#[test]
fn tasks_of_several_threads_read_a_disk_and_run_only_when_something_came() {
    read_with_tasks(2);
}

const FRAMES: u16 = 2000;

/// A card for tasks, and its interrupts: the configuration's, and those of one pair of queues.
fn card(
    transport: &'static mut VhostUser,
    pool: &'static FramePool<'static, SharedHal>,
    hal: SharedHal,
) -> (Net<'static, &'static mut VhostUser, SharedHal>, Vec<(Vector, Interrupt<'static>)>) {
    let vectors = [0, 1, 2].map(|vector| transport.vector(vector).expect("a vector"));
    let slots = Slots { pair: PairSlots::allocate(64), control: ControlSlots::allocate(16) };
    let settings = net::Settings { notifications: true, ..net::Settings::default() };
    let supply = pool.supply().expect("nobody else has it");
    let wants = Wants::features(PLAIN);
    let card = Net::start_with(transport, hal, slots, supply, &settings, wants, patience());
    let mut card = card.expect("it comes up");
    let interrupts = card.connect_interrupts(&*keep(Signals::<2>::new())).expect("nobody else's signals");
    let handler = |(number, vector)| (vector, interrupts.vector(number).expect("as many"));
    let handlers = (0..).zip(vectors).map(handler).collect();
    (card, handlers)
}

fn testpmd() -> Testpmd {
    Testpmd::start(TestpmdSettings { forwarding: Forwarding::Back, ..TestpmdSettings::default() })
}

#[test]
fn one_task_sends_frames_and_another_one_has_them_back_and_neither_runs_for_nothing() {
    let testpmd = testpmd();
    let memory = memory();
    let transport = VhostUser::connect(testpmd.socket(0), DeviceType::NETWORK, &memory, &settings());
    let pool = |count| {
        let pool = FramePool::new(&memory.hal(), PoolEntries::allocate(count), PoolSettings::default());
        &*keep(pool.expect("room for a pool"))
    };
    let (card, handlers) = card(keep(transport.expect("it is there")), pool(128), memory.hal());
    let (control, mut receive, mut transmit) = card.split();
    let signal = |queue| control.interrupts().expect("connected").queue_signal(queue).expect("a signal");
    let (on_receive, on_transmit) = (signal(0), signal(1));
    let mut supply = pool(64).supply().expect("nobody else has it");
    let (handler_runs, task_runs): (&AtomicU64, &AtomicU64) =
        (keep(AtomicU64::new(0)), keep(AtomicU64::new(0)));
    let header = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    // As many as the device has buffers for may be on their way.
    let window = tokio::sync::Semaphore::new(32);

    run(1, async {
        spawn_handlers(handlers, handler_runs);
        let send = async {
            for number in 0..FRAMES {
                window.acquire().await.expect("it is open").forget();
                let mut frame = loop {
                    match supply.frame() {
                        Some(frame) => break frame,
                        None => drop(transmit.reap().expect("the queue is sound")),
                    }
                };
                frame.append(&header).expect("room for a header");
                frame.append(&number.to_be_bytes()).expect("room for a number");
                frame.append(&[0; 44]).expect("room for the shortest frame");
                transmit.transmitted(on_transmit, frame).await.expect("it goes out");
            }
        };
        let take = async {
            for number in 0..FRAMES {
                let frame = receive.received(on_receive).await.expect("the queue is sound");
                let mut bytes = [0; 2];
                frame.read(14, &mut bytes).expect("as long as it was");
                assert_eq!(u16::from_be_bytes(bytes), number, "in order, and none is missing");
                window.add_permits(1);
            }
        };
        tokio::join!(counted(send, task_runs), counted(take, task_runs));

        let idle = receive.received(on_receive);
        let mut idle = pin!(counted(idle, task_runs));
        let runs = || (handler_runs.load(Ordering::Relaxed), task_runs.load(Ordering::Relaxed));
        assert!(timeout(Duration::from_millis(50), &mut idle).await.is_err());
        let before = runs();
        assert!(timeout(Duration::from_millis(300), &mut idle).await.is_err());
        let after = runs();
        // Once, because it was asked.
        assert_eq!((after.0, after.1), (before.0, before.1 + 2), "nobody runs where nothing comes");
        let frames = u64::from(FRAMES);
        assert!(before.0 <= 2 * frames, "{} runs of the handlers for {frames} frames", before.0);
        assert!(before.1 <= 4 * frames, "{} runs of the tasks for {frames} frames", before.1);
    });
    drop((receive, transmit, control));
    testpmd.stop();
}

#[test]
fn who_waits_for_a_frame_hears_that_the_back_end_is_gone() {
    let mut testpmd = testpmd();
    let memory = memory();
    let transport = VhostUser::connect(testpmd.socket(0), DeviceType::NETWORK, &memory, &settings());
    let pool = FramePool::new(&memory.hal(), PoolEntries::allocate(128), PoolSettings::default());
    let pool = keep(pool.expect("room for a pool"));
    let (card, handlers) = card(keep(transport.expect("it is there")), pool, memory.hal());
    let (mut control, mut receive, _transmit) = card.split();
    let on_receive = control.interrupts().expect("connected").queue_signal(0).expect("a signal");
    let runs = keep(AtomicU64::new(0));

    run(1, async {
        spawn_handlers(handlers, runs);
        let killed = async {
            sleep(Duration::from_millis(100)).await;
            testpmd.kill();
            sleep(LIMIT).await;
        };
        let condition = tokio::select! {
            () = killed => panic!("nobody was told"),
            _ = receive.received(on_receive) => panic!("nobody sent a frame"),
            condition = control.configuration_change() => condition,
        };
        assert_ne!(condition, Condition::Live);
        sleep(Duration::from_millis(50)).await;
        let before = runs.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
        assert_eq!(runs.load(Ordering::Relaxed), before, "a back-end that is gone keeps nobody busy");
    });
}

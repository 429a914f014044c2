//! Tasks that share a modelled disk: an executor, and a bench.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use virtio_guest::device::block::{
    Block, Control, HANDLED, RequestQueue, Requests, Settings, Shared, Storage, Waiters,
};
use virtio_guest::hal::{Attempts, DmaBuffer};
use virtio_guest::lifecycle::{Interrupt, Interrupts, Signals, Wants};
use virtio_guest::raw::MappedBuffer;
use virtio_model::Disk;
use virtio_model::pci::{Builder, PciDevice};

use super::{Either, Mapper, TestHal, claim, message};

const EVENT_IDX: u128 = 1 << 29;
const VERSION_1: u128 = 1 << 32;
const RING_PACKED: u128 = 1 << 34;

/// Buffers of a pool: each comes back to it when it is dropped.
#[derive(Debug)]
pub struct Page {
    bytes: Option<Vec<u8>>,
    pool: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What is dropped with it.
    pub luggage: Option<Luggage>,
}

/// Something of a task's.
pub struct Luggage(#[expect(dead_code, reason = "it is only dropped")] pub Box<dyn std::any::Any + Send>);

impl std::fmt::Debug for Luggage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Luggage")
    }
}

impl Page {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

// SAFETY: the vector is this page's own until it is dropped, and is not resized; forgotten, it is leaked.
unsafe impl DmaBuffer for Page {
    fn bytes(&mut self) -> std::ptr::NonNull<[u8]> {
        std::ptr::NonNull::from(self.bytes.as_deref_mut().unwrap_or_default())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pool.lock().unwrap().extend(self.bytes.take());
    }
}

/// A pool of pages.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// So many pages of so many bytes.
    pub fn new(pages: usize, bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![vec![0; bytes]; pages])))
    }

    /// A page, filled with this.
    pub fn take(&self, fill: u8) -> Page {
        let mut bytes = self.0.lock().unwrap().pop().expect("there are pages left");
        bytes.fill(fill);
        Page { bytes: Some(bytes), pool: Arc::clone(&self.0), luggage: None }
    }

    /// How many pages are here.
    pub fn pages(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// What requests carry.
pub type Load = MappedBuffer<TestHal, Page>;
/// The disk, for all tasks.
pub type Tasks = Shared<TestHal, Mutexed<Requests<'static, TestHal, Load>>>;

/// A lock that notices when it is asked for by who has it.
pub struct Mutexed<T>(Mutex<T>);

impl<T> Mutexed<T> {
    /// Around `inside`.
    pub fn new(inside: T) -> Self {
        Self(Mutex::new(inside))
    }
}

impl<T> virtio_guest::hal::Lock for Mutexed<T> {
    type Inside = T;

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.try_lock().expect("nobody comes back while it is held"))
    }
}

/// A waker that remembers.
#[derive(Default)]
pub struct Flag {
    set: AtomicBool,
    /// When it was woken: tasks take turns in the order in which they were.
    turn: AtomicUsize,
    /// How often it was woken.
    pub wakes: AtomicUsize,
    /// Who sleeps until then.
    sleeper: Option<Thread>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        static TURNS: AtomicUsize = AtomicUsize::new(1);
        self.wakes.fetch_add(1, Ordering::Relaxed);
        if !self.set.swap(true, Ordering::AcqRel) {
            self.turn.store(TURNS.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
        self.sleeper.iter().for_each(Thread::unpark);
    }
}

/// A task.
pub struct Task<'f, R> {
    future: Option<Pin<Box<dyn Future<Output = R> + 'f>>>,
    /// Its waker.
    pub flag: Arc<Flag>,
    /// What came of it.
    pub result: Option<R>,
    /// How often it was polled.
    pub polls: usize,
}

impl<'f, R> Task<'f, R> {
    /// A task, ready to be polled first.
    pub fn new(future: impl Future<Output = R> + 'f) -> Self {
        let flag = Arc::new(Flag { set: true.into(), sleeper: Some(thread::current()), ..Flag::default() });
        Self { future: Some(Box::pin(future)), flag, result: None, polls: 0 }
    }

    /// Whether it was woken and not polled since.
    pub fn is_woken(&self) -> bool {
        self.future.is_some() && self.flag.set.load(Ordering::Acquire)
    }

    /// Polls it if it was woken; says whether that was so.
    pub fn run(&mut self) -> bool {
        let woken = self.is_woken();
        if woken {
            self.poll();
        }
        woken
    }

    /// Polls it.
    pub fn poll(&mut self) {
        self.flag.set.store(false, Ordering::Release);
        let Some(future) = &mut self.future else { return };
        self.polls += 1;
        let waker = Waker::from(Arc::clone(&self.flag));
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.result = Some(result);
            self.future = None;
        }
    }

    /// Drops its future.
    pub fn cancel(&mut self) {
        self.future = None;
    }

    /// Whether it is over, or cancelled.
    pub fn is_over(&self) -> bool {
        self.future.is_none()
    }
}

/// Runs tasks as long as one of them is woken, first woken first.
pub fn run_woken<R>(tasks: &mut [Task<'_, R>]) {
    for _ in 0..10_000 {
        let woken = tasks.iter_mut().filter(|task| task.is_woken());
        let Some(next) = woken.min_by_key(|task| task.flag.turn.load(Ordering::Relaxed)) else { return };
        next.run();
    }
    panic!("the tasks keep each other awake");
}

/// A disk on a bench, its sectors filled with the low byte of their number.
pub struct TaskBench {
    /// The disk.
    pub disk: Disk,
    /// Its function.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
}

/// The driver of it, in two halves, and what handlers have.
pub struct Running {
    /// The control half.
    pub control: Control<'static, Either>,
    /// The queue, for tasks.
    pub tasks: Tasks,
    /// The objects of the handlers, by vector; or that of the line.
    pub handlers: Vec<Interrupt<'static>>,
    /// What all of them share.
    pub signals: &'static Signals,
}

impl TaskBench {
    /// A disk with these ring features, and otherwise like this.
    pub fn new(features: u128, change: impl Fn(Builder) -> Builder) -> Self {
        let contents = (0..=255).map(|sector| [sector; 512]).collect::<Vec<_>>().concat();
        let disk = Disk::with_contents(contents);
        let builder = disk.builder().features(VERSION_1 | features).msi_x(4);
        Self { device: change(builder).build(), disk, hal: TestHal::default() }
    }

    /// With and without event index, in each layout. Under miri, which is slow, the first of the four.
    pub fn each() -> impl Iterator<Item = Self> {
        let all = [EVENT_IDX | RING_PACKED, EVENT_IDX, RING_PACKED, 0];
        all.into_iter()
            .take(if cfg!(miri) { 1 } else { 4 })
            .map(|features| Self::new(features, |builder| builder))
    }

    /// Opens the function, with so many messages.
    pub fn open(&self, messages: u32) -> Either {
        let mut transport = Either::open_pci(claim(&self.device), &Mapper(self.device.clone())).unwrap();
        if messages > 0 {
            transport.enable_msi_x(&(0..messages).map(message).collect::<Vec<_>>()).unwrap();
        }
        transport
    }

    /// Starts the driver on a transport.
    pub fn bring_up(
        &self,
        transport: Either,
        storage: impl Into<virtio_guest::device::block::Slots<'static, Load>>,
    ) -> (Control<'static, Either>, RequestQueue<'static, TestHal, Load>) {
        self.bring_up_with(transport, storage, |_| {})
    }

    /// The same, with other settings.
    pub fn bring_up_with(
        &self,
        transport: Either,
        storage: impl Into<virtio_guest::device::block::Slots<'static, Load>>,
        change: impl FnOnce(&mut Settings),
    ) -> (Control<'static, Either>, RequestQueue<'static, TestHal, Load>) {
        let mut settings = Settings {
            request_bytes: 512,
            notifications: true,
            drop_attempts: Attempts(5),
            ..Settings::default()
        };
        change(&mut settings);
        let wants = Wants::features(HANDLED);
        let block =
            Block::start_with(transport, self.hal.clone(), storage, &settings, wants, Attempts(10)).unwrap();
        block.split()
    }

    /// Starts the driver for tasks, with storage for so many requests, and two messages.
    pub fn start<const N: usize>(&self) -> Running {
        self.start_with::<N>(2)
    }

    /// The same, with so many messages; with none, its line.
    pub fn start_with<const N: usize>(&self, messages: u32) -> Running {
        let storage: &'static mut Storage<N, Load> = Box::leak(Box::default());
        let (mut control, queue) = self.bring_up(self.open(messages), storage);
        let signals: &'static Signals = Box::leak(Box::default());
        let interrupts = control.connect_interrupts(signals).unwrap();
        let handlers = handlers(interrupts);
        let waiters: &'static mut Waiters<N, Load> = Box::leak(Box::default());
        let requests = Requests::new(queue, waiters, Some(interrupts)).unwrap();
        Running { control, tasks: Shared::new(Mutexed::new(requests), self.hal.clone()), handlers, signals }
    }

    /// Runs tasks to their end: as long as one of them is asleep the disk works, and what it does wakes one.
    pub fn run_to_end<R>(&self, handlers: &[Interrupt<'_>], tasks: &mut [Task<'_, R>]) {
        run_woken(tasks);
        while tasks.iter().any(|task| !task.is_over()) {
            self.serve(handlers);
            assert!(tasks.iter().any(Task::is_woken), "asleep for ever");
            run_woken(tasks);
        }
    }

    /// Lets the disk work, and its interrupts arrive. Says how many there were.
    pub fn serve(&self, handlers: &[Interrupt<'_>]) -> usize {
        self.disk.serve(&self.device, &self.hal.space);
        self.interrupt(handlers)
    }

    /// Has the interrupts arrive that the device has sent. Says how many there were.
    pub fn interrupt(&self, handlers: &[Interrupt<'_>]) -> usize {
        let messages = self.device.take_messages();
        for (_, data) in &messages {
            handlers[*data as usize].handle();
        }
        let mut lines = 0;
        while self.device.line_is_raised() && lines < 10 {
            handlers[0].handle();
            lines += 1;
        }
        messages.len() + lines
    }

    /// Takes the driver down: nothing is left, and nobody did anything wrong.
    pub fn finish(&self, running: Running) {
        let down = running.control.take_down(Attempts(10)).unwrap();
        assert_eq!(down.handlers, Ok(()));
        drop(running.tasks.take_down(&down.reset).expect("the queue's own reset"));
        self.device.assert_driver_was_correct();
        self.hal.assert_all_returned();
    }
}

/// The objects for handlers: of all vectors, or of the line.
pub fn handlers(interrupts: &Interrupts<'static>) -> Vec<Interrupt<'static>> {
    let vectors: Vec<_> = (0..4).map_while(|vector| interrupts.vector(vector)).collect();
    if vectors.is_empty() { interrupts.line().into_iter().collect() } else { vectors }
}

//! Tasks that share a queue: polled whenever the script says, woken or not, and dropped at any time.
//!
//! Spec: §5.2.6 Device Operation, §2.7.7. With a disk that never lied each of them that is left comes to its end by being woken.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use virtio_guest::device::block::{Failed, Requests, Sector, Shared};
use virtio_guest::hal::Lock;
use virtio_guest::lifecycle::Interrupt;

use super::commands;
use super::device::{SECTOR_BYTES, SECTORS, sector};
use super::ledger::{check_done, check_sectors, judge};
use super::memory::{Buffer, Load, WatchedHal};
use super::world::{self, detail, step};

/// A disk's queue, for all tasks.
pub(crate) type Tasks<'s> = Shared<WatchedHal, Locked<Requests<'s, WatchedHal, Load>>>;

/// Tasks at a time.
const TASKS_MAX: usize = 8;
/// Rounds in which tasks whose disk works come to their end.
const ROUNDS: usize = 64;

/// A lock that notices when it is asked for by who has it.
#[derive(Debug)]
pub(crate) struct Locked<T>(RefCell<T>);

impl<T> Locked<T> {
    pub(crate) const fn new(inside: T) -> Self {
        Self(RefCell::new(inside))
    }
}

impl<T> Lock for Locked<T> {
    type Inside = T;

    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.try_borrow_mut().expect("nobody comes back while it is held"))
    }
}

/// Whether a task was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task<'f> {
    future: Pin<Box<dyn Future<Output = ()> + 'f>>,
    flag: Arc<Flag>,
}

impl<'f> Task<'f> {
    fn new(future: impl Future<Output = ()> + 'f) -> Self {
        Self { future: Box::pin(future), flag: Arc::new(Flag(true.into())) }
    }

    /// Polls it; says whether it is over.
    fn poll(&mut self) -> bool {
        self.flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.flag));
        self.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

/// Lets interrupts arrive at their handlers.
pub(crate) fn deliver(handlers: &[Interrupt<'_>]) {
    let vectors = world::with(|world| std::mem::take(&mut world.device.interrupts));
    for vector in vectors {
        if let Some(handler) = handlers.get(usize::from(vector)) {
            handler.handle();
        }
    }
}

/// Tasks use a queue, until the script says that they are done with it.
pub(crate) fn run(shared: &Tasks<'_>, handlers: &[Interrupt<'_>]) {
    let mut tasks: Vec<Task<'_>> = Vec::new();
    let mut drain = None;
    while let Some(step) = step() {
        let number = usize::from(step >> 3);
        match step % 8 {
            0..4 if tasks.len() < TASKS_MAX => tasks.push(task(shared, step % 8, number as u64)),
            4 if !tasks.is_empty() => {
                let index = number % tasks.len();
                if tasks[index].poll() {
                    drop(tasks.swap_remove(index));
                }
            }
            5 if !tasks.is_empty() => drop(tasks.swap_remove(number % tasks.len())),
            6 => {
                world::act();
                deliver(handlers);
            }
            7 => match number % 8 {
                0 => shared.pause(),
                1 => shared.resume(),
                2 => {
                    shared.service();
                }
                3 if drain.is_none() => {
                    let mut draining = Task::new(shared.drain());
                    drain = (!draining.poll()).then_some(draining);
                }
                3 | 4 => drain = None,
                5 => poll_woken(&mut tasks),
                _ => break,
            },
            _ => {}
        }
    }
    drop(drain);
    shared.resume();
    run_to_end(&mut tasks, handlers);
}

fn poll_woken(tasks: &mut Vec<Task<'_>>) {
    tasks.retain_mut(|task| !task.flag.0.load(Ordering::Relaxed) || !task.poll());
}

/// A disk that never lied does all its work, and interrupts when it was asked to.
fn run_to_end(tasks: &mut Vec<Task<'_>>, handlers: &[Interrupt<'_>]) {
    for _ in 0..ROUNDS {
        if tasks.is_empty() || !world::is_honest() {
            return;
        }
        poll_woken(tasks);
        world::with(|world| {
            let world::World { script, memory, device } = world;
            device.act(0, script, memory);
        });
        deliver(handlers);
    }
    assert!(tasks.is_empty(), "{} tasks sleep though their requests are done", tasks.len());
}

/// A task that wants one thing.
fn task<'f>(shared: &'f Tasks<'_>, kind: u8, number: u64) -> Task<'f> {
    let first = number * 3 % (SECTORS + 1);
    let sectors = u64::from(detail() % 4) + 1;
    match kind {
        0 | 1 => Task::new(async move {
            let buffer = Buffer::new(vec![0xee; sectors as usize * SECTOR_BYTES]);
            let result = done(buffer.id(), shared.read(Sector(first), buffer)).await;
            if let Some(buffer) = result {
                check_sectors(first, buffer.bytes());
            }
        }),
        2 => Task::new(async move {
            let bytes = (first..first + sectors).flat_map(|at| sector(at, 0x77)).collect();
            let buffer = Buffer::new(bytes);
            done(buffer.id(), shared.write(Sector(first), buffer)).await;
        }),
        _ => Task::new(commands::ask(shared)),
    }
}

/// What became of a transfer: its own buffer comes back, if one does.
pub(crate) async fn done(
    id: usize,
    transfer: impl Future<Output = Result<Buffer, Failed<Buffer>>>,
) -> Option<Buffer> {
    match transfer.await {
        Ok(buffer) => {
            assert_eq!(buffer.id(), id, "another buffer comes back");
            check_done(&buffer);
            Some(buffer)
        }
        Err(Failed { error, payload }) => {
            judge::<()>(Err(&error));
            assert!(payload.is_none_or(|buffer| buffer.id() == id), "another buffer comes back");
            None
        }
    }
}

//! The life of a disk's driver, from when it is up: calls, bursts, tasks, on whichever queue the script says; then a reset, and everything comes back.
//!
//! Spec: §5.2.6 Device Operation, §2.4 Device Reset.

use virtio_guest::device::block::{
    Block, CacheMode, Control, DownFailed, Failed, RequestQueue, Requests, Sector, Shared, Ticket, WaitersRef,
};
use virtio_guest::hal::Direction;
use virtio_guest::lifecycle::{Interrupt, Signals};
use virtio_guest::ring::Rearmed;

use super::commands;
use super::device::{QUEUES, SECTOR_BYTES, SECTORS, sector};
use super::ledger::{Entry, Ledger, check_sectors, judge};
use super::memory::{Buffer, Load, WatchedHal};
use super::tasks::{self, Locked, Tasks};
use super::transport::Registers;
use super::world::{act, detail, patience, step, with};

/// Bytes around what a caller lends, which stay as they are.
const GUARD: usize = 32;

type Queue<'s> = RequestQueue<'s, WatchedHal, Load>;

/// A queue, and who uses it.
#[allow(clippy::large_enum_variant, reason = "there are three of them")]
enum Use<'s> {
    Own(Queue<'s>, Ledger),
    Tasks(Tasks<'s>),
}

/// See the module's head.
pub(crate) struct Life<'s> {
    control: Control<'s, Registers>,
    queues: Vec<Use<'s>>,
    waiters: Vec<WaitersRef<'s, Load>>,
    handlers: Vec<Interrupt<'s>>,
}

/// A range of sectors that the script says; most are on the disk.
fn range() -> (Sector, usize) {
    let (first, len) = (u64::from(detail()), usize::from(detail()));
    let first = if first == 0xff { u64::MAX - 1 } else { first % (SECTORS + 2) };
    let bytes = match len {
        0xf8.. => len,
        _ => len % 6 * SECTOR_BYTES,
    };
    (Sector(first), bytes)
}

/// What is written to these sectors.
fn bytes_for(Sector(first): Sector, len: usize) -> Vec<u8> {
    let sectors = (0..len.div_ceil(SECTOR_BYTES) as u64).map(|at| sector(first.wrapping_add(at), detail()));
    sectors.flatten().take(len).collect()
}

impl<'s> Life<'s> {
    pub(crate) fn new(
        mut control: Control<'s, Registers>,
        queues: Vec<Queue<'s>>,
        waiters: Vec<WaitersRef<'s, Load>>,
        signals: &'s Signals<QUEUES>,
    ) -> Self {
        let interrupts = control.connect_interrupts(signals).expect("the signals are nobody else's");
        let handlers = (0..=QUEUES as u16).map_while(|vector| interrupts.vector(vector)).collect();
        let queues = queues.into_iter().map(|queue| Use::Own(queue, Ledger::default())).collect();
        Self { control, queues, waiters, handlers }
    }

    /// Lives on until the script is over. Says whether the disk was reset then.
    pub(crate) fn run(mut self) -> bool {
        while let Some(step) = step() {
            let number = step >> 4;
            let index = usize::from(number) % self.queues.len();
            match step % 16 {
                11 => act(),
                12 => {
                    if let Ok(shape) = self.control.refresh_shape() {
                        for queue in &mut self.queues {
                            match queue {
                                Use::Own(queue, _) => queue.set_shape(shape),
                                Use::Tasks(tasks) => tasks.set_shape(shape),
                            }
                        }
                    }
                }
                13 => tasks::deliver(&self.handlers),
                14 => self.share(index),
                15 if number >= 12 => break,
                kind => {
                    let queue = self.queues.swap_remove(index);
                    let queue = match queue {
                        Use::Own(queue, ledger) if kind == 15 => {
                            let (control, queue) = call_whole(self.control, queue);
                            self.control = control;
                            Use::Own(queue, ledger)
                        }
                        Use::Own(mut queue, mut ledger) => {
                            one(kind, &mut queue, &mut ledger);
                            Use::Own(queue, ledger)
                        }
                        shared @ Use::Tasks(_) => shared,
                    };
                    self.queues.push(queue);
                }
            }
        }
        self.finish()
    }

    /// Shares a queue among tasks for a while.
    fn share(&mut self, index: usize) {
        let queue = match self.queues.swap_remove(index) {
            Use::Own(queue, ledger) => {
                let Some(waiters) = self.waiters.pop() else {
                    return self.queues.push(Use::Own(queue, ledger));
                };
                match Requests::new(queue, waiters, self.control.interrupts()) {
                    Ok(requests) => Shared::new(Locked::new(requests), WatchedHal),
                    Err(in_use) => {
                        assert!(!ledger.is_empty(), "a queue without requests can be shared");
                        return self.queues.push(Use::Own(in_use.queue, ledger));
                    }
                }
            }
            Use::Tasks(tasks) => tasks,
        };
        tasks::run(&queue, &self.handlers);
        let queue = match queue.take_queue() {
            Some(queue) => Use::Own(queue, Ledger::default()),
            None => Use::Tasks(queue),
        };
        self.queues.push(queue);
    }

    /// Resets the disk: everything comes back, once.
    fn finish(self) -> bool {
        let Self { control, queues, .. } = self;
        for queue in &queues {
            if let Use::Tasks(tasks) = queue {
                tasks.pause();
            }
        }
        let reset = match control.take_down(patience(6)) {
            Ok(down) => down.reset,
            Err(DownFailed { error, .. }) => {
                assert!(!with(|world| world.device.is_honest), "a disk that never lied: {error}");
                return false;
            }
        };
        for queue in queues {
            match queue {
                Use::Own(queue, mut ledger) => {
                    let mut reclaimed =
                        queue.reclaim(&reset).unwrap_or_else(|_| panic!("the queue's own reset"));
                    reclaimed.by_ref().for_each(|completion| ledger.check(completion));
                    assert!(ledger.is_empty(), "a request is lost");
                    drop(reclaimed.into_slots());
                }
                Use::Tasks(tasks) => {
                    assert!(tasks.take_down(&reset).is_some(), "the queue's own reset");
                    assert_eq!(tasks.in_flight(), 0, "requests in flight after a reset");
                }
            }
        }
        true
    }
}

/// Calls of a disk in one piece, which also ask how it is.
fn call_whole<'s>(control: Control<'s, Registers>, queue: Queue<'s>) -> (Control<'s, Registers>, Queue<'s>) {
    let mut disk = Block::join(control, queue);
    let known = disk.capacity_sectors();
    let read = disk.refresh_capacity_sectors();
    assert_eq!(disk.capacity_sectors(), read.unwrap_or(known));
    judge(disk.flush_blocking(patience(3)).as_ref());
    let block_bytes = disk.block_bytes();
    let control = disk.control();
    let mode = if detail() & 1 == 0 { CacheMode::WriteBack } else { CacheMode::WriteThrough };
    let _ = (control.set_cache_mode(mode), control.cache_mode(), control.geometry(), control.topology());
    assert!(
        block_bytes.is_none_or(|bytes| bytes.is_power_of_two() && bytes >= 512),
        "a block that makes sense"
    );
    disk.split()
}

/// Does one thing with a queue.
fn one(kind: u8, queue: &mut Queue<'_>, ledger: &mut Ledger) {
    match kind {
        0 => read_blocking(queue),
        1 => {
            let (first, len) = range();
            let from = bytes_for(first, len);
            judge(queue.write_blocking(first, &from, patience(4)).as_ref());
        }
        2 => commands::call(queue),
        3 | 4 => {
            let (first, len) = range();
            let is_wrong = detail() >= 0xf0;
            let direction = if is_wrong { Direction::DeviceReadable } else { Direction::DeviceWritable };
            submit(queue, ledger, first, vec![0xee; len], direction, Some(first.0), Queue::submit_read);
        }
        5 => {
            let (first, len) = range();
            let bytes = bytes_for(first, len);
            submit(queue, ledger, first, bytes, Direction::DeviceReadable, None, Queue::submit_write);
        }
        6 => commands::hand_in(queue, ledger),
        7 => {
            queue.publish();
        }
        8 | 9 => {
            let result = queue.next_completion();
            let is_honest = with(|world| world.device.is_honest);
            assert!(result.is_ok() || !is_honest, "an honest device breaks no queue");
            if let Ok(Some(completion)) = result {
                ledger.check(completion);
            }
        }
        _ => match queue.rearm() {
            Rearmed::Quiet => queue.suppress_notifications(),
            Rearmed::MoreWaiting => {}
        },
    }
}

/// A read into the middle of the caller's memory: the rest of which is not touched.
fn read_blocking(queue: &mut Queue<'_>) {
    let (first, len) = range();
    let mut memory = vec![0xa5; GUARD + len + GUARD];
    let (before, rest) = memory.split_at_mut(GUARD);
    let (into, behind) = rest.split_at_mut(len);

    let result = queue.read_blocking(first, into, patience(4));

    assert!(before.iter().chain(&*behind).all(|byte| *byte == 0xa5), "bytes that were not lent");
    judge(result.as_ref());
    if result.is_ok() {
        check_sectors(first.0, into);
    }
}

type Submit<'s> = fn(&mut Queue<'s>, Sector, Load) -> Result<Ticket, Failed<Load>>;

/// Hands in a request with a buffer.
pub(crate) fn submit<'s>(
    queue: &mut Queue<'s>,
    ledger: &mut Ledger,
    first: Sector,
    bytes: Vec<u8>,
    direction: Direction,
    read_from: Option<u64>,
    submit: Submit<'s>,
) {
    let buffer = Buffer::new(bytes);
    let id = buffer.id();
    let Ok(load) = Load::map(&WatchedHal, buffer, direction) else { return };
    match submit(queue, first, load) {
        Ok(ticket) => ledger.accept(ticket, Entry { buffer: Some(id), read_from }, queue.requests()),
        Err(Failed { error, payload }) => {
            judge::<()>(Err(&error));
            let back = payload.map(Load::unmap).expect("what is refused comes back");
            assert_eq!(back.id(), id, "another buffer comes back");
        }
    }
}

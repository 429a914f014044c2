//! A request queue that many tasks share: asynchronous calls with buffers of their own.
//!
//! Spec: §5.2.6 Device Operation. No executor is asked for: futures are woken by the interrupt half ([`Interrupt::handle`](crate::lifecycle::Interrupt::handle)), and by each other.
//!
//! ```no_run
//! # use virtio_guest::hal::{DmaBuffer, Hal};
//! use virtio_guest::device::block::{self, Requests, Sector, Shared, Waiters};
//! use virtio_guest::lifecycle::{Interrupt, Signals};
//! use virtio_guest::raw::MappedBuffer;
//! # use virtio_guest::transport::Transport;
//! # type Page = Vec<u8>;
//! # struct Dma; struct Lock<T>(T);
//!
//! /// A disk that is up, for all tasks; and what the handler of its queue's interrupt calls.
//! type Disk<H> = Shared<H, spin::Mutex<Requests<'static, H, MappedBuffer<H, Page>>>>;
//!
//! /// The disk was started with `Settings::notifications`, or nobody would be woken.
//! fn share<T: Transport, H: Hal>(
//!     disk: block::Block<'static, T, H, MappedBuffer<H, Page>>,
//!     hal: H,
//!     waiters: &'static mut Waiters<64, MappedBuffer<H, Page>>,
//!     signals: &'static Signals,
//! ) -> Result<(Disk<H>, block::Control<'static, T>, Option<Interrupt<'static>>), &'static str> {
//!     let (mut control, queue) = disk.split();
//!     let interrupts = control.connect_interrupts(signals).map_err(|_| "the signals are in use")?;
//!     let interrupt = interrupts.vector(1).or_else(|| interrupts.line()); // for the handler
//!     let requests = Requests::new(queue, waiters, Some(interrupts)).map_err(|_| "in use")?;
//!     Ok((Shared::new(spin::Mutex::new(requests), hal), control, interrupt))
//! }
//!
//! /// The page moves in and comes back; dropping the future leaves it with the queue until the device lets go.
//! async fn read_superblock<H: Hal>(disk: &Disk<H>, page: Page) -> Result<Page, block::RequestError> {
//!     Ok(disk.read(Sector(2), page).await?)
//! }
//! ```

mod commands;
mod future;
mod leader;
mod recovery;
mod requests;
mod seated;
mod step;
mod waiters;

pub use future::Transfer;
pub use requests::{QueueInUse, Requests};
pub use seated::{Drain, Run};
pub use waiters::{Waiters, WaitersRef};

use future::Sent;
use step::{Done, Order};

use super::command::Command;
use super::completion::{Answer, Failed};
use super::queue::RequestQueue;
use super::request::{RequestError, Sector};
use super::shape::Shape;
use crate::device::tasks::Later;
use crate::hal::{DmaBuffer, Hal, Lock};
use crate::raw::{MappedBuffer, Payload};
use crate::ring::QueueStatistics;

/// A queue that many tasks use, by shared reference, behind a lock of the kernel's choice ([`Lock`]).
///
/// The lock is held for a bounded time, never while anything waits, and never while wakers or destructors of the caller's run.
#[derive(Debug)]
pub struct Shared<H, L> {
    inside: L,
    hal: H,
}

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Shared<H, L> {
    /// Shares what is behind the lock.
    pub const fn new(inside: L, hal: H) -> Self {
        Self { inside, hal }
    }

    /// Does something behind the lock, and afterwards what it left to be done.
    fn visit<R>(&self, act: impl FnOnce(&mut Requests<'s, H, P>, &mut Later<P>) -> R) -> R {
        let mut later = Later::new();
        let (result, mut is_left) =
            self.inside.with(|requests| (act(requests, &mut later), requests.is_left()));
        drop(later);
        // Everybody is woken in several visits, if they are many; and what is done that nobody waits for takes visits of its own.
        while is_left {
            let mut later = Later::new();
            is_left = self.inside.with(|requests| {
                requests.go_on(&mut later);
                requests.is_left()
            });
        }
        result
    }

    /// Reads whole sectors into a buffer that is mapped already, all of it.
    ///
    /// # Errors
    /// See [`RequestError`]; what was handed in comes back, unless the queue still has it.
    pub const fn read_mapped(&self, from: Sector, into: P) -> Transfer<'_, 's, H, P, L> {
        Transfer::new(self, Command::Read(from), into)
    }

    /// Writes whole sectors from a buffer that is mapped already, all of it.
    ///
    /// # Errors
    /// See [`RequestError`]; what was handed in comes back, unless the queue still has it.
    pub const fn write_mapped(&self, to: Sector, from: P) -> Transfer<'_, 's, H, P, L> {
        Transfer::new(self, Command::Write(to), from)
    }

    /// Takes what the device is done with, wakes those it is for, and asks for an interrupt: what the tasks themselves do when they are polled. Says how many requests are in flight.
    ///
    /// For kernels that look after interrupts in a place of their own, and for what dropped futures left behind when no task waits any more.
    ///
    /// Work: bounded by what was in flight.
    pub fn service(&self) -> usize {
        loop {
            let found = self.visit(Requests::look_for_all);
            let in_flight = self.in_flight();
            if !found || in_flight == 0 {
                return in_flight;
            }
        }
    }

    /// Takes note of what the disk says of itself now ([`Control::refresh_shape`](super::Control::refresh_shape)): after it was resized, say. A queue that is [put up](Shared::put_up) later has its own.
    pub fn set_shape(&self, shape: Shape) {
        self.inside.with(|requests| {
            requests.shape = shape;
            requests.queue.iter_mut().for_each(|queue| queue.set_shape(shape));
        });
    }

    /// What the queue has done since its disk was started; nothing, if there is no queue at the moment.
    pub fn statistics(&self) -> QueueStatistics {
        self.inside.with(|requests| requests.queue.as_ref().map(RequestQueue::statistics)).unwrap_or_default()
    }

    /// How many requests are in flight: as far as anybody has looked.
    pub fn in_flight(&self) -> usize {
        self.inside.with(|requests| requests.in_flight())
    }
}

impl<'s, H: Hal + 's, B: DmaBuffer, L: Lock<Inside = Requests<'s, H, MappedBuffer<H, B>>>> Shared<H, L> {
    /// Reads whole sectors into a buffer, all of it. It is mapped for the device meanwhile, and comes back filled.
    ///
    /// *Cancellation*: the buffer stays with the queue until the device lets go, and is dropped then.
    ///
    /// # Errors
    /// See [`RequestError`]; the buffer comes back, unless the queue still has it.
    pub async fn read(&self, from: Sector, into: B) -> Result<B, Failed<B>> {
        self.transfer(Command::Read(from), into).await.map(|(buffer, _)| buffer)
    }

    /// Writes whole sectors from a buffer, all of it. They are safe from a power failure only after [`flush`](Shared::flush).
    ///
    /// *Cancellation*: the buffer stays with the queue until the device lets go, and is dropped then. Whether the write happens is not known.
    ///
    /// # Errors
    /// See [`RequestError`]; the buffer comes back, unless the queue still has it.
    pub async fn write(&self, to: Sector, from: B) -> Result<B, Failed<B>> {
        self.transfer(Command::Write(to), from).await.map(|(buffer, _)| buffer)
    }

    /// Appends all of a buffer to a zone; says where it was written. It is not split.
    ///
    /// *Cancellation*: as for [`write`](Shared::write).
    ///
    /// # Errors
    /// See [`RequestError`]; the buffer comes back, unless the queue still has it.
    pub async fn append(&self, zone: Sector, from: B) -> Result<(Sector, B), Failed<B>> {
        match self.transfer(Command::Append(zone), from).await? {
            (buffer, Some(Answer::Appended(sector))) => Ok((sector, buffer)),
            (buffer, _) => Err(Failed { error: RequestError::BadAnswer, payload: Some(buffer) }),
        }
    }

    /// Reads what zones there are into a buffer, from the one that `from` is in: see [`RequestQueue::submit_report_zones`]. Says how many bytes the report takes; [`Shape::zones_in`](super::Shape::zones_in) reads them.
    ///
    /// *Cancellation*: as for [`read`](Shared::read).
    ///
    /// # Errors
    /// See [`RequestError`]; the buffer comes back, unless the queue still has it.
    pub async fn report_zones(&self, from: Sector, into: B) -> Result<(usize, B), Failed<B>> {
        match self.transfer(Command::ReportZones(from), into).await? {
            (buffer, Some(Answer::Report(bytes))) => Ok((bytes, buffer)),
            (buffer, _) => Err(Failed { error: RequestError::BadAnswer, payload: Some(buffer) }),
        }
    }

    async fn transfer(&self, command: Command, buffer: B) -> Result<(B, Option<Answer>), Failed<B>> {
        let mapped = MappedBuffer::map(&self.hal, buffer, command.direction())
            .map_err(|refused| Failed { error: RequestError::NotMapped, payload: Some(refused.buffer) })?;
        match Sent::new(self, Order { command, range: None, payload: Some(mapped) }).await {
            Ok(Done { payload: Some(mapped), answer }) => Ok((mapped.unmap(), answer)),
            // What goes in comes back, so this is for the compiler.
            Ok(_) => Err(Failed { error: RequestError::Reset, payload: None }),
            Err(Failed { error, payload }) => {
                Err(Failed { error, payload: payload.map(MappedBuffer::unmap) })
            }
        }
    }
}

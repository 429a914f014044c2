//! Interrupt vectors: files that say that a back-end has done something.
//!
//! ```text
//!   vector 0       an epoll of   the connection (hang-up), the back-end's own channel, an eventfd
//!   vector 1 + n   an eventfd    which the back-end has as queue n's call
//! ```
//!
//! They are the same after the device was reset, and after its back-end was connected to anew.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::state::Shared;
use crate::patience::deadline;

/// A file that is counted up, and read down to zero.
#[derive(Debug)]
pub(super) struct Signal(OwnedFd);

impl Signal {
    /// A new one, at zero.
    pub(super) fn new() -> Result<Self, Errno> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Self)
    }

    /// Counts it up. One that is full says what it is to say.
    pub(super) fn raise(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Reads it down; whether it was up.
    fn lower(&self) -> bool {
        rustix::io::read(&self.0, &mut [0; 8]).is_ok()
    }

    /// Has an epoll watch both sockets of a connection.
    pub(super) fn watch(
        by: &OwnedFd,
        connection: BorrowedFd<'_>,
        requests: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        // A hang-up is always told.
        epoll::add(by, connection, EventData::new_u64(0), EventFlags::empty())?;
        match requests {
            Some(requests) => epoll::add(by, requests, EventData::new_u64(0), EventFlags::IN),
            None => Ok(()),
        }
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The eventfds of all vectors, each made when it is first asked for.
#[derive(Debug)]
pub(super) struct Files {
    config: Arc<Signal>,
    queues: Vec<Option<Arc<Signal>>>,
}

impl Files {
    /// Those of a new device, and the epoll that is its vector 0.
    pub(super) fn new() -> Result<(Self, OwnedFd), Errno> {
        let config = Arc::new(Signal::new()?);
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*config, EventData::new_u64(0), EventFlags::IN)?;
        Ok((Self { config, queues: Vec::new() }, epoll))
    }

    /// The eventfd of a vector.
    pub(super) fn vector(&mut self, vector: u16) -> Result<Arc<Signal>, Errno> {
        let Some(queue) = usize::from(vector).checked_sub(1) else { return Ok(self.config.clone()) };
        if queue >= self.queues.len() {
            self.queues.resize_with(queue + 1, || None);
        }
        match self.queues.get_mut(queue) {
            Some(Some(signal)) => Ok(signal.clone()),
            Some(place) => Ok(place.insert(Arc::new(Signal::new()?)).clone()),
            None => Err(Errno::INVAL),
        }
    }

    /// Wakes who waits for changes of the configuration.
    pub(super) fn signal_config(&self) {
        self.config.raise();
    }

    /// Wakes all who wait.
    pub(super) fn signal_all(&self) {
        for signal in self.queues.iter().flatten().chain([&self.config]) {
            signal.raise();
        }
    }
}

/// An interrupt vector: a file that becomes readable when the back-end has something. Vector 0 is for changes of the configuration, and a back-end that is gone; 1 + n is queue n's, as drivers deal them out.
///
/// Who waits: [`wait`](Vector::wait), or `poll` and its kin on the file; then [`acknowledge`](Vector::acknowledge); then the driver's `Interrupt::handle`.
///
/// When the back-end is found to be gone, all vectors wake up once.
#[derive(Debug)]
pub struct Vector(Kind);

#[derive(Debug)]
enum Kind {
    Config(Arc<Shared>, Arc<Signal>),
    Queue(Arc<Signal>),
}

impl Vector {
    /// The vector with this number.
    pub(super) fn new(shared: &Arc<Shared>, vector: u16) -> Result<Self, Errno> {
        let signal = shared.lock().files.vector(vector)?;
        Ok(Self(if vector == 0 { Kind::Config(shared.clone(), signal) } else { Kind::Queue(signal) }))
    }

    /// Waits until something came, at most that long; whether it did.
    ///
    /// # Errors
    /// - What the system says: too many files, too little memory.
    pub fn wait(&self, limit: Duration) -> Result<bool, std::io::Error> {
        let deadline = deadline(limit);
        loop {
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
            match poll(&mut [PollFd::new(self, PollFlags::IN)], left.as_ref()) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes the file unreadable until something comes; whether something came since this was last done. Of vector 0 also: reads the configuration anew if the back-end said that it changed.
    ///
    /// Before the driver looks, or it may miss what comes in between.
    ///
    /// Work: one system call; of vector 0 a few, and a message to the back-end and its answer.
    pub fn acknowledge(&self) -> bool {
        match &self.0 {
            Kind::Queue(signal) => signal.lower(),
            Kind::Config(shared, signal) => {
                signal.lower();
                let mut state = shared.lock();
                let before = state.generation;
                state.refresh();
                if state.has_more_requests() {
                    // Who waits for the file to become readable, as tokio does, is told of that anew.
                    signal.raise();
                } else if !state.config_change_is_pending() {
                    // What was found just now, a hang-up for one, was told here.
                    signal.lower();
                }
                state.generation != before
            }
        }
    }
}

impl AsFd for Vector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Kind::Config(shared, _) => shared.config_file.as_fd(),
            Kind::Queue(signal) => signal.as_fd(),
        }
    }
}

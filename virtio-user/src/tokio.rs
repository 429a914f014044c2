//! Interrupts for tasks of tokio's: drivers' futures wake up when a back-end has something.
//!
//! Spec: §2.3 Notifications. A device's interrupt is a file ([`Vector`]), and tokio knows when a file becomes readable. [`handle_interrupts`] waits for that and calls the driver's [`Interrupt`], which wakes
//! whoever waits for the queue, or for the configuration. Each vector that somebody waits for needs it; vector 0 always: it tells of a back-end that is gone, and wakes all others then.
//!
//! ```no_run
//! use virtio_guest::device::block::{Block, HANDLED, Requests, Sector, Settings, Shared, Storage, Waiters};
//! use virtio_guest::hal::Attempts;
//! use virtio_guest::lifecycle::{Signals, Wants};
//! use virtio_guest::raw::MappedBuffer;
//! use virtio_guest::wire::device_type::DeviceType;
//! use virtio_user::memory::{MemorySettings, SharedBuffer, SharedHal, SharedMemory};
//! use virtio_user::{VhostUser, tokio::handle_interrupts};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let memory = SharedMemory::new(&MemorySettings::default())?;
//! let mut disk = VhostUser::connect("/run/disk.sock", DeviceType::BLOCK, &memory, &virtio_user::Settings::default())?;
//! let files = [0, 1].map(|vector| disk.vector(vector));
//!
//! // The disk comes up, asks for interrupts, and is shared by tasks.
//! type Payload = MappedBuffer<SharedHal, SharedBuffer>;
//! let (mut storage, mut waiters, signals) = (Storage::<64, Payload>::for_buffers(), Waiters::<16, Payload>::new(), Signals::<1>::new());
//! let settings = Settings { notifications: true, ..Settings::default() };
//! let block = Block::start_with(&mut disk, memory.hal(), &mut storage, &settings, Wants::features(HANDLED), Attempts(100_000));
//! let (mut control, queue) = block.map_err(|failed| failed.error)?.split();
//! let interrupts = control.connect_interrupts(&signals)?;
//! let handlers = [0, 1].map(|vector| interrupts.vector(vector));
//! let requests = Requests::new(queue, &mut waiters, Some(interrupts)).map_err(|_| "in use")?;
//! let disk = Shared::new(spin::Mutex::new(requests), memory.hal());
//!
//! let ([Some(config), Some(queue)], [Some(on_config), Some(on_queue)]) = (files, handlers) else { return Err("no vectors".into()) };
//! let page = memory.buffer(4096).ok_or("the memory is full")?;
//! tokio::select! {
//!     failed = handle_interrupts(config, on_config) => return Err(failed.into()),
//!     failed = handle_interrupts(queue, on_queue) => return Err(failed.into()),
//!     read = disk.read(Sector(0), page) => println!("{:?}", read.map_err(|failed| failed.error)?.to_vec()),
//! }
//! # Ok(()) }
//! ```

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use virtio_guest::lifecycle::Interrupt;

use crate::Vector;

/// A vector, as tokio wants to have it.
struct File(Vector);

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Calls a driver's interrupt handler whenever a vector says that something came: for ever, unless the file cannot be waited for.
///
/// To be spawned, or selected or joined with what waits for the device. It needs a runtime with I/O enabled.
///
/// *Cancellation*: dropped, nobody is woken any more. Whoever calls it anew loses nothing: what came meanwhile is told at once.
/// *Wakes*: when the vector's file becomes readable, and not otherwise.
///
/// Work: a wake costs two system calls (tokio's, and one to make the file unreadable again), whatever number of buffers was used. Vector 0 also reads the configuration anew when that changed, and waits for the back-end's answers
/// ([`Settings::answer_limit`](crate::Settings::answer_limit) each) on the thread that runs the task: with a back-end that may be slow, and one thread for all tasks, have a thread of its own use [`Vector::wait`] and [`Interrupt::handle`] for it.
pub async fn handle_interrupts(vector: Vector, interrupt: Interrupt<'_>) -> io::Error {
    // SAFETY: a vector keeps its file open, and has no other one as long as it lives.
    let file = match unsafe { AsyncFd::register_with_interest(File(vector), Interest::READABLE) } {
        Ok(file) => file,
        Err(error) => return error.into(),
    };
    loop {
        let mut ready = match file.readable().await {
            Ok(ready) => ready,
            Err(error) => return error,
        };
        // First unreadable, then looked at: what comes in between makes it readable anew.
        file.get_ref().0.acknowledge();
        ready.clear_ready();
        interrupt.handle();
    }
}

//! Memory that this process shares with a back-end, and the drivers' platform on it.
//!
//! Spec: §2.6 Virtqueues; the vhost-user protocol, "Memory region table". Rings, frames and buffers live in one memfd, which is mapped once and has one size for its whole life. The back-end gets its
//! file descriptor, and writes there whenever it likes. So there is never a reference to its bytes: they are copied in and out.
//!
//! ```text
//!   SharedMemory ── hal() ────▶ SharedHal      the drivers' platform: rings and frame pools; maps buffers
//!     (clones      ── buffer() ─▶ SharedBuffer   mapped for free; back to the memory when dropped
//!      share it)   ── pool() ───▶ SharedPool     many SharedBuffers of one size, without a lock; RequestBuffers for bursts of requests
//!                  ── region() ─▶ Region         what the back-end is told
//!                  ── costs() ──▶ Costs          what was bounced, because it was somewhere else
//! ```
//!
//! ```
//! use virtio_user::memory::{MemorySettings, SharedMemory};
//!
//! let memory = SharedMemory::new(&MemorySettings::default())?;
//! let mut buffer = memory.buffer(4096).ok_or("the memory is full")?;
//! buffer.write(0, b"to the disk")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[allow(unsafe_code, reason = "its bytes go to drivers")]
mod buffer;
#[allow(unsafe_code, reason = "bytes that another process may write are accessed here")]
mod copy;
mod costs;
#[allow(unsafe_code, reason = "another view of the same bytes")]
mod device_side;
mod domain;
#[allow(unsafe_code, reason = "the contract that a platform promises")]
mod hal;
mod mapping;
#[allow(unsafe_code, reason = "who has which bytes")]
mod piece;
#[allow(unsafe_code, reason = "who has which bytes")]
mod pool;
mod ranges;
#[allow(
    unsafe_code,
    clippy::inline_always,
    reason = "its bytes go to drivers, which judge what is constant about them"
)]
mod request_buffer;
#[allow(unsafe_code, reason = "who has which bytes, and for how long they are mapped")]
mod shared;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

pub use buffer::SharedBuffer;
pub use costs::Costs;
pub(crate) use device_side::DeviceSide;
pub use hal::SharedHal;
pub use pool::SharedPool;
pub use request_buffer::RequestBuffer;

use buffer::From;
use mapping::Mapping;
use ranges::GRAIN;
use shared::Shared;

/// What buffers of that size or more are aligned to, in bytes: a page of most machines, so that a disk's back-end can read and write files with them directly.
const PAGE: usize = 4096;

/// Which pages a memory is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// Huge ones if the machine has enough of them reserved, ordinary ones otherwise. [`SharedMemory::page_bytes`] says which.
    #[default]
    HugeIfThere,
    /// Huge ones, or none.
    Huge,
    /// Ordinary ones.
    Ordinary,
}

/// What may be chosen about a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// Its size in bytes, which becomes whole pages.
    pub bytes: usize,
    /// Which pages.
    pub pages: Pages,
}

impl Default for MemorySettings {
    /// 64 MiB, of huge pages if there are any.
    fn default() -> Self {
        Self { bytes: 64 << 20, pages: Pages::default() }
    }
}

/// Memory that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// No byte was asked for.
    #[error("memory of 0 bytes was asked for: ask for some")]
    Empty,
    /// The system gave none.
    #[error("no {bytes} bytes of memory to share ({error}): ask for less, or free some")]
    Refused {
        /// How many were asked for.
        bytes: usize,
        /// What the system said.
        error: io::Error,
    },
    /// The system has too few huge pages.
    #[error(
        "no {bytes} bytes in huge pages ({error}): reserve some (sysctl vm.nr_hugepages=N), or take ordinary ones"
    )]
    NoHugePages {
        /// How many were asked for.
        bytes: usize,
        /// What the system said.
        error: io::Error,
    },
    /// There are 65535 memories, each of which is still mapped.
    #[error("65535 memories are mapped: drop some, with their buffers and drivers")]
    TooMany,
}

/// Memory that this process shares with back-ends. Clones share it; see the module's head.
///
/// It stays mapped until the last of them is gone, and with it the last buffer, driver and queue that has some of it. A driver that is dropped without a confirmed reset of its device leaks its queues, and so the memory.
#[derive(Debug)]
pub struct SharedMemory {
    shared: &'static Shared,
    mapping: Arc<Mapping>,
}

impl SharedMemory {
    /// Makes memory, all of it zeroed and present.
    ///
    /// # Errors
    /// - [`MemoryError`]: the system gave none, and why.
    pub fn new(settings: &MemorySettings) -> Result<Self, MemoryError> {
        let mapping = Arc::new(Mapping::new(settings.bytes, settings.pages)?);
        Ok(Self { shared: Shared::keep(&mapping)?, mapping })
    }

    /// The drivers' platform on this memory.
    pub const fn hal(&self) -> SharedHal {
        SharedHal::new(self.shared)
    }

    /// Takes a buffer of so many bytes, aligned to 4096 if it is as long, and to 64 otherwise. `None` if there is no room, or no byte was asked for.
    pub fn buffer(&self, bytes: usize) -> Option<SharedBuffer> {
        if bytes == 0 {
            return None;
        }
        let piece = self.shared.take(bytes, align(bytes))?;
        Some(SharedBuffer::new(piece, From::Memory(self.shared)))
    }

    /// Takes memory for so many buffers of so many bytes each, aligned as [`buffer`](SharedMemory::buffer)'s. `None` if there is no room, or no buffer or byte was asked for.
    pub fn pool(&self, count: usize, bytes: usize) -> Option<SharedPool> {
        SharedPool::new(self.shared, count, bytes, align(bytes))
    }

    /// What a back-end is told of it.
    pub fn region(&self) -> Region<'_> {
        let address = self.mapping.start().map_or(0, |start| start.addr().get()) as u64;
        Region { file: self.mapping.as_fd(), address, bytes: self.mapping.bytes() as u64 }
    }

    /// The memory as a device sees it that is served in this process.
    pub(crate) fn device_side(&self) -> DeviceSide {
        DeviceSide::new(self.clone())
    }

    /// What was bounced so far.
    pub fn costs(&self) -> Costs {
        self.shared.counters.read()
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> usize {
        self.mapping.bytes()
    }

    /// How many bytes nobody has. They may be in several pieces.
    pub fn free_bytes(&self) -> usize {
        self.shared.free_bytes()
    }

    /// The size of its pages: 4096, say, or that of huge ones.
    pub fn page_bytes(&self) -> usize {
        self.mapping.page_bytes()
    }
}

impl Clone for SharedMemory {
    fn clone(&self) -> Self {
        self.shared.hold();
        Self { shared: self.shared, mapping: Arc::clone(&self.mapping) }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        self.shared.let_go();
    }
}

/// A memory, as a back-end's memory table names it. It begins at the start of its file.
#[derive(Clone, Copy, Debug)]
pub struct Region<'m> {
    /// The memory's file.
    pub file: BorrowedFd<'m>,
    /// Where it begins in this process, which is its device address, too.
    pub address: u64,
    /// How many bytes there are.
    pub bytes: u64,
}

const fn align(bytes: usize) -> usize {
    if bytes < PAGE { GRAIN } else { PAGE }
}

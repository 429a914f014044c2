//! Buffers of one size that are taken and given back all the time, by any thread, without a lock.
//!
//! Their memory is taken once. Taking a buffer, and giving it back, is two atomic operations each; whoever keeps its buffers, since a queue gives back what it was given, needs no pool at all.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use virtio_guest::hal::{Direction, Domain};

use super::buffer::{From, SharedBuffer};
use super::piece::Piece;
use super::request_buffer::RequestBuffer;
use super::shared::Shared;

/// A pool of [`SharedBuffer`]s. From [`SharedMemory::pool`](super::SharedMemory::pool); clones share it.
///
/// Buffers that are out when the last clone is dropped stay what they are; the last one of them gives the memory back.
#[derive(Clone, Debug)]
pub struct SharedPool {
    home: Arc<Home>,
}

/// Where the buffers of a pool come back to.
#[derive(Debug)]
pub(super) struct Home {
    /// What all of them are parts of.
    all: Piece,
    shared: &'static Shared,
    /// Bytes of each.
    bytes: usize,
    resting: ArrayQueue<Piece>,
}

impl SharedPool {
    /// `None` if the memory has no room, or nothing was asked for.
    pub(super) fn new(shared: &'static Shared, count: usize, bytes: usize, align: usize) -> Option<Self> {
        if count == 0 || bytes == 0 {
            return None;
        }
        let stride = bytes.checked_next_multiple_of(align)?;
        let len = stride.checked_mul(count)?;
        let home = Home { all: shared.take(len, align)?, shared, bytes, resting: ArrayQueue::new(count) };
        for number in 0..count {
            // SAFETY: each is by itself, and of the whole only parts are used.
            let piece = unsafe { home.all.part(number * stride, bytes) }.ok()?;
            home.resting.push(piece).ok()?;
        }
        Some(Self { home: Arc::new(home) })
    }

    /// Takes a buffer. `None` if all of them are out.
    #[inline]
    pub fn take(&self) -> Option<SharedBuffer> {
        let piece = self.home.resting.pop()?;
        Some(SharedBuffer::new(piece, From::Pool(Arc::clone(&self.home))))
    }

    /// Takes a buffer for requests, which is mapped already. `None` if all of them are out, or are longer than a descriptor can say (4 GiB - 1).
    pub fn request_buffer(&self, direction: Direction) -> Option<RequestBuffer> {
        if u32::try_from(self.home.bytes).is_err() {
            return None;
        }
        let piece = self.home.resting.pop()?;
        RequestBuffer::new(&piece, Arc::clone(&self.home), direction)
    }

    /// How many buffers there are, wherever they are.
    pub fn count(&self) -> usize {
        self.home.resting.capacity()
    }

    /// How many can be taken at this moment.
    pub fn resting(&self) -> usize {
        self.home.resting.len()
    }
}

impl Home {
    /// Whose devices reach its buffers.
    pub(super) fn domain(&self) -> Domain {
        Domain(self.shared.domain())
    }

    /// A buffer comes back.
    #[inline]
    pub(super) fn put_back(&self, piece: Piece) {
        // There is room for as many as there are.
        let _ = self.resting.push(piece);
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.shared.give_back(self.all.start(), self.all.len());
    }
}

//! Request slots: where each request's header, status and data are.
//!
//! Spec: §5.2.6 Device Operation. Preallocated, so a request costs no allocation and no mapping.
//!
//! ```text
//!   queue memory   │ control 0 │ control 1 │ … │ data 0 … │ data 1 … │ …
//!   control        │ header (16) │ status (1) │ unused (15) │
//! ```

use super::limits::Limits;
use super::request::Request;
use crate::raw::Tag;
use crate::ring;
use crate::wire::block::REQUEST_HEADER_BYTES;

/// Bytes of a slot's control part.
const CONTROL_BYTES: usize = 32;

/// What a block driver keeps in memory of its own: lent by the caller for as long as the driver lives.
///
/// `N` bounds the descriptors of the request queue, and with them the requests in flight: one descriptor each with indirect descriptors, else three.
/// Each request that can be in flight takes 32 bytes of DMA memory and those of [`Settings::request_bytes`](super::Settings::request_bytes), all in one piece.
#[derive(Debug)]
pub struct Storage<const N: usize> {
    ring: ring::Storage<Tag<Request>, N>,
    free: [u16; N],
}

impl<const N: usize> Storage<N> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self { ring: ring::Storage::new(), free: [0; N] }
    }
}

impl<const N: usize> Default for Storage<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a driver keeps its own memory: a lent [`Storage`], or what an earlier driver gave back.
#[derive(Debug)]
pub struct Slots<'s> {
    pub(super) ring: ring::Slots<'s, Tag<Request>>,
    pub(super) free: &'s mut [u16],
}

impl<'s, const N: usize> From<&'s mut Storage<N>> for Slots<'s> {
    fn from(storage: &'s mut Storage<N>) -> Self {
        Self { ring: (&mut storage.ring).into(), free: &mut storage.free }
    }
}

/// The request slots of one driver, and which of them are free.
#[derive(Debug)]
pub(super) struct RequestSlots<'s> {
    /// The free ones are at the start.
    free: &'s mut [u16],
    free_count: usize,
    count: usize,
    data_bytes: usize,
}

impl<'s> RequestSlots<'s> {
    /// All slots free: as many as storage and the queue's descriptors allow.
    pub(super) fn new(free: &'s mut [u16], queue_size: u16, indirect: bool, limits: &Limits) -> Self {
        let per_request = if indirect { 1 } else { limits.segments.max(1) };
        let count = free.len().min(usize::from(queue_size / per_request));
        for (place, slot) in free.iter_mut().zip(0..) {
            *place = slot;
        }
        Self { free, free_count: count, count, data_bytes: limits.request_bytes }
    }

    /// Bytes of queue memory that the slots take.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.count * (CONTROL_BYTES + self.data_bytes)
    }

    /// How many slots there are: requests that can be in flight together.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The memory that they are kept in.
    pub(super) fn into_free(self) -> &'s mut [u16] {
        self.free
    }

    /// A free slot, from now on in use.
    pub(super) fn take(&mut self) -> Option<u16> {
        let last = self.free_count.checked_sub(1)?;
        let slot = *self.free.get(last)?;
        self.free_count = last;
        Some(slot)
    }

    /// Makes a slot free again.
    pub(super) fn put(&mut self, slot: u16) {
        if let Some(place) = self.free.get_mut(self.free_count) {
            *place = slot;
            self.free_count += 1;
        }
    }

    /// Where a slot's header is, in bytes from the start of the queue's memory.
    pub(super) fn header(slot: u16) -> usize {
        usize::from(slot) * CONTROL_BYTES
    }

    /// Where its status byte is.
    pub(super) fn status(slot: u16) -> usize {
        Self::header(slot) + REQUEST_HEADER_BYTES
    }

    /// Where its data is.
    pub(super) fn data(&self, slot: u16) -> usize {
        self.count * CONTROL_BYTES + usize::from(slot) * self.data_bytes
    }
}

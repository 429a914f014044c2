//! Request slots: where each request's header, status and data are.
//!
//! Spec: §5.2.6 Device Operation. Preallocated, so a request costs no allocation and no mapping.
//!
//! ```text
//!   queue memory   │ control 0 │ control 1 │ … │ data 0 … │ data 1 … │ …
//!   control        │ header (16) │ sector of an append (8) │ status (1) │ unused (7) │
//! ```

use super::command::APPENDED_BYTES;
use super::completion::Completion;
use super::limits::Limits;
use super::quick::Quick;
use super::request::InFlight;
use crate::raw::{Either, Tag, Window};
use crate::ring::{self, Place};
use crate::wire::block::REQUEST_HEADER_BYTES;

/// Bytes of a slot's control part.
const CONTROL_BYTES: usize = 32;

/// What the driver's books keep for a request in flight: its own notes, and what the caller handed in. By the short way, or the long one.
pub(super) type Load<P> = Either<(Tag<Quick>, P), LongLoad<P>>;
pub(super) type LongLoad<P> = (Tag<InFlight>, Option<Window<P>>);

/// What a block driver keeps in memory of its own, for one request queue: lent by the caller for as long as the driver lives.
///
/// `N` bounds the descriptors of the request queue, and with them the requests in flight: one descriptor each with indirect descriptors, else three.
/// Each request that can be in flight takes 32 bytes of DMA memory and those of [`Settings::request_bytes`](super::Settings::request_bytes), all in one piece.
///
/// `P` is what requests carry that own their buffers: a [`MappedBuffer`](crate::raw::MappedBuffer) of the kernel's pages, say. Nothing, for drivers whose calls all borrow.
#[derive(Debug)]
pub struct Storage<const N: usize, P = Tag<()>> {
    ring: ring::Storage<Load<P>, N>,
    free: [u16; N],
    parked: [Option<Completion<P>>; N],
}

impl<const N: usize> Storage<N> {
    /// Empty storage, for calls that borrow.
    pub const fn new() -> Self {
        Self::for_buffers()
    }
}

impl<const N: usize, P> Storage<N, P> {
    /// Empty storage, for requests that carry something.
    pub const fn for_buffers() -> Self {
        Self { ring: ring::Storage::new(), free: [0; N], parked: [const { None }; N] }
    }
}

impl<const N: usize, P> Default for Storage<N, P> {
    fn default() -> Self {
        Self::for_buffers()
    }
}

/// Where a driver keeps its own memory: a lent [`Storage`], what was [allocated](Slots::allocate), or what an earlier driver gave back.
#[derive(Debug)]
pub struct Slots<'s, P = Tag<()>> {
    pub(super) ring: ring::Slots<'s, Load<P>>,
    pub(super) free: Place<'s, u16>,
    pub(super) parked: Place<'s, Option<Completion<P>>>,
}

impl<'s, const N: usize, P> From<&'s mut Storage<N, P>> for Slots<'s, P> {
    fn from(storage: &'s mut Storage<N, P>) -> Self {
        let Storage { ring, free, parked } = storage;
        Self { ring: ring.into(), free: Place::Lent(free), parked: Place::Lent(parked) }
    }
}

#[cfg(feature = "alloc")]
impl<P> Slots<'_, P> {
    /// For a queue of up to so many descriptors, from the heap.
    pub fn allocate(descriptors: u16) -> Self {
        let (free, parked) = ((0..descriptors).collect(), (0..descriptors).map(|_| None).collect());
        let ring = ring::Slots::allocate(descriptors);
        Self { ring, free: Place::Allocated(free), parked: Place::Allocated(parked) }
    }
}

impl<P> Slots<'_, P> {
    /// Room for nothing.
    pub(super) fn none() -> Self {
        Self { ring: ring::Slots::none(), free: Place::Lent(&mut []), parked: Place::Lent(&mut []) }
    }

    /// For how many descriptors there is room.
    pub(super) fn len(&self) -> usize {
        self.free.len()
    }
}

/// The request slots of one queue: which of them are free, and which wait to be told of.
#[derive(Debug)]
pub(super) struct RequestSlots<'s, P> {
    /// The free ones are at the start.
    free: Place<'s, u16>,
    free_count: usize,
    count: usize,
    data_bytes: usize,
    /// What came back while somebody looked for something else, as a ring.
    parked: Place<'s, Option<Completion<P>>>,
    parked_first: usize,
    parked_count: usize,
}

impl<'s, P> RequestSlots<'s, P> {
    /// All slots free: as many as storage and the queue's descriptors allow.
    pub(super) fn new(
        mut free: Place<'s, u16>,
        parked: Place<'s, Option<Completion<P>>>,
        queue_size: u16,
        indirect: bool,
        limits: &Limits,
    ) -> Self {
        let per_request = if indirect { 1 } else { limits.segments.max(1) };
        let count = free.len().min(parked.len()).min(usize::from(queue_size / per_request));
        for (place, slot) in free.iter_mut().zip(0..) {
            *place = slot;
        }
        Self {
            free,
            free_count: count,
            count,
            data_bytes: limits.request_bytes,
            parked,
            parked_first: 0,
            parked_count: 0,
        }
    }

    /// Bytes of queue memory that the slots take; so many that nobody has them, if they cannot be counted.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.count.saturating_mul(self.data_bytes.saturating_add(CONTROL_BYTES))
    }

    /// How many slots there are: requests that can be in flight together.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many of them are free.
    pub(super) const fn free(&self) -> usize {
        self.free_count
    }

    /// The memory that they are kept in. What is parked there is dropped.
    pub(super) fn into_slots(mut self, ring: ring::Slots<'s, Load<P>>) -> Slots<'s, P> {
        self.parked.iter_mut().for_each(|place| drop(place.take()));
        Slots { ring, free: self.free, parked: self.parked }
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

    /// Keeps a completion until somebody asks for it. Its slot stays in use, so there is always a place.
    pub(super) fn park(&mut self, completion: Completion<P>) {
        let places = self.parked.len().max(1);
        if let Some(place) = self.parked.get_mut((self.parked_first + self.parked_count) % places) {
            *place = Some(completion);
            self.parked_count += 1;
        }
    }

    /// How many are parked.
    pub(super) const fn parked(&self) -> usize {
        self.parked_count
    }

    /// Whether something is parked.
    pub(super) const fn has_parked(&self) -> bool {
        self.parked_count > 0
    }

    /// The completion that was parked first.
    pub(super) fn unpark(&mut self) -> Option<Completion<P>> {
        self.parked_count = self.parked_count.checked_sub(1)?;
        let completion = self.parked.get_mut(self.parked_first)?.take();
        self.parked_first = (self.parked_first + 1) % self.parked.len().max(1);
        completion
    }

    /// Where a slot's header is, in bytes from the start of the queue's memory.
    pub(super) fn header(slot: u16) -> usize {
        usize::from(slot) * CONTROL_BYTES
    }

    /// Where the sector of an append is answered, just before its status.
    pub(super) fn appended(slot: u16) -> usize {
        Self::header(slot) + REQUEST_HEADER_BYTES
    }

    /// Where its status byte is.
    pub(super) fn status(slot: u16) -> usize {
        Self::appended(slot) + APPENDED_BYTES
    }

    /// Where its data is.
    pub(super) fn data(&self, slot: u16) -> usize {
        self.count * CONTROL_BYTES + usize::from(slot) * self.data_bytes
    }
}

//! Memory for a queue's private books: lent by the caller, or from the heap.
//!
//! What is written into it is the business of [`books`](super::books); drivers that keep more for each descriptor have a [`Place`] of their own for it.

use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

/// What is known about one chain id; in the split layout ids are descriptors, too. Half a cache line, with a payload of 8 bytes.
#[derive(Debug)]
pub(super) struct Slot<T> {
    /// There while a chain of this id is in flight. It may be in the device's hands, so forgetting the books leaks it.
    pub(super) payload: Option<ManuallyDrop<T>>,
    /// That chain.
    pub(super) chain: Record,
    /// The next entry: of the free list, or of the chain.
    pub(super) next: u16,
    /// Whether the descriptor of this number refers to its frame: in the split layout, where it stays as it is. See [`framed`](super::framed).
    pub(super) shows_frame: bool,
}

/// What is known about one chain, beside its payload. Ordered so that what is constant of a chain of one descriptor is one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Record {
    /// How many descriptors it has in the ring.
    pub(super) descriptors: u16,
    /// The last entry of the free list that the chain took, if it took several.
    pub(super) last: u16,
    /// Bytes that the device may write.
    pub(super) writable_bytes: u32,
    /// How many chains were made available before this one, modulo 2³². A device may hold a chain while many others come and go, so 16 bits would not do; who holds one for as many as
    /// 2³² others may see it taken for one that was not shown yet, if there are such.
    pub(super) sequence: u32,
}

impl<T> Slot<T> {
    pub(super) const EMPTY: Self = Self {
        payload: None,
        chain: Record { writable_bytes: 0, last: 0, descriptors: 0, sequence: 0 },
        next: 0,
        shows_frame: false,
    };

    /// A chain takes this entry, and no other.
    #[inline(always)]
    pub(super) fn take(&mut self, chain: Record, payload: T) {
        self.payload = Some(ManuallyDrop::new(payload));
        self.chain = chain;
    }
}

/// Memory for the books of a queue of up to `N` descriptors: lent by the caller, used by nobody else while the queue lives.
///
/// ```
/// use virtio_guest::raw::Tag;
/// use virtio_guest::ring::Storage;
///
/// let mut storage = Storage::<Tag<u32>, 64>::new(); // or in a static
/// # let _ = &mut storage;
/// ```
#[derive(Debug)]
pub struct Storage<T, const N: usize> {
    slots: [Slot<T>; N],
}

impl<T, const N: usize> Storage<T, N> {
    /// Empty books.
    pub const fn new() -> Self {
        Self { slots: [const { Slot::EMPTY }; N] }
    }
}

impl<T, const N: usize> Default for Storage<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a queue's books are: lent by the caller, or (with the `alloc` feature) allocated once.
#[derive(Debug)]
pub struct Slots<'s, T>(Place<'s, Slot<T>>);

/// Entries that are lent, or allocated.
#[derive(Debug)]
pub(crate) enum Place<'s, E> {
    Lent(&'s mut [E]),
    #[cfg(feature = "alloc")]
    Allocated(alloc::boxed::Box<[E]>),
}

impl<E> Deref for Place<'_, E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        match self {
            Self::Lent(entries) => entries,
            #[cfg(feature = "alloc")]
            Self::Allocated(entries) => entries,
        }
    }
}

impl<E> DerefMut for Place<'_, E> {
    fn deref_mut(&mut self) -> &mut [E] {
        match self {
            Self::Lent(entries) => entries,
            #[cfg(feature = "alloc")]
            Self::Allocated(entries) => entries,
        }
    }
}

impl<'s, T, const N: usize> From<&'s mut Storage<T, N>> for Slots<'s, T> {
    fn from(storage: &'s mut Storage<T, N>) -> Self {
        Self(Place::Lent(&mut storage.slots))
    }
}

#[cfg(feature = "alloc")]
impl<T> Slots<'_, T> {
    /// Books for a queue of up to `descriptors` descriptors, from the heap.
    pub fn allocate(descriptors: u16) -> Self {
        Self(Place::Allocated((0..descriptors).map(|_| Slot::EMPTY).collect()))
    }
}

impl<T> Slots<'_, T> {
    /// Room for nothing.
    pub(crate) const fn none() -> Self {
        Self(Place::Lent(&mut []))
    }

    /// Takes the payload of the first chain in flight whose id is at `from` or after it, and says where to look next: for queues that are no more.
    pub(super) fn take_payload(&mut self, from: usize) -> Option<(T, usize)> {
        let slots = self.0.get_mut(from..)?;
        let (steps, payload) =
            slots.iter_mut().enumerate().find_map(|(steps, slot)| Some((steps, slot.payload.take()?)))?;
        Some((ManuallyDrop::into_inner(payload), from + steps + 1))
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Slot<T>] {
        &mut self.0
    }

    /// For how many descriptors there is room.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

//! Who follows whom: a pool's notes, one entry for each buffer.
//!
//! In memory of the driver's own. An entry is changed by whoever owns its buffer, and by nobody else; the accesses are atomic so that this need not be proved.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;

use crate::sync::{AtomicU32, Ordering};

/// No buffer.
pub(super) const NOBODY: u32 = u32::MAX;

/// What is known of one buffer.
#[derive(Debug)]
pub(super) struct Entry {
    next: AtomicU32,
    /// What of the buffer counts, unless it is the first of several: then that is with its owner.
    start: AtomicU32,
    len: AtomicU32,
}

impl Entry {
    const fn new() -> Self {
        Self { next: AtomicU32::new(NOBODY), start: AtomicU32::new(0), len: AtomicU32::new(0) }
    }

    /// The buffer after this one.
    pub(super) fn next(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Has this one followed by another.
    pub(super) fn follow(&self, next: u32) {
        self.next.store(next, Ordering::Relaxed);
    }

    /// Which bytes of the buffer count: from which on, and how many.
    pub(super) fn shown(&self) -> (u32, u32) {
        (self.start.load(Ordering::Relaxed), self.len.load(Ordering::Relaxed))
    }

    pub(super) fn show(&self, start: u32, len: u32) {
        self.start.store(start, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
    }
}

/// Memory for a pool's notes, for `N` buffers: lent by the caller, used by nobody else while the pool lives. 12 bytes for each.
#[derive(Debug)]
pub struct PoolStorage<const N: usize>([Entry; N]);

impl<const N: usize> PoolStorage<N> {
    /// Nothing is known yet.
    pub const fn new() -> Self {
        Self([const { Entry::new() }; N])
    }
}

impl<const N: usize> Default for PoolStorage<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a pool's notes are: a lent [`PoolStorage`], or (with the `alloc` feature) allocated once.
#[derive(Debug)]
pub struct PoolEntries<'s>(Place<'s>);

#[derive(Debug)]
enum Place<'s> {
    Lent(&'s [Entry]),
    #[cfg(feature = "alloc")]
    Allocated(Box<[Entry]>),
}

impl<'s, const N: usize> From<&'s mut PoolStorage<N>> for PoolEntries<'s> {
    fn from(storage: &'s mut PoolStorage<N>) -> Self {
        Self(Place::Lent(&storage.0))
    }
}

#[cfg(feature = "alloc")]
impl PoolEntries<'_> {
    /// Notes for so many buffers, from the heap.
    pub fn allocate(buffers: u32) -> Self {
        Self(Place::Allocated((0..buffers).map(|_| Entry::new()).collect()))
    }
}

impl PoolEntries<'_> {
    fn as_slice(&self) -> &[Entry] {
        match &self.0 {
            Place::Lent(entries) => entries,
            #[cfg(feature = "alloc")]
            Place::Allocated(entries) => entries,
        }
    }

    /// For how many buffers.
    pub(super) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// The entry of a buffer that exists.
    ///
    /// # Safety
    /// It does: the number came from the pool that these entries are of.
    #[inline]
    pub(super) unsafe fn of(&self, buffer: u32) -> &Entry {
        // SAFETY: the caller's promise: a pool gives out the numbers that `string` made of these entries, and no other.
        unsafe { self.as_slice().get_unchecked(buffer as usize) }
    }

    /// Puts all buffers on one string; the first of them.
    pub(super) fn string(&self) -> u32 {
        let Some((last, others)) = self.as_slice().split_last() else { return NOBODY };
        last.follow(NOBODY);
        for (entry, next) in others.iter().zip(1..) {
            entry.follow(next);
        }
        0
    }
}

//! What all handles of one memory have in common, and how long it stays mapped.
//!
//! Everybody who uses the memory is a holder: a [`SharedMemory`](super::SharedMemory), a buffer, a region of DMA memory, a bounced buffer. When the last one is gone it is unmapped. A queue
//! that is lost with what its device may still use never gives it back, so the memory stays.
//!
//! A `Hal` is no holder: drivers clone theirs with every buffer, which must cost nothing. These few words are therefore never freed; once the memory is unmapped they say that nothing is
//! inside, and nothing to be had. A list keeps them, so that who looks for leaks finds none.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::costs::Counters;
use super::mapping::Mapping;
use super::piece::Piece;
use super::ranges::FreeRanges;
use super::{MemoryError, domain};

/// Of every memory that there ever was.
static ALL: Mutex<Vec<&'static Shared>> = Mutex::new(Vec::new());

#[derive(Debug)]
pub(super) struct Shared {
    /// The first byte,
    start: NonNull<u8>,
    /// and how many there are; none, once the memory is unmapped.
    bytes: AtomicUsize,
    /// Its own number; none once it is unmapped: 0.
    domain: AtomicU16,
    pub(super) counters: Counters,
    books: Mutex<Books>,
}

// SAFETY: the pointer is used for atomic copies only, in ranges of which each has one holder; everything else may be shared.
unsafe impl Send for Shared {}
// SAFETY: as before.
unsafe impl Sync for Shared {}

#[derive(Debug)]
struct Books {
    free: FreeRanges,
    holders: usize,
    /// For as long as there are holders.
    mapping: Option<Arc<Mapping>>,
}

impl Shared {
    /// Keeps the books of a mapping from now on, which has one holder: the caller.
    pub(super) fn keep(mapping: &Arc<Mapping>) -> Result<&'static Self, MemoryError> {
        let start = mapping.start().ok_or(MemoryError::Empty)?;
        let domain = domain::take().ok_or(MemoryError::TooMany)?;
        let bytes = mapping.bytes();
        let free = FreeRanges::new(start.addr().get(), bytes);
        let shared: &'static Self = Box::leak(Box::new(Self {
            start,
            bytes: AtomicUsize::new(bytes),
            domain: AtomicU16::new(domain),
            counters: Counters::default(),
            books: Mutex::new(Books { free, holders: 1, mapping: Some(Arc::clone(mapping)) }),
        }));
        ALL.lock().unwrap_or_else(PoisonError::into_inner).push(shared);
        Ok(shared)
    }

    /// The number of its domain.
    pub(super) fn domain(&self) -> u16 {
        self.domain.load(Ordering::Relaxed)
    }

    /// Whether all bytes are in the memory. What is, has a holder, so the answer does not change meanwhile.
    #[inline]
    pub(super) fn has(&self, bytes: NonNull<[u8]>) -> bool {
        let offset = bytes.addr().get().wrapping_sub(self.start.addr().get());
        let room = self.bytes.load(Ordering::Relaxed).checked_sub(bytes.len());
        room.is_some_and(|room| offset <= room)
    }

    /// So many bytes, which are the caller's until [`give_back`](Self::give_back). `None` if there are none, or the memory is not mapped any more.
    pub(super) fn take(&self, bytes: usize, align: usize) -> Option<Piece> {
        let mut books = self.books();
        books.mapping.as_ref()?;
        let offset = books.free.take(bytes, align)?;
        books.holders += 1;
        // SAFETY: the offset is inside of the mapping,
        let start = unsafe { self.start.add(offset) };
        // SAFETY: and so are all bytes, which nobody else has; the mapping stays for this holder, too.
        Some(unsafe { Piece::new(start, bytes) })
    }

    /// The byte at this address of the memory. `None` if it is not inside.
    pub(super) fn at(&self, address: u64) -> Option<NonNull<u8>> {
        let offset = usize::try_from(address).ok()?.checked_sub(self.start.addr().get())?;
        // SAFETY: inside of the mapping.
        (offset < self.bytes.load(Ordering::Relaxed)).then(|| unsafe { self.start.add(offset) })
    }

    /// Takes bytes back, with the size that they were taken with. Nobody uses them any more.
    pub(super) fn give_back(&self, first: NonNull<u8>, bytes: usize) {
        let mut books = self.books();
        books.free.put(first.addr().get() - self.start.addr().get(), bytes);
        self.leave(books);
    }

    /// One more holder, beside one that is there.
    pub(super) fn hold(&self) {
        self.books().holders += 1;
    }

    /// A holder is gone that has no bytes.
    pub(super) fn let_go(&self) {
        self.leave(self.books());
    }

    /// How many bytes nobody has, in all pieces.
    pub(super) fn free_bytes(&self) -> usize {
        self.books().free.bytes()
    }

    fn leave(&self, mut books: MutexGuard<'_, Books>) {
        books.holders -= 1;
        if books.holders == 0 {
            self.bytes.store(0, Ordering::Relaxed);
            domain::give_back(self.domain.swap(0, Ordering::Relaxed));
            drop(books.mapping.take());
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Equal buffers of DMA memory that travel through queues and come back.
//!
//! Spec: §2.6 Virtqueues, §5.1.6.3 Setting Up Receive Buffers: for drivers that need many buffers of the same size, all the time. The memory is mapped once, and nothing is allocated
//! afterwards.
//!
//! ```text
//!   BufferPool ── supply ──▶ Supply ── take ──▶ Buffers ── through a queue, to other processors ──▶ dropped
//!       ▲            (one: whoever fills queues)    (one buffer, or several)                           │
//!       ╰───────────────────────────────── without a lock, from anywhere ──────────────────────────────╯
//! ```
//!
//! Who owns which buffer is kept in memory that no device can reach ([`PoolStorage`]). A pool that is dropped while buffers of it are still out, in a queue that was never
//! taken down, say, leaks its memory.

#![allow(
    clippy::inline_always,
    reason = "as in `mapped`: what a payload's segments have constant is judged by the compiler"
)]

mod buffers;
mod entries;
mod homecoming;
mod lead;
mod shape;
mod supply;

pub use buffers::Buffers;
use entries::{Entry, NOBODY};
pub use entries::{PoolEntries, PoolStorage};
pub(crate) use homecoming::Homecoming;
pub(crate) use lead::{Lead, Leads, Least};
pub use supply::Supply;

use core::mem::ManuallyDrop;

use atomic_waker::AtomicWaker;

use super::memory::DmaMemory;
use crate::hal::{DeviceAddress, DmaError, Domain, Hal};
use crate::sync::{AtomicU8, AtomicU32, Ordering};

/// What a pool's buffers are aligned to, in bytes: a cache line of most processors.
const ALIGNMENT: u32 = 64;

/// Buffers from this size on, in bytes, have an odd number of cache lines.
///
/// With a power of two the first lines of all buffers, which drivers and devices look at, would have to share a few sets of each cache, and be driven out of it by each other: of 2048 bytes they have 2 sets of 64.
/// Smaller buffers are less apart, and one line more would be a large part of them.
const SPREAD_BYTES_MIN: u32 = 512;

/// See the module's head.
#[derive(Debug)]
pub struct BufferPool<'s, H: Hal> {
    memory: ManuallyDrop<DmaMemory<H>>,
    address: DeviceAddress,
    domain: Domain,
    buffer_bytes: u32,
    entries: PoolEntries<'s>,
    /// The first of those that came back; the others follow from entry to entry.
    returned: AtomicU32,
    /// Whether somebody has the supply.
    is_supplied: AtomicU8,
    /// Whether somebody waits for buffers to come back,
    is_awaited: AtomicU8,
    /// and who.
    waker: AtomicWaker,
    /// For whoever has the supply.
    word: Word,
}

/// A word that is read more often than the others around it are written: on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Word(AtomicU32);

// SAFETY: bytes of the memory are reached through buffers alone, each of which has one owner; they go from one to the next through the supply, or by the list of those that came back, whose exchanges order what both do.
// Of the memory itself only what never changes is looked at, and everything else may be shared: entries, atomics, waker. The `Hal` value, which may be shared, is used again by the owner of the pool.
unsafe impl<H: Hal + Sync> Sync for BufferPool<'_, H> {}

impl<'s, H: Hal> BufferPool<'s, H> {
    /// Allocates as many buffers as there is storage for, of `buffer_bytes` each (rounded up to whole cache lines of 64 bytes, from 512 bytes on to an odd number of them), in one piece of DMA memory.
    ///
    /// # Errors
    /// - [`DmaError`]: the kernel has no such memory, or no buffer was asked for, or one of no byte.
    pub fn new(hal: &H, storage: impl Into<PoolEntries<'s>>, buffer_bytes: u32) -> Result<Self, DmaError> {
        let entries = storage.into();
        if u32::try_from(entries.len()).map_or(true, |count| count == NOBODY) {
            return Err(DmaError); // numbers for them are used up
        }
        let whole_lines = buffer_bytes.checked_next_multiple_of(ALIGNMENT).ok_or(DmaError)?;
        let buffer_bytes = if whole_lines < SPREAD_BYTES_MIN { whole_lines } else { whole_lines | ALIGNMENT };
        let bytes = usize::try_from(buffer_bytes).ok().and_then(|bytes| bytes.checked_mul(entries.len()));
        let bytes = bytes.ok_or(DmaError)?;
        let memory = DmaMemory::allocate(hal, bytes, ALIGNMENT as usize)?;
        let address = memory.device_address(0, bytes).map_err(|_| DmaError)?;
        let domain = memory.domain();
        let returned = AtomicU32::new(entries.string());
        Ok(Self {
            memory: ManuallyDrop::new(memory),
            address,
            domain,
            buffer_bytes,
            entries,
            returned,
            is_supplied: AtomicU8::new(0),
            is_awaited: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            word: Word::default(),
        })
    }

    /// Bytes of each buffer.
    pub const fn buffer_bytes(&self) -> u32 {
        self.buffer_bytes
    }

    /// The domain whose devices can reach them.
    pub const fn domain(&self) -> Domain {
        self.domain
    }

    /// How many buffers there are, wherever they are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The right to take buffers: one at a time has it. `None` if somebody else does.
    pub fn supply(&self) -> Option<Supply<'_, H>> {
        let was_supplied = self.is_supplied.swap(1, Ordering::AcqRel);
        (was_supplied == 0).then(|| Supply::of(self))
    }

    /// A word for whoever has the supply, to share with others: the pool itself does nothing with it. It starts as 0 and stays as it was left.
    pub(crate) const fn word(&self) -> &AtomicU32 {
        &self.word.0
    }

    /// A string of buffers comes back: the first, and the last of them.
    #[inline]
    fn put_back(&self, first: u32, last: u32) {
        let mut before = self.returned.load(Ordering::Relaxed);
        loop {
            self.entry(last).follow(before);
            // Who takes them sees what was written about them, and into them; who is about to wait sees them, or is seen.
            match self.returned.compare_exchange_weak(before, first, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) => before = other,
            }
        }
        if self.is_awaited.load(Ordering::SeqCst) != 0 {
            self.wake();
        }
    }

    /// Wakes whoever waits for buffers.
    #[cold]
    #[inline(never)]
    fn wake(&self) {
        self.is_awaited.store(0, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Takes the first of a string of buffers that are its owner's, or of those that came back.
    #[inline(always)]
    fn take<'p>(&'p self, first: &mut u32) -> Option<Buffers<'p, H>>
    where
        's: 'p,
    {
        let mut buffer = *first;
        if buffer == NOBODY {
            buffer = self.take_returned();
            if buffer == NOBODY {
                return None;
            }
        }
        *first = self.entry(buffer).next();
        Some(Buffers::one(self, buffer))
    }

    /// Takes all that came back: the first of them, or [`NOBODY`].
    #[inline(never)]
    fn take_returned(&self) -> u32 {
        // A load first, so that an empty pool is looked at without taking its cache line from those who give back.
        if self.returned.load(Ordering::Relaxed) == NOBODY {
            return NOBODY;
        }
        self.returned.swap(NOBODY, Ordering::SeqCst)
    }

    /// The buffers of a string after its first one, of `count` in all.
    #[inline]
    fn after<'p>(&'p self, first: u32, count: u16) -> impl Iterator<Item = u32> + use<'s, 'p, H> {
        let mut buffer = first;
        (1..count).map(move |_| {
            buffer = self.entry(buffer).next();
            buffer
        })
    }

    /// The last of a string of `count` buffers. By their numbers, so that their owner is not in memory for the sake of a call that is rare.
    #[cold]
    #[inline(never)]
    fn last_of(&self, first: u32, count: u16) -> u32 {
        self.after(first, count).last().unwrap_or(first)
    }

    /// The entry of a buffer of this pool.
    #[inline]
    fn entry(&self, buffer: u32) -> &Entry {
        // SAFETY: the entries are this pool's, and so is the buffer: whoever has a number beside a pool has it from there.
        unsafe { self.entries.of(buffer) }
    }

    /// Where a buffer begins, in bytes from the start of the memory.
    #[inline]
    const fn offset(&self, buffer: u32) -> usize {
        // As many bytes as were allocated, at most: there are no other buffers.
        buffer as usize * self.buffer_bytes as usize
    }
}

impl<H: Hal> Drop for BufferPool<'_, H> {
    fn drop(&mut self) {
        // Nobody else has a part of it any more, but for what was leaked.
        let mut returned = 0;
        let mut next = self.take_returned();
        while next != NOBODY && returned < self.entries.len() {
            next = self.entry(next).next();
            returned += 1;
        }
        let missing = self.entries.len() - returned;
        if missing == 0 {
            // SAFETY: taken once, since the pool is being dropped. All buffers are here, so no device was given one that it did not give back.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        } else {
            log::error!("a pool is dropped of which {missing} buffers are still out: its memory is leaked");
        }
    }
}

//! Frames, and the pools that they come from.
//!
//! Spec: §5.1.9 Device Operation. A frame is an Ethernet frame without its check sequence, in buffers of a pool of DMA memory: it goes into a queue and comes out of one without being copied. The
//! header that the device wants in front of it is the queues' business, who have room for it there.
//!
//! ```text
//!   buffer of a pool   │ unused │ header │ destination, source, type, payload … │ room │
//!                      0                 64                                              frame_bytes
//! ```
//!
//! ```
//! # use virtio_guest::hal::Hal;
//! use virtio_guest::device::net::{FramePool, PoolSettings};
//! use virtio_guest::raw::PoolStorage;
//!
//! # fn example(hal: &impl Hal) -> Result<(), Box<dyn core::error::Error>> {
//! let mut storage = PoolStorage::<256>::new(); // in a static, for as long as cards use it
//! let pool = FramePool::new(hal, &mut storage, PoolSettings::default())?;
//! let mut supply = pool.supply().ok_or("somebody else has it")?;
//!
//! let mut frame = supply.frame().ok_or("all frames are out")?;
//! frame.append(&[0xff; 6])?; // to everybody
//! frame.append(&[2, 0, 0, 0, 0, 1])?;
//! frame.append(&[0x88, 0xb5])?;
//! frame.append(b"hello")?;
//! assert_eq!(frame.len(), 19);
//! drop(frame); // back to the pool, from wherever
//! # Ok(()) }
//! ```

use core::task::Waker;

use super::offload::{Hash, Offload};
use crate::hal::{DmaError, Domain, Hal};
use crate::raw::{BufferPool, Buffers, Leads, OutOfBounds, PoolEntries, Supply};
use crate::sync::AtomicU32;

/// Where a frame begins in its first buffer, in bytes: enough for the longest header before it, and the frame begins with a cache line.
pub(super) const HEADROOM: u16 = 64;

/// The shortest buffer of a pool, in bytes.
const BUFFER_BYTES_MIN: u32 = 128;

/// What a kernel may choose about a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Bytes of each buffer, 64 of which are before the frame; at least 128, and rounded up as [`BufferPool::new`] says. Frames that are longer take several buffers.
    pub buffer_bytes: u32,
}

impl Default for PoolSettings {
    /// 2048 bytes: any frame but jumbo frames fits into one buffer.
    fn default() -> Self {
        Self { buffer_bytes: 2048 }
    }
}

/// A pool of frames: DMA memory, allocated and mapped once. It outlives the cards whose queues use it.
///
/// One for each receive queue, and for each processor that makes frames of its own, is best: see [`supply`](FramePool::supply).
#[derive(Debug)]
pub struct FramePool<'s, H: Hal>(BufferPool<'s, H>);

impl<'s, H: Hal> FramePool<'s, H> {
    /// Allocates as many buffers as there is storage for.
    ///
    /// # Errors
    /// - [`DmaError`]: the kernel has no such memory.
    pub fn new(
        hal: &H,
        storage: impl Into<PoolEntries<'s>>,
        settings: PoolSettings,
    ) -> Result<Self, DmaError> {
        BufferPool::new(hal, storage, settings.buffer_bytes.max(BUFFER_BYTES_MIN)).map(Self)
    }

    /// The right to take frames from the pool; one at a time has it. Frames can be dropped anywhere, on any processor, and come back without a lock. `None` if somebody else has it.
    pub fn supply(&self) -> Option<FrameSupply<'_, H>> {
        self.0.supply().map(FrameSupply)
    }

    /// How many buffers there are.
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

/// Takes frames from a pool. `Send`, not to be shared.
#[derive(Debug)]
pub struct FrameSupply<'p, H: Hal>(Supply<'p, H>);

impl<'p, H: Hal> FrameSupply<'p, H> {
    /// An empty frame of one buffer, to be filled. `None` if all are out.
    ///
    /// Work: bounded. The processor is told to fetch the cache line that the frame will begin in, so it is best to take all frames of a burst before the first is filled.
    ///
    /// Fill frames where they stay: in the list from which they are handed in. A frame that is filled and then moved waits for its bytes to arrive in the cache, for as long as a line takes from the device's processor.
    #[inline]
    pub fn frame(&mut self) -> Option<Frame<'p, H>> {
        let buffers = self.buffer()?;
        buffers.fetch_for_writing();
        Some(Frame::around(buffers))
    }

    /// An empty frame with room for so many bytes at least, of several buffers if need be. `None` if there are not as many.
    pub fn frame_for(&mut self, bytes: usize) -> Option<Frame<'p, H>> {
        let mut buffers = self.buffer()?;
        while buffers.room() < bytes {
            buffers.extend(self.0.take()?).ok()?;
        }
        Some(Frame::around(buffers))
    }

    /// Bytes of a frame in one buffer, at most.
    pub const fn buffer_room(&self) -> usize {
        self.0.pool().buffer_bytes() as usize - HEADROOM as usize
    }

    /// A buffer with room before the frame, for a header.
    #[inline]
    pub(super) fn buffer(&mut self) -> Option<Buffers<'p, H>> {
        let mut buffers = self.0.take()?;
        buffers.clear(HEADROOM).ok()?;
        Some(buffers)
    }

    /// Buffers for the device to write usual frames into, with the header before them.
    pub(super) const fn leads(&mut self) -> Leads<'_, 'p, H> {
        Leads::of(&mut self.0)
    }

    /// A buffer that is all room, to follow another one.
    pub(super) fn whole_buffer(&mut self) -> Option<Buffers<'p, H>> {
        self.0.take()
    }

    /// Whether so many buffers can be taken.
    pub(super) fn has(&mut self, buffers: u16) -> bool {
        self.0.has(buffers.into())
    }

    /// The same; if not, `waker` is woken when one comes back.
    pub(super) fn is_ready(&mut self, buffers: u16, waker: &Waker) -> bool {
        self.0.is_ready(buffers.into(), waker)
    }

    /// Whose devices reach its frames.
    pub(super) const fn domain(&self) -> Domain {
        self.0.pool().domain()
    }

    /// For how many pairs are in use of a card whose first pair has this supply.
    pub(super) const fn pairs_word(&self) -> &'p AtomicU32 {
        self.0.pool().word()
    }

    /// Buffers of the pool, wherever they are.
    pub(super) fn count(&self) -> usize {
        self.0.pool().count()
    }
}

/// An Ethernet frame: from the destination address on, without a check sequence. `Send`; dropped, it goes back to its pool.
///
/// Its bytes are copied in and out: a device that is up to no good may write to the pool's memory at any time, so there is no reference into it. What counts is read once.
#[derive(Debug)]
pub struct Frame<'p, H: Hal> {
    buffers: Buffers<'p, H>,
    /// What goes with it besides its bytes: mostly nothing.
    extras: Option<Extras>,
}

/// What may go with a frame besides its bytes.
#[derive(Clone, Copy, Debug)]
struct Extras {
    offload: Offload,
    hash: Option<Hash>,
}

impl<'p, H: Hal> Frame<'p, H> {
    /// A frame in these buffers, without a header, with which nothing goes.
    pub(super) const fn around(buffers: Buffers<'p, H>) -> Self {
        Self { buffers, extras: None }
    }

    /// A frame in these buffers, without a header.
    pub(super) fn new(buffers: Buffers<'p, H>, offload: Offload, hash: Option<Hash>) -> Self {
        let mut frame = Self::around(buffers);
        frame.set_extras(offload, hash);
        frame
    }

    /// Its buffers, and what goes with them.
    pub(super) fn into_parts(self) -> (Buffers<'p, H>, Offload, Option<Hash>) {
        let (offload, hash) = (self.offload(), self.hash());
        (self.buffers, offload, hash)
    }

    /// Its buffers, if nothing else goes with it.
    #[inline]
    pub(super) fn into_plain(self) -> Result<Buffers<'p, H>, Self> {
        if self.extras.is_none() { Ok(self.buffers) } else { Err(self) }
    }

    fn set_extras(&mut self, offload: Offload, hash: Option<Hash>) {
        let has_extras = offload != Offload::NOTHING || hash.is_some();
        self.extras = has_extras.then_some(Extras { offload, hash });
    }

    /// Length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// How many bytes more can be [appended](Frame::append).
    pub fn room(&self) -> usize {
        self.buffers.room()
    }

    /// Of how many buffers it is made.
    pub const fn buffers(&self) -> u16 {
        self.buffers.count()
    }

    /// Copies bytes out, from the one at `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: the frame is shorter than that. Some may have been copied.
    #[inline]
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.buffers.read(offset, into)
    }

    /// Copies bytes in, over those from the one at `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: the frame is shorter than that. Some may have been copied.
    #[inline]
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        self.buffers.write(offset, from)
    }

    /// Makes the frame longer, by these bytes.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: there is no [room](Frame::room); nothing changed.
    #[inline]
    pub fn append(&mut self, from: &[u8]) -> Result<(), OutOfBounds> {
        self.buffers.append(from)
    }

    /// Makes the frame shorter: no more than its first `len` bytes are left.
    pub fn truncate(&mut self, len: usize) {
        self.buffers.truncate(len);
    }

    /// What is left to do about checksum and segmentation.
    pub const fn offload(&self) -> Offload {
        match self.extras {
            None => Offload::NOTHING,
            Some(Extras { offload, .. }) => offload,
        }
    }

    /// Leaves checksum or segmentation to the device that transmits the frame.
    pub fn set_offload(&mut self, offload: Offload) {
        self.set_extras(offload, self.hash());
    }

    /// The hash of its addresses, if the device computed one (`HASH_REPORT`).
    pub const fn hash(&self) -> Option<Hash> {
        match self.extras {
            None => None,
            Some(Extras { hash, .. }) => hash,
        }
    }
}

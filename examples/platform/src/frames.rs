//! A frame allocator: what a kernel gives to a balloon, and takes back.
//!
//! Spec: §5.5 Traditional Memory Balloon Device. It implements what a balloon asks of a kernel: [`Pages`] (a page that nobody needs, and its way back) and
//! [`FreeBlocks`] (free memory that the host is told of). Most kernels have an allocator like it. Here a program takes it, and then it has nearly all of the
//! memory that the heap and the pool for devices leave.
//!
//! A block is 64 frames of 4 KiB, and one word says which of them are free:
//!
//! ```text
//!   Frames ── take ──▶ Frame      one frame, or 2, 4, .. 64 beside each other: whoever has the value has the memory
//!          ◀── put ───
//!          ── lend ──▶ Frame      a whole block that is free, and that the host was not told of
//!          ◀ take_back
//! ```

use alloc::boxed::Box;
use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use virtio_guest::device::balloon::{FreeBlocks, Pages, Statistics};
use virtio_guest::hal::{BalloonPage, DmaBuffer};

use crate::heap::DMA_POOL;

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 4096;
/// Frames of a block: as many as a word has bits.
pub const BLOCK_FRAMES: u16 = 64;
const BLOCK_BYTES: usize = BLOCK_FRAMES as usize * FRAME_BYTES;

/// What is left to the pool, for devices and page tables.
const POOL_BYTES: usize = 16 << 20;

/// Frames beside each other. Whoever drops it keeps its memory out of use for ever: it goes back with [`Frames::put`].
#[derive(Debug)]
#[must_use = "its memory is lost without it"]
pub struct Frame {
    start: NonNull<u8>,
    frames: u16,
}

// SAFETY: it owns its memory, as a box does.
unsafe impl Send for Frame {}

// SAFETY: the memory is from the allocator below, which gives each frame away once until it is put back. Nothing takes it from whoever forgets this value, and
// nothing else lies in it.
unsafe impl BalloonPage for Frame {
    fn first_frame(&self) -> u64 {
        // This kernel's memory is where its physical addresses say.
        (self.start.addr().get() / FRAME_BYTES) as u64
    }

    fn frames(&self) -> u16 {
        self.frames
    }
}

// SAFETY: as above; the bytes are the same each time, wherever the value is moved, and physical memory always has contents.
unsafe impl DmaBuffer for Frame {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start, usize::from(self.frames) * FRAME_BYTES)
    }
}

impl Frame {
    /// What is in there.
    pub fn contents(&mut self) -> &mut [u8] {
        let mut bytes = self.bytes();
        // SAFETY: whoever has this value has the memory, and lends it with the value.
        unsafe { bytes.as_mut() }
    }
}

/// A bit for each frame.
#[derive(Clone, Copy, Debug)]
struct Block {
    free: u64,
    /// Nobody had any of it since the host was told that it is free.
    was_told: bool,
}

/// The allocator.
#[derive(Debug)]
pub struct Frames {
    start: NonNull<u8>,
    blocks: Box<[Block]>,
    free: usize,
    /// No block below has a free frame.
    lowest: usize,
}

// SAFETY: it owns its memory, as a box does.
unsafe impl Send for Frames {}

/// Takes the allocator, once: from then on the pool for devices has 16 MiB, and frames are the rest. `None` if it was taken before, or if that would be nothing.
///
/// It has one user at a time. A kernel with several puts its lock around it.
pub fn take() -> Option<&'static mut Frames> {
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);
    if IS_TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    let mut pool = DMA_POOL.lock();
    // The pool's memory may be in pieces: the first number of blocks that fits into one.
    let most = pool.free().checked_sub(POOL_BYTES)? / BLOCK_BYTES;
    let (start, count) = (1..=most).rev().find_map(|count| {
        let layout = Layout::from_size_align(count * BLOCK_BYTES, BLOCK_BYTES).ok()?;
        pool.allocate_first_fit(layout).ok().map(|start| (start, count))
    })?;
    let blocks = alloc::vec![Block { free: u64::MAX, was_told: false }; count].into_boxed_slice();
    Some(Box::leak(Box::new(Frames { start, blocks, free: count * usize::from(BLOCK_FRAMES), lowest: 0 })))
}

impl Frames {
    /// How many frames there are.
    pub fn count(&self) -> usize {
        self.blocks.len() * usize::from(BLOCK_FRAMES)
    }

    /// How many of them are free.
    pub fn free(&self) -> usize {
        self.free
    }

    /// So many frames beside each other, at a multiple of their size: a power of two, at most 64. `None` if they are not there.
    pub fn take(&mut self, frames: u16) -> Option<Frame> {
        let mask = mask(frames)?;
        let mut blocks = self.blocks.iter().enumerate().skip(self.lowest);
        let (index, at) = blocks.find_map(|(index, block)| {
            let mut places = (0..BLOCK_FRAMES).step_by(frames.into());
            places.find(|at| block.free >> at & mask == mask).map(|at| (index, at))
        })?;
        if frames == 1 {
            self.lowest = index;
        }
        self.take_at(index, at, frames)
    }

    fn take_at(&mut self, index: usize, at: u16, frames: u16) -> Option<Frame> {
        let block = self.blocks.get_mut(index)?;
        block.free &= !(mask(frames)? << at);
        block.was_told = false;
        self.free -= usize::from(frames);
        let offset = index * BLOCK_BYTES + usize::from(at) * FRAME_BYTES;
        // SAFETY: the block is there, so this is inside of the memory that was taken from the pool.
        let start = unsafe { self.start.add(offset) };
        Some(Frame { start, frames })
    }

    /// Takes frames back.
    #[expect(clippy::needless_pass_by_value, reason = "whoever gives them back has them no more")]
    pub fn put(&mut self, frame: Frame) {
        let Frame { start, frames } = frame;
        let offset = start.addr().get() - self.start.addr().get();
        let (index, at) = (offset / BLOCK_BYTES, offset % BLOCK_BYTES / FRAME_BYTES);
        if let (Some(block), Some(mask)) = (self.blocks.get_mut(index), mask(frames)) {
            block.free |= mask << at;
            self.free += usize::from(frames);
            self.lowest = self.lowest.min(index);
        }
    }

    /// Has the host told of every free block again: with a new round of hints, all that was said before is over.
    pub fn forget_told(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.was_told = false);
    }
}

/// The lowest bits, one for each frame.
fn mask(frames: u16) -> Option<u64> {
    let is_size = frames.is_power_of_two() && frames <= BLOCK_FRAMES;
    is_size.then(|| u64::MAX >> (BLOCK_FRAMES - frames))
}

impl Pages for Frames {
    type Page = Frame;

    fn give(&mut self) -> Option<Frame> {
        self.take(1)
    }

    fn take_back(&mut self, page: Frame) {
        self.put(page);
    }

    fn statistics(&mut self) -> Statistics {
        let bytes = |frames: usize| Some((frames * FRAME_BYTES) as u64);
        Statistics {
            free_bytes: bytes(self.free),
            total_bytes: bytes(self.count()),
            available_bytes: bytes(self.free),
            ..Statistics::default()
        }
    }
}

impl FreeBlocks for Frames {
    type Block = Frame;

    /// The last one first: single frames are taken from the front.
    fn lend(&mut self) -> Option<Frame> {
        let index = self.blocks.iter().rposition(|block| block.free == u64::MAX && !block.was_told)?;
        self.take_at(index, 0, BLOCK_FRAMES)
    }

    fn take_back(&mut self, block: Frame) {
        let offset = block.start.addr().get() - self.start.addr().get();
        self.put(block);
        if let Some(block) = self.blocks.get_mut(offset / BLOCK_BYTES) {
            block.was_told = true;
        }
    }

    fn take_back_early(&mut self, mut block: Frame) {
        block.contents().fill(0);
        FreeBlocks::take_back(self, block);
    }
}

//! A kernel that counts its pages, and lends blocks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use virtio_guest::device::balloon::{FreeBlocks, Pages, Statistics};
use virtio_guest::hal::BalloonPage;

/// A block of free pages.
pub type Block = Box<[u8]>;

/// A page of the kernel's, which notices when it is dropped.
#[derive(Debug)]
pub struct Page {
    first: u64,
    frames: u16,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the memory is in nobody's hands, and the device of these tests only counts.
unsafe impl BalloonPage for Page {
    fn first_frame(&self) -> u64 {
        self.first
    }

    fn frames(&self) -> u16 {
        self.frames
    }
}

/// The kernel.
#[derive(Debug, Default)]
pub struct Kernel {
    /// Pages that nobody uses, given from the end on.
    pub free: Vec<Page>,
    /// How many of them it keeps.
    pub keeps: usize,
    /// How many more it gives, if that is limited.
    pub gives: Option<usize>,
    /// What it says of its memory.
    pub statistics: Statistics,
    /// How often it was asked for that.
    pub asked: usize,
    /// How often it was asked for a page.
    pub wanted: usize,
    dropped: Arc<AtomicUsize>,
    /// All frames that it ever had.
    pub all: BTreeSet<u64>,
}

impl Kernel {
    /// One that has so many pages of so many frames, from frame 1000 on.
    pub fn new(pages: u64, frames: u16) -> Self {
        let mut kernel = Self::default();
        (0..pages).for_each(|page| kernel.add(1000 + page * u64::from(frames), frames));
        kernel
    }

    /// Has one more page.
    pub fn add(&mut self, first: u64, frames: u16) {
        self.free.push(Page { first, frames, dropped: Arc::clone(&self.dropped) });
        self.all.extend(first..first + u64::from(frames));
    }

    /// The frames that it has.
    pub fn frames(&self) -> BTreeSet<u64> {
        let frames: Vec<_> =
            self.free.iter().flat_map(|page| page.first..page.first + u64::from(page.frames)).collect();
        let set: BTreeSet<_> = frames.iter().copied().collect();
        assert_eq!(set.len(), frames.len(), "a page came back twice");
        set
    }

    /// All its pages are here, and none was dropped.
    pub fn assert_has_all(&self) {
        assert_eq!(self.frames(), self.all);
        assert_eq!(self.dropped(), 0);
    }

    /// How many pages were dropped.
    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Pages for Kernel {
    type Page = Page;

    fn give(&mut self) -> Option<Page> {
        self.wanted += 1;
        if let Some(gives) = &mut self.gives {
            *gives = gives.checked_sub(1)?;
        }
        if self.free.len() > self.keeps { self.free.pop() } else { None }
    }

    fn take_back(&mut self, page: Page) {
        self.free.push(page);
    }

    fn statistics(&mut self) -> Statistics {
        self.asked += 1;
        self.statistics
    }
}

/// Blocks of the kernel's.
#[derive(Debug, Default)]
pub struct Blocks {
    /// Those that it lends, from the end on.
    pub free: Vec<Block>,
    /// Those that came back.
    pub back: Vec<Block>,
    /// How many of them came before the device was done. They were filled with zeros.
    pub early: usize,
}

impl Blocks {
    /// So many of so many bytes, filled with this.
    pub fn new(count: usize, bytes: usize, fill: u8) -> Self {
        Self { free: (0..count).map(|_| vec![fill; bytes].into()).collect(), back: Vec::new(), early: 0 }
    }
}

impl FreeBlocks for Blocks {
    type Block = Block;

    fn lend(&mut self) -> Option<Block> {
        self.free.pop()
    }

    fn take_back(&mut self, block: Block) {
        self.back.push(block);
    }

    fn take_back_early(&mut self, mut block: Block) {
        block.fill(0);
        self.early += 1;
        self.take_back(block);
    }
}

//! The kernel: pages and blocks, each of which it has, or has handed out.
//!
//! Spec: §5.5.6 Device Operation. A page that comes back is one that was given, and so is a block, in which nobody has written since the kernel filled it.

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use virtio_guest::device::balloon::{FreeBlocks, Pages, Statistics};
use virtio_guest::hal::{BalloonPage, DmaBuffer};

use super::world::detail;

/// Pages that there are,
const PAGES: usize = 20;
/// and blocks, of so many bytes.
pub(crate) const BLOCKS: usize = 6;
const BLOCK_BYTES: usize = 4096;
/// Numbers from here on are pages that no device can be told of.
const UNUSABLE: usize = 100;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    number: usize,
    first: u64,
    frames: u16,
    dropped: Rc<Cell<usize>>,
}

// SAFETY: there is one value for each page; frames are numbers that stand for no memory.
unsafe impl BalloonPage for Page {
    fn first_frame(&self) -> u64 {
        self.first
    }

    fn frames(&self) -> u16 {
        self.frames
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
    }
}

/// A block.
#[derive(Debug)]
pub(crate) struct Block {
    number: usize,
    bytes: Box<[u8]>,
}

// SAFETY: the bytes are the box's own, wherever the value is.
unsafe impl DmaBuffer for Block {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut *self.bytes)
    }
}

/// See the module's head.
pub(crate) struct Kernel {
    pages: Vec<Page>,
    blocks: Vec<Block>,
    dropped: Rc<Cell<usize>>,
    /// How many pages and blocks it keeps for itself.
    keeps: usize,
    /// What the next page that it gives is instead, if it is one that no device can be told of.
    next_unusable: Option<(u64, u16)>,
    statistics: Statistics,
    /// Frames that came back.
    pub(crate) frames_back: u32,
}

fn first_and_frames(number: usize) -> (u64, u16) {
    match number {
        7 => (0x2000, 16),
        11 => (u64::from(u32::MAX), 1),
        _ => (0x100 + 16 * number as u64, if number % 4 == 3 { 4 } else { 1 }),
    }
}

impl Kernel {
    pub(crate) fn new() -> Self {
        let dropped = Rc::new(Cell::new(0));
        let page = |number| {
            let (first, frames) = first_and_frames(number);
            Page { number, first, frames, dropped: Rc::clone(&dropped) }
        };
        let pages = (0..PAGES).map(page).collect();
        let blocks = (0..BLOCKS).map(|number| {
            let bytes = vec![number as u8; BLOCK_BYTES].into_boxed_slice();
            Block { number, bytes }
        });
        let blocks = blocks.collect();
        let statistics = Statistics::default();
        Self { pages, blocks, dropped, keeps: 0, next_unusable: None, statistics, frames_back: 0 }
    }

    /// Changes its mind, as the script says.
    pub(crate) fn change(&mut self, kind: u8) {
        match kind % 4 {
            0 => self.keeps = usize::from(detail()) % (PAGES + 1),
            1 => self.keeps = 0,
            2 => {
                let unusable =
                    [(1 << 32, 1), (u64::MAX, 1), (u64::from(u32::MAX), 2), (0, 0), (0x100, u16::MAX)];
                self.next_unusable = unusable.get(usize::from(detail()) % 8).copied();
            }
            _ => {
                let [free, faults] = [detail(), detail()];
                let some = |byte: u8| (byte & 1 == 0).then_some(u64::from(byte) << 40 | 7);
                self.statistics = Statistics {
                    free_bytes: some(free),
                    major_faults: some(faults),
                    huge_page_failures: some(free ^ faults),
                    ..Statistics::default()
                };
            }
        }
    }

    /// Frames that it has handed out.
    pub(crate) fn frames_out(&self) -> u32 {
        let all: u32 = (0..PAGES).map(|number| u32::from(first_and_frames(number).1)).sum();
        all - self.pages.iter().map(|page| u32::from(page.frames)).sum::<u32>()
    }

    /// Blocks that it has.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Whether a frame is in a page that it has.
    pub(crate) fn has_frame(&self, frame: u32) -> bool {
        let frame = u64::from(frame);
        self.pages.iter().any(|page| (page.first..page.first + u64::from(page.frames)).contains(&frame))
    }

    /// Pages that were dropped, not taken back.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped.get()
    }

    /// All pages are here, or were dropped, and so are all blocks.
    pub(crate) fn assert_all_is_back(&self) {
        assert_eq!(self.pages.len() + self.dropped(), PAGES, "a page is lost");
        assert_eq!(self.blocks.len(), BLOCKS, "a block is lost");
    }
}

impl Pages for Kernel {
    type Page = Page;

    fn give(&mut self) -> Option<Page> {
        if let Some((first, frames)) = self.next_unusable.take() {
            // It does not count when it is dropped.
            return Some(Page { number: UNUSABLE, first, frames, dropped: Rc::default() });
        }
        if self.pages.len() <= self.keeps { None } else { self.pages.pop() }
    }

    fn take_back(&mut self, page: Page) {
        if page.number == UNUSABLE {
            return;
        }
        assert!(
            page.number < PAGES && self.pages.iter().all(|own| own.number != page.number),
            "a page twice"
        );
        self.frames_back += u32::from(page.frames);
        self.pages.push(page);
    }

    fn statistics(&mut self) -> Statistics {
        self.statistics
    }
}

impl FreeBlocks for Kernel {
    type Block = Block;

    fn lend(&mut self) -> Option<Block> {
        if self.blocks.len() <= self.keeps {
            return None;
        }
        let block = self.blocks.pop()?;
        let is_untouched = *block.bytes == [block.number as u8; BLOCK_BYTES];
        assert!(is_untouched, "somebody wrote into a block of the kernel's");
        Some(block)
    }

    fn take_back(&mut self, mut block: Block) {
        assert!(self.blocks.iter().all(|own| own.number != block.number), "a block twice");
        block.bytes.fill(block.number as u8);
        self.blocks.push(block);
    }

    fn take_back_early(&mut self, block: Block) {
        FreeBlocks::take_back(self, block);
    }
}

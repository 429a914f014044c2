//! The kernel's memory, as a balloon sees it: pages of one size, and what is said of them.

use alloc::string::String;
use alloc::vec::Vec;

use example_platform::frames::{self, BLOCK_FRAMES, FRAME_BYTES, Frame, Frames};
use example_platform::println;
use virtio_guest::device::balloon::{Pages, Statistics};

use crate::contents::{fill_with, is_full_of, put_all, take_all};
use crate::number;

/// The allocator, how many frames a page for the balloon has, and the value that free memory is full of, if it is.
pub struct Memory {
    pub frames: &'static mut Frames,
    page_frames: u16,
    poison: Option<u32>,
}

impl Memory {
    pub fn take() -> Result<Self, String> {
        let frames = frames::take().ok_or("no memory for frames")?;
        let page_frames =
            u16::try_from(number("page")?.unwrap_or(1)).map_err(|_| "such pages are too large")?;
        println!("memory: {} frames, {} in a page", frames.count(), page_frames);
        Ok(Self { frames, page_frames, poison: None })
    }

    /// Fills all free memory with this value, and from now on what comes back from the balloon, too.
    pub fn poison(&mut self, value: u32) {
        let mut all: Vec<Frame> = take_all(self.frames, BLOCK_FRAMES).collect();
        for frame in &mut all {
            fill_with(frame, value);
        }
        put_all(self.frames, all);
        self.poison = Some(value);
    }

    /// Whether all free memory is full of the value that it was filled with.
    pub fn is_poisoned(&mut self) -> bool {
        let mut all: Vec<Frame> = take_all(self.frames, 1).collect();
        let is_full = self.poison.is_none_or(|value| all.iter_mut().all(|frame| is_full_of(frame, value)));
        put_all(self.frames, all);
        is_full
    }
}

impl Pages for Memory {
    type Page = Frame;

    fn give(&mut self) -> Option<Frame> {
        self.frames.take(self.page_frames)
    }

    fn take_back(&mut self, mut page: Frame) {
        if let Some(value) = self.poison {
            fill_with(&mut page, value);
        }
        self.frames.put(page);
    }

    /// All that there are: of memory what the allocator says, of the rest numbers that no other field has.
    fn statistics(&mut self) -> Statistics {
        let bytes = |frames: usize| Some((frames * FRAME_BYTES) as u64);
        let number = |low: u64| Some((7 << 33) + low);
        let given = Statistics {
            swap_in_bytes: number(0),
            swap_out_bytes: number(1),
            major_faults: number(2),
            minor_faults: number(3),
            free_bytes: bytes(self.frames.free()),
            total_bytes: bytes(self.frames.count()),
            available_bytes: bytes(self.frames.free() + 1),
            cache_bytes: number(7),
            huge_page_allocations: number(8),
            huge_page_failures: number(9),
        };
        let values = [
            given.swap_in_bytes,
            given.swap_out_bytes,
            given.major_faults,
            given.minor_faults,
            given.free_bytes,
            given.total_bytes,
            given.available_bytes,
            given.cache_bytes,
            given.huge_page_allocations,
            given.huge_page_failures,
        ];
        println!("statistics: {:?}", values.map(Option::unwrap_or_default));
        given
    }
}

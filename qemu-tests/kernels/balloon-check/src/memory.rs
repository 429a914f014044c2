//! The kernel's memory, as a balloon sees it: pages of one size, and what is said of them.

use alloc::string::String;

use example_platform::frames::{self, FRAME_BYTES, Frame, Frames};
use example_platform::println;
use virtio_guest::device::balloon::{Pages, Statistics};

use crate::number;

/// The allocator, and how many frames a page for the balloon has.
pub struct Memory {
    pub frames: &'static mut Frames,
    page_frames: u16,
}

impl Memory {
    pub fn take() -> Result<Self, String> {
        let frames = frames::take().ok_or("no memory for frames")?;
        let page_frames =
            u16::try_from(number("page")?.unwrap_or(1)).map_err(|_| "such pages are too large")?;
        println!("memory: {} frames, {} in a page", frames.count(), page_frames);
        Ok(Self { frames, page_frames })
    }
}

impl Pages for Memory {
    type Page = Frame;

    fn give(&mut self) -> Option<Frame> {
        self.frames.take(self.page_frames)
    }

    fn take_back(&mut self, page: Frame) {
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

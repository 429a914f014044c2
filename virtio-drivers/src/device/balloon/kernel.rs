//! The kernel's side: what it gives to a balloon, takes back from it, and says of itself.
//!
//! Spec: §5.5.6 Device Operation. These traits are handed to each call as `&mut`, so that an allocator is locked only meanwhile.

use crate::hal::{BalloonPage, DmaBuffer};
use crate::wire::balloon::TAGS;

/// Where pages come from and go back to: the kernel's allocator.
///
/// ```
/// use virtio_guest::device::balloon::{Pages, Statistics};
/// use virtio_guest::hal::BalloonPage;
///
/// /// A page of 4 KiB that nobody uses.
/// struct FreePage { physical_address: u64 }
///
/// // SAFETY: the allocator hands out each page once; forgetting it leaks it.
/// unsafe impl BalloonPage for FreePage {
///     fn first_frame(&self) -> u64 { self.physical_address / 4096 }
///     fn frames(&self) -> u16 { 1 }
/// }
///
/// struct Allocator { free: Vec<FreePage>, kept: usize }
///
/// impl Pages for Allocator {
///     type Page = FreePage;
///
///     fn give(&mut self) -> Option<FreePage> {
///         if self.free.len() > self.kept { self.free.pop() } else { None } // the kernel wants to live, too
///     }
///
///     fn take_back(&mut self, page: FreePage) {
///         self.free.push(page);
///     }
///
///     fn statistics(&mut self) -> Statistics {
///         Statistics { free_bytes: Some(self.free.len() as u64 * 4096), ..Statistics::default() }
///     }
/// }
/// ```
pub trait Pages {
    /// A page.
    type Page: BalloonPage;

    /// Gives a page to the balloon; `None` if the kernel cannot do without any more. It is asked again with a later call.
    fn give(&mut self) -> Option<Self::Page>;

    /// Takes a page back. What is in it is not to be relied on. With [`PAGE_POISON`](super::BalloonFeatures::PAGE_POISON) agreed on the kernel fills it with the value that it said, before anybody else uses it.
    fn take_back(&mut self, page: Self::Page);

    /// What the kernel says of its memory. Which of the numbers there are is fixed by the first answer: later the same are sent, the last known ones where an answer leaves one out.
    fn statistics(&mut self) -> Statistics {
        Statistics::default()
    }
}

/// Where free blocks come from that a device is told of, and that go back at once or later: the kernel's allocator.
///
/// Blocks are better large than small. Who reports blocks over and over lends each only once after it was in use.
pub trait FreeBlocks {
    /// A block of whole pages, which nobody uses.
    type Block: DmaBuffer;

    /// Lends a block; `None` if there is no more to tell of at the moment.
    ///
    /// What is in it is lost: its host may take the memory away. With [`PAGE_POISON`](super::BalloonFeatures::PAGE_POISON) agreed on the kernel has filled it with the value that it said, and finds that, and
    /// nothing else, in a block that was reported. Without, a kernel that expects free memory to keep a value (zeros, say) does not report it. Nor does one whose [`Hal`](crate::hal::Hal) bounces:
    /// what comes back is what the device left in the bounce buffer, and the host learns of that buffer's memory alone.
    fn lend(&mut self) -> Option<Self::Block>;

    /// Takes a block back.
    fn take_back(&mut self, block: Self::Block);

    /// Takes a block back that was hinted at, before the device said that it is done with hints. Its host may hold the block's memory for free still, and lose what is in it when it moves the machine: so the kernel
    /// writes to all of it (zeros, or its poison), before it counts as free.
    ///
    /// Blocks that are reported never come back so.
    ///
    /// Spec: §5.5.6.5.1 Driver Requirements: Free Page Hinting.
    fn take_back_early(&mut self, block: Self::Block);
}

/// What a kernel says of its memory; `None` is not said.
///
/// Spec: §5.5.6.4 Memory Statistics Tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes that were swapped in.
    pub swap_in_bytes: Option<u64>,
    /// Bytes that were swapped out.
    pub swap_out_bytes: Option<u64>,
    /// Page faults for which something had to be read from a disk.
    pub major_faults: Option<u64>,
    /// Other page faults.
    pub minor_faults: Option<u64>,
    /// Bytes that are not used for anything.
    pub free_bytes: Option<u64>,
    /// Bytes in all.
    pub total_bytes: Option<u64>,
    /// Bytes that programs could have without swapping.
    pub available_bytes: Option<u64>,
    /// Bytes that could be had at once by dropping what is cached.
    pub cache_bytes: Option<u64>,
    /// Huge pages that were allocated.
    pub huge_page_allocations: Option<u64>,
    /// Huge pages that could not be allocated.
    pub huge_page_failures: Option<u64>,
}

impl Statistics {
    /// In the order of their tags, from 0 on.
    pub(super) const fn by_tag(&self) -> [Option<u64>; TAGS] {
        [
            self.swap_in_bytes,
            self.swap_out_bytes,
            self.major_faults,
            self.minor_faults,
            self.free_bytes,
            self.total_bytes,
            self.available_bytes,
            self.cache_bytes,
            self.huge_page_allocations,
            self.huge_page_failures,
        ]
    }
}

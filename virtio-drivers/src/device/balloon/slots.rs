//! Memory that a balloon is lent: room for its pages, and for the books of its queues.

use super::places::{PlaceStorage, Stack};
use crate::hal::{BalloonPage, DmaBuffer, Hal};
use crate::raw::{MappedBuffer, Tag};
use crate::ring;

/// The books of a queue that carries nothing but numbers.
pub(super) type QueueSlots<'s> = ring::Slots<'s, Tag<()>>;

/// What travels with a block's chain; with a command's id, nothing.
pub(super) type Load<H, B> = Option<MappedBuffer<H, B>>;

/// What a balloon keeps in memory of its own: room for `N` pages, and for queues of up to `D` descriptors. Lent by the caller for as long as the driver lives.
///
/// A burst takes one descriptor, so few are enough; but devices behind the legacy interface of PCI choose themselves how many there are (QEMU's have 128).
#[derive(Debug)]
pub struct Storage<P, const N: usize, const D: usize = 128> {
    pages: PlaceStorage<P, N>,
    queues: [ring::Storage<Tag<()>, D>; 3],
}

impl<P, const N: usize, const D: usize> Storage<P, N, D> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self { pages: PlaceStorage::new(), queues: [const { ring::Storage::new() }; 3] }
    }
}

impl<P, const N: usize, const D: usize> Default for Storage<P, N, D> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a balloon keeps what its driver knows: a lent [`Storage`], or (with the `alloc` feature) allocated once, or what an earlier driver gave back.
#[derive(Debug)]
pub struct Slots<'s, P> {
    pub(super) pages: Stack<'s, P>,
    pub(super) inflate: QueueSlots<'s>,
    pub(super) deflate: QueueSlots<'s>,
    pub(super) statistics: QueueSlots<'s>,
}

impl<'s, P: BalloonPage, const N: usize, const D: usize> From<&'s mut Storage<P, N, D>> for Slots<'s, P> {
    fn from(storage: &'s mut Storage<P, N, D>) -> Self {
        let Storage { pages, queues: [inflate, deflate, statistics] } = storage;
        Self {
            pages: pages.into(),
            inflate: inflate.into(),
            deflate: deflate.into(),
            statistics: statistics.into(),
        }
    }
}

#[cfg(feature = "alloc")]
impl<P: BalloonPage> Slots<'_, P> {
    /// For so many pages, from the heap; see [`Storage`].
    pub fn allocate(pages: usize) -> Self {
        let queue = || ring::Slots::allocate(128);
        Self { pages: Stack::allocate(pages), inflate: queue(), deflate: queue(), statistics: queue() }
    }
}

/// What hints take in memory of their own: room for `N` blocks that the kernel lent, and for a queue of up to `D` descriptors. Lent by the caller for as long as the queue lives.
#[derive(Debug)]
pub struct HintStorage<H: Hal, B: DmaBuffer, const N: usize, const D: usize = 128> {
    blocks: PlaceStorage<B, N>,
    queue: ring::Storage<Load<H, B>, D>,
}

impl<H: Hal, B: DmaBuffer, const N: usize, const D: usize> HintStorage<H, B, N, D> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self { blocks: PlaceStorage::new(), queue: ring::Storage::new() }
    }
}

impl<H: Hal, B: DmaBuffer, const N: usize, const D: usize> Default for HintStorage<H, B, N, D> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where hints have their memory: a lent [`HintStorage`], or (with the `alloc` feature) allocated once, or what an earlier driver gave back.
#[derive(Debug)]
pub struct HintSlots<'s, H: Hal, B: DmaBuffer> {
    pub(super) blocks: Stack<'s, B>,
    pub(super) queue: ring::Slots<'s, Load<H, B>>,
}

impl<'s, H: Hal, B: DmaBuffer, const N: usize, const D: usize> From<&'s mut HintStorage<H, B, N, D>>
    for HintSlots<'s, H, B>
{
    fn from(storage: &'s mut HintStorage<H, B, N, D>) -> Self {
        let HintStorage { blocks, queue } = storage;
        Self { blocks: blocks.into(), queue: queue.into() }
    }
}

#[cfg(feature = "alloc")]
impl<H: Hal, B: DmaBuffer> HintSlots<'_, H, B> {
    /// For so many blocks, from the heap; see [`HintStorage`].
    pub fn allocate(blocks: usize) -> Self {
        Self { blocks: Stack::allocate(blocks), queue: ring::Slots::allocate(128) }
    }
}

/// What reports take in memory of their own: room for a queue of up to `D` descriptors, each of which takes a block at a time. Lent by the caller for as long as the queue lives.
#[derive(Debug)]
pub struct ReportStorage<H: Hal, B: DmaBuffer, const D: usize = 32>(ring::Storage<MappedBuffer<H, B>, D>);

impl<H: Hal, B: DmaBuffer, const D: usize> ReportStorage<H, B, D> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self(ring::Storage::new())
    }
}

impl<H: Hal, B: DmaBuffer, const D: usize> Default for ReportStorage<H, B, D> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where reports have their memory: a lent [`ReportStorage`], or (with the `alloc` feature) allocated once, or what an earlier driver gave back.
#[derive(Debug)]
pub struct ReportSlots<'s, H: Hal, B: DmaBuffer>(pub(super) ring::Slots<'s, MappedBuffer<H, B>>);

impl<'s, H: Hal, B: DmaBuffer, const D: usize> From<&'s mut ReportStorage<H, B, D>>
    for ReportSlots<'s, H, B>
{
    fn from(ReportStorage(queue): &'s mut ReportStorage<H, B, D>) -> Self {
        Self(queue.into())
    }
}

#[cfg(feature = "alloc")]
impl<H: Hal, B: DmaBuffer> ReportSlots<'_, H, B> {
    /// For so many descriptors, from the heap; see [`ReportStorage`].
    pub fn allocate(descriptors: u16) -> Self {
        Self(ring::Slots::allocate(descriptors))
    }
}

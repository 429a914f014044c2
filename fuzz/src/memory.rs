//! Memory: the test platform, watched. Nothing may be released as long as the device has it.
//!
//! Spec: §2.4, §2.6.1 (what the device has it has until it was returned, or the device or queue was reset). Values of [`WatchedHal`] and [`Buffer`] hold nothing
//! themselves: what a dropped queue leaks on purpose is swept up after its life, so that a fuzzer can run for days.

use std::alloc::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;

use virtio_guest::hal::{DeviceAddress, Direction, DmaBuffer, DmaError, DmaRegion, Domain, Hal, MapError};
use virtio_guest::raw::MappedBuffer;
use virtio_test_hal::TestHal;

use crate::world;

/// A buffer that the device can reach.
pub(crate) type Mapped = MappedBuffer<WatchedHal, Buffer>;

/// All memory of one life, and who has it.
#[derive(Default)]
pub(crate) struct Memory {
    /// The test platform's books, which see that nothing is freed or unmapped twice, or as something else than it was.
    pub(crate) hal: TestHal,
    regions: BTreeMap<u64, DmaRegion>,
    mappings: BTreeMap<u64, (NonNull<[u8]>, Direction)>,
    buffers: BTreeSet<NonNull<[u8]>>,
    /// Whether the device knows of a queue, and so has all DMA memory.
    queue_is_lent: bool,
    /// Device addresses of the mapped buffers that are in chains in flight.
    lent_buffers: BTreeSet<u64>,
}

impl Memory {
    /// The device learns of a queue.
    pub(crate) fn lend_queue(&mut self) {
        self.queue_is_lent = true;
    }

    /// The driver makes a chain available that has this buffer.
    pub(crate) fn lend_buffer(&mut self, address: DeviceAddress) {
        self.lent_buffers.insert(address.0);
    }

    /// The chain came back that has this buffer.
    pub(crate) fn return_buffer(&mut self, address: DeviceAddress) {
        self.lent_buffers.remove(&address.0);
    }

    /// The device, or its queue, was reset, and has nothing any more.
    pub(crate) fn return_all(&mut self) {
        self.queue_is_lent = false;
        self.lent_buffers.clear();
    }

    /// Where the device finds the byte that the driver has at `place`.
    pub(crate) fn device_address(&self, place: NonNull<u8>) -> Option<u64> {
        self.regions.values().find_map(|region| {
            let offset = place.addr().get().checked_sub(region.pointer.addr().get())?;
            (offset < region.layout.size()).then(|| region.device_address.0 + offset as u64)
        })
    }

    /// A range of device addresses and its length: one of all that is shared with the device, regions first.
    pub(crate) fn shared_range(&self, choice: usize) -> Option<(u64, usize)> {
        let regions = self.regions.iter().map(|(address, region)| (*address, region.layout.size()));
        let mappings = self.mappings.iter().map(|(address, (bytes, _))| (*address, bytes.len()));
        let count = self.regions.len() + self.mappings.len();
        regions.chain(mappings).nth(choice.checked_rem(count)?)
    }

    /// How many regions and mapped buffers there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.hal.dma_regions(), self.hal.mapped_buffers())
    }

    /// Nothing is allocated, mapped, or in anybody's hands.
    pub(crate) fn assert_all_returned(&self) {
        assert_eq!(self.counts(), (0, 0), "regions and mappings are left after the reset");
        assert_eq!(self.hal.space.mapped_count(), 0, "the device can still reach memory");
        assert!(self.buffers.is_empty(), "a buffer is lost");
    }

    /// Frees what a dropped queue leaked: its device is no more.
    pub(crate) fn sweep(&mut self) {
        for (address, (bytes, direction)) in std::mem::take(&mut self.mappings) {
            // SAFETY: as it was mapped, and undone here once; nobody is left who would.
            unsafe { self.hal.unmap(DeviceAddress(address), bytes, direction) };
        }
        for region in std::mem::take(&mut self.regions).into_values() {
            // SAFETY: as it was allocated, and freed here once; nobody is left who would.
            unsafe { self.hal.free_dma(region) };
        }
        for bytes in std::mem::take(&mut self.buffers) {
            // SAFETY: its owner is gone, without dropping it.
            unsafe { free(bytes) };
        }
    }
}

/// The platform of the current life.
#[derive(Clone, Debug)]
pub(crate) struct WatchedHal;

// SAFETY: each call is passed on to the test platform, which keeps the promises; there is one at a time, and a value is used in its life only.
unsafe impl Hal for WatchedHal {
    fn domain(&self) -> Domain {
        world::with(|world| world.memory.hal.domain())
    }

    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        world::with(|world| {
            let region = world.memory.hal.allocate_dma(layout)?;
            world.memory.regions.insert(region.device_address.0, region);
            Ok(region)
        })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        world::with(|world| {
            assert!(!world.memory.queue_is_lent, "memory is freed that the device has");
            // SAFETY: passed on.
            unsafe { world.memory.hal.free_dma(region) };
            world.memory.regions.remove(&region.device_address.0);
        });
    }

    unsafe fn map(&self, buffer: NonNull<[u8]>, direction: Direction) -> Result<DeviceAddress, MapError> {
        world::with(|world| {
            // SAFETY: passed on.
            let address = unsafe { world.memory.hal.map(buffer, direction) }?;
            world.memory.mappings.insert(address.0, (buffer, direction));
            Ok(address)
        })
    }

    unsafe fn unmap(&self, address: DeviceAddress, buffer: NonNull<[u8]>, direction: Direction) {
        world::with(|world| {
            let is_lent = world.memory.lent_buffers.contains(&address.0);
            assert!(!is_lent, "a buffer is unmapped that the device has");
            // SAFETY: passed on.
            unsafe { world.memory.hal.unmap(address, buffer, direction) };
            world.memory.mappings.remove(&address.0);
        });
    }
}

/// A buffer of the kernel's.
#[derive(Debug)]
pub(crate) struct Buffer(NonNull<[u8]>);

impl Buffer {
    /// A buffer of `len` bytes.
    pub(crate) fn new(len: usize) -> Self {
        let bytes = NonNull::from(Box::leak(vec![0; len].into_boxed_slice()));
        world::with(|world| world.memory.buffers.insert(bytes));
        Self(bytes)
    }
}

// SAFETY: the bytes are leaked from a box, so they are exclusive and stay in place until `drop`, or the end of a life that has forgotten them.
unsafe impl DmaBuffer for Buffer {
    fn bytes(&mut self) -> NonNull<[u8]> {
        self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let is_known = world::with(|world| world.memory.buffers.remove(&self.0));
        assert!(is_known, "a buffer is dropped twice");
        // SAFETY: the value that owns the bytes ends here.
        unsafe { free(self.0) };
    }
}

/// # Safety
/// The bytes were leaked by [`Buffer::new`], and are freed once.
unsafe fn free(bytes: NonNull<[u8]>) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(bytes.as_ptr()) });
}

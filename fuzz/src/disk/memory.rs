//! Memory: the test platform, watched. Nothing may be released while the disk has it.
//!
//! Spec: §2.4, §2.6. A queue's memory is the device's from when it learns of it to a confirmed reset; a buffer, while an honest device holds its chain. What a dropped queue leaks on purpose is swept up after each
//! input, so that a fuzzer can run for days.

use std::alloc::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;

use virtio_guest::hal::{DeviceAddress, Direction, DmaBuffer, DmaError, DmaRegion, Domain, Hal, MapError};
use virtio_guest::raw::MappedBuffer;
use virtio_model::chain::Chain;
use virtio_test_hal::TestHal;

use super::world;

/// What requests carry.
pub(crate) type Load = MappedBuffer<WatchedHal, Buffer>;

/// All memory of one input, and who has it.
#[derive(Default)]
pub(crate) struct Memory {
    /// The test platform's books, which see that nothing is freed or unmapped twice, or as something else than it was.
    pub(crate) hal: TestHal,
    /// Each region, and whether the device knows of it.
    regions: BTreeMap<u64, (DmaRegion, bool)>,
    mappings: BTreeMap<u64, (NonNull<[u8]>, Direction)>,
    buffers: BTreeSet<NonNull<[u8]>>,
    /// Buffers of requests that the device has not said to have done.
    denied: BTreeSet<usize>,
    /// The device may have written anywhere, so that it may have said anything.
    pub(crate) is_forged: bool,
}

impl Memory {
    /// The device learns of a queue: it has all memory that there is.
    pub(crate) fn lend(&mut self) {
        self.regions.values_mut().for_each(|(_, is_lent)| *is_lent = true);
    }

    /// The device was reset, and has nothing any more.
    pub(crate) fn return_all(&mut self) {
        self.regions.values_mut().for_each(|(_, is_lent)| *is_lent = false);
    }

    /// The device returns a request, and does not say that it was done.
    pub(crate) fn deny(&mut self, chain: &Chain) {
        let mappings = chain.segments.iter().filter_map(|segment| {
            let (start, (bytes, _)) = self.mappings.range(..=segment.addr).next_back()?;
            (segment.addr - start < bytes.len() as u64).then(|| bytes.addr().get())
        });
        self.denied.extend(mappings);
    }

    /// Whether a request with this buffer may have been done.
    pub(crate) fn may_be_done(&self, buffer: usize) -> bool {
        self.is_forged || !self.denied.contains(&buffer)
    }

    /// A range of what is shared with the device: its address and length.
    pub(crate) fn shared_range(&self, choice: usize) -> Option<(u64, usize)> {
        let regions = self.regions.iter().map(|(address, (region, _))| (*address, region.layout.size()));
        let mappings = self.mappings.iter().map(|(address, (bytes, _))| (*address, bytes.len()));
        let count = self.regions.len() + self.mappings.len();
        regions.chain(mappings).nth(choice.checked_rem(count)?)
    }

    /// Nothing is allocated, mapped, or in anybody's hands.
    pub(crate) fn assert_all_returned(&self) {
        let left = (self.hal.dma_regions(), self.hal.mapped_buffers(), self.hal.space.mapped_count());
        assert_eq!(left, (0, 0, 0), "regions and mappings are left after the reset");
        assert!(self.buffers.is_empty(), "a buffer is lost");
    }

    /// Frees what was leaked: its device is no more.
    pub(crate) fn sweep(&mut self) {
        for (address, (bytes, direction)) in std::mem::take(&mut self.mappings) {
            // SAFETY: as it was mapped, and undone here once; nobody is left who would.
            unsafe { self.hal.unmap(DeviceAddress(address), bytes, direction) };
        }
        for (region, _) in std::mem::take(&mut self.regions).into_values() {
            // SAFETY: as it was allocated, and freed here once; nobody is left who would.
            unsafe { self.hal.free_dma(region) };
        }
        for bytes in std::mem::take(&mut self.buffers) {
            // SAFETY: its owner is gone, without dropping it.
            unsafe { free(bytes) };
        }
    }
}

/// The platform of the current input.
#[derive(Clone, Debug)]
pub(crate) struct WatchedHal;

// SAFETY: each call is passed on to the test platform, which keeps the promises; there is one at a time, and a value is used for its input only.
unsafe impl Hal for WatchedHal {
    fn domain(&self) -> Domain {
        world::with(|world| world.memory.hal.domain())
    }

    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        world::with(|world| {
            let region = world.memory.hal.allocate_dma(layout)?;
            world.memory.regions.insert(region.device_address.0, (region, false));
            Ok(region)
        })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        world::with(|world| {
            let known = world.memory.regions.remove(&region.device_address.0);
            let (_, is_lent) = known.expect("memory is freed once");
            assert!(!is_lent, "memory is freed that the device has");
            // SAFETY: passed on.
            unsafe { world.memory.hal.free_dma(region) };
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
            let is_lent = world.device.is_honest && world.device.holds(address.0);
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

// SAFETY: the bytes are the value's own, wherever it is.
unsafe impl Send for Buffer {}

impl Buffer {
    /// A buffer with these bytes.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let bytes = NonNull::from(Box::leak(bytes.into_boxed_slice()));
        world::with(|world| world.memory.buffers.insert(bytes));
        Self(bytes)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: they are the value's own, and it is not mapped for a device, or nobody could look at it.
        unsafe { self.0.as_ref() }
    }

    /// Which one it is.
    pub(crate) fn id(&self) -> usize {
        self.0.addr().get()
    }
}

// SAFETY: the bytes are leaked from a box, so they are exclusive and stay in place until `drop`, or the end of an input that has forgotten them.
unsafe impl DmaBuffer for Buffer {
    fn bytes(&mut self) -> NonNull<[u8]> {
        self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let is_known = world::with(|world| {
            world.memory.denied.remove(&self.id());
            world.memory.buffers.remove(&self.0)
        });
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

//! A `Hal` with addresses of its own, which bounces every buffer and counts.
//!
//! See the crate's head for what it shows.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use virtio_guest::hal::{DeviceAddress, Direction, DmaError, DmaRegion, Domain, Hal, MapError};
use virtio_model::memory::AddressSpace;

use crate::domain::OwnDomain;

/// The first device address that is handed out: beyond any pointer of a test process, and above 4 GiB.
const FIRST_ADDRESS: u64 = 0x5_0000_0000_0000;
const PAGE: u64 = 4096;

struct Ledger {
    next_address: u64,
    allocations_left: Option<usize>,
    maps_left: Option<usize>,
    regions: BTreeMap<u64, Layout>,
    bounces: BTreeMap<u64, Bounce>,
    is_translated: bool,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            next_address: FIRST_ADDRESS,
            allocations_left: None,
            maps_left: None,
            regions: BTreeMap::new(),
            bounces: BTreeMap::new(),
            is_translated: false,
        }
    }
}

struct Bounce {
    pointer: NonNull<u8>,
    layout: Layout,
    direction: Direction,
}

// SAFETY: the ledger owns the bounce buffers, whichever thread holds its lock.
unsafe impl Send for Bounce {}

impl std::fmt::Debug for TestHal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestHal")
    }
}

/// The test platform's memory. Clones share one domain.
#[derive(Clone)]
pub struct TestHal {
    /// What the device can reach.
    pub space: AddressSpace,
    ledger: Arc<Mutex<Ledger>>,
    domain: Arc<OwnDomain>,
}

impl Default for TestHal {
    /// Memory in a domain of its own.
    fn default() -> Self {
        Self { space: AddressSpace::new(), ledger: Arc::default(), domain: Arc::new(OwnDomain::new()) }
    }
}

impl TestHal {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Regions of DMA memory that are allocated.
    pub fn dma_regions(&self) -> usize {
        self.ledger().regions.len()
    }

    /// Where regions of DMA memory of so many bytes are, for the device.
    pub fn dma_addresses(&self, bytes: usize) -> Vec<u64> {
        let ledger = self.ledger();
        ledger
            .regions
            .iter()
            .filter(|(_, layout)| layout.size() == bytes)
            .map(|(address, _)| *address)
            .collect()
    }

    /// Buffers that are mapped.
    pub fn mapped_buffers(&self) -> usize {
        self.ledger().bounces.len()
    }

    /// Lets only so many more allocations of DMA memory succeed.
    pub fn limit_allocations(&self, left: usize) {
        self.ledger().allocations_left = Some(left);
    }

    /// Lets only so many more mappings succeed.
    pub fn limit_maps(&self, left: usize) {
        self.ledger().maps_left = Some(left);
    }

    /// Gives what is allocated or mapped from now on device addresses from `address` on, for devices that cannot reach any address.
    pub fn put_memory_at(&self, address: u64) {
        self.ledger().next_address = address;
    }

    /// From now on its addresses are those of an IOMMU, and no physical ones.
    pub fn translate(&self) {
        self.ledger().is_translated = true;
    }

    /// Nothing is allocated, mapped or was ever accessed wrongly by the device.
    pub fn assert_all_returned(&self) {
        assert_eq!(self.dma_regions(), 0, "DMA memory is left allocated");
        assert_eq!(self.mapped_buffers(), 0, "buffers are left mapped");
        assert_eq!(self.space.mapped_count(), 0, "the device can still reach memory");
        assert!(self.space.faults().is_empty(), "{:?}", self.space.faults());
    }
}

fn spend(left: &mut Option<usize>) -> bool {
    match left {
        None => true,
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
    }
}

impl Ledger {
    /// Device addresses for so many bytes, with a hole behind them, on a page of their own.
    fn addresses(&mut self, layout: Layout) -> u64 {
        let address = self.next_address.next_multiple_of(PAGE.max(layout.align() as u64));
        self.next_address = address + (layout.size() as u64).next_multiple_of(PAGE) + PAGE;
        address
    }
}

// SAFETY: memory comes from the global allocator, zeroed and exclusive; it is freed by `free_dma` or `unmap` alone, whatever
// becomes of the `Hal` values; device addresses are pages of their own, mapped in the model's address space for as long.
unsafe impl Hal for TestHal {
    fn domain(&self) -> Domain {
        self.domain.get()
    }

    fn addresses_are_physical(&self) -> bool {
        !self.ledger().is_translated
    }

    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        let mut ledger = self.ledger();
        if !spend(&mut ledger.allocations_left) || layout.size() == 0 {
            return Err(DmaError);
        }
        // SAFETY: the size is not zero.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(DmaError)?;
        let address = ledger.addresses(layout);
        ledger.regions.insert(address, layout);
        // SAFETY: valid until `free_dma`, and accessed atomically by both sides.
        unsafe { self.space.map(address, pointer, layout.size(), true, true) };
        Ok(DmaRegion { pointer, device_address: DeviceAddress(address), layout })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        let layout = self.ledger().regions.remove(&region.device_address.0);
        assert_eq!(layout, Some(region.layout), "freed once, as it was allocated");
        assert!(self.space.unmap(region.device_address.0), "the device could reach it until now");
        // SAFETY: from `alloc_zeroed` with this layout, given back once.
        unsafe { dealloc(region.pointer.as_ptr(), region.layout) };
    }

    unsafe fn map(&self, buffer: NonNull<[u8]>, direction: Direction) -> Result<DeviceAddress, MapError> {
        let mut ledger = self.ledger();
        if !spend(&mut ledger.maps_left) {
            return Err(MapError);
        }
        let layout = Layout::from_size_align(buffer.len(), 64).map_err(|_| MapError)?;
        // SAFETY: buffers are not empty.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(MapError)?;
        if direction == Direction::DeviceReadable {
            // SAFETY: the caller promised a valid buffer; the bounce buffer is as long, and new.
            unsafe { pointer.copy_from_nonoverlapping(buffer.cast(), buffer.len()) };
        }
        let address = ledger.addresses(layout);
        ledger.bounces.insert(address, Bounce { pointer, layout, direction });
        let readable = direction == Direction::DeviceReadable;
        // SAFETY: valid until `unmap`, and reached by nobody but the device.
        unsafe { self.space.map(address, pointer, buffer.len(), readable, !readable) };
        Ok(DeviceAddress(address))
    }

    unsafe fn unmap(&self, address: DeviceAddress, buffer: NonNull<[u8]>, direction: Direction) {
        let bounce = self.ledger().bounces.remove(&address.0);
        let Bounce { pointer, layout, direction: mapped } = bounce.expect("unmapped once");
        assert_eq!((layout.size(), mapped), (buffer.len(), direction), "unmapped as it was mapped");
        assert!(self.space.unmap(address.0), "the device could reach it until now");
        if direction == Direction::DeviceWritable {
            // SAFETY: the caller promised a valid buffer; the device no longer reaches the bounce buffer.
            unsafe { buffer.cast().copy_from_nonoverlapping(pointer, buffer.len()) };
        }
        // SAFETY: from `alloc_zeroed` with this layout, given back once.
        unsafe { dealloc(pointer.as_ptr(), layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn map(hal: &TestHal, buffer: &mut [u8], direction: Direction) -> DeviceAddress {
        // SAFETY: the tests keep the buffer, and use it again only after `unmap`.
        unsafe { hal.map(NonNull::from(buffer), direction) }.unwrap()
    }

    fn unmap(hal: &TestHal, address: DeviceAddress, buffer: &mut [u8], direction: Direction) {
        // SAFETY: as it was mapped, or else it panics before anything is touched.
        unsafe { hal.unmap(address, NonNull::from(buffer), direction) };
    }

    #[test]
    fn what_the_device_writes_is_there_after_the_mapping_was_undone_and_not_before() {
        let hal = TestHal::default();
        let mut buffer = [1; 8];
        let address = map(&hal, &mut buffer, Direction::DeviceWritable);

        hal.space.write(address.0, &[2; 8]).unwrap();
        assert_eq!(buffer, [1; 8]);
        unmap(&hal, address, &mut buffer, Direction::DeviceWritable);

        assert_eq!(buffer, [2; 8]);
        hal.assert_all_returned();
    }

    #[test]
    fn the_device_is_kept_to_direction_bounds_and_lifetime() {
        let hal = TestHal::default();
        let mut buffer = [1; 8];
        let address = map(&hal, &mut buffer, Direction::DeviceWritable);

        assert!(hal.space.read(address.0, &mut [0; 8]).is_err(), "it may only write");
        assert!(hal.space.write(address.0 + 1, &[0; 8]).is_err(), "and no further");
        unmap(&hal, address, &mut buffer, Direction::DeviceWritable);
        assert!(hal.space.write(address.0, &[0; 8]).is_err(), "and no longer");

        assert_eq!(hal.space.faults().len(), 3);
    }

    #[test]
    fn a_mapping_is_undone_once_and_as_it_was_made() {
        let hal = TestHal::default();
        let mut buffer = [1; 8];
        for (direction, len) in [(Direction::DeviceWritable, 8), (Direction::DeviceReadable, 7)] {
            let address = map(&hal, &mut buffer, Direction::DeviceReadable);
            let wrong =
                catch_unwind(AssertUnwindSafe(|| unmap(&hal, address, &mut buffer[..len], direction)));
            assert!(wrong.is_err(), "{direction:?}, {len} bytes");
        }
        let address = map(&hal, &mut buffer, Direction::DeviceReadable);
        unmap(&hal, address, &mut buffer, Direction::DeviceReadable);
        let again = catch_unwind(AssertUnwindSafe(|| {
            unmap(&hal, address, &mut buffer, Direction::DeviceReadable);
        }));
        assert!(again.is_err());
    }

    #[test]
    fn memory_is_zeroed_aligned_for_both_sides_and_freed_once() {
        let hal = TestHal::default();
        let layout = Layout::from_size_align(100, 16384).unwrap();
        let region = hal.allocate_dma(layout).unwrap();
        assert!(
            region.pointer.addr().get().is_multiple_of(16384)
                && region.device_address.0.is_multiple_of(16384)
        );
        let mut bytes = [1; 100];
        hal.space.read(region.device_address.0, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 100]);

        // SAFETY: given back once; the second time panics before anything is touched.
        let free = || unsafe { hal.free_dma(region) };
        free();
        assert!(catch_unwind(AssertUnwindSafe(free)).is_err());
        hal.assert_all_returned();
    }

    #[test]
    fn what_is_limited_runs_out() {
        let hal = TestHal::default();
        let layout = Layout::new::<u64>();
        hal.limit_allocations(1);
        let region = hal.allocate_dma(layout).unwrap();
        assert_eq!(hal.allocate_dma(layout), Err(DmaError));
        // SAFETY: given back once.
        unsafe { hal.free_dma(region) };

        hal.limit_maps(0);
        // SAFETY: nothing is mapped.
        assert_eq!(unsafe { hal.map(NonNull::from(&mut [0; 4]), Direction::DeviceReadable) }, Err(MapError));
        hal.assert_all_returned();
    }
}

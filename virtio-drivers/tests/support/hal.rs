//! A `Hal` that gives device addresses of its own, bounces every buffer, and keeps a ledger.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use virtio_guest::hal::{DeviceAddress, Direction, DmaError, DmaRegion, Domain, Hal, MapError};
use virtio_model::memory::AddressSpace;

/// The first device address that is handed out: beyond any pointer of a test process, and above 4 GiB.
const FIRST_ADDRESS: u64 = 0x5_0000_0000_0000;
const PAGE: u64 = 4096;

struct Ledger {
    next_address: u64,
    allocations_left: Option<usize>,
    maps_left: Option<usize>,
    dma_regions: usize,
    bounces: BTreeMap<u64, Bounce>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            next_address: FIRST_ADDRESS,
            allocations_left: None,
            maps_left: None,
            dma_regions: 0,
            bounces: BTreeMap::new(),
        }
    }
}

struct Bounce {
    pointer: NonNull<u8>,
    layout: Layout,
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
    domain: Domain,
}

impl Default for TestHal {
    /// Memory in a domain of its own.
    fn default() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let domain = Domain(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { space: AddressSpace::new(), ledger: Arc::default(), domain }
    }
}

impl TestHal {
    /// Regions of DMA memory that are allocated.
    pub fn dma_regions(&self) -> usize {
        self.ledger.lock().unwrap().dma_regions
    }

    /// Buffers that are mapped.
    pub fn mapped_buffers(&self) -> usize {
        self.ledger.lock().unwrap().bounces.len()
    }

    /// Lets only so many more allocations of DMA memory succeed.
    pub fn limit_allocations(&self, left: usize) {
        self.ledger.lock().unwrap().allocations_left = Some(left);
    }

    /// Lets only so many more mappings succeed.
    pub fn limit_maps(&self, left: usize) {
        self.ledger.lock().unwrap().maps_left = Some(left);
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
        self.domain
    }

    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        let mut ledger = self.ledger.lock().unwrap();
        if !spend(&mut ledger.allocations_left) || layout.size() == 0 {
            return Err(DmaError);
        }
        // SAFETY: the size is not zero.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(DmaError)?;
        let address = ledger.addresses(layout);
        ledger.dma_regions += 1;
        // SAFETY: valid until `free_dma`, and accessed atomically by both sides.
        unsafe { self.space.map(address, pointer, layout.size(), true, true) };
        Ok(DmaRegion { pointer, device_address: DeviceAddress(address), layout })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        assert!(self.space.unmap(region.device_address.0), "freed once");
        self.ledger.lock().unwrap().dma_regions -= 1;
        // SAFETY: from `alloc_zeroed` with this layout, given back once.
        unsafe { dealloc(region.pointer.as_ptr(), region.layout) };
    }

    unsafe fn map(&self, buffer: NonNull<[u8]>, direction: Direction) -> Result<DeviceAddress, MapError> {
        let mut ledger = self.ledger.lock().unwrap();
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
        ledger.bounces.insert(address, Bounce { pointer, layout });
        let readable = direction == Direction::DeviceReadable;
        // SAFETY: valid until `unmap`, and reached by nobody but the device.
        unsafe { self.space.map(address, pointer, buffer.len(), readable, !readable) };
        Ok(DeviceAddress(address))
    }

    unsafe fn unmap(&self, address: DeviceAddress, buffer: NonNull<[u8]>, direction: Direction) {
        assert!(self.space.unmap(address.0), "unmapped once");
        let Bounce { pointer, layout } =
            self.ledger.lock().unwrap().bounces.remove(&address.0).expect("mapped");
        assert_eq!(layout.size(), buffer.len(), "unmapped as it was mapped");
        if direction == Direction::DeviceWritable {
            // SAFETY: the caller promised a valid buffer; the device no longer reaches the bounce buffer.
            unsafe { buffer.cast().copy_from_nonoverlapping(pointer, buffer.len()) };
        }
        // SAFETY: from `alloc_zeroed` with this layout, given back once.
        unsafe { dealloc(pointer.as_ptr(), layout) };
    }
}

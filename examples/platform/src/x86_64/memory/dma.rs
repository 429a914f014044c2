//! What the drivers ask of a kernel: memory for devices, and windows onto their registers.
//!
//! This kernel's memory is mapped at its physical addresses, every device reaches all of it, and there is no IOMMU. So an address means the same to
//! everybody, and mapping a buffer is nothing. A kernel with virtual memory translates here; one with an IOMMU programs it, as `iommu/domain.rs` does.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use virtio_guest::hal::{
    DeviceAddress, Direction, DmaError, DmaRegion, Hal, MapError, MapMmio, RegisterWindow,
};

use super::{DMA_POOL, paging};

/// This kernel's memory, as devices see it.
#[derive(Clone, Copy, Debug)]
pub struct Dma;

/// The one value of [`Dma`].
pub const DMA: Dma = Dma;

// SAFETY: the pool's memory is physical memory that nothing else lies in; pointers and physical addresses are the same numbers, device accesses are
// coherent on this architecture, and nothing is taken back but by `free_dma`.
unsafe impl Hal for Dma {
    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        let pointer = DMA_POOL.lock().allocate_first_fit(layout).map_err(|()| DmaError)?;
        // SAFETY: the pool just gave away that many bytes.
        unsafe { ptr::write_bytes(pointer.as_ptr(), 0, layout.size()) };
        Ok(DmaRegion { pointer, device_address: DeviceAddress(pointer.addr().get() as u64), layout })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        // SAFETY: the caller gives back what the pool gave away, once.
        unsafe { DMA_POOL.lock().deallocate(region.pointer, region.layout) };
    }

    unsafe fn map(&self, buffer: NonNull<[u8]>, _: Direction) -> Result<DeviceAddress, MapError> {
        Ok(DeviceAddress(buffer.addr().get() as u64))
    }

    unsafe fn unmap(&self, _: DeviceAddress, _: NonNull<[u8]>, _: Direction) {}
}

/// Maps device registers, uncached, at their physical addresses.
#[derive(Clone, Copy, Debug)]
pub struct Mmio;

/// The one value of [`Mmio`].
pub const MMIO: Mmio = Mmio;

// SAFETY: the window is mapped uncached, at exactly the physical address, and never unmapped.
unsafe impl MapMmio for Mmio {
    unsafe fn map_mmio(&self, physical_address: u64, size_bytes: usize) -> Option<RegisterWindow> {
        let end = physical_address.checked_add(size_bytes as u64)?;
        paging::map_device_memory(physical_address, end)?;
        NonNull::new(physical_address as *mut u8).map(RegisterWindow::Memory)
    }
}

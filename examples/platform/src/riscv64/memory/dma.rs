//! What the drivers ask of a kernel: memory for devices, and windows onto their registers.
//!
//! This kernel's memory is mapped at its physical addresses, every device reaches all of it, and there is no IOMMU. So an address means the same to
//! everybody, and mapping a buffer is nothing. A kernel with virtual memory translates here; one with an IOMMU programs it here.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use virtio_guest::hal::{
    DeviceAddress, Direction, DmaError, DmaRegion, Hal, MapError, MapMmio, RegisterWindow,
};

use super::DMA_POOL;
use super::paging::{self, WRITABLE};
use crate::device_tree;

/// This kernel's memory, as devices see it.
#[derive(Clone, Copy, Debug)]
pub struct Dma;

/// The one value of [`Dma`].
pub const DMA: Dma = Dma;

// SAFETY: the pool's memory is physical memory that nothing else lies in; pointers and physical addresses are the same numbers, device accesses are
// coherent on this machine, and nothing is taken back but by `free_dma`.
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

/// Maps device registers, at their physical addresses.
#[derive(Clone, Copy, Debug)]
pub struct Mmio;

/// The one value of [`Mmio`].
pub const MMIO: Mmio = Mmio;

// SAFETY: the window is mapped at exactly the physical address, has no ordinary memory in it, and is never unmapped; registers are not cached (a property of
// their place).
unsafe impl MapMmio for Mmio {
    unsafe fn map_mmio(&self, physical_address: u64, size_bytes: usize) -> Option<RegisterWindow> {
        let end = physical_address.checked_add(size_bytes as u64)?;
        let window = NonNull::new(physical_address as *mut u8)?;
        if !super::is_no_memory(physical_address, end) {
            return None;
        }
        paging::map(physical_address, end, WRITABLE)?;
        Some(RegisterWindow::Memory(window))
    }

    /// Ports are behind a window of memory here.
    unsafe fn map_ports(&self, port: u32, size_bytes: usize) -> Option<RegisterWindow> {
        let ports = device_tree::pci_host()?.ports()?;
        let physical_address = ports.memory_address(port.into(), size_bytes as u64)?;
        // SAFETY: the caller's promise.
        unsafe { self.map_mmio(physical_address, size_bytes) }
    }
}

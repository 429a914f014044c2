//! What the drivers ask of a kernel: memory for devices, and windows onto their registers.
//!
//! This kernel's memory is mapped at its physical addresses, every device reaches all of it, and there is no IOMMU. So an address means the same to
//! everybody, and mapping a buffer is nothing. A kernel with virtual memory translates here; one with an IOMMU programs it, as `x86_64/iommu/domain.rs` does.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use virtio_guest::hal::{
    DeviceAddress, Direction, DmaError, DmaRegion, Hal, MapError, MapMmio, RegisterWindow,
};

use crate::heap::DMA_POOL;
use crate::machine::memory;

/// This kernel's memory, as devices see it.
#[derive(Clone, Copy, Debug)]
pub struct Dma;

/// The one value of [`Dma`].
pub const DMA: Dma = Dma;

// SAFETY: the pool's memory is physical memory that nothing else lies in; pointers and physical addresses are the same numbers, device accesses are
// coherent on these machines (on Arm and RISC-V the device tree says `dma-coherent`), and nothing is taken back but by `free_dma`.
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

/// Maps device registers at their physical addresses.
#[derive(Clone, Copy, Debug)]
pub struct Mmio;

/// The one value of [`Mmio`].
pub const MMIO: Mmio = Mmio;

// SAFETY: the window is mapped as device memory (uncached), at exactly the physical address, and never unmapped; ordinary memory is not mapped so, whoever says that registers
// are there.
unsafe impl MapMmio for Mmio {
    unsafe fn map_mmio(&self, physical_address: u64, size_bytes: usize) -> Option<RegisterWindow> {
        memory::map_registers(physical_address, size_bytes).map(RegisterWindow::Memory)
    }

    /// Where processors have no instructions for ports, the PCI host has a window of memory behind which they are.
    #[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
    unsafe fn map_ports(&self, port: u32, size_bytes: usize) -> Option<RegisterWindow> {
        let ports = crate::device_tree::pci_host()?.ports()?;
        let address = ports.memory_address(port.into(), size_bytes as u64)?;
        memory::map_registers(address, size_bytes).map(RegisterWindow::Memory)
    }
}

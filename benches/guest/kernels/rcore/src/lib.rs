//! What crate `virtio-drivers` (rcore) asks of a kernel, on the platform that ours is measured on: the same memory, the same registers.

#![no_std]
#![cfg(target_arch = "x86_64")]

extern crate alloc;

pub mod waiting;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::alloc::Layout;
use core::ptr::NonNull;

use example_platform::pci::PciAccess;
use example_platform::{DMA, MMIO};
use pci_types::{ConfigRegionAccess, PciAddress};
use rcore::transport::pci::PciTransport;
use rcore::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
use rcore::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};
use virtio_guest::hal::{DeviceAddress, DmaRegion, Hal as _, MapMmio, RegisterWindow};

/// The platform, as it wants it.
#[derive(Debug)]
pub struct Platform;

fn layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap_or(Layout::new::<()>())
}

// SAFETY: memory of the platform's pool, at pointers that are physical addresses, zeroed, and nobody else's until it is given back; registers are mapped for good.
unsafe impl Hal for Platform {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        match DMA.allocate_dma(layout(pages)) {
            Ok(region) => (region.device_address.0, region.pointer),
            Err(_) => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(address: PhysAddr, pointer: NonNull<u8>, pages: usize) -> i32 {
        let region = DmaRegion { pointer, device_address: DeviceAddress(address), layout: layout(pages) };
        // SAFETY: the caller gives back what it was given, once.
        unsafe { DMA.free_dma(region) };
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, size: usize) -> NonNull<u8> {
        // SAFETY: the caller says that registers are there.
        match unsafe { MMIO.map_mmio(address, size) } {
            Some(RegisterWindow::Memory(pointer)) => pointer,
            _ => NonNull::dangling(),
        }
    }

    #[inline]
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().addr().get() as PhysAddr
    }

    #[inline]
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// Configuration space, as it wants it.
struct Configuration;

fn address(function: DeviceFunction) -> PciAddress {
    PciAddress::new(0, function.bus, function.device, function.function)
}

impl ConfigurationAccess for Configuration {
    fn read_word(&self, function: DeviceFunction, offset: u8) -> u32 {
        // SAFETY: one processor, and nobody else uses this function's configuration space.
        unsafe { PciAccess.read(address(function), offset.into()) }
    }

    fn write_word(&mut self, function: DeviceFunction, offset: u8, data: u32) {
        // SAFETY: as above.
        unsafe { PciAccess.write(address(function), offset.into(), data) };
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}

/// Opens the device at an address.
///
/// # Errors
/// What it says.
pub fn open(at: PciAddress) -> Result<PciTransport, String> {
    let mut root = PciRoot::new(Configuration);
    let function = DeviceFunction { bus: at.bus(), device: at.device(), function: at.function() };
    root.set_command(function, Command::MEMORY_SPACE | Command::BUS_MASTER);
    PciTransport::new::<Platform, _>(&mut root, function).map_err(|error| error.to_string())
}

/// Memory that is the program's for ever.
pub fn buffer(bytes: usize) -> &'static mut [u8] {
    Box::leak(alloc::vec![0; bytes].into_boxed_slice())
}

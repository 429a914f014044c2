//! A bus with one physical function on it, and its virtual ones.
//!
//! PCI Express Base Specification, chapter 9. Nothing here judges: what a driver does wrong is the model's to say.

use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};
use virtio_guest::raw::{PciFunction, PhysicalFunction, VirtualFunction, VirtualFunctionMemory};
use virtio_model::pci::SrIovDevice;

use crate::pci::bytes;

/// Where the physical function is on the bus.
const ADDRESS: (u16, u8, u8, u8) = (0, 1, 0, 0);

fn physical_address() -> PciAddress {
    let (segment, bus, slot, function) = ADDRESS;
    PciAddress::new(segment, bus, slot, function)
}

/// Configuration space of the physical function and its virtual ones.
#[derive(Clone)]
pub struct Segment(SrIovDevice);

fn routing_id(address: PciAddress) -> u16 {
    u16::from(address.bus()) << 8 | u16::from(address.device()) << 3 | u16::from(address.function())
}

impl ConfigRegionAccess for Segment {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        self.0.config_read(routing_id(address), offset)
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        self.0.config_write(routing_id(address), offset, value);
    }
}

/// Claims the physical function's SR-IOV capability.
///
/// A second claim confuses the device and whoever has them, and nothing else.
pub fn claim_capability(device: &SrIovDevice) -> PhysicalFunction<Segment> {
    // SAFETY: the function is modelled, and where its virtual functions answer is nobody else's business.
    unsafe { PhysicalFunction::claim(Segment(device.clone()), physical_address()) }
}

/// Claims the physical function for a driver.
pub fn claim_physical(device: &SrIovDevice) -> PciFunction<Segment> {
    // SAFETY: the function is modelled; it reaches memory through an `AddressSpace` alone, which has in it what is allocated or mapped.
    unsafe { PciFunction::claim(Segment(device.clone()), physical_address()) }
}

/// Claims a virtual function for a driver. If it is disabled, its driver finds no device.
pub fn claim_virtual(device: &SrIovDevice, function: &VirtualFunction) -> PciFunction<Segment> {
    // SAFETY: as above.
    unsafe { PciFunction::claim_virtual(Segment(device.clone()), function) }
}

/// Addresses for virtual functions: there is nothing at any of them.
pub fn memory(memory_32: core::ops::Range<u64>, memory_64: core::ops::Range<u64>) -> VirtualFunctionMemory {
    // SAFETY: the addresses are the model's own.
    unsafe { VirtualFunctionMemory::new(memory_32, memory_64) }
}

/// Maps the virtual functions' BARs: calls instead of loads and stores.
pub struct VirtualMapper(pub SrIovDevice);

struct Window {
    device: SrIovDevice,
    address: u64,
}

// SAFETY: each access goes to the modelled device, as it is.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        match self.device.memory_at(self.address + offset as u64) {
            Some((function, bar, offset)) => function.bar_read(bar, offset, bytes(width)),
            None => u32::MAX >> (32 - 8 * width.bytes()),
        }
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        if let Some((function, bar, offset)) = self.device.memory_at(self.address + offset as u64) {
            function.bar_write(bar, offset, bytes(width), value);
        }
    }
}

// SAFETY: the window is made of calls; there is no memory behind it.
unsafe impl MapMmio for VirtualMapper {
    unsafe fn map_mmio(&self, physical_address: u64, _: usize) -> Option<RegisterWindow> {
        let window = Window { device: self.0.clone(), address: physical_address };
        Some(RegisterWindow::Handler(Box::leak(Box::new(window))))
    }
}

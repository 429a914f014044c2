//! PCI as the driver sees it, with a modelled function behind it.

use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};
use virtio_guest::raw::PciFunction;
use virtio_model::pci::PciDevice;

/// Where the modelled function is on the bus.
const ADDRESS: (u16, u8, u8, u8) = (0, 0, 4, 0);

/// Configuration space with one function in it.
pub struct ConfigSpace(PciDevice);

impl ConfigRegionAccess for ConfigSpace {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        assert_eq!((address.segment(), address.bus(), address.device(), address.function()), ADDRESS);
        self.0.config_read(offset)
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        assert_eq!((address.segment(), address.bus(), address.device(), address.function()), ADDRESS);
        self.0.config_write(offset, value);
    }
}

/// Claims the modelled function.
pub fn claim(device: &PciDevice) -> PciFunction<ConfigSpace> {
    let (segment, bus, slot, function) = ADDRESS;
    // SAFETY: the function is modelled, and each test claims its own.
    unsafe { PciFunction::claim(ConfigSpace(device.clone()), PciAddress::new(segment, bus, slot, function)) }
}

/// Maps the modelled function's BARs: calls instead of loads and stores.
pub struct Mapper(pub PciDevice);

struct Window {
    device: PciDevice,
    address: u64,
}

// SAFETY: each access goes to the modelled device, as it is.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        match self.device.memory_bar_at(self.address + offset as u64) {
            Some((bar, offset)) => self.device.bar_read(bar, offset, width.bytes() as u8),
            None => u32::MAX >> (32 - 8 * width.bytes()),
        }
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        if let Some((bar, offset)) = self.device.memory_bar_at(self.address + offset as u64) {
            self.device.bar_write(bar, offset, width.bytes() as u8, value);
        }
    }
}

// SAFETY: the window is made of calls; there is no memory behind it.
unsafe impl MapMmio for Mapper {
    unsafe fn map_mmio(&self, physical_address: u64, _: usize) -> Option<RegisterWindow> {
        let window = Window { device: self.0.clone(), address: physical_address };
        Some(RegisterWindow::Handler(Box::leak(Box::new(window))))
    }
}

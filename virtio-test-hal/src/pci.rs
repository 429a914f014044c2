//! PCI as a driver sees it, with a modelled function behind it.
//!
//! Spec: §4.1 Virtio Over PCI Bus. Nothing here judges: what a driver does wrong is the model's to say.

use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::{AccessWidth, MapMmio, MsiMessage, RegisterHandler, RegisterWindow};
use virtio_guest::raw::PciFunction;
use virtio_model::pci::PciDevice;

/// Where the modelled function is on the bus.
const ADDRESS: (u16, u8, u8, u8) = (0, 0, 4, 0);

/// Configuration space with one function in it: the modelled one.
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

/// Claims the modelled function for a driver, as a kernel does after its bus scan.
///
/// A second claim is a second driver of one device, which confuses driver and device, and nothing else.
pub fn claim(device: &PciDevice) -> PciFunction<ConfigSpace> {
    let (segment, bus, slot, function) = ADDRESS;
    // SAFETY: the function is modelled, and its BARs decode its own registers. Whatever a driver tells the device, the device
    // reaches memory through an `AddressSpace` alone, which has in it what is allocated or mapped, for as long as it is.
    unsafe { PciFunction::claim(ConfigSpace(device.clone()), PciAddress::new(segment, bus, slot, function)) }
}

/// Where modelled functions send their messages.
pub const MESSAGE_ADDRESS: u64 = 0x1_fee0_0000;

/// A message of the modelled machine, which has an interrupt controller that takes any 32 bits.
pub const fn message(data: u32) -> MsiMessage {
    // SAFETY: a modelled function writes nothing anywhere when it sends a message: the model keeps it for the test to see.
    unsafe { MsiMessage::new(MESSAGE_ADDRESS, data) }
}

/// Maps the modelled function's BARs, in memory and in I/O space: calls instead of loads and stores. Windows live as long as the test process, as those
/// of a kernel do.
pub struct Mapper(pub PciDevice);

struct Window {
    device: PciDevice,
    address: u64,
    is_ports: bool,
}

impl Window {
    /// The BAR that decodes the register at `offset`, and where in it that is.
    fn place(&self, offset: usize) -> Option<(u8, u64)> {
        let address = self.address.checked_add(offset as u64)?;
        if self.is_ports { self.device.io_bar_at(address) } else { self.device.memory_bar_at(address) }
    }

    fn leak(self) -> RegisterWindow {
        RegisterWindow::Handler(Box::leak(Box::new(self)))
    }
}

pub(crate) const fn bytes(width: AccessWidth) -> u8 {
    match width {
        AccessWidth::Byte => 1,
        AccessWidth::Word => 2,
        AccessWidth::Long => 4,
    }
}

// SAFETY: each access goes to the modelled device, as it is.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        match self.place(offset) {
            Some((bar, offset)) => self.device.bar_read(bar, offset, bytes(width)),
            None => u32::MAX >> (32 - 8 * width.bytes()),
        }
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        if let Some((bar, offset)) = self.place(offset) {
            self.device.bar_write(bar, offset, bytes(width), value);
        }
    }
}

// SAFETY: the window is made of calls; there is no memory behind it.
unsafe impl MapMmio for Mapper {
    unsafe fn map_mmio(&self, physical_address: u64, _: usize) -> Option<RegisterWindow> {
        Some(Window { device: self.0.clone(), address: physical_address, is_ports: false }.leak())
    }

    unsafe fn map_ports(&self, port: u32, _: usize) -> Option<RegisterWindow> {
        Some(Window { device: self.0.clone(), address: port.into(), is_ports: true }.leak())
    }
}

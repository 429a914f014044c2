//! Several modelled functions, behind bridges too, as a kernel reaches them.
//!
//! PCI Local Bus Specification 3.0, chapter 6. Registers are reached by the addresses that software gave, through the windows of bridges: if those are wrong, nobody answers.

use core::ops::Range;

use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};
use virtio_guest::raw::{Apertures, PciFunction, PciSegment};
use virtio_model::pci::{Bus, Space};

use crate::pci::bytes;

/// The configuration space of all functions of a modelled bus.
#[derive(Clone)]
pub struct BusAccess(Bus);

fn place(address: PciAddress) -> (u8, u8, u8) {
    (address.bus(), address.device(), address.function())
}

impl ConfigRegionAccess for BusAccess {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        self.0.config_read(place(address), offset)
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        self.0.config_write(place(address), offset, value);
    }
}

/// The configuration space of a modelled bus, for a walk along it.
pub fn segment(bus: &Bus) -> PciSegment<BusAccess> {
    // SAFETY: the bus is all that there is of the modelled machine's, and gives all ones where no function is.
    unsafe { PciSegment::new(BusAccess(bus.clone()), 0) }
}

/// Addresses for the functions of modelled buses: memory below 4 GiB, memory anywhere, ports.
pub const fn apertures(memory_32: Range<u64>, memory_64: Range<u64>, ports: Range<u32>) -> Apertures {
    // SAFETY: the modelled machine has nothing but its functions at any address; taking one's addresses away while it is in use confuses its driver, and nothing else.
    unsafe { Apertures::new(memory_32, memory_64, ports) }
}

/// Claims a function of a modelled bus for a driver.
pub fn claim_on(bus: &Bus, address: PciAddress) -> PciFunction<BusAccess> {
    // SAFETY: as for `claim`: the function is modelled, and whatever a driver tells it, it reaches memory through an `AddressSpace` alone.
    unsafe { PciFunction::claim(BusAccess(bus.clone()), address) }
}

/// Maps registers of functions on a modelled bus: calls that go down the bus, by address.
pub struct BusMapper(pub Bus);

struct Window {
    bus: Bus,
    space: Space,
    address: u64,
}

// SAFETY: each access goes to the modelled function that decodes the address, as it is.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        match self.bus.decoding(self.space, self.address + offset as u64) {
            Some((device, bar, offset)) => device.bar_read(bar, offset, bytes(width)),
            None => u32::MAX >> (32 - 8 * width.bytes()),
        }
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        if let Some((device, bar, offset)) = self.bus.decoding(self.space, self.address + offset as u64) {
            device.bar_write(bar, offset, bytes(width), value);
        }
    }
}

impl BusMapper {
    fn window(&self, space: Space, address: u64) -> RegisterWindow {
        let window = Window { bus: self.0.clone(), space, address };
        RegisterWindow::Handler(Box::leak(Box::new(window)))
    }
}

// SAFETY: the windows are made of calls; there is no memory behind them.
unsafe impl MapMmio for BusMapper {
    unsafe fn map_mmio(&self, physical_address: u64, _: usize) -> Option<RegisterWindow> {
        Some(self.window(Space::Memory, physical_address))
    }

    unsafe fn map_ports(&self, port: u32, _: usize) -> Option<RegisterWindow> {
        Some(self.window(Space::Ports, port.into()))
    }
}

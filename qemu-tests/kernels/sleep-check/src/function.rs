//! The function that the disk is, and how it loses its power: by a reset of the bus behind its port, after which nothing is left of its configuration.
//!
//! PCI-to-PCI Bridge Architecture Specification 1.2, §3.2.5.18 (bridge control, secondary bus reset); PCI Express Base Specification, §6.6.1 Conventional Reset. What BARs had as addresses is the
//! kernel's to remember, as the bridge above keeps its windows.

use example_platform::interrupts::Sleep;
use example_platform::pci::{self, PciAccess};
use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::Patience;

/// Where a function has its command register and its BARs.
const COMMAND: u16 = 0x04;
const BARS: [u16; 6] = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24];
/// Commands to decode addresses, and to access memory; and what of a BAR is no address.
const COMMANDS: u32 = 0b111;
const BAR_KIND: u32 = 0xf;
/// Where a bridge has what it controls.
const CONTROL: u16 = 0x3c;
const BUS_RESET: u32 = 1 << 22;
/// How long a reset lasts at least, and how long functions may take afterwards.
const RESET_MILLIS: u64 = 2;
const RECOVERY_MILLIS: u64 = 100;

/// A function, and the port above it.
pub struct Function {
    address: PciAddress,
    port: PciAddress,
}

fn read(address: PciAddress, offset: u16) -> u32 {
    // SAFETY: a function that the walk along the buses found; the offsets are in its header, which is read without side effects.
    unsafe { PciAccess.read(address, offset) }
}

fn wait(millis: u64) {
    let mut wait = Sleep::within_millis(millis);
    while wait.keep_waiting() {}
}

impl Function {
    /// `None` if there is no port above it.
    pub fn find(address: PciAddress) -> Option<Self> {
        let port = pci::port_above(address)?;
        Some(Self { address, port })
    }

    /// Where it is on the bus.
    pub fn address(&self) -> PciAddress {
        self.address
    }

    /// What its BARs have.
    pub fn addresses(&self) -> [u32; 6] {
        BARS.map(|bar| read(self.address, bar))
    }

    /// Whether it knows an address of its own, or decodes any, or may access memory.
    pub fn has_configuration(&self) -> bool {
        let has_address = self.addresses().iter().any(|bar| bar & !BAR_KIND != 0);
        has_address || read(self.address, COMMAND) & COMMANDS != 0
    }

    /// Takes its power, and gives it back.
    pub fn lose_power(&self) {
        let control = read(self.port, CONTROL);
        for (control, millis) in
            [(control | BUS_RESET, RESET_MILLIS), (control & !BUS_RESET, RECOVERY_MILLIS)]
        {
            // SAFETY: the port is this program's, and so is the one function behind it, which has no driver now.
            unsafe { PciAccess.write(self.port, CONTROL, control) };
            wait(millis);
        }
    }

    /// Gives its BARs addresses: those that they had, which the port still passes on.
    pub fn give_addresses(&self, addresses: [u32; 6]) {
        for (bar, address) in BARS.into_iter().zip(addresses) {
            // SAFETY: the function has no driver and decodes nothing; nobody else has these addresses.
            unsafe { PciAccess.write(self.address, bar, address) };
        }
    }
}

//! One PCI function's configuration space, claimed by one driver.
//!
//! Spec: §4.1.2 PCI Device Discovery; PCI Local Bus Specification 3.0, chapter 6. Access itself is the kernel's, through `pci_types`.

use core::fmt;

use pci_types::{ConfigRegionAccess, PciAddress};

use super::physical_function::VirtualFunction;

/// The configuration space of one function, ours alone.
///
/// Opening it ([`PciTransport::open`](crate::transport::pci::PciTransport::open)) spends it, and is the only way to its
/// registers: a second handle on them could point a device that is up at any memory.
///
/// ```compile_fail,E0603
/// # fn example<A: pci_types::ConfigRegionAccess>(mut function: virtio_guest::raw::PciFunction<A>) {
/// let registers_for_later = virtio_guest::raw::memory_bars(&mut function);
/// # }
/// ```
pub struct PciFunction<A> {
    access: A,
    address: PciAddress,
    /// What is known of a virtual function.
    virtual_function: Option<VirtualFunction>,
}

impl<A> fmt::Debug for PciFunction<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PciFunction").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The 16-bit command register and the 16-bit status register share one aligned 32-bit word.
const COMMAND_AND_STATUS: u8 = 0x04;

impl<A: ConfigRegionAccess> PciFunction<A> {
    /// Claims a function for a driver.
    ///
    /// # Safety
    /// - `access` reads and writes the configuration space of the machine that this code runs on, and `address` names a function in it. Where no
    ///   function answers any more it reads all ones, and at offsets from 256 on that it does not reach (the ports 0xcf8 and 0xcfc do not).
    /// - Nobody else drives that function, or writes its configuration space, until the driver is gone.
    /// - The function's BARs, if they have addresses, decode nothing but its own registers.
    /// - Every [`Hal`](crate::hal::Hal) value that the function is driven with speaks for the domain that its memory accesses go through.
    pub const unsafe fn claim(access: A, address: PciAddress) -> Self {
        Self { access, address, virtual_function: None }
    }

    /// Claims a virtual function for a driver: its ids and BARs are in its physical function's configuration space.
    ///
    /// # Safety
    /// - As for [`claim`](PciFunction::claim), where the address is the virtual function's.
    /// - The virtual function is enabled, and stays so until the driver is gone.
    pub const unsafe fn claim_virtual(access: A, virtual_function: &VirtualFunction) -> Self {
        Self { access, address: virtual_function.address(), virtual_function: Some(*virtual_function) }
    }

    /// What is known of it, if it is a virtual function.
    pub(crate) const fn virtual_function(&self) -> Option<&VirtualFunction> {
        self.virtual_function.as_ref()
    }

    /// Vendor id and device id.
    pub(crate) fn ids(&self) -> (u16, u16) {
        if let Some(function) = &self.virtual_function {
            return (function.vendor_id(), function.device_id());
        }
        let ids = self.read(0);
        ((ids & 0xffff) as u16, (ids >> 16) as u16)
    }

    /// Where the function is on the bus.
    pub const fn address(&self) -> PciAddress {
        self.address
    }

    /// Reads the 32-bit word at `offset` of the first 256 bytes (the low two bits of the offset are ignored).
    pub fn read(&self, offset: u8) -> u32 {
        // SAFETY: claiming promised a function at the address; the offset is aligned and inside of every function's space. Reading has no side effects, but for the
        // data field of the access capability, which reads a register of the same function, as its driver may.
        unsafe { self.access.read(self.address, u16::from(offset & !3)) }
    }

    /// Reads the 32-bit word at `offset` of all 4096 bytes, as far as there are so many.
    pub(crate) fn read_extended(&self, offset: u16) -> u32 {
        // SAFETY: as for reading the first 256 bytes; there are capabilities behind them, or nothing.
        unsafe { self.access.read(self.address, offset & 0xffc) }
    }

    /// Writes the 32-bit word at `offset`.
    pub(crate) fn write(&mut self, offset: u8, value: u32) {
        // SAFETY: as for reading, and nobody else writes. What this crate writes are command bits, MSI-X's switch, the access
        // capability and, with decoding off, BARs.
        unsafe { self.access.write(self.address, u16::from(offset & !3), value) };
    }

    /// The command register.
    pub(crate) fn command(&self) -> u16 {
        (self.read(COMMAND_AND_STATUS) & 0xffff) as u16
    }

    /// Whether nobody answers for the function any more. Its command register has bits that are always 0, those of virtual functions too, whose ids read all ones.
    ///
    /// PCI Local Bus Specification 3.0, §6.1 (all ones without a function), §6.2.2 Device Control.
    pub(crate) fn is_gone(&self) -> bool {
        self.command() == u16::MAX
    }

    /// Writes the command register.
    ///
    /// `pci_types` offers 32-bit accesses only, so zeros go to the status register beside it, whose bits are cleared by ones.
    pub(crate) fn set_command(&mut self, command: u16) {
        self.write(COMMAND_AND_STATUS, u32::from(command));
    }
}

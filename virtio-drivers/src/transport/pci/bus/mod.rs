//! The PCI buses: which functions there are, behind bridges too, and addresses for them where no firmware gave any.
//!
//! PCI Local Bus Specification 3.0, chapter 6; PCI-to-PCI Bridge Architecture Specification 1.2. Needed by kernels that have no bus scan of their own; nothing in the
//! drivers depends on it.
//!
//! ```no_run
//! # use pci_types::ConfigRegionAccess;
//! use virtio_guest::raw::{PciFunction, PciSegment};
//! use virtio_guest::transport::AnyTransport;
//! use virtio_guest::transport::pci::bus::Bus;
//! use virtio_guest::wire::device_type::DeviceType;
//! # fn disks(pci: impl ConfigRegionAccess + Clone, mapper: &impl virtio_guest::hal::MapMmio) -> Result<(), Box<dyn core::error::Error>> {
//!
//! // SAFETY: `pci` reaches this machine's configuration space.
//! let bus = Bus::new(unsafe { PciSegment::new(pci.clone(), 0) }, 0..=255);
//! for found in bus.functions().filter(|found| found.device_type() == Some(DeviceType::BLOCK)) {
//!     // SAFETY: the function is on the bus, and this is the only claim on it.
//!     let function = unsafe { PciFunction::claim(pci.clone(), found.address) };
//!     let transport = AnyTransport::open_pci(function, mapper)?;
//!     // ... to the driver ...
//!     # drop(transport);
//! }
//! # Ok(()) }
//! ```

mod assign;
mod walk;

pub use assign::Assigned;
pub use walk::{Found, Functions, LineAtRoot};

use core::ops::RangeInclusive;

use pci_types::ConfigRegionAccess;

use crate::raw::PciSegment;

/// Words of a function's header.
mod header {
    /// Vendor id and device id.
    pub(super) const ID: u8 = 0x00;
    /// Command and status; status bits are cleared by ones.
    pub(super) const COMMAND: u8 = 0x04;
    /// Revision and class.
    pub(super) const CLASS: u8 = 0x08;
    /// In its third byte: which header this is, and whether the device has several functions.
    pub(super) const KIND: u8 = 0x0c;
    /// The first BAR.
    pub(super) const FIRST_BAR: u8 = 0x10;
    /// Of a bridge: the bus before it, the one behind it, the last one behind that.
    pub(super) const BUSES: u8 = 0x18;
    /// Interrupt line and pin.
    pub(super) const INTERRUPT: u8 = 0x3c;

    /// In [`KIND`]: the device has more functions than the first.
    pub(super) const SEVERAL_FUNCTIONS: u8 = 0x80;
    /// The header of a bridge to another PCI bus.
    pub(super) const BRIDGE: u8 = 1;
    /// What the vendor id reads where no function is.
    pub(super) const NO_FUNCTION: u16 = 0xffff;
}

/// Devices on a bus, and functions of a device.
const DEVICES: u8 = 32;
const FUNCTIONS: u8 = 8;

/// The buses behind one host bridge.
#[derive(Debug)]
pub struct Bus<A> {
    segment: PciSegment<A>,
    buses: RangeInclusive<u8>,
}

impl<A: ConfigRegionAccess> Bus<A> {
    /// The buses with these numbers, of which the first is the host bridge's own. ACPI's MCFG table has them, or a device tree's `bus-range`.
    pub const fn new(segment: PciSegment<A>, buses: RangeInclusive<u8>) -> Self {
        Self { segment, buses }
    }

    /// How configuration space is reached.
    pub const fn access(&self) -> &A {
        self.segment.access()
    }
}

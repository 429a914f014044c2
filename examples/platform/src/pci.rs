//! The PCI bus: which functions there are, behind bridges too.
//!
//! PCI Local Bus Specification 3.0, chapter 6. Firmware has numbered the buses and given addresses to BARs before we run.

use alloc::vec::Vec;

use pci_types::{PciAddress, PciHeader, PciPciBridgeHeader};
use virtio_guest::raw::PciFunction;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::pci::device_type;

pub use crate::machine::pci_access::PciAccess;

/// A function on the bus.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Where it is.
    pub address: PciAddress,
    /// What it says it is.
    pub vendor_id: u16,
    /// As above.
    pub device_id: u16,
}

/// Lists every function on bus 0 and behind its bridges. (Machines with several root buses name them in ACPI's tables, which is more than the programs here need.)
pub fn functions() -> Vec<Found> {
    let mut found = Vec::new();
    let mut buses = alloc::vec![0u8];
    let mut next = 0;
    while let Some(&bus) = buses.get(next) {
        next += 1;
        for (device, function) in (0..32).flat_map(|device| (0..8).map(move |function| (device, function))) {
            let address = PciAddress::new(0, bus, device, function);
            let header = PciHeader::new(address);
            let (vendor_id, device_id) = header.id(PciAccess);
            if vendor_id == 0xffff || (function > 0 && !has_several_functions(bus, device)) {
                continue;
            }
            found.push(Found { address, vendor_id, device_id });
            if let Some(bridge) = PciPciBridgeHeader::from_header(header, PciAccess) {
                let behind = bridge.secondary_bus_number(PciAccess);
                if !buses.contains(&behind) {
                    buses.push(behind);
                }
            }
        }
    }
    found
}

fn has_several_functions(bus: u8, device: u8) -> bool {
    PciHeader::new(PciAddress::new(0, bus, device, 0)).has_multiple_functions(PciAccess)
}

/// Claims the first virtio device of a type.
///
/// # Safety
/// Nobody else drives that device.
pub unsafe fn claim_first(wanted: DeviceType) -> Option<PciFunction<PciAccess>> {
    let is_wanted = |found: &Found| device_type(found.vendor_id, found.device_id) == Some(wanted);
    let found = functions().into_iter().find(is_wanted)?;
    // SAFETY: the function is on this machine's bus, firmware gave it its addresses, and the caller promised the rest.
    Some(unsafe { PciFunction::claim(PciAccess, found.address) })
}

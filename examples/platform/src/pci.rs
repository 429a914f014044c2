//! The PCI buses: found through the machine's host bridge, and set up if no firmware did it.
//!
//! The walk along the buses, behind bridges too, is the library's ([`bus`](virtio_guest::transport::pci::bus)).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use spin::Once;
use virtio_guest::raw::{Apertures, PciSegment};
use virtio_guest::transport::pci::bus::{Bus, Found};

use crate::{machine, println};

pub use crate::machine::PciAccess;

/// Where PCI begins.
#[derive(Debug)]
pub struct PciHost {
    /// The numbers that its buses can have; the first is its own bus's.
    pub buses: RangeInclusive<u8>,
    /// Addresses for BARs, where no firmware has given any.
    pub apertures: Option<Apertures>,
}

/// All functions on the machine's PCI buses; none if it has no PCI.
pub fn functions() -> &'static [Found] {
    static FOUND: Once<Vec<Found>> = Once::new();
    FOUND.call_once(|| {
        let Some(host) = machine::pci_host() else { return Vec::new() };
        // SAFETY: this is the machine's configuration space.
        let segment = unsafe { PciSegment::new(PciAccess, 0) };
        let mut bus = Bus::new(segment, host.buses);
        if let Some(apertures) = host.apertures
            && !bus.is_assigned()
        {
            let assigned = bus.assign(apertures);
            println!(
                "PCI: addresses for {} BARs, buses up to {}; {} BARs without",
                assigned.bars, assigned.last_bus, assigned.left_out
            );
        }
        bus.functions().collect()
    })
}

//! The PCI buses: found through the machine's host bridge, and set up if no firmware did it.
//!
//! The walk along the buses, behind bridges too, is the library's ([`bus`](virtio_guest::transport::pci::bus)).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use pci_types::{ConfigRegionAccess, PciAddress};
use spin::Once;
use virtio_guest::raw::{Apertures, PciSegment};
use virtio_guest::transport::pci::bus::{Bus, Found};

use crate::{machine, println};

pub use crate::machine::PciAccess;

/// The class of bridges from PCI to PCI, and the word of their header with the buses before and behind them.
const BRIDGE: u32 = 0x06_0400;
const BUSES: u16 = 0x18;

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

/// The bridge, or port, that a function is behind; `None` for one on the root bus.
pub fn port_above(function: PciAddress) -> Option<PciAddress> {
    let bridges = functions().iter().filter(|found| found.class == BRIDGE);
    bridges.map(|found| found.address).find(|port| {
        // SAFETY: the walk along the buses found the bridge; reading its header has no side effects.
        let [_, behind, ..] = unsafe { PciAccess.read(*port, BUSES) }.to_le_bytes();
        behind == function.bus()
    })
}

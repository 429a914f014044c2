//! The walk along all functions, those behind bridges too.
//!
//! Bridges say which bus is behind them. They are not believed to tell the truth: each bus is visited once at most, and only if its number is higher than that of the bus
//! before it, as it is wherever buses were numbered.

use pci_types::{ConfigRegionAccess, PciAddress};

use super::{Bus, DEVICES, FUNCTIONS, header};
use crate::raw::PciSegment;
use crate::wire::device_type::DeviceType;
use crate::wire::pci::device_type;

/// A function on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub address: PciAddress,
    /// What it says it is.
    pub vendor_id: u16,
    /// As above.
    pub device_id: u16,
    /// Class, subclass and programming interface: 24 bits.
    pub class: u32,
    /// Where its interrupt line comes out, if it has one.
    pub line: Option<LineAtRoot>,
}

impl Found {
    /// The virtio device type that its ids stand for, modern or transitional; `None` if it is no virtio device.
    pub const fn device_type(&self) -> Option<DeviceType> {
        device_type(self.vendor_id, self.device_id)
    }
}

/// Where a function's interrupt line arrives at the host bridge: what interrupt maps of device trees and ACPI's routing tables are about.
///
/// Each bridge on the way connects pin p of its device d to its own pin (p + d) modulo 4 (PCI-to-PCI Bridge Architecture Specification 1.2, §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineAtRoot {
    /// The device on the root bus through which it arrives: its own, or the first bridge on the way down.
    pub device: u8,
    /// The pin at which it arrives there: 1 (INTA) to 4 (INTD).
    pub pin: u8,
    /// What firmware left in the function's Interrupt Line register.
    pub register: u8,
}

/// How a bus is reached from the root bus.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// The first bridge's device number; `None` for the root bus.
    root_device: Option<u8>,
    /// By how much the pins have turned.
    turns: u8,
}

/// All functions, in the order of their addresses. [`Bus::functions`] makes it.
#[derive(Debug)]
pub struct Functions<'b, A> {
    segment: &'b PciSegment<A>,
    last_bus: u8,
    ways: [Option<Way>; 256],
    /// The next place to look at; `None` behind the last one.
    place: Option<(u8, u8, u8)>,
}

impl<A: ConfigRegionAccess> Bus<A> {
    /// All functions on these buses that there is a way to.
    ///
    /// Work: reads configuration space, at most once for each of 256 functions on each bus that a bridge leads to.
    pub fn functions(&self) -> Functions<'_, A> {
        let (first, last) = (*self.buses.start(), *self.buses.end());
        let mut ways = [None; 256];
        if let Some(way) = ways.get_mut(usize::from(first)) {
            *way = Some(Way { root_device: None, turns: 0 });
        }
        Functions { segment: &self.segment, last_bus: last, ways, place: Some((first, 0, 0)) }
    }
}

impl<A: ConfigRegionAccess> Functions<'_, A> {
    fn way(&self, bus: u8) -> Option<Way> {
        self.ways.get(usize::from(bus)).copied().flatten()
    }

    /// The place behind this one, on this bus or the next one that there is a way to.
    fn after(&self, (bus, device, function): (u8, u8, u8), is_last_of_device: bool) -> Option<(u8, u8, u8)> {
        if !is_last_of_device && function + 1 < FUNCTIONS {
            return Some((bus, device, function + 1));
        }
        if device + 1 < DEVICES {
            return Some((bus, device + 1, 0));
        }
        let next = bus.checked_add(1)?;
        let next = (next..=self.last_bus).find(|bus| self.way(*bus).is_some())?;
        Some((next, 0, 0))
    }

    /// Notes that a bridge on `bus` leads to another one.
    fn note_bridge(&mut self, bus: u8, device: u8, address: PciAddress) {
        let [_, behind, ..] = self.segment.read(address, header::BUSES).to_le_bytes();
        let Some(way) = self.way(bus) else { return };
        let way = match way.root_device {
            None => Way { root_device: Some(device), turns: 0 },
            Some(_) => Way { turns: way.turns.wrapping_add(device), ..way },
        };
        if behind > bus
            && behind <= self.last_bus
            && let Some(place @ None) = self.ways.get_mut(usize::from(behind))
        {
            *place = Some(way);
        }
    }

    fn line(&self, bus: u8, device: u8, address: PciAddress) -> Option<LineAtRoot> {
        let [register, pin, ..] = self.segment.read(address, header::INTERRUPT).to_le_bytes();
        if !(1..=4).contains(&pin) {
            return None;
        }
        let way = self.way(bus)?;
        Some(match way.root_device {
            None => LineAtRoot { device, pin, register },
            Some(root) => {
                let turned = (pin - 1).wrapping_add(way.turns).wrapping_add(device) % 4;
                LineAtRoot { device: root, pin: turned + 1, register }
            }
        })
    }
}

impl<A: ConfigRegionAccess> Iterator for Functions<'_, A> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let (bus, device, function) = self.place?;
            let address = self.segment.address(bus, device, function);
            let id = self.segment.read(address, header::ID);
            let (vendor_id, device_id) = ((id & 0xffff) as u16, (id >> 16) as u16);
            if vendor_id == header::NO_FUNCTION {
                // A device without its first function is none.
                self.place = self.after((bus, device, function), function == 0);
                continue;
            }
            let [_, _, kind, _] = self.segment.read(address, header::KIND).to_le_bytes();
            if kind & !header::SEVERAL_FUNCTIONS == header::BRIDGE {
                self.note_bridge(bus, device, address);
            }
            let is_alone = function == 0 && kind & header::SEVERAL_FUNCTIONS == 0;
            self.place = self.after((bus, device, function), is_alone);
            let class = self.segment.read(address, header::CLASS) >> 8;
            let line = self.line(bus, device, address);
            return Some(Found { address, vendor_id, device_id, class, line });
        }
    }
}

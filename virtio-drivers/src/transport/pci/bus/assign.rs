//! Numbers for buses, addresses for BARs, windows for bridges: what firmware does, where there is firmware.
//!
//! PCI Local Bus Specification 3.0, §6.2.5; PCI-to-PCI Bridge Architecture Specification 1.2, §3.2.5. Depth first, each address aligned to its size, and nothing kept for what is
//! plugged in later:
//!
//! ```text
//!   bus 0:  function ─ BARs      bridge ─ BARs ─┬─ window ──────────────────────────┐
//!                                               │ bus 1:  function ─ BARs    ...    │
//!                                               └───────────────────────────────────┘
//! ```

use pci_types::{ConfigRegionAccess, PciAddress};

use super::super::space::Space;
use super::{Bus, DEVICES, FUNCTIONS, header};
use crate::raw::{Apertures, PciSegment};
use crate::wire::bar::{self, BARS};

/// BARs of a bridge.
const BRIDGE_BARS: u8 = 2;
/// Command register: ports, memory, master of the bus.
const DECODING: u32 = 0b011;
const BRIDGE_ON: u32 = 0b111;
/// As many bridges as may be one behind the other: each takes some stack.
const BRIDGES_MAX: u8 = 32;
/// A bridge's windows: what they are aligned to, and where they are.
const MEMORY_WINDOW: u64 = 1 << 20;
const PORT_WINDOW: u64 = 1 << 12;
const PORTS: u8 = 0x1c;
const MEMORY: u8 = 0x20;
const PREFETCHABLE: u8 = 0x24;
const PREFETCHABLE_BASE_HIGH: u8 = 0x28;
const PREFETCHABLE_LIMIT_HIGH: u8 = 0x2c;
const PORTS_HIGH: u8 = 0x30;

/// What was assigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    /// The last bus that got a number.
    pub last_bus: u8,
    /// BARs that have an address now.
    pub bars: usize,
    /// BARs that have none, since the aperture for them has no room. What is in them cannot be used, so virtio functions cannot be opened whose registers are there.
    pub left_out: usize,
}

impl<A: ConfigRegionAccess> Bus<A> {
    /// Whether some function's BAR has an address already: then firmware has been there, and addresses are not to be given anew.
    pub fn is_assigned(&self) -> bool {
        let has_address = |address, index| {
            let value = self.segment.read(address, header::FIRST_BAR + 4 * index);
            value & bar::MEMORY_ADDRESS != 0
        };
        let bars = |address| {
            let [_, _, kind, _] = self.segment.read(address, header::KIND).to_le_bytes();
            match kind & !header::SEVERAL_FUNCTIONS {
                0 => BARS,
                header::BRIDGE => BRIDGE_BARS,
                _ => 0,
            }
        };
        let addresses = self.functions().map(|found| found.address);
        addresses.into_iter().any(|address| (0..bars(address)).any(|index| has_address(address, index)))
    }

    /// Numbers the buses behind bridges, gives each BAR an address, and has bridges pass on what is behind them. Functions do not decode their BARs yet: opening one switches that on.
    ///
    /// Ownership: the apertures are spent. Assigned anew, functions would move away under their drivers.
    /// Work: reads and writes configuration space; bounded by 256 functions on each of the buses.
    #[expect(clippy::needless_pass_by_value, reason = "their promise holds once")]
    pub fn assign(&mut self, apertures: Apertures) -> Assigned {
        let (first, last) = (*self.buses.start(), *self.buses.end());
        let mut assigner = Assigner {
            segment: &self.segment,
            apertures: &apertures,
            last_bus: last,
            memory_32: Space::new(apertures.memory_32.start, apertures.memory_32.end.min(1 << 32)),
            memory_64: Space::new(apertures.memory_64.start, apertures.memory_64.end),
            // A BAR at port 0 has no address.
            ports: Space::new(
                u64::from(apertures.ports.start).max(PORT_WINDOW),
                apertures.ports.end.min(bar::PORTS_END).into(),
            ),
            assigned: Assigned { last_bus: first, bars: 0, left_out: 0 },
        };
        assigner.bus(first, Above { bridges: 0, wide: true });
        assigner.assigned
    }
}

/// What is between the root bus and another one.
#[derive(Clone, Copy, Debug)]
struct Above {
    bridges: u8,
    /// All of them pass prefetchable memory above 4 GiB on.
    wide: bool,
}

impl Above {
    const fn behind(self, is_wide: bool) -> Self {
        Self { bridges: self.bridges.saturating_add(1), wide: self.wide && is_wide }
    }
}

/// Where windows may start or end.
#[derive(Clone, Copy, Debug)]
struct Places {
    memory: u64,
    prefetchable: u64,
    ports: u64,
}

/// The functions on a bus, each with the kind of its header.
fn present<A: ConfigRegionAccess>(
    segment: &PciSegment<A>,
    bus: u8,
) -> impl Iterator<Item = (PciAddress, u8)> {
    let look = move |device, function| {
        let address = segment.address(bus, device, function);
        let is_there = segment.read(address, header::ID) & 0xffff != header::NO_FUNCTION.into();
        let [_, _, kind, _] = segment.read(address, header::KIND).to_le_bytes();
        is_there.then_some((address, kind))
    };
    (0..DEVICES).flat_map(move |device| {
        let functions = match look(device, 0) {
            Some((_, kind)) if kind & header::SEVERAL_FUNCTIONS != 0 => FUNCTIONS,
            Some(_) => 1,
            // A device without its first function is none.
            None => 0,
        };
        let found = (0..functions).filter_map(move |function| look(device, function));
        found.map(|(address, kind)| (address, kind & !header::SEVERAL_FUNCTIONS))
    })
}

struct Assigner<'b, A> {
    segment: &'b PciSegment<A>,
    apertures: &'b Apertures,
    last_bus: u8,
    memory_32: Space,
    memory_64: Space,
    ports: Space,
    assigned: Assigned,
}

impl<A: ConfigRegionAccess> Assigner<'_, A> {
    fn write(&self, address: PciAddress, offset: u8, value: u32) {
        self.segment.write(self.apertures, address, offset, value);
    }

    fn align_for_window(&mut self) -> Places {
        Places {
            memory: self.memory_32.align(MEMORY_WINDOW),
            prefetchable: self.memory_64.align(MEMORY_WINDOW),
            ports: self.ports.align(PORT_WINDOW),
        }
    }

    /// Does everything on a bus.
    ///
    /// Each bridge takes a number for the bus behind it, so this ends.
    fn bus(&mut self, bus: u8, above: Above) {
        for (address, kind) in present(self.segment, bus) {
            if kind == header::BRIDGE {
                // Whatever was behind it once: two bridges that lead to a bus of the same number would both answer.
                self.write(address, header::BUSES, 0);
            }
        }
        for (address, kind) in present(self.segment, bus) {
            match kind {
                0 => self.bars(address, BARS, above.wide),
                header::BRIDGE => {
                    self.bars(address, BRIDGE_BARS, above.wide);
                    self.bridge(address, bus, above);
                }
                _ => {}
            }
        }
    }

    /// Gives a function's BARs addresses.
    fn bars(&mut self, address: PciAddress, count: u8, wide: bool) {
        let command = self.segment.read(address, header::COMMAND) & 0xffff;
        self.write(address, header::COMMAND, command & !DECODING);
        let mut index = 0;
        while index < count {
            let offset = header::FIRST_BAR + 4 * index;
            self.write(address, offset, u32::MAX);
            let mask = self.segment.read(address, offset);
            let is_64 = bar::is_64_bit(mask) && index + 1 < count;
            index += if is_64 { 2 } else { 1 };
            if mask == 0 || mask == u32::MAX {
                continue;
            }
            let place = if bar::is_ports(mask) {
                bar::ports(mask).and_then(|ports| self.ports.take(ports.into()))
            } else {
                let high = is_64.then(|| {
                    self.write(address, offset + 4, u32::MAX);
                    self.segment.read(address, offset + 4)
                });
                let is_wide = is_64 && wide && bar::is_prefetchable(mask);
                bar::memory_bytes(mask, high).and_then(|bytes| {
                    let far = if is_wide { self.memory_64.take(bytes) } else { None };
                    far.or_else(|| self.memory_32.take(bytes))
                })
            };
            match place {
                Some(_) => self.assigned.bars += 1,
                None => self.assigned.left_out += 1,
            }
            let place = place.unwrap_or(0);
            self.write(address, offset, (place & 0xffff_ffff) as u32);
            if is_64 {
                self.write(address, offset + 4, (place >> 32) as u32);
            }
        }
    }

    /// Numbers the bus behind a bridge, does everything on it, and has the bridge pass that on.
    fn bridge(&mut self, address: PciAddress, bus: u8, above: Above) {
        if self.assigned.last_bus >= self.last_bus || above.bridges >= BRIDGES_MAX {
            // There is no number left, or no end to it. A bridge with number 0 behind it leads nowhere.
            self.write(address, header::BUSES, 0);
            return;
        }
        let behind = self.assigned.last_bus + 1;
        self.assigned.last_bus = behind;
        // Whatever is further behind is reached while it is being numbered.
        self.write(address, header::BUSES, u32::from_le_bytes([bus, behind, self.last_bus, 0]));
        let is_wide = self.segment.read(address, PREFETCHABLE) & 0xf == 1;

        let start = self.align_for_window();
        self.bus(behind, above.behind(is_wide));
        let end = self.align_for_window();

        self.write(address, header::BUSES, u32::from_le_bytes([bus, behind, self.assigned.last_bus, 0]));
        let memory = Window::new(start.memory, end.memory);
        let prefetchable = Window::new(start.prefetchable, end.prefetchable);
        let ports = Window::new(start.ports, end.ports);
        self.write(address, MEMORY, memory.in_halves());
        self.write(address, PREFETCHABLE, prefetchable.in_halves());
        self.write(address, PREFETCHABLE_BASE_HIGH, (prefetchable.base >> 32) as u32);
        self.write(address, PREFETCHABLE_LIMIT_HIGH, (prefetchable.limit >> 32) as u32);
        // The upper half of this word is a status register, whose bits are cleared by ones.
        self.write(address, PORTS, ports.in_bytes());
        self.write(address, PORTS_HIGH, 0);
        let command = self.segment.read(address, header::COMMAND) & 0xffff;
        self.write(address, header::COMMAND, command | BRIDGE_ON);
    }
}

/// Addresses that a bridge passes on: first and last. An empty window has its end before its start, in the bits for memory and in those for ports.
#[derive(Clone, Copy, Debug)]
struct Window {
    base: u64,
    limit: u64,
}

impl Window {
    const fn new(start: u64, end: u64) -> Self {
        if start < end { Self { base: start, limit: end - 1 } } else { Self { base: 0xfff0_f000, limit: 0 } }
    }

    /// Memory: bits 20 to 31 of both, each in the upper bits of a half.
    const fn in_halves(self) -> u32 {
        (self.base >> 16 & 0xfff0) as u32 | (self.limit & 0xfff0_0000) as u32
    }

    /// Ports: bits 12 to 15 of both, each in the upper bits of a byte.
    const fn in_bytes(self) -> u32 {
        (self.base >> 8 & 0xf0) as u32 | (self.limit & 0xf000) as u32
    }
}

//! Buses with functions on them, and bridges between them.
//!
//! PCI Local Bus Specification 3.0, chapter 3; PCI-to-PCI Bridge Architecture Specification 1.2. A configuration access goes to the bus that it names, by the bridges that lead there; an access
//! to memory or to a port goes to the function that decodes its address, through the windows of the bridges above. [`Bus::faults`] says what is wrong with the addresses that software gave.
//!
//! ```text
//!   Bus ── Segment ─┬─ Function::Device(PciDevice)
//!                   └─ Function::Bridge(Bridge) ── Segment ─┬─ ...
//! ```

use super::PciDevice;
use super::bridge::Bridge;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is at one place of a bus.
#[derive(Debug, Clone)]
pub enum Function {
    /// A function of an ordinary device.
    Device(PciDevice),
    /// A bridge, with what is behind it.
    Bridge(Box<Bridge>),
}

impl From<PciDevice> for Function {
    fn from(device: PciDevice) -> Self {
        Self::Device(device)
    }
}

impl From<Bridge> for Function {
    fn from(bridge: Bridge) -> Self {
        Self::Bridge(Box::new(bridge))
    }
}

/// One of the two address spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Memory.
    Memory,
    /// I/O space.
    Ports,
}

/// A BAR that has an address.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Device and function numbers on the way down from the root bus; the last are its own.
    pub path: Vec<(u8, u8)>,
    /// Which BAR of it.
    pub index: u8,
    /// Where the BAR is.
    pub space: Space,
    /// Its first address.
    pub first: u64,
    /// Its last address.
    pub last: u64,
}

/// The functions on one bus.
#[derive(Debug, Clone, Default)]
pub(super) struct Segment {
    functions: BTreeMap<(u8, u8), Function>,
}

impl Segment {
    pub(super) fn put(&mut self, device: u8, function: u8, what: Function) {
        assert!(device < 32 && function < 8, "no bus has a function {device}.{function}");
        self.functions.insert((device, function), what);
    }

    /// The functions on bus `target`, if there is a way from this one, whose number is `own`.
    fn on_bus(&mut self, own: u8, target: u8) -> Option<&mut Self> {
        if own == target {
            return Some(self);
        }
        let leads_there = |function: &&mut Function| match function {
            Function::Device(_) => false,
            Function::Bridge(bridge) => {
                let (behind, last) = bridge.buses();
                behind != 0 && (behind..=last).contains(&target)
            }
        };
        let mut leading = self.functions.values_mut().filter(leads_there);
        let (Some(Function::Bridge(bridge)), None) = (leading.next(), leading.next()) else {
            // None of them does; or several do, and their answers collide.
            return None;
        };
        if bridge.is_endless && bridge.behind.functions.is_empty() {
            bridge.behind.put(0, 0, Bridge::new().endless().into());
        }
        let behind = bridge.buses().0;
        bridge.behind.on_bus(behind, target)
    }

    /// All BARs with an address, here and behind bridges.
    fn placed(&self, above: &[(u8, u8)], into: &mut Vec<Placed>) {
        for (place, function) in &self.functions {
            let path = [above, &[*place]].concat();
            let mut add = |index, (space, first, last)| {
                into.push(Placed { path: path.clone(), index, space, first, last });
            };
            match function {
                Function::Device(device) => {
                    device.placed_bars().into_iter().for_each(|(index, bar)| add(index, bar));
                }
                Function::Bridge(bridge) => {
                    let bars =
                        (0..).zip(bridge.bars).filter_map(|(index, bar)| Some((index, bar?.placed()?)));
                    bars.for_each(|(index, bar)| add(index, bar));
                    bridge.behind.placed(&path, into);
                }
            }
        }
    }

    /// All bridges, with their paths.
    fn bridges<'s>(&'s self, above: &[(u8, u8)], into: &mut Vec<(Vec<(u8, u8)>, &'s Bridge)>) {
        for (place, function) in &self.functions {
            if let Function::Bridge(bridge) = function {
                let path = [above, &[*place]].concat();
                into.push((path.clone(), bridge));
                bridge.behind.bridges(&path, into);
            }
        }
    }

    /// The function that decodes an address, through bridges that pass it on.
    fn decoding(&self, space: Space, address: u64) -> Option<(PciDevice, u8, u64)> {
        self.functions.values().find_map(|function| match function {
            Function::Device(device) => {
                let found = match space {
                    Space::Memory => device.memory_bar_at(address),
                    Space::Ports => device.io_bar_at(address),
                };
                found.map(|(bar, offset)| (device.clone(), bar, offset))
            }
            Function::Bridge(bridge) if bridge.passes(space, address, address) => {
                bridge.behind.decoding(space, address)
            }
            Function::Bridge(_) => None,
        })
    }
}

/// The buses behind one host bridge; clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct Bus {
    number: u8,
    root: Arc<Mutex<Segment>>,
}

impl Bus {
    /// A root bus of this number, with nothing on it.
    pub fn new(number: u8) -> Self {
        Self { number, root: Arc::default() }
    }

    /// Puts something on the root bus.
    #[must_use]
    pub fn with(self, device: u8, function: u8, what: impl Into<Function>) -> Self {
        self.lock().put(device, function, what.into());
        self
    }

    fn lock(&self) -> MutexGuard<'_, Segment> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a double word of a function's configuration space; all ones if there is no function.
    pub fn config_read(&self, (bus, device, function): (u8, u8, u8), offset: u16) -> u32 {
        let mut root = self.lock();
        let segment = root.on_bus(self.number, bus);
        match segment.and_then(|segment| segment.functions.get(&(device, function))) {
            Some(Function::Device(device)) => device.config_read(offset),
            Some(Function::Bridge(bridge)) => bridge.config_read(offset),
            None => u32::MAX,
        }
    }

    /// Writes a double word of a function's configuration space.
    pub fn config_write(&self, (bus, device, function): (u8, u8, u8), offset: u16, value: u32) {
        let mut root = self.lock();
        let segment = root.on_bus(self.number, bus);
        match segment.and_then(|segment| segment.functions.get_mut(&(device, function))) {
            Some(Function::Device(device)) => device.config_write(offset, value),
            Some(Function::Bridge(bridge)) => bridge.config_write(offset, value),
            None => {}
        }
    }

    /// The function that decodes an address, its BAR, and the offset in that; bridges above must pass the address on.
    pub fn decoding(&self, space: Space, address: u64) -> Option<(PciDevice, u8, u64)> {
        self.lock().decoding(space, address)
    }

    /// All BARs that have an address.
    pub fn placed(&self) -> Vec<Placed> {
        let mut placed = Vec::new();
        self.lock().placed(&[], &mut placed);
        placed
    }

    /// What the bridge at `path` passes on: space, first and last address of each window that is open.
    ///
    /// # Panics
    /// If there is no bridge.
    pub fn windows(&self, path: &[(u8, u8)]) -> Vec<(Space, u64, u64)> {
        let root = self.lock();
        let mut bridges = Vec::new();
        root.bridges(&[], &mut bridges);
        let found = bridges.into_iter().find(|(at, _)| at == path);
        found.expect("there is a bridge").1.windows()
    }

    /// What is wrong with the addresses that software gave: BARs that overlap, that a bridge above does not pass on, or that a bridge beside passes on; windows beside
    /// each other that overlap, and bridges that do not let functions with an address reach memory.
    pub fn faults(&self) -> Vec<String> {
        let placed = self.placed();
        let root = self.lock();
        let mut bridges = Vec::new();
        root.bridges(&[], &mut bridges);
        let mut faults = Vec::new();
        for (at, one) in placed.iter().enumerate() {
            let Placed { path, index, space, first, last } = one;
            for other in &placed[at + 1..] {
                if other.space == *space && other.first <= *last && *first <= other.last {
                    faults.push(format!(
                        "BAR {index} of {path:?} overlaps BAR {} of {:?}",
                        other.index, other.path
                    ));
                }
            }
            for (bridge_path, bridge) in &bridges {
                let is_behind = path.len() > bridge_path.len() && path.starts_with(bridge_path);
                if is_behind && !bridge.passes(*space, *first, *last) {
                    faults.push(format!(
                        "{bridge_path:?} does not pass BAR {index} of {path:?} on: {first:#x}"
                    ));
                }
                if is_behind && !bridge.is_bus_master() {
                    faults.push(format!("{bridge_path:?} does not let {path:?} reach memory"));
                }
                if !is_behind && bridge.passes_some(*space, *first, *last) {
                    faults.push(format!(
                        "{bridge_path:?} passes BAR {index} of {path:?} on, which is beside it"
                    ));
                }
            }
        }
        for (at, (path, bridge)) in bridges.iter().enumerate() {
            for (other_path, other) in &bridges[at + 1..] {
                let is_behind = other_path.starts_with(path);
                for (space, first, last) in other.windows() {
                    if is_behind && !bridge.passes(space, first, last) {
                        faults.push(format!("{path:?} does not pass all of the window of {other_path:?} on"));
                    }
                    if !is_behind && bridge.passes_some(space, first, last) {
                        faults.push(format!("windows of {path:?} and {other_path:?} overlap"));
                    }
                }
            }
        }
        faults
    }
}

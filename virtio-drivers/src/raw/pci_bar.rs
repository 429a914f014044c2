//! Base address registers: where firmware or the kernel put a function's registers.
//!
//! Spec: §4.1.4 (which BARs a structure may be in); PCI Local Bus Specification 3.0, §6.2.5.1 for their encoding. A BAR tells its size only when
//! written with ones; memory decoding is off meanwhile, so that the function answers nowhere it should not.
//!
//! A [`MemoryBar`] is what register windows are made of: having one means that a claimed function decodes those addresses,
//! and that they are its driver's. It stays inside of the crate, for it outlives the claim that it was made from: whoever
//! had one of a device that is up could tell that device, in safe code, to use any memory.

use pci_types::ConfigRegionAccess;

use super::pci_function::PciFunction;
use super::registers::Registers;
use crate::hal::MapMmio;
use crate::wire::bar::{self, BARS};

/// Offset of the first BAR in configuration space; six of them, 4 bytes each.
const FIRST_BAR: u8 = 0x10;
/// Command register: the function answers I/O accesses, memory accesses.
const IO_AND_MEMORY_SPACE: u16 = 0b11;

/// A memory BAR with an address, of a claimed function.
#[derive(Debug)]
pub(crate) struct MemoryBar {
    address: u64,
    size_bytes: u64,
}

impl MemoryBar {
    /// Whether so many bytes from `offset` on are all inside.
    pub(crate) fn contains(&self, offset: u64, bytes: u64) -> bool {
        offset.checked_add(bytes).is_some_and(|end| end <= self.size_bytes)
    }

    /// The physical address of the byte at `offset`, which may be beyond its end.
    pub(crate) const fn physical_address(&self, offset: u64) -> u64 {
        self.address.wrapping_add(offset)
    }

    /// Has the kernel map `bytes` bytes from `offset` on; `None` if it cannot, or if they are not all inside.
    pub(crate) fn map(&self, mapper: &impl MapMmio, offset: u64, bytes: u32) -> Option<Registers> {
        if !self.contains(offset, bytes.into()) {
            return None;
        }
        // SAFETY: claiming the function promised that its BARs decode nothing but its own registers, which are the driver's; a function that lies about what they decode
        // is the mapper's to refuse.
        unsafe { Registers::map(mapper, self.physical_address(offset), usize::try_from(bytes).ok()?) }
    }
}

/// An I/O BAR with an address, of a claimed function. As with a [`MemoryBar`], having one means that its ports are the function's alone.
#[derive(Debug)]
pub(crate) struct PortBar {
    port: u32,
    size_bytes: u32,
}

impl PortBar {
    /// Its first port.
    pub(crate) const fn port(&self) -> u32 {
        self.port
    }

    /// Has the kernel make all of it reachable.
    pub(crate) fn map(&self, mapper: &impl MapMmio) -> Option<Registers> {
        // SAFETY: claiming the function promised that its BARs decode nothing but its own registers, which are the driver's.
        unsafe { Registers::map_ports(mapper, self.port, usize::try_from(self.size_bytes).ok()?) }
    }
}

/// Whether BAR 0 is one in I/O space, with an address or without.
pub(crate) fn has_port_bar<A: ConfigRegionAccess>(function: &PciFunction<A>) -> bool {
    bar::is_ports(function.read(FIRST_BAR)) && function.virtual_function().is_none()
}

/// Reads BAR 0 as one in I/O space; `None` if it is not, or has no address or an impossible one.
pub(crate) fn first_port_bar<A: ConfigRegionAccess>(function: &mut PciFunction<A>) -> Option<PortBar> {
    let value = function.read(FIRST_BAR);
    if !bar::is_ports(value) || function.virtual_function().is_some() {
        return None;
    }
    let command = function.command();
    function.set_command(command & !IO_AND_MEMORY_SPACE);
    let mask = probe(function, FIRST_BAR, value);
    function.set_command(command);

    let port = value & bar::PORT_ADDRESS;
    let size_bytes = bar::ports(mask)?;
    let fits = port.checked_add(size_bytes).is_some_and(|end| end <= bar::PORTS_END);
    (port != 0 && fits).then_some(PortBar { port, size_bytes })
}

/// All memory BARs of a function, each at its number. `None` for what is reserved, in I/O space, not implemented, without an address or with an impossible one,
/// and for the upper half of a 64-bit BAR, which is no BAR of its own. Those of virtual functions are where their physical function was told to have them.
pub(crate) fn memory_bars<A: ConfigRegionAccess>(
    function: &mut PciFunction<A>,
) -> [Option<MemoryBar>; BARS as usize] {
    if let Some(virtual_function) = function.virtual_function() {
        let memory_bar = |(address, size_bytes)| MemoryBar { address, size_bytes };
        return virtual_function.bars().map(|place| place.map(memory_bar));
    }
    let mut is_upper_half = false;
    [0, 1, 2, 3, 4, 5].map(|index| {
        if is_upper_half {
            is_upper_half = false;
            return None;
        }
        let low = function.read(FIRST_BAR + 4 * index);
        is_upper_half = bar::is_64_bit(low);
        memory_bar(function, index, low)
    })
}

/// Reads memory BAR `index`, which is below [`BARS`], and whose lower half reads `low`.
fn memory_bar<A: ConfigRegionAccess>(
    function: &mut PciFunction<A>,
    index: u8,
    low: u32,
) -> Option<MemoryBar> {
    let offset = FIRST_BAR + 4 * index;
    if bar::is_ports(low) {
        return None;
    }
    let is_64_bit = bar::is_64_bit(low);
    if is_64_bit && index + 1 >= BARS {
        return None;
    }

    let command = function.command();
    function.set_command(command & !IO_AND_MEMORY_SPACE);
    let low_mask = probe(function, offset, low);
    let (high, high_mask) = if is_64_bit {
        let high = function.read(offset + 4);
        (high, Some(probe(function, offset + 4, high)))
    } else {
        (0, None)
    };
    function.set_command(command);

    let address = u64::from(high) << 32 | u64::from(low & bar::MEMORY_ADDRESS);
    let size_bytes = bar::memory_bytes(low_mask, high_mask)?;
    let fits = address.checked_add(size_bytes).is_some();
    (address != 0 && fits).then_some(MemoryBar { address, size_bytes })
}

/// Which bits of a BAR can be written; the BAR keeps its value.
fn probe<A: ConfigRegionAccess>(function: &mut PciFunction<A>, offset: u8, value: u32) -> u32 {
    function.write(offset, u32::MAX);
    let writable = function.read(offset);
    function.write(offset, value);
    writable
}

//! Base address registers: where firmware or the kernel put a function's memory.
//!
//! Spec: §4.1.4 (which BARs a structure may be in); PCI Local Bus Specification 3.0, §6.2.5.1 for their encoding. A BAR tells its size only when
//! written with ones; memory decoding is off meanwhile, so that the function answers nowhere it should not.

use pci_types::ConfigRegionAccess;

use crate::raw::PciFunction;

/// Offset of the first BAR in configuration space; six of them, 4 bytes each.
const FIRST_BAR: u8 = 0x10;
/// Number of BARs in an ordinary function's header.
const BARS: u8 = 6;
/// Command register: the function answers I/O accesses, memory accesses.
const IO_AND_MEMORY_SPACE: u16 = 0b11;

const IO_SPACE: u32 = 1;
const MEMORY_TYPE: u32 = 0b110;
const MEMORY_TYPE_64: u32 = 0b100;
const MEMORY_ADDRESS: u32 = !0xf;

/// A memory BAR with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryBar {
    pub(super) address: u64,
    pub(super) size_bytes: u64,
}

/// Reads memory BAR `index`; `None` if it is reserved, in I/O space, not implemented, or has no address or an impossible one.
pub(super) fn memory_bar<A: ConfigRegionAccess>(
    function: &mut PciFunction<A>,
    index: u8,
) -> Option<MemoryBar> {
    if index >= BARS {
        return None;
    }
    let offset = FIRST_BAR + 4 * index;
    let low = function.read(offset);
    if low & IO_SPACE != 0 {
        return None;
    }
    let is_64_bit = low & MEMORY_TYPE == MEMORY_TYPE_64;
    if is_64_bit && index + 1 >= BARS {
        return None;
    }

    let command = function.command();
    function.set_command(command & !IO_AND_MEMORY_SPACE);
    let low_mask = probe(function, offset, low);
    let (high, high_mask) = if is_64_bit {
        let high = function.read(offset + 4);
        (high, probe(function, offset + 4, high))
    } else {
        (0, u32::MAX)
    };
    function.set_command(command);

    let address = u64::from(high) << 32 | u64::from(low & MEMORY_ADDRESS);
    let mask = u64::from(high_mask) << 32 | u64::from(low_mask & MEMORY_ADDRESS);
    let size_bytes = (!mask).wrapping_add(1);
    let fits = size_bytes.is_power_of_two() && address.checked_add(size_bytes).is_some();
    (address != 0 && low_mask != 0 && fits).then_some(MemoryBar { address, size_bytes })
}

/// Which bits of a BAR can be written; the BAR keeps its value.
fn probe<A: ConfigRegionAccess>(function: &mut PciFunction<A>, offset: u8, value: u32) -> u32 {
    function.write(offset, u32::MAX);
    let writable = function.read(offset);
    function.write(offset, value);
    writable
}

//! Base address registers, as they are encoded.
//!
//! PCI Local Bus Specification 3.0, §6.2.5.1. A register that was written with ones shows which of its bits can be written, and so how much it decodes.

/// BARs of an ordinary function's header, and of a physical function's capability for virtual ones; 4 bytes each, those of 64 bits take two.
pub(crate) const BARS: u8 = 6;
/// The bits that are a memory BAR's address, in its lower half.
pub(crate) const MEMORY_ADDRESS: u32 = !0xf;
/// The bits that are the address of a BAR of ports.
pub(crate) const PORT_ADDRESS: u32 = !0b11;
/// Addresses of ports have 16 bits: neither bridges nor BARs need to know more of them.
pub(crate) const PORTS_END: u32 = 1 << 16;

const IO_SPACE: u32 = 1;
const MEMORY_TYPE: u32 = 0b110;
const MEMORY_TYPE_64: u32 = 0b100;
const PREFETCHABLE: u32 = 0b1000;

/// Whether a BAR is one of ports; others are of memory.
pub(crate) const fn is_ports(value: u32) -> bool {
    value & IO_SPACE != 0
}

/// Whether it is one of memory that has 64 bits of address: the upper half is in the next register.
pub(crate) const fn is_64_bit(value: u32) -> bool {
    !is_ports(value) && value & MEMORY_TYPE == MEMORY_TYPE_64
}

/// Whether its memory, if it is one of memory, may be in a bridge's prefetchable window.
pub(crate) const fn is_prefetchable(value: u32) -> bool {
    value & PREFETCHABLE != 0
}

/// Bytes of memory that a BAR decodes, by the bits of both halves that can be written (`None`: it has 32 bits); `None` if that is none, or not possible.
pub(crate) fn memory_bytes(low: u32, high: Option<u32>) -> Option<u64> {
    let mask = u64::from(high.unwrap_or(u32::MAX)) << 32 | u64::from(low & MEMORY_ADDRESS);
    let bytes = (!mask).wrapping_add(1);
    (low != 0 && bytes.is_power_of_two()).then_some(bytes)
}

/// Ports that a BAR decodes, by the bits that can be written; `None` if that is none, or not possible. The upper 16 bits need not be there.
pub(crate) fn ports(mask: u32) -> Option<u32> {
    let ports = (!(mask & PORT_ADDRESS)).wrapping_add(1) & (PORTS_END - 1);
    ports.is_power_of_two().then_some(ports)
}

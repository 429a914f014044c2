//! Firmware's tables on machines without ACPI: processors, and the I/O APIC.
//!
//! MultiProcessor Specification 1.4, chapter 4. A structure on a 16-byte boundary, found by its signature, names a table of entries of several kinds.

use alloc::vec::Vec;
use core::ops::Range;
use core::slice;

use super::topology::{IoApicPlace, Topology};

/// Where the structure may be: the last KiB of the memory below 640 KiB, where firmware has its data area, and firmware itself.
const PLACES: [Range<usize>; 2] = [0x9_fc00..0xa_0000, 0xf_0000..0x10_0000];
const STRUCTURE_BYTES: usize = 16;

/// The table's head: its signature, its bytes as 16 bits at 4, its checksum at 7; entries begin behind it.
const HEAD_BYTES: usize = 44;

/// Kinds of entries. Those of processors are longer than all others.
const PROCESSOR: u8 = 0;
const IO_APIC: u8 = 2;
const PROCESSOR_BYTES: usize = 20;
const OTHER_BYTES: usize = 8;

/// Looks for the table, and reads it. Of several I/O APICs the first is used: the table does not number their pins through.
pub(super) fn topology() -> Option<Topology> {
    let mut entries = PLACES.into_iter().find_map(find)?;
    let mut topology = Topology { processors: Vec::new(), io_apics: Vec::new(), overrides: Vec::new() };
    while let Some(kind) = entries.first() {
        let bytes = if *kind == PROCESSOR { PROCESSOR_BYTES } else { OTHER_BYTES };
        let (entry, rest) = entries.split_at_checked(bytes)?;
        entries = rest;
        match *entry {
            [PROCESSOR, number, _, flags, ..] if flags & 1 != 0 => topology.processors.push(number),
            [IO_APIC, _, _, flags, a, b, c, d] if flags & 1 != 0 && topology.io_apics.is_empty() => {
                let address = u64::from(u32::from_le_bytes([a, b, c, d]));
                topology.io_apics.push(IoApicPlace { address, first_pin: 0 });
            }
            _ => {}
        }
    }
    Some(topology)
}

/// The table's entries, if a structure in this range of memory names a table.
fn find(place: Range<usize>) -> Option<&'static [u8]> {
    let structure = place.step_by(STRUCTURE_BYTES).map(|address| firmware_bytes(address, STRUCTURE_BYTES));
    let structure = { structure }.find(|bytes| bytes.starts_with(b"_MP_") && is_sound(bytes))?;
    let address = u32::from_le_bytes(structure.get(4..8)?.try_into().ok()?) as usize;
    let head =
        Some(address).filter(|address| *address != 0).map(|address| firmware_bytes(address, HEAD_BYTES))?;
    let bytes = usize::from(u16::from_le_bytes(head.get(4..6)?.try_into().ok()?));
    let table =
        Some(firmware_bytes(address, bytes)).filter(|table| table.starts_with(b"PCMP") && is_sound(table));
    table?.get(HEAD_BYTES..)
}

/// Whether the sum of all bytes is 0.
fn is_sound(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)) == 0
}

/// What firmware left in memory.
fn firmware_bytes(address: usize, bytes: usize) -> &'static [u8] {
    // SAFETY: physical memory below 4 GiB is mapped at its address, as far as addresses of 32 bits and a length of 16 bits go; where there is no memory, reads give
    // something. This kernel writes to none of firmware's.
    unsafe { slice::from_raw_parts(address as *const u8, bytes) }
}

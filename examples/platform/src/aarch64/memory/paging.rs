//! Page tables: blocks of 1 GiB and 2 MiB at their physical addresses, for memory and for device registers.
//!
//! Arm Architecture Reference Manual, D8.3 (descriptors, pages of 4 KiB). An address is mapped once and for good, and never as two kinds of memory, which the
//! architecture forbids. Tables come from a small reserve in the kernel's data, so that nothing else has to be there before.

use aarch64_cpu::asm::barrier;
use spin::Mutex;

const ENTRIES: usize = 512;
/// Bytes of a block of level 2, the smallest here.
pub(super) const BLOCK: u64 = 2 << 20;
/// Addresses have as many bits as the boot code told the processor.
const ADDRESS_END: u64 = 1 << 48;
/// As many tables as there can be beside the boot code's: some for memory, two for the buses of PCI, a few for devices.
const TABLES_MAX: usize = 16;

const VALID: u64 = 1;
const TABLE: u64 = 1 << 1;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 3 << 8;
const NEVER_EXECUTED: u64 = 3 << 53;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// What is at an address: the boot code's `MAIR_EL1` gives each kind a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u64);

impl Kind {
    /// Cached, shared by all processors.
    pub(super) const MEMORY: Self = Self(ACCESSED | INNER_SHAREABLE | NEVER_EXECUTED | VALID);
    /// Each access happens once, in order, with its own width; writes are acknowledged early.
    pub(super) const REGISTERS: Self = Self(1 << 2 | ACCESSED | NEVER_EXECUTED | VALID);
}

#[repr(C, align(4096))]
struct Table([u64; ENTRIES]);

unsafe extern "C" {
    /// The boot code's.
    static mut boot_level_0: Table;
}

/// Whoever holds this may change page tables: how many of the reserve are in use.
static USED: Mutex<usize> = Mutex::new(0);
static mut RESERVE: [Table; TABLES_MAX] = [const { Table([0; ENTRIES]) }; TABLES_MAX];

/// Maps all blocks from `start` up to `end`. `None` if they cannot be: the address is beyond those that there are, something of another kind is mapped
/// there, or the tables are used up.
pub(super) fn map(start: u64, end: u64, kind: Kind) -> Option<()> {
    if end > ADDRESS_END {
        return None;
    }
    let mut used = USED.lock();
    let mut address = start / BLOCK * BLOCK;
    while address < end {
        address = map_block(&mut used, address, end, kind)?;
    }
    // The tables are written before anything is accessed through them.
    barrier::dsb(barrier::ISHST);
    barrier::isb(barrier::SY);
    Some(())
}

/// Maps the largest block that begins at an address and ends up to `end`, and says where it ends.
fn map_block(used: &mut usize, address: u64, end: u64, kind: Kind) -> Option<u64> {
    let mut table = &raw mut boot_level_0;
    for level in 0..=2 {
        let shift = 39 - 9 * level;
        let index = (address >> shift) as usize % ENTRIES;
        // SAFETY: tables are mapped at their physical addresses, and the lock is held.
        let entry = unsafe { &mut (*table).0[index] };
        let block_end = (address >> shift << shift) + (1 << shift);
        let fits = level == 2 || level == 1 && address.is_multiple_of(1 << shift) && block_end <= end;
        match (*entry & VALID != 0, *entry & TABLE != 0) {
            (true, true) => table = (*entry & ADDRESS) as *mut Table,
            (true, false) if *entry & !ADDRESS == kind.0 => return Some(block_end),
            (true, false) => return None,
            (false, _) if fits => {
                *entry = address | kind.0;
                return Some(block_end);
            }
            (false, _) => {
                table = new_table(used)?;
                *entry = table as u64 | TABLE | VALID;
            }
        }
    }
    None
}

/// An empty table of the reserve.
fn new_table(used: &mut usize) -> Option<*mut Table> {
    if *used == TABLES_MAX {
        return None;
    }
    let table = (&raw mut RESERVE).cast::<Table>().wrapping_add(*used);
    *used += 1;
    Some(table)
}

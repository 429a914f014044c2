//! Page tables: blocks of 2 MiB at their physical addresses, for memory and for device registers.
//!
//! Arm Architecture Reference Manual, D8.3 (descriptors, pages of 4 KiB), D8.17 (forgetting translations). No address is ever mapped as two kinds of memory, which the
//! architecture forbids. Tables come from a reserve in the kernel's data, so that nothing else has to be there before.

use core::arch::asm;

use aarch64_cpu::asm::barrier;
use spin::Mutex;

const ENTRIES: usize = 512;
/// Bytes of a block of level 2, the smallest here.
pub(super) const BLOCK: u64 = 2 << 20;
/// Addresses have as many bits as the boot code told the processor.
const ADDRESS_END: u64 = 1 << 48;
/// As many tables as there can be beside the boot code's: one for each GiB of memory, one for the buses of PCI, a few for devices.
const TABLES_MAX: usize = 64;

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
    let mut block = start / BLOCK * BLOCK;
    while block < end {
        let place = place_of(&mut used, block)?;
        // SAFETY: the place is inside of a table, and the lock is held.
        let entry = unsafe { &mut *place };
        match *entry {
            0 => *entry = block | kind.0,
            mapped if mapped == block | kind.0 => {}
            _ => return None,
        }
        block += BLOCK;
    }
    // The tables are written before anything is accessed through them.
    barrier::dsb(barrier::ISHST);
    barrier::isb(barrier::SY);
    Some(())
}

/// Takes a block of memory out, on all processors: whoever accesses it has an exception.
///
/// # Safety
/// Nobody has anything there any more.
pub(super) unsafe fn unmap_block(block: u64) -> Option<()> {
    let mut used = USED.lock();
    let place = place_of(&mut used, block)?;
    // SAFETY: the place is inside of a table, and the lock is held; the caller promised the rest.
    unsafe { place.write(0) };
    // SAFETY: forgets the old translation of one address.
    unsafe {
        asm!("dsb ishst", "tlbi vaae1is, {}", "dsb ish", "isb", in(reg) block >> 12, options(nostack, preserves_flags));
    };
    Some(())
}

/// Where the entry for a block is: tables on the way to it are made. The lock is held as long as it is used.
fn place_of(used: &mut usize, block: u64) -> Option<*mut u64> {
    let index = |level: u32| (block >> (39 - 9 * level)) as usize % ENTRIES;
    let mut table = &raw mut boot_level_0;
    for level in 0..2 {
        // SAFETY: tables are mapped at their physical addresses, and the lock is held.
        let entry = unsafe { &mut (*table).0[index(level)] };
        if *entry == 0 {
            *entry = new_table(used)? as u64 | TABLE | VALID;
        }
        table = (*entry & ADDRESS) as *mut Table;
    }
    Some(table.cast::<u64>().wrapping_add(index(2)))
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

//! Page tables: three levels, with pages of 4 KiB, 2 MiB and 1 GiB, each address where it is.
//!
//! RISC-V Instruction Set Manual, volume II, §"Sv39: Page-Based 39-bit Virtual-Memory System". Whether a place is cached is not said here: it is a property of the
//! place (§"Physical Memory Attributes"), and registers are not.

use core::alloc::Layout;
use core::sync::atomic::{AtomicU64, Ordering};

use sbi_rt::HartMask;
use spin::Mutex;

use super::super::csr;
use crate::heap::DMA_POOL;

const PAGE: u64 = 4096;
const ENTRIES: usize = 512;
/// Addresses from here on are not the lower half of the address space any more.
const LOWER_HALF_END: u64 = 1 << 38;

/// Access to a page, beyond reading.
pub(super) const WRITABLE: u64 = 1 << 2;
pub(super) const EXECUTABLE: u64 = 1 << 3;

const VALID: u64 = 1;
const READABLE: u64 = 1 << 1;
/// A leaf has one of these; an entry without names a table.
const LEAF: u64 = READABLE | WRITABLE | EXECUTABLE;
/// Accessed and dirty, set from the beginning: a hart may raise an exception instead of setting them.
const USED: u64 = 1 << 6 | 1 << 7;

/// `satp`'s mode for three levels.
const SV39: u64 = 8 << 60;

type Table = [u64; ENTRIES];

/// The table of the highest level, once there is one. Whoever holds this may change page tables.
static ROOT: Mutex<Option<u64>> = Mutex::new(None);

/// What `satp` is on every hart, once addresses are translated.
static SATP: AtomicU64 = AtomicU64::new(0);

/// Maps all pages from `start` up to `end`; what is mapped already stays as it is. `None` if they cannot be.
pub(super) fn map(start: u64, end: u64, access: u64) -> Option<()> {
    if end > LOWER_HALF_END {
        return None;
    }
    let mut root = ROOT.lock();
    if root.is_none() {
        *root = new_table();
    }
    let root = (*root)?;
    let end = end.next_multiple_of(PAGE);
    let mut address = start / PAGE * PAGE;
    while address < end {
        let page = map_page(root, address, end - address, access)?;
        address = (address / page + 1) * page;
    }
    csr::forget_translations();
    // The other harts, too: the firmware knows which of them run.
    sbi_rt::remote_sfence_vma(HartMask::all(), 0, usize::MAX);
    Some(())
}

/// Maps one page, the largest that fits there. Its size.
fn map_page(root: u64, address: u64, bytes_left: u64, access: u64) -> Option<u64> {
    let mut table = root as *mut Table;
    for level in [2, 1, 0] {
        let page = PAGE << (9 * level);
        let index = (address / page) as usize % ENTRIES;
        // SAFETY: the table is mapped at its physical address, and the lock on the tables is held.
        let entry = unsafe { &mut (*table)[index] };
        if *entry & LEAF != 0 {
            return Some(page);
        }
        let fits = address.is_multiple_of(page) && page <= bytes_left;
        if *entry & VALID == 0 && fits {
            *entry = naming(address) | access | READABLE | USED | VALID;
            return Some(page);
        }
        if *entry & VALID == 0 {
            *entry = naming(new_table()?) | VALID;
        }
        table = (*entry >> 10 << 12) as *mut Table;
    }
    None
}

/// The part of an entry that says where.
const fn naming(address: u64) -> u64 {
    (address / PAGE) << 10
}

/// Starts to translate addresses.
///
/// # Safety
/// All that is in use is mapped.
pub(super) unsafe fn start() {
    if let Some(root) = *ROOT.lock() {
        let satp = SV39 | (root / PAGE);
        SATP.store(satp, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { csr::set_satp(satp) };
    }
}

/// What `satp` is on every hart.
pub(in super::super) fn satp() -> u64 {
    SATP.load(Ordering::Relaxed)
}

/// The physical address of an empty table.
fn new_table() -> Option<u64> {
    let layout = Layout::new::<Table>().align_to(4096).ok()?;
    let pointer = DMA_POOL.lock().allocate_first_fit(layout).ok()?.cast::<Table>();
    // SAFETY: the pool just gave it away.
    unsafe { pointer.write([0; ENTRIES]) };
    Some(pointer.addr().get() as u64)
}

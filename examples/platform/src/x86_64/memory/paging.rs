//! Page tables: device registers get uncached 2 MiB pages at their physical addresses, however far up firmware put them; stacks get guards.
//!
//! Intel SDM volume 3, chapter 5 (4-level paging).

use core::alloc::Layout;
use core::arch::asm;

use spin::Mutex;

use crate::heap::DMA_POOL;

const PAGE: u64 = 2 << 20;
const SMALL_PAGE: u64 = 4096;
const ENTRIES: usize = 512;
/// With four levels, addresses from here on are not the lower half of the address space any more.
const LOWER_HALF_END: u64 = 1 << 47;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const UNCACHED: u64 = 1 << 3 | 1 << 4;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

type Table = [u64; ENTRIES];

unsafe extern "C" {
    /// The boot code's.
    static mut boot_level_4: Table;
}

/// Whoever holds this may change page tables.
static TABLES: Mutex<()> = Mutex::new(());

/// Maps all 2 MiB pages from `start` up to `end`, uncached. `None` if they cannot be.
pub(super) fn map_device_memory(start: u64, end: u64) -> Option<()> {
    if end > LOWER_HALF_END {
        return None;
    }
    let _tables = TABLES.lock();
    let mut page = start / PAGE * PAGE;
    while page < end {
        map_page(page)?;
        page += PAGE;
    }
    Some(())
}

/// Takes away one page of 4 KiB, whose memory is never used again: the first access to it ends in an exception. Processors that used its neighbourhood before
/// may still get through. `None` if there is no memory for a page table.
pub(super) fn unmap_guard(page: u64) -> Option<()> {
    let _tables = TABLES.lock();
    let large_page = page / PAGE * PAGE;
    let entry = level_2_entry(large_page)?;
    // SAFETY: the table is mapped at its physical address, and the lock is held.
    let old = unsafe { *entry };
    let small_pages = if old & LARGE == 0 {
        (old & ADDRESS) as *mut Table
    } else {
        let split = new_table()? as *mut Table;
        for (address, number) in (large_page..).step_by(SMALL_PAGE as usize).zip(0..ENTRIES) {
            // SAFETY: the table is new.
            unsafe { (*split)[number] = address | PRESENT | WRITABLE };
        }
        split
    };
    // SAFETY: as above. The page is nobody's but the caller's.
    unsafe { (*small_pages)[(page / SMALL_PAGE) as usize % ENTRIES] = 0 };
    // SAFETY: as above. All other translations stay what they were.
    unsafe { *entry = small_pages as u64 | PRESENT | WRITABLE };
    forget_translation(page);
    Some(())
}

fn map_page(page: u64) -> Option<()> {
    let entry = level_2_entry(page)?;
    // SAFETY: the table is mapped at its physical address, and the caller holds the lock.
    let old = unsafe { *entry };
    // Small pages are where something is guarded: a device that says that its registers are beside it does not take the guard away.
    if old & (PRESENT | LARGE) == PRESENT {
        return None;
    }
    // SAFETY: as above.
    unsafe { *entry = page | PRESENT | WRITABLE | UNCACHED | LARGE };
    forget_translation(page);
    Some(())
}

fn forget_translation(address: u64) {
    // SAFETY: forgets the old translation of one address.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Where the entry of a 2 MiB page is, with the tables above it. The caller holds the lock.
fn level_2_entry(page: u64) -> Option<*mut u64> {
    let index = |level: u32| (page >> (12 + 9 * (level - 1))) as usize % ENTRIES;
    let mut table = &raw mut boot_level_4;
    for level in [4, 3] {
        // SAFETY: the table is mapped at its physical address, and the lock is held.
        let entry = unsafe { &mut (*table)[index(level)] };
        if *entry & PRESENT == 0 {
            *entry = new_table()? | PRESENT | WRITABLE;
        }
        table = (*entry & ADDRESS) as *mut Table;
    }
    // SAFETY: as above.
    Some(unsafe { &raw mut (*table)[index(2)] })
}

/// The physical address of an empty table.
fn new_table() -> Option<u64> {
    let layout = Layout::new::<Table>().align_to(4096).ok()?;
    let pointer = DMA_POOL.lock().allocate_first_fit(layout).ok()?.cast::<Table>();
    // SAFETY: the pool just gave it away.
    unsafe { pointer.write([0; ENTRIES]) };
    Some(pointer.addr().get() as u64)
}

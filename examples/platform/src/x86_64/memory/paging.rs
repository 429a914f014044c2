//! Page tables: device registers get uncached 2 MiB pages at their physical addresses, however far up firmware put them.
//!
//! Intel SDM volume 3, chapter 5 (4-level paging).

use core::alloc::Layout;
use core::arch::asm;

use spin::Mutex;

use super::DMA_POOL;

const PAGE: u64 = 2 << 20;
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

fn map_page(page: u64) -> Option<()> {
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
    // SAFETY: as above; entries of level 2 are large pages in all our tables.
    unsafe { (*table)[index(2)] = page | PRESENT | WRITABLE | UNCACHED | LARGE };
    // SAFETY: forgets the old translation of one address.
    unsafe { asm!("invlpg [{}]", in(reg) page, options(nostack, preserves_flags)) };
    Some(())
}

/// The physical address of an empty table.
fn new_table() -> Option<u64> {
    let layout = Layout::new::<Table>().align_to(4096).ok()?;
    let pointer = DMA_POOL.lock().allocate_first_fit(layout).ok()?.cast::<Table>();
    // SAFETY: the pool just gave it away.
    unsafe { pointer.write([0; ENTRIES]) };
    Some(pointer.addr().get() as u64)
}

//! Physical memory: a heap for the program, a pool for devices, and mappings of device registers.
//!
//! All of memory is mapped at its physical address, so pointers and physical addresses are the same numbers. The largest usable range
//! behind the kernel is cut in two:
//!
//! ```text
//!   1 MiB ┌────────┬──────────────┬───────────────────────────────┐
//!         │ kernel │ heap, 8 MiB  │ DMA pool: the rest of it      │ (within the first 4 GiB)
//!         └────────┴──────────────┴───────────────────────────────┘
//! ```

mod dma;
mod paging;

pub use dma::{DMA, Dma, MMIO, Mmio};

use linked_list_allocator::LockedHeap;

use super::pvh::MemoryRange;
use crate::println;

/// What the boot code mapped.
const MAPPED_END: u64 = 1 << 32;
const HEAP_BYTES: usize = 8 << 20;

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

/// Contiguous physical memory for devices and page tables.
static DMA_POOL: LockedHeap = LockedHeap::empty();

unsafe extern "C" {
    /// The linker script's: the first byte behind the kernel.
    safe static kernel_end: u8;
}

/// Hands the machine's memory to the heap and the pool.
pub(super) fn init(map: &[MemoryRange]) {
    let kernel = &raw const kernel_end as u64;
    let behind_kernel = |range: &MemoryRange| {
        let start = range.address.max(kernel).next_multiple_of(4096);
        let end = range.address.saturating_add(range.bytes).min(MAPPED_END);
        (start, end.saturating_sub(start) as usize)
    };
    let largest =
        map.iter().filter(|range| range.is_usable()).map(behind_kernel).max_by_key(|(_, bytes)| *bytes);
    let Some((start, bytes)) = largest.filter(|(_, bytes)| *bytes > 2 * HEAP_BYTES) else {
        panic!("the machine has too little memory: 32 MiB are the least");
    };
    let start = start as *mut u8;
    // SAFETY: usable memory that nothing else lies in, mapped, handed out here once.
    unsafe { HEAP.lock().init(start, HEAP_BYTES) };
    // SAFETY: the heap's bytes are inside of the range.
    let pool = unsafe { start.add(HEAP_BYTES) };
    // SAFETY: the rest of the range, handed out here once.
    unsafe { DMA_POOL.lock().init(pool, bytes - HEAP_BYTES) };
    println!("memory: {} MiB for programs and devices", bytes >> 20);
}

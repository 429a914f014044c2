//! Physical memory: a heap for the program, a pool for devices, and mappings of device registers.
//!
//! All of memory is mapped at its physical address, so pointers and physical addresses are the same numbers. The range that the kernel is in is cut up like this:
//!
//! ```text
//!   1 GiB       2 MiB             4 MiB        6 MiB         8 MiB at most
//!   ┌───────────┬─────────────────┬────────────┬─────────────┬─────────────┬───────────────────────────┐
//!   │ device    │ text, constants │ not mapped │ stack, data │ heap, 8 MiB │ DMA pool: the rest of it  │
//!   │ tree      │ (read-only)     │ (guard)    │             │             │                           │
//!   └───────────┴─────────────────┴────────────┴─────────────┴─────────────┴───────────────────────────┘
//! ```
//!
//! Nothing is mapped at address 0, the device tree is read-only, too: writes through null pointers, overflowing stacks and writes to constants end in an exception that says
//! so.

mod paging;

use core::alloc::Layout;
use core::ops;
use core::ptr::NonNull;

use paging::{BLOCK, Kind};

use crate::device_tree::{self, Range};
use crate::heap::{self, DMA_POOL};

/// More is not used: page tables are limited.
const MEMORY_MAX: u64 = 32 << 30;

unsafe extern "C" {
    /// The linker script's: the first byte behind the kernel.
    safe static kernel_end: u8;
}

/// Hands the machine's memory to the heap and the pool.
pub(super) fn init() {
    let kernel = &raw const kernel_end as u64;
    let behind_kernel = |range: Range| {
        let start = range.address.max(kernel).next_multiple_of(4096);
        // Below whatever the loader left there. Only whole blocks are mapped.
        let reserved = device_tree::reserved().map(|reserved| (reserved.address, reserved.end()));
        let end =
            reserved.filter(|(_, end)| *end > start).map(|(address, _)| address).fold(range.end(), u64::min);
        let end = end.min(start.saturating_add(MEMORY_MAX));
        (start, (end / BLOCK * BLOCK).saturating_sub(start) as usize)
    };
    let largest = device_tree::memory().map(behind_kernel).max_by_key(|(_, bytes)| *bytes);
    let (start, bytes) = largest.unwrap_or((0, 0));
    paging::map(start, start + bytes as u64, Kind::MEMORY).expect("memory can be mapped");
    // SAFETY: usable memory that nothing else lies in, mapped, handed out here once.
    unsafe { heap::hand_out(start, bytes) };
}

/// Maps registers, uncached, at their physical addresses. `None` if they cannot be, or if memory is there: who says so may be a device.
pub(crate) fn map_registers(physical_address: u64, size_bytes: usize) -> Option<NonNull<u8>> {
    let end = physical_address.checked_add(size_bytes as u64)?;
    if device_tree::memory().any(|memory| physical_address < memory.end() && memory.address < end) {
        return None;
    }
    paging::map(physical_address, end, Kind::REGISTERS)?;
    NonNull::new(physical_address as *mut u8)
}

/// Memory for another stack, for good: the block below is not mapped, so that it is noticed if it overflows. `None` if there is no memory left.
pub(super) fn guarded_stack() -> Option<ops::Range<u64>> {
    let layout = Layout::from_size_align(2 * BLOCK as usize, BLOCK as usize).ok()?;
    let guard = DMA_POOL.lock().allocate_first_fit(layout).ok()?.addr().get() as u64;
    // SAFETY: the pool just gave it away, and it is never given back.
    unsafe { paging::unmap_block(guard) }?;
    Some(guard + BLOCK..guard + 2 * BLOCK)
}

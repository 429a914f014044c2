//! Physical memory: a heap for the program, a pool for devices, and mappings of device registers.
//!
//! All of memory is mapped at its physical address, so pointers and physical addresses are the same numbers. The largest usable range
//! behind the kernel is cut in two:
//!
//! ```text
//!   0        2 MiB             4 MiB        6 MiB
//!   ┌────────┬─────────────────┬────────────┬──────────────┬─────────────┬───────────────────────────┐
//!   │ low    │ text, constants │ not mapped │ stack, data  │ heap, 8 MiB │ DMA pool: the rest of it  │ (within the first 4 GiB)
//!   │ memory │ (read-only)     │ (guard)    │              │             │                           │
//!   └────────┴─────────────────┴────────────┴──────────────┴─────────────┴───────────────────────────┘
//! ```
//!
//! The page at address 0 is read-only, too (the loader may have left its information there): writes through null pointers, overflowing stacks and
//! writes to constants end in an exception that says so.

mod paging;

use core::alloc::Layout;
use core::ptr::NonNull;

use super::pvh::{self, MemoryRange};
use crate::heap::{self, DMA_POOL};

/// What the boot code mapped.
const MAPPED_END: u64 = 1 << 32;
/// Bytes of a page of the smallest size.
pub(super) const PAGE_BYTES: u64 = 4096;
/// Where the memory ends that processors can start in.
const LOW_END: u64 = 640 << 10;

unsafe extern "C" {
    /// The linker script's: the first byte behind the kernel.
    safe static kernel_end: u8;
}

/// Hands the machine's memory to the heap and the pool.
pub(super) fn init(map: &[MemoryRange]) {
    let kernel = &raw const kernel_end as u64;
    let behind_kernel = |range: &MemoryRange| {
        let start = range.address.max(kernel).next_multiple_of(PAGE_BYTES);
        let end = range.address.saturating_add(range.bytes).min(MAPPED_END);
        // What the loader left is below the kernel, or at the top of memory: stay below that.
        let end =
            pvh::loaded().map(|loaded| loaded.start).filter(|first| *first >= start).fold(end, u64::min);
        (start, end.saturating_sub(start) as usize)
    };
    let largest =
        map.iter().filter(|range| range.is_usable()).map(behind_kernel).max_by_key(|(_, bytes)| *bytes);
    let (start, bytes) = largest.unwrap_or((0, 0));
    // SAFETY: usable memory that nothing else lies in, mapped, handed out here once.
    unsafe { heap::hand_out(start, bytes) };
}

/// A stack for a processor, with a page below it that is not mapped, so that its overflow is noticed. Gives its top; it is never taken back.
pub(super) fn new_stack(bytes: usize) -> Option<u64> {
    let guard_bytes = PAGE_BYTES as usize;
    let layout = Layout::from_size_align(guard_bytes + bytes, guard_bytes).ok()?;
    let guard = DMA_POOL.lock().allocate_first_fit(layout).ok()?.addr().get();
    paging::unmap_guard(guard as u64)?;
    Some((guard + guard_bytes + bytes) as u64)
}

/// The number of a page of low memory that is usable, and that nothing is in: the lowest but for the first.
pub(super) fn low_page() -> Option<u64> {
    let is_free = |page: &u64| {
        let (start, end) = (page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
        let holds =
            |range: &MemoryRange| range.address <= start && end <= range.address.saturating_add(range.bytes);
        let is_usable = pvh::memory_map().iter().any(|range| range.is_usable() && holds(range));
        is_usable && pvh::loaded().all(|loaded| loaded.end <= start || end <= loaded.start)
    };
    (1..LOW_END / PAGE_BYTES).find(is_free)
}

/// Maps registers, uncached, at their physical addresses. `None` if they cannot be, or if memory is there: who says so may be a device.
pub(crate) fn map_registers(physical_address: u64, size_bytes: usize) -> Option<NonNull<u8>> {
    let end = physical_address.checked_add(size_bytes as u64)?;
    let is_memory = |range: &MemoryRange| {
        range.is_usable()
            && physical_address < range.address.saturating_add(range.bytes)
            && range.address < end
    };
    if pvh::memory_map().iter().any(is_memory) {
        return None;
    }
    paging::map_device_memory(physical_address, end)?;
    NonNull::new(physical_address as *mut u8)
}

//! Physical memory: a heap for the program, a pool for devices, and mappings of device registers.
//!
//! What is mapped is mapped at its physical address, so pointers and physical addresses are the same numbers.
//!
//! ```text
//!   2 GiB      + 2 MiB           + 4 MiB      + 6 MiB
//!   ┌──────────┬─────────────────┬────────────┬──────────────┬─────────────┬───────────────────────────┬──────────────────┐
//!   │ firmware │ text, constants │ not mapped │ stack, data  │ heap, 8 MiB │ DMA pool: up to what the  │ device tree ...  │
//!   │ (nobody) │ (read-only)     │ (guard)    │              │             │ firmware left             │                  │
//!   └──────────┴─────────────────┴────────────┴──────────────┴─────────────┴───────────────────────────┴──────────────────┘
//! ```
//!
//! Below 2 GiB only registers are mapped, each when somebody asks for it: writes through null pointers, overflowing stacks and writes to constants end
//! in an exception that says so.

pub(super) mod paging;

use core::ptr::NonNull;

use super::{exit, serial};
use crate::{device_tree, heap};
use paging::{EXECUTABLE, WRITABLE};

unsafe extern "C" {
    /// The linker script's: the first byte of text and constants, and the first behind them.
    safe static text_start: u8;
    safe static text_end: u8;
    /// The first byte of stack and data, and the first behind them.
    safe static data_start: u8;
    safe static kernel_end: u8;
}

/// Hands the machine's memory to the heap and the pool, and starts to translate addresses.
pub(super) fn init() {
    let kernel = &raw const kernel_end as u64;
    let ours = device_tree::memory().find(|range| (range.address..range.end()).contains(&kernel));
    let memory_end = ours.expect("the kernel is in memory that the device tree names").end();
    let start = kernel.next_multiple_of(4096);
    // Below whatever the firmware left there.
    let reserved = device_tree::reserved().filter(|range| range.end() > start).map(|range| range.address);
    let end = reserved.fold(memory_end, u64::min);
    let bytes = end.saturating_sub(start) as usize;
    // SAFETY: memory that nothing else lies in, handed out here once; without paging it is where it is.
    unsafe { heap::hand_out(start, bytes) };

    start_paging(memory_end).expect("there is memory for page tables");
}

/// Maps the kernel, all memory behind it, and the registers that are in use already.
fn start_paging(memory_end: u64) -> Option<()> {
    paging::map(&raw const text_start as u64, &raw const text_end as u64, EXECUTABLE)?;
    paging::map(&raw const data_start as u64, memory_end, WRITABLE)?;
    let console = serial::registers().map(|range| (range.address, range.end()));
    let exit = exit::register().map(|address| (address, address + 4));
    for (start, end) in [console, exit].into_iter().flatten() {
        paging::map(start, end, WRITABLE)?;
    }
    // SAFETY: all that is in use was just mapped, where it is.
    unsafe { paging::start() };
    Some(())
}

/// Maps registers at their physical addresses; that they are not cached is a property of their place. `None` if they cannot be, or if memory is there: who says so may be a
/// device.
pub(crate) fn map_registers(physical_address: u64, size_bytes: usize) -> Option<NonNull<u8>> {
    let end = physical_address.checked_add(size_bytes as u64)?;
    let registers = NonNull::new(physical_address as *mut u8)?;
    if device_tree::memory().any(|memory| physical_address < memory.end() && memory.address < end) {
        return None;
    }
    paging::map(physical_address, end, WRITABLE)?;
    Some(registers)
}

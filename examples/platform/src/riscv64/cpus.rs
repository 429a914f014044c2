//! The other processors: each is started when it is asked for, on a stack of its own.
//!
//! RISC-V SBI Specification 2.0, §9 (Hart State Management). They see memory as the first one does, and take no interrupts. Their stacks have no guard below them.

use alloc::boxed::Box;
use core::sync::atomic::{Ordering, fence};

use spin::Once;

use super::csr;
use super::memory::paging;
use crate::device_tree;

const STACK_BYTES: usize = 128 << 10;
const TRAP_STACK_BYTES: usize = 16 << 10;

/// The number of the hart that the firmware chose to boot.
static BOOT_HART: Once<u64> = Once::new();

unsafe extern "C" {
    /// The boot code's: where other harts start.
    safe static boot_other: u8;
}

/// What a processor finds when it starts; the boot code knows the first three by their places.
#[repr(C)]
struct Start {
    satp: u64,
    stack_end: u64,
    trap_stack_end: u64,
    index: usize,
    entry: fn(usize),
}

pub(super) fn init(boot_hart: usize) {
    BOOT_HART.call_once(|| boot_hart as u64);
}

/// The number of the hart that booted.
pub(super) fn boot_hart() -> u64 {
    BOOT_HART.get().copied().unwrap_or(0)
}

/// How many processors there are.
pub fn count() -> usize {
    device_tree::processors().count()
}

/// Starts another processor (1 up to `count`), which runs `entry(index)` and then halts for good.
///
/// # Errors
/// What is wrong with the request: each can be started once.
pub fn start(index: usize, entry: fn(usize)) -> Result<(), &'static str> {
    // The one that booted is number 0.
    let mut others = device_tree::processors().filter(|hart| *hart != boot_hart());
    let hart =
        index.checked_sub(1).and_then(|place| others.nth(place)).ok_or("there is no such processor")?;
    let start = Start {
        satp: paging::satp(),
        stack_end: end_of_new_stack(STACK_BYTES),
        trap_stack_end: end_of_new_stack(TRAP_STACK_BYTES),
        index,
        entry,
    };
    // It has its stacks for ever.
    let start: &'static Start = Box::leak(Box::new(start));
    // All that was written up to here is there for it when it starts.
    fence(Ordering::SeqCst);
    let place = &raw const boot_other as usize;
    let answer = sbi_rt::hart_start(hart as usize, place, core::ptr::from_ref(start).addr());
    if answer.is_ok() { Ok(()) } else { Err("the firmware does not start the processor") }
}

fn end_of_new_stack(bytes: usize) -> u64 {
    alloc::vec![0u128; bytes / size_of::<u128>()].leak().as_ptr_range().end as u64
}

/// The first Rust code of another processor.
#[unsafe(no_mangle)]
extern "C" fn other_main(start: &'static Start) -> ! {
    (start.entry)(start.index);
    // It returns only if the firmware refuses.
    sbi_rt::hart_stop();
    loop {
        csr::wait_for_interrupt();
    }
}

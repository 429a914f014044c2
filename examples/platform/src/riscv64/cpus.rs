//! The other processors: each is started when it is asked for, on a stack of its own.
//!
//! RISC-V SBI Specification 2.0, §9 (Hart State Management). They see memory as the first one does, and take no interrupts. Their stacks have no guard below them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::sync::atomic::{Ordering, fence};

use spin::{Mutex, Once};

use super::csr;
use super::memory::paging;
use crate::device_tree;
use crate::heap::DMA_POOL;

const STACK_BYTES: usize = 128 << 10;
const TRAP_STACK_BYTES: usize = 16 << 10;

/// The number of the hart that the firmware chose to boot.
static BOOT_HART: Once<u64> = Once::new();

/// Those that were started. A hart that has stopped would start anew, if the firmware was asked.
static STARTED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

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
/// There is no such processor, it was started before, or it cannot be: for lack of memory, or since the firmware says so.
pub fn start(index: usize, entry: fn(usize)) -> Result<(), &'static str> {
    // The one that booted is number 0.
    let mut others = device_tree::processors().filter(|hart| *hart != boot_hart());
    let hart =
        index.checked_sub(1).and_then(|place| others.nth(place)).ok_or("there is no such processor")?;
    let mut started = STARTED.lock();
    if started.contains(&hart) {
        return Err("the processor was started before");
    }
    let [stack_end, trap_stack_end] = [STACK_BYTES, TRAP_STACK_BYTES].map(end_of_new_stack);
    let (stack_end, trap_stack_end) =
        stack_end.zip(trap_stack_end).ok_or("there is no memory left for a stack")?;
    let start = Start { satp: paging::satp(), stack_end, trap_stack_end, index, entry };
    // It has its stacks for ever.
    let start: &'static Start = Box::leak(Box::new(start));
    // All that was written up to here is there for it when it starts.
    fence(Ordering::SeqCst);
    let place = &raw const boot_other as usize;
    let answer = sbi_rt::hart_start(hart as usize, place, core::ptr::from_ref(start).addr());
    if !answer.is_ok() {
        return Err("the firmware does not start the processor");
    }
    started.push(hart);
    Ok(())
}

fn end_of_new_stack(bytes: usize) -> Option<u64> {
    let layout = Layout::from_size_align(bytes, 16).ok()?;
    let stack = DMA_POOL.lock().allocate_first_fit(layout).ok()?;
    Some((stack.addr().get() + bytes) as u64)
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

//! The other processors: each is started when it is asked for, on a stack of its own.
//!
//! RISC-V SBI Specification 2.0, §9 (Hart State Management). They see memory as the first one does. Their stacks have no guard below them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::arch::asm;
use core::sync::atomic::{Ordering, fence};

use spin::{Mutex, Once};

use super::memory::paging;
use super::{csr, interrupts};
use crate::device_tree;
use crate::heap::DMA_POOL;
use crate::interrupts::wait_until_up;

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

/// What a processor finds when it starts; the boot code knows all but the last by their places.
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
fn boot_hart() -> u64 {
    BOOT_HART.get().copied().unwrap_or(0)
}

/// How many processors there are.
pub fn count() -> usize {
    device_tree::processors().count()
}

/// The number of the processor that runs this; that of the first is 0.
pub fn current() -> usize {
    let index;
    // SAFETY: reads a register that the boot code has set, and nobody changes.
    unsafe { asm!("mv {}, tp", out(reg) index, options(nomem, nostack, preserves_flags)) };
    index
}

/// The hart that a processor is.
pub(super) fn hart(processor: usize) -> Option<u64> {
    match processor.checked_sub(1) {
        None => Some(boot_hart()),
        Some(other) => device_tree::processors().filter(|hart| *hart != boot_hart()).nth(other),
    }
}

/// Starts another processor (1 up to `count`), which runs `entry(index)` and then halts for good. Once this returns, that processor takes interrupts.
///
/// Devices are best taken before. While a PCI function is asked how large its windows are, they are nowhere, and a processor that looks something up at that moment finds nothing; QEMU 10.0.2 itself ends at
/// times, with `iotlb_to_section: Assertion`, when its map of memory changes while another processor runs.
///
/// # Errors
/// There is no such processor, it was started before, it does not come up, or it cannot be started: for lack of memory, or since the firmware says so.
pub fn start(index: usize, entry: fn(usize)) -> Result<(), &'static str> {
    let hart = hart(index).filter(|_| index > 0).ok_or("there is no such processor")?;
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
    wait_until_up(index)
}

fn end_of_new_stack(bytes: usize) -> Option<u64> {
    let layout = Layout::from_size_align(bytes, 16).ok()?;
    let stack = DMA_POOL.lock().allocate_first_fit(layout).ok()?;
    Some((stack.addr().get() + bytes) as u64)
}

/// The first Rust code of another processor.
#[unsafe(no_mangle)]
extern "C" fn other_main(start: &'static Start) -> ! {
    interrupts::init_other();
    (start.entry)(start.index);
    // It returns only if the firmware refuses.
    sbi_rt::hart_stop();
    loop {
        csr::wait_for_interrupt();
    }
}

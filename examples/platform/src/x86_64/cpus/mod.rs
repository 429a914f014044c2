//! The other processors: how many there are, and how to start one.
//!
//! Intel SDM volume 3, section "MP initialization protocol". After a reset they wait for two messages: one that has them start over, and one that says in which page
//! below 1 MiB they begin, in real mode. What they do there is in `trampoline.rs`; from its end on they share the boot processor's page tables.

mod trampoline;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::asm;
use core::time::Duration;

use spin::Mutex;

use super::interrupts::{self, local_apic};
use super::{descriptors, memory, topology};
use crate::clock;
use crate::interrupts::wait_until_up;

const STACK_BYTES: usize = 128 << 10;

/// What the messages' receivers are given time for (the specification's numbers), and the time in which one must have come up.
const AFTER_INIT: Duration = Duration::from_millis(10);
const AFTER_STARTUP: Duration = Duration::from_millis(1);
const UP_WITHIN: Duration = Duration::from_secs(2);

/// What a processor is to do once it is up. One is started at a time, and takes this to say that it is there.
struct Task {
    index: usize,
    entry: fn(usize),
    own: Box<descriptors::Own>,
}

static TASK: Mutex<Option<Task>> = Mutex::new(None);
/// Processors that were started; locked while one is.
static STARTED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// The local APICs' numbers of all processors but the boot processor, which need not be the first of firmware's list.
fn others() -> impl Iterator<Item = u8> {
    let boot = local_apic::boot_processor();
    topology::get().processors.iter().copied().filter(move |number| *number != boot)
}

/// How many processors there are. The boot processor is number 0.
pub fn count() -> usize {
    others().count() + 1
}

/// The number of the processor that runs this.
pub fn current() -> usize {
    descriptors::processor()
}

/// The number of a processor's local APIC.
pub(super) fn apic_number(processor: usize) -> Option<u8> {
    match processor.checked_sub(1) {
        None => Some(local_apic::boot_processor()),
        Some(other) => others().nth(other),
    }
}

/// Starts another processor, which runs `entry(index)` on a stack of its own and, when that returns, halts for good. Once this returns, that processor takes interrupts. To be called by
/// the boot processor.
///
/// Devices are best taken before. While a PCI function is asked how large its windows are, they are nowhere, and a processor that looks something up at that moment finds nothing; QEMU 10.0.2 itself ends at
/// times, with `iotlb_to_section: Assertion`, when its map of memory changes while another processor runs.
///
/// # Errors
/// There is no such processor, it was started before, or it does not come up.
pub fn start(index: usize, entry: fn(usize)) -> Result<(), &'static str> {
    let mut started = STARTED.lock();
    if started.contains(&index) {
        return Err("the processor was started before");
    }
    let number = apic_number(index).filter(|_| index > 0).ok_or("there is no such processor")?;
    let stack_top = memory::new_stack(STACK_BYTES).ok_or("there is no memory for a stack")?;
    let page = trampoline::prepare(stack_top).ok_or("there is no memory below 1 MiB to start from")?;
    *TASK.lock() = Some(Task { index, entry, own: Box::new(descriptors::Own::new(index)) });

    local_apic::send_init(number);
    pause_until(AFTER_INIT, || false);
    for patience in [AFTER_STARTUP, UP_WITHIN] {
        local_apic::send_startup(number, page);
        if pause_until(patience, || TASK.lock().is_none()) {
            break;
        }
    }
    // From here on it finds nothing to do, however late it comes.
    if TASK.lock().take().is_some() {
        local_apic::send_init(number);
        return Err("the processor does not come up");
    }
    started.push(index);
    wait_until_up(index)
}

/// Looks again and again, for so long.
fn pause_until(patience: Duration, is_done: impl Fn() -> bool) -> bool {
    let start = clock::now();
    while clock::since(start) < patience {
        if is_done() {
            return true;
        }
        core::hint::spin_loop();
    }
    is_done()
}

/// The first Rust code of another processor.
extern "C" fn processor_main(_: usize) -> ! {
    let task = TASK.lock().take();
    if let Some(Task { index, entry, own }) = task {
        descriptors::load(Box::leak(own));
        interrupts::init_other();
        entry(index);
    }
    loop {
        // SAFETY: nobody needs this processor any more; interrupts are off.
        unsafe { asm!("hlt", options(nomem, nostack)) };
    }
}

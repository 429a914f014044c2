//! Other processors: started and stopped by the firmware.
//!
//! Arm Power State Coordination Interface 1.3, §5.1 (`CPU_ON`, `CPU_OFF`). Each has a stack of its own, another for exceptions, and the first processor's page tables. `TPIDR_EL1`, which
//! is the kernel's to use, says which one it is.

use alloc::boxed::Box;
use alloc::vec::Vec;

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{MPIDR_EL1, Readable, TPIDR_EL1, Writeable};
use smccc::{Hvc, Smc, psci};
use spin::Mutex;

use super::{exceptions, exit, interrupts, memory};
use crate::device_tree;
use crate::interrupts::wait_until_up;

/// Bytes of a stack for exceptions, above the usual one.
const EXCEPTION_STACK_BYTES: u64 = 16 << 10;

/// What of `MPIDR_EL1` says which processor this is.
pub(super) const AFFINITY: u64 = 0xff_00ff_ffff;

/// What a new processor is given. The boot code reads the first two.
#[repr(C)]
struct Stacks {
    usual_top: u64,
    exceptions_top: u64,
    index: usize,
    entry: fn(usize),
}

unsafe extern "C" {
    /// The boot code's, where a new processor begins.
    safe static boot_other: u8;
}

/// Those that were started.
static STARTED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// How the firmware is called.
#[derive(Clone, Copy)]
enum Conduit {
    Hypervisor,
    SecureMonitor,
}

fn conduit() -> Option<Conduit> {
    let node = ["arm,psci-1.0", "arm,psci-0.2"].into_iter().find_map(device_tree::compatible)?;
    match device_tree::text(node, "method")? {
        "hvc" => Some(Conduit::Hypervisor),
        "smc" => Some(Conduit::SecureMonitor),
        _ => None,
    }
}

/// How many processors there are, with the one that runs this.
pub fn count() -> usize {
    device_tree::processors().count().max(1)
}

/// Says that the first processor runs this.
pub(super) fn init() {
    TPIDR_EL1.set(0);
}

/// The number of the processor that runs this; that of the first is 0.
pub fn current() -> usize {
    TPIDR_EL1.get() as usize
}

/// Starts another processor, `1..count()`, which runs `entry(index)` and then halts for good. Once this returns, that processor takes interrupts.
///
/// Devices are best taken before. While a PCI function is asked how large its windows are, they are nowhere, and a processor that looks something up at that moment finds nothing; QEMU 10.0.2 itself ends at
/// times, with `iotlb_to_section: Assertion`, when its map of memory changes while another processor runs.
///
/// # Errors
/// There is no such processor, it was started before, it does not come up, or it cannot be started: for lack of memory, or since the firmware says so.
pub fn start(index: usize, entry: fn(usize)) -> Result<(), &'static str> {
    let conduit = conduit().ok_or("the device tree names no firmware that starts processors")?;
    let own = MPIDR_EL1.get() & AFFINITY;
    let mut others = device_tree::processors().filter(|processor| *processor != own);
    let processor =
        index.checked_sub(1).and_then(|nth| others.nth(nth)).ok_or("there is no such processor")?;
    let mut started = STARTED.lock();
    if started.contains(&processor) {
        return Err("the processor was started before");
    }
    let stack = memory::guarded_stack().ok_or("there is no memory left for a stack")?;
    let usual_top = stack.end - EXCEPTION_STACK_BYTES;
    let stacks = Box::leak(Box::new(Stacks { usual_top, exceptions_top: stack.end, index, entry }));
    let stacks = &raw const *stacks as u64;
    let begin = &raw const boot_other as u64;
    // The other processor sees what was written so far.
    barrier::dsb(barrier::ISH);
    let answer = match conduit {
        Conduit::Hypervisor => psci::cpu_on::<Hvc>(processor, begin, stacks),
        Conduit::SecureMonitor => psci::cpu_on::<Smc>(processor, begin, stacks),
    };
    answer.map_err(|_| "the firmware refuses to start the processor")?;
    started.push(processor);
    wait_until_up(index)
}

/// The first Rust code on another processor.
#[unsafe(no_mangle)]
extern "C" fn other_main(stacks: &Stacks) -> ! {
    exceptions::init();
    TPIDR_EL1.set(stacks.index as u64);
    interrupts::init_processor(stacks.index);
    (stacks.entry)(stacks.index);
    // It does not come back, unless it is refused.
    let _ = match conduit() {
        Some(Conduit::Hypervisor) => psci::cpu_off::<Hvc>(),
        Some(Conduit::SecureMonitor) => psci::cpu_off::<Smc>(),
        None => Ok(()),
    };
    exit::halt()
}

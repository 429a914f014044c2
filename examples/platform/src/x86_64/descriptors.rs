//! Descriptor tables: segments, the task state, and the gates of exceptions and interrupts.
//!
//! Intel SDM volume 3, chapters "Interrupt and exception handling" and "Task management". All processors share the gates. Each has a task state
//! of its own, which names the stack that the processor switches to when an exception comes: the usual one may be what is broken. Interrupts
//! stay on the stack that they find. The base of segment `gs` is where each finds its own number.

use core::arch::asm;

use spin::Once;

use super::{exceptions, interrupts};

/// A 64-bit interrupt gate.
#[repr(C)]
struct Gate {
    low: u64,
    high: u64,
}

impl Gate {
    /// A vector that nothing uses: if it comes, the processor raises an exception instead.
    const ABSENT: Self = Self { low: 0, high: 0 };

    /// Present, interrupt gate, code segment 8; `stack` is a number in the interrupt stack table, or 0 to stay on the stack that is in use.
    fn new(target: u64, stack: u64) -> Self {
        let low = target & 0xffff | 8 << 16 | stack << 32 | 0x8e << 40 | (target >> 16 & 0xffff) << 48;
        Self { low, high: target >> 32 }
    }

    fn of(vector: u8) -> Self {
        match (exceptions::entry_point(vector), interrupts::entry_point(vector)) {
            (Some(target), _) => Self::new(target, 1),
            (None, Some(target)) => Self::new(target, 0),
            (None, None) => Self::ABSENT,
        }
    }
}

static GATES: Once<[Gate; 256]> = Once::new();

/// Where the processor finds stacks: only the first of the interrupt stack table is used.
#[repr(C, packed(4))]
struct TaskState {
    reserved: u32,
    privilege_stacks: [u64; 3],
    reserved_too: u64,
    interrupt_stacks: [u64; 7],
    reserved_as_well: u64,
    reserved_still: u16,
    io_map: u16,
}

const STACK_BYTES: usize = 16 << 10;
const TASK_STATE_SELECTOR: u16 = 3 * 8;
/// The model-specific register that says where segment `gs` begins.
const GS_BASE: u32 = 0xc000_0101;

/// What each processor has for itself: the exceptions' stack, a task state that names it, segments that name the task state, and its number.
#[repr(C, align(16))]
pub(super) struct Own {
    stack: [u8; STACK_BYTES],
    task_state: TaskState,
    segments: [u64; 5],
    processor: usize,
}

impl Own {
    /// What the processor with this number (see `cpus`) has.
    pub(super) const fn new(processor: usize) -> Self {
        let task_state = TaskState {
            reserved: 0,
            privilege_stacks: [0; 3],
            reserved_too: 0,
            interrupt_stacks: [0; 7],
            reserved_as_well: 0,
            reserved_still: 0,
            io_map: size_of::<TaskState>() as u16,
        };
        // The boot code's segments again; the task state takes the last two entries.
        let segments = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0, 0];
        Self { stack: [0; STACK_BYTES], task_state, segments, processor }
    }
}

static mut BOOT_PROCESSOR: Own = Own::new(0);

/// What `lgdt` and `lidt` read.
#[repr(C, packed)]
struct TablePointer<T> {
    limit: u16,
    table: *const T,
}

impl<T> TablePointer<T> {
    fn to(table: &T) -> Self {
        Self { limit: (size_of::<T>() - 1) as u16, table }
    }
}

/// Makes all gates, and has the boot processor use them. To be called once.
pub(super) fn init() {
    let own = &raw mut BOOT_PROCESSOR;
    // SAFETY: nobody else refers to it, and this runs once.
    let own = unsafe { &mut *own };
    GATES.call_once(|| core::array::from_fn(|vector| Gate::of(vector as u8)));
    load(own);
}

/// The number of the processor that runs this.
pub(super) fn processor() -> usize {
    let processor;
    // SAFETY: `load` made `gs` begin where the number is, which nobody changes.
    unsafe { asm!("mov {}, gs:[0]", out(reg) processor, options(pure, readonly, nostack, preserves_flags)) };
    processor
}

/// Has the processor that runs this use the gates, with what is its own.
pub(super) fn load(own: &'static mut Own) {
    own.task_state.interrupt_stacks[0] = own.stack.as_ptr_range().end as u64;
    let base = &raw const own.task_state as u64;
    let limit = size_of::<TaskState>() as u64 - 1;
    // Present, available 64-bit task state; the base in three pieces.
    own.segments[3] = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    own.segments[4] = base >> 32;
    let segments = TablePointer::to(&own.segments);
    // SAFETY: the table stays where it is, and code and data segments are where they were.
    unsafe { asm!("lgdt [{}]", in(reg) &raw const segments, options(readonly, nostack, preserves_flags)) };
    // SAFETY: the selector is the task state's, which stays where it is; the processor marks it as busy in the table, which is ours alone.
    unsafe { asm!("ltr {0:x}", in(reg) TASK_STATE_SELECTOR, options(nostack, preserves_flags)) };
    let processor = &raw const own.processor as u64;
    // SAFETY: nothing but `processor` uses `gs`.
    unsafe {
        asm!("wrmsr", in("ecx") GS_BASE, in("eax") processor as u32, in("edx") (processor >> 32) as u32, options(nostack, preserves_flags));
    }
    if let Some(gates) = GATES.get() {
        let gates = TablePointer::to(gates);
        // SAFETY: the table is static, and its entry points are made for what comes to them.
        unsafe { asm!("lidt [{}]", in(reg) &raw const gates, options(readonly, nostack, preserves_flags)) };
    }
}

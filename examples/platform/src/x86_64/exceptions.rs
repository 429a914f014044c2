//! Exceptions: each prints what happened and where, and ends the machine with a failure.
//!
//! They have a stack of their own, which the processor switches to: the usual one may be what is broken. Intel SDM volume 3, §7.14.5 (interrupt stack
//! table), §8.2.3 (64-bit task state segment).

use core::arch::{asm, global_asm};

use spin::Once;

use super::exit::{Status, exit};
use crate::println;

global_asm!(
    r#"
    .macro exception_stub vector, has_error_code
    .align 16
    .if \has_error_code == 0
    push 0
    .endif
    push \vector
    jmp exception_common
    .endm

    .section .text
    .align 16
    .global exception_stubs
exception_stubs:
    .set vector, 0
    .rept 32
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    exception_stub vector, 1
    .else
    exception_stub vector, 0
    .endif
    .set vector, vector + 1
    .endr

exception_common:
    mov rdi, rsp
    and rsp, -16
    call exception
    ud2
    "#
);

unsafe extern "C" {
    /// 32 entry points, 16 bytes apart.
    safe static exception_stubs: u8;
}

/// What the stubs and the processor left on the stack.
#[repr(C)]
struct Frame {
    vector: u64,
    error_code: u64,
    instruction_pointer: u64,
}

#[unsafe(no_mangle)]
extern "C" fn exception(frame: &Frame) -> ! {
    let fault_address: u64;
    // SAFETY: reading a control register changes nothing.
    unsafe { asm!("mov {}, cr2", out(reg) fault_address, options(nomem, nostack, preserves_flags)) };
    println!(
        "exception {} (error code {:#x}) at {:#x}, last page fault at {:#x}",
        frame.vector, frame.error_code, frame.instruction_pointer, fault_address
    );
    exit(Status::Failure)
}

/// A 64-bit interrupt gate.
#[repr(C)]
struct Gate {
    low: u64,
    high: u64,
}

static TABLE: Once<[Gate; 32]> = Once::new();

const STACK_BYTES: usize = 16 << 10;

/// The exceptions' stack.
#[repr(C, align(16))]
struct Stack([u8; STACK_BYTES]);

static mut STACK: Stack = Stack([0; STACK_BYTES]);

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

static TASK_STATE: Once<TaskState> = Once::new();

/// The boot code's segments again, and the task state's, which takes two entries.
static SEGMENTS: Once<[u64; 5]> = Once::new();
const TASK_STATE_SELECTOR: u16 = 3 * 8;

/// What `lidt` reads.
#[repr(C, packed)]
struct TablePointer<T> {
    limit: u16,
    table: *const T,
}

fn init_stack() {
    let top = &raw const STACK as u64 + STACK_BYTES as u64;
    let task_state = TASK_STATE.call_once(|| TaskState {
        reserved: 0,
        privilege_stacks: [0; 3],
        reserved_too: 0,
        interrupt_stacks: [top, 0, 0, 0, 0, 0, 0],
        reserved_as_well: 0,
        reserved_still: 0,
        io_map: size_of::<TaskState>() as u16,
    });
    let base = &raw const *task_state as u64;
    let limit = size_of::<TaskState>() as u64 - 1;
    // Present, available 64-bit task state; the base in three pieces.
    let low = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    let segments = SEGMENTS.call_once(|| [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, low, base >> 32]);
    let pointer = TablePointer { limit: (size_of_val(segments) - 1) as u16, table: segments.as_ptr() };
    // SAFETY: the table is static, and code and data segments are where they were.
    unsafe { asm!("lgdt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags)) };
    // SAFETY: the selector is the task state's, which is static.
    unsafe { asm!("ltr {0:x}", in(reg) TASK_STATE_SELECTOR, options(nostack, preserves_flags)) };
}

pub(super) fn init() {
    init_stack();
    let stubs = &raw const exception_stubs as u64;
    let table = TABLE.call_once(|| {
        core::array::from_fn(|vector| {
            let target = stubs + 16 * vector as u64;
            // Present, interrupt gate, first stack of the table, code segment 8.
            let low = target & 0xffff | 8 << 16 | 1 << 32 | 0x8e << 40 | (target >> 16 & 0xffff) << 48;
            Gate { low, high: target >> 32 }
        })
    });
    let pointer = TablePointer { limit: (size_of_val(table) - 1) as u16, table: table.as_ptr() };
    // SAFETY: the table is static, and its entry points end the machine.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags)) };
}

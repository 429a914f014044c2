//! Exceptions: each prints what happened and where, and ends the machine with a failure.

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

/// What `lidt` reads.
#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    table: *const Gate,
}

pub(super) fn init() {
    let stubs = &raw const exception_stubs as u64;
    let table = TABLE.call_once(|| {
        core::array::from_fn(|vector| {
            let target = stubs + 16 * vector as u64;
            // Present, interrupt gate, code segment 8.
            let low = target & 0xffff | 8 << 16 | 0x8e << 40 | (target >> 16 & 0xffff) << 48;
            Gate { low, high: target >> 32 }
        })
    });
    let pointer = TablePointer { limit: (size_of_val(table) - 1) as u16, table: table.as_ptr() };
    // SAFETY: the table is static, and its entry points end the machine.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags)) };
}

//! Exceptions: each prints what happened and where, and ends the machine with a failure.
//!
//! They have a stack of their own (see `descriptors.rs`). Intel SDM volume 3, chapter "Interrupt and exception handling".

use core::arch::{asm, global_asm};

use super::exit::{Status, exit};
use crate::println;

/// Vectors that are the processor's own.
const EXCEPTIONS: u8 = 32;

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

/// Where an exception enters.
pub(super) fn entry_point(vector: u8) -> Option<u64> {
    (vector < EXCEPTIONS).then_some(&raw const exception_stubs as u64 + 16 * u64::from(vector))
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

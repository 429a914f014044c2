//! Exceptions: each prints what happened and where, and ends the machine with a failure.
//!
//! They have a stack of their own, which `sscratch` points to: the usual one may be what is broken. RISC-V Instruction Set Manual, volume II,
//! §"Supervisor Cause Register". Nothing is saved, for nobody goes back: interrupts are never taken as traps here (see `interrupts`).

use core::arch::global_asm;

use super::csr;
use super::exit::{Status, exit};
use crate::println;

global_asm!(
    r#"
    .section .text
    .balign 4
    .global trap_entry
trap_entry:
    csrr sp, sscratch
    call trap
    unimp
    "#
);

#[unsafe(no_mangle)]
extern "C" fn trap() -> ! {
    let cause = csr::scause();
    println!(
        "exception {cause} ({}) at {:#x}, faulting address {:#x}",
        name(cause),
        csr::sepc(),
        csr::stval()
    );
    exit(Status::Failure)
}

fn name(cause: u64) -> &'static str {
    match cause {
        0 | 4 | 6 => "misaligned address",
        1 | 5 | 7 => "access fault",
        2 => "illegal instruction",
        3 => "breakpoint",
        12 => "page fault of an instruction",
        13 => "page fault of a load",
        15 => "page fault of a store",
        _ => "unexpected",
    }
}

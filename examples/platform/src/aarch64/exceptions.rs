//! Exceptions: each prints what happened and where, and ends the machine with a failure.
//!
//! Arm Architecture Reference Manual, D1.3. They have a stack of their own (see `boot.rs`): the usual one may be what is broken. Interrupts are never taken as exceptions here:
//! they stay masked, and `interrupts` asks the interrupt controller for them.

use core::arch::global_asm;

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{DAIF, ELR_EL1, ESR_EL1, FAR_EL1, ReadWriteable, Readable, VBAR_EL1, Writeable};

use super::exit::{self, Status};
use crate::println;

global_asm!(
    r#"
    .section .text
    .align 11
    .global exception_vectors
exception_vectors:
    .set vector, 0
    .rept 16
    .align 7
    mov x0, #vector
    b exception_common
    .set vector, vector + 1
    .endr

exception_common:               // nobody goes back, so nothing is kept
    cmp x0, #4
    b.lo 1f
    b other_exception
1:  b exception
    "#
);

unsafe extern "C" {
    /// 16 entry points, 128 bytes apart: four kinds of exceptions, from four places.
    safe static exception_vectors: u8;
}

/// From code on the usual stack.
#[unsafe(no_mangle)]
extern "C" fn exception(vector: u64) -> ! {
    if exit::has_begun() {
        exit::halt();
    }
    let kind = ["synchronous", "interrupt", "fast interrupt", "system error"].get(vector as usize);
    println!(
        "exception: {} (syndrome {:#x}, class {:#x}) at {:#x}, fault address {:#x}",
        kind.unwrap_or(&"unknown"),
        ESR_EL1.get(),
        ESR_EL1.read(ESR_EL1::EC),
        ELR_EL1.get(),
        FAR_EL1.get()
    );
    exit::exit(Status::Failure)
}

/// From an exception: even printing does not work.
#[unsafe(no_mangle)]
extern "C" fn other_exception() -> ! {
    exit::exit(Status::Failure)
}

/// Has this processor find the entry points, and take system errors, which the boot code has masked with everything else.
pub(super) fn init() {
    VBAR_EL1.set(&raw const exception_vectors as u64);
    barrier::isb(barrier::SY);
    DAIF.modify(DAIF::A::Unmasked);
}

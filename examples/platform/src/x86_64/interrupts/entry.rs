//! Where interrupts enter, and what is done with each.
//!
//! They come only while [`wait`](super::wait) sleeps, and one at a time: the code that was interrupted goes on with interrupts switched off, so that a device that interrupts again and again
//! does not keep it from going on. The stubs keep the registers that a function may use; there are no others to keep, for this kernel is compiled for processors without
//! floating point and vectors.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::local_apic;
use crate::interrupts::{PROCESSORS_MAX, SOURCES_MAX, arrived, woken};
use crate::machine::cpus;

/// The vector of source 0; the others follow.
pub(super) const FIRST_SOURCE: u8 = 0x40;
pub(super) const SOURCES: u8 = SOURCES_MAX as u8;
/// The vector of the timer.
pub(super) const TIMER: u8 = FIRST_SOURCE + SOURCES;
/// The vector of interrupts that went away before they were taken.
pub(super) const SPURIOUS: u8 = 0xff;

/// In the processor's flags: interrupts are let through.
const INTERRUPTS_ON: u32 = 1 << 9;

global_asm!(
    r#"
    .section .text
    .align 16
    .global interrupt_stubs
interrupt_stubs:
    .set vector, {first}
    .rept {sources} + 1
    .align 16
    push vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr

interrupt_common:                   // rsp is a multiple of 16 here
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    mov rdi, [rsp + 9 * 8]          // the vector
    sub rsp, 8
    cld
    call interrupt
    add rsp, 8
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 8

    .global interrupt_spurious
interrupt_spurious:
    and qword ptr [rsp + 2 * 8], ~{interrupts_on}   // the interrupted code's flags
    iretq
    "#,
    interrupts_on = const INTERRUPTS_ON,
    first = const FIRST_SOURCE,
    sources = const SOURCES,
);

unsafe extern "C" {
    /// The entry points of the sources and the timer, 16 bytes apart.
    safe static interrupt_stubs: u8;
    /// That of spurious interrupts.
    safe static interrupt_spurious: u8;
}

/// Where an interrupt enters.
pub(in super::super) fn entry_point(vector: u8) -> Option<u64> {
    match vector {
        FIRST_SOURCE..=TIMER => {
            Some(&raw const interrupt_stubs as u64 + 16 * u64::from(vector - FIRST_SOURCE))
        }
        SPURIOUS => Some(&raw const interrupt_spurious as u64),
        _ => None,
    }
}

/// Interrupts that each processor has handled, but for its timer's.
static HANDLED: [AtomicU64; PROCESSORS_MAX] = [const { AtomicU64::new(0) }; PROCESSORS_MAX];

/// How many interrupts this processor has handled so far; its timer's do not count.
pub(super) fn handled() -> u64 {
    HANDLED.get(cpus::current()).map_or(0, |handled| handled.load(Ordering::Relaxed))
}

#[unsafe(no_mangle)]
extern "C" fn interrupt(vector: u8) {
    woken();
    if vector != TIMER {
        // A line is quiet again after this, so that ending the interrupt does not raise it once more.
        super::sharing(usize::from(vector - FIRST_SOURCE)).for_each(arrived);
        if let Some(handled) = HANDLED.get(cpus::current()) {
            handled.fetch_add(1, Ordering::Relaxed);
        }
    }
    local_apic::end_of_interrupt();
}

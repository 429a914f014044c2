//! Control and status registers of a hart, as far as they are used here.
//!
//! RISC-V Instruction Set Manual, volume II (privileged), chapter "Supervisor-Level ISA".

use core::arch::asm;

macro_rules! readable {
    ($read:ident, $register:literal) => {
        #[doc = concat!("Reads `", $register, "`.")]
        pub(super) fn $read() -> u64 {
            let value;
            // SAFETY: reading this register changes nothing.
            unsafe { asm!(concat!("csrr {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) };
            value
        }
    };
}

readable!(scause, "scause");
readable!(sepc, "sepc");
readable!(stval, "stval");
readable!(time, "time");

/// Sets which interrupts end the instruction `wfi`: those of devices, and the timer's. They are not taken as traps, for `sstatus` does not let them through.
pub(super) fn wake_on_interrupts() {
    const EXTERNAL_AND_TIMER: u64 = 1 << 9 | 1 << 5;
    // SAFETY: nothing is taken, see above.
    unsafe { asm!("csrw sie, {}", in(reg) EXTERNAL_AND_TIMER, options(nomem, nostack, preserves_flags)) };
}

/// What was read from devices and from these registers before is older than what is read from memory after it: a plain fence between processors does not order that.
pub(super) fn order_input_before_reads() {
    // SAFETY: changes nothing but the order of accesses.
    unsafe { asm!("fence i, r", options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt is pending; may return earlier.
pub(super) fn wait_for_interrupt() {
    // SAFETY: changes nothing but time.
    unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) };
}

/// Chooses which register `sireg` is (Advanced Interrupt Architecture 1.0, §2.1).
pub(super) fn set_siselect(register: u64) {
    // SAFETY: changes nothing but what `sireg` is, which only `interrupts` uses.
    unsafe { asm!("csrw siselect, {}", in(reg) register, options(nomem, nostack, preserves_flags)) };
}

/// Writes the chosen register, one of an interrupt controller's.
pub(super) fn set_sireg(value: u64) {
    // SAFETY: interrupts are not taken as traps, whatever is let through.
    unsafe { asm!("csrw sireg, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
}

/// Takes the most urgent interrupt of `stopei`: its identity is in the upper half; 0 if there is none.
pub(super) fn take_stopei() -> u64 {
    let value;
    // SAFETY: makes an interrupt pending no more, which only `interrupts` looks for.
    unsafe { asm!("csrrw {}, stopei, zero", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Starts to translate addresses through the page table that `satp` names, and forgets all earlier translations.
///
/// # Safety
/// The table maps all that is in use, where it is.
pub(super) unsafe fn set_satp(satp: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("sfence.vma", "csrw satp, {}", "sfence.vma", in(reg) satp, options(nostack, preserves_flags));
    }
}

/// Makes changed page tables count on this hart.
pub(super) fn forget_translations() {
    // SAFETY: what the hart forgets it looks up again.
    unsafe { asm!("sfence.vma", options(nostack, preserves_flags)) };
}

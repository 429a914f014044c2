//! From the firmware to Rust: a stack, and somebody who takes exceptions.
//!
//! RISC-V SBI Specification 2.0, §9 (Hart State Management): a hart (the manuals' word for a processor) starts in supervisor mode without paging, with its number
//! in `a0`. The first one finds the device tree's address in `a1`, by the convention of Linux. Each keeps its place among the processors in `tp`, which compilers leave alone.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .boot, "ax"
    .global boot_start
boot_start:
    csrw sie, zero              // no interrupts
    la t0, trap_entry
    csrw stvec, t0
    la t0, boot_trap_stack_top
    csrw sscratch, t0
    li t0, 1 << 13              // floating-point registers may be used
    csrs sstatus, t0
    la sp, boot_stack_top
    mv s0, zero
    mv tp, zero
    call machine_main
    unimp

    // The others find what is theirs in a structure, whose address is in a1: satp, two ends of stacks, which one it is.
    .global boot_other
boot_other:
    csrw sie, zero
    la t0, trap_entry
    csrw stvec, t0
    ld t0, 16(a1)
    csrw sscratch, t0
    li t0, 1 << 13
    csrs sstatus, t0
    ld sp, 8(a1)
    ld t0, 0(a1)
    sfence.vma
    csrw satp, t0
    sfence.vma
    mv s0, zero
    ld tp, 24(a1)
    mv a0, a1
    call other_main
    unimp

    .section .stack, "aw", @nobits
    .balign 4096
    .skip 256 * 1024
boot_stack_top:
    .skip 16 * 1024
boot_trap_stack_top:
    "#
);

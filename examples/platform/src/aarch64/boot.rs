//! From the loader to Rust: exception level 1, with the memory management unit on.
//!
//! Arm Architecture Reference Manual, D8 (translation), D24.2 (registers). QEMU enters an ELF file at its entry point, at level 1, or at level 2 (with
//! `virtualization=on`), which is left for level 1 at once; level 3 (`secure=on`) is not for kernels like this one. Memory is mapped at its physical addresses, in blocks of 2 MiB: here only the device tree and the
//! kernel, as `link/aarch64.ld` places them; the rest when the device tree was read. The tables are made by the assembler, so that all of Rust runs with caches on,
//! as atomic operations ask for.
//!
//! Code runs on the stack pointer of level 0; exceptions take that of level 1, and so have a stack of their own. Other processors come in by `boot_other`, with the
//! address of their `Stacks` (`cpus.rs`) in `x0`.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .boot, "ax"
    .global boot_start
boot_start:
    bl boot_enter_level_1
    bl boot_map
    msr spsel, #1
    ldr x9, =boot_exception_stack_top
    mov sp, x9
    msr spsel, #0
    ldr x9, =boot_stack_top
    mov sp, x9
    mov x29, xzr
    ldr x0, =memory_start
    bl machine_main
    b .

    .global boot_other
boot_other:
    mov x19, x0
    bl boot_enter_level_1
    bl boot_map
    ldp x9, x10, [x19]          // tops of the two stacks
    msr spsel, #1
    mov sp, x10
    msr spsel, #0
    mov sp, x9
    mov x29, xzr
    mov x0, x19
    bl other_main
    b .

boot_enter_level_1:             // from level 2, which keeps nothing for itself; all interrupts are masked
    msr daifset, #0xf
    mrs x9, currentel
    cmp x9, #(2 << 2)
    b.ne 2f
    mov x9, #(1 << 31)          // HCR_EL2: level 1 is 64-bit
    msr hcr_el2, x9
    mov x9, #3                  // level 1 has counter and timer
    msr cnthctl_el2, x9
    msr cntvoff_el2, xzr
    mov x9, #0x33ff             // and floating point
    msr cptr_el2, x9
    msr hstr_el2, xzr
    mrs x9, midr_el1
    msr vpidr_el2, x9
    mrs x9, mpidr_el1
    msr vmpidr_el2, x9
    mrs x9, id_aa64pfr0_el1
    ubfx x9, x9, #24, #4        // is there an interrupt controller with system registers?
    cbz x9, 1f
    mrs x9, s3_4_c12_c9_5       // ICC_SRE_EL2: use them, on level 1, too
    orr x9, x9, #0xf
    msr s3_4_c12_c9_5, x9
    isb
1:  ldr x9, =0x30d00800         // SCTLR_EL1: what is always one
    msr sctlr_el1, x9
    mov x9, #0x3c5              // level 1, all interrupts masked
    msr spsr_el2, x9
    msr elr_el2, x30
    eret
2:  ret

boot_map:
    mov x9, #(3 << 20)          // CPACR_EL1: floating point is not trapped
    msr cpacr_el1, x9
    ldr x9, =0x04ff             // MAIR_EL1: 0 is write-back memory, 1 is device memory, nGnRE
    msr mair_el1, x9
    mrs x10, id_aa64mmfr0_el1   // TCR_EL1: as many physical bits as there are, up to 48; the lower 48 bits of addresses, pages of 4 KiB, cached tables
    ubfx x10, x10, #0, #4
    mov x11, #5
    cmp x10, x11
    csel x10, x10, x11, lo
    ldr x9, =0x803510
    orr x9, x9, x10, lsl #32
    msr tcr_el1, x9
    ldr x9, =boot_level_0
    msr ttbr0_el1, x9
    dsb ish
    ic iallu
    tlbi vmalle1
    dsb ish
    isb
    ldr x9, =0x30d8180d         // SCTLR_EL1: translation, caches, stack alignment; what is writable is not executed
    msr sctlr_el1, x9
    isb
    ret
    .ltorg

    // 0x3 is a table; 0x701 a block of memory: accessed, shared, readable and writable; 0x80 makes it read-only, the top bits not executable.
    .section .data
    .align 12
    .global boot_level_0
boot_level_0:
    .quad boot_level_1 + 0x3
    .skip 511 * 8
boot_level_1:
    .quad 0
    .quad boot_level_2 + 0x3            // from 1 GiB on
    .skip 510 * 8
boot_level_2:
    .quad memory_start + 0x0060000000000781             // the device tree
    .quad memory_start + 0x200000 + 0x0040000000000781  // text and constants
    .quad 0                                             // the stack's guard
    .quad memory_start + 0x600000 + 0x0060000000000701  // stacks and data
    .skip 508 * 8

    .section .stack, "aw", @nobits
    .align 12
    .skip 256 * 1024
boot_stack_top:
    .skip 16 * 1024
boot_exception_stack_top:
    "#
);

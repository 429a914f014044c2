//! From real mode to the boot code: what another processor does first.
//!
//! A processor starts in real mode at the beginning of a page below 1 MiB, so a few instructions are copied there. They enter 32-bit protected mode, in segments of the boot
//! code's, and go on inside of the kernel: `enter_long_mode` in `boot.rs` does the rest, as for the boot processor.

use core::arch::global_asm;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use super::super::memory;
use super::processor_main;

global_asm!(
    r#"
    .section .rodata
    .global trampoline_start
    .global trampoline_end
    .code16
trampoline_start:
    jmp 2f
    .word 31                    // at offset 2: what lgdt reads
    .long boot_gdt
2:  cli
    mov ax, cs
    mov ds, ax
    data32 lgdt [2]
    mov eax, cr0
    or al, 1                    // protection
    mov cr0, eax
    .byte 0x66, 0xea            // jump far, to a 32-bit address
    .long protected_mode
    .word 24                    // 32-bit code
trampoline_end:

    .section .boot, "ax"
    .code32
protected_mode:
    cld
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, [trampoline_stack]
    xor ebp, ebp
    mov esi, offset {main}
    jmp enter_long_mode
    .code64
    "#,
    main = sym processor_main,
);

unsafe extern "C" {
    safe static trampoline_start: u8;
    safe static trampoline_end: u8;
}

/// The top of the next processor's stack.
#[unsafe(no_mangle)]
static trampoline_stack: AtomicU32 = AtomicU32::new(0);

/// Puts the instructions where a processor can start, with a stack for the code behind them, and gives the number of that page. `None` if there is no such memory.
pub(super) fn prepare(stack_top: u64) -> Option<u8> {
    let page = memory::low_page()?;
    trampoline_stack.store(u32::try_from(stack_top).ok()?, Ordering::Release);
    let start = &raw const trampoline_start;
    let bytes = &raw const trampoline_end as usize - start as usize;
    // SAFETY: a page of usable memory that nothing else is in, and the instructions are far less than that.
    unsafe { ptr::copy_nonoverlapping(start, (page * memory::PAGE_BYTES) as *mut u8, bytes) };
    u8::try_from(page).ok()
}

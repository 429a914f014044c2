//! From the loader to Rust: 32-bit protected mode without paging, to 64-bit mode with identity-mapped memory.
//!
//! The entry is PVH's: an ELF note names a 32-bit address, and `ebx` holds the physical address of the start information. The first 4 GiB are
//! mapped with 2 MiB pages (some hypervisors fault on 1 GiB pages); memory and BARs further up are mapped when they are needed. Three pages are special,
//! as `link/x86_64.ld` places the kernel: the first 4 KiB are read-only, and so are text and constants at 2 MiB, and the 2 MiB below the stack are not mapped.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .align 4
    .long 4                     // bytes of the name
    .long 8                     // bytes of the value
    .long 18                    // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start
    .align 4

    .section .boot, "ax"
    .code32
    .global pvh_start
pvh_start:
    cld
    mov esp, offset boot_stack_top
    mov ebp, ebx                // the start information

    // One level-4 entry, four level-3 entries, four tables of 2 MiB pages: 0x83 is present, writable, large.
    mov dword ptr [boot_level_4], offset boot_level_3 + 3
    mov ecx, 4
    mov eax, offset boot_level_2 + 3
    mov edi, offset boot_level_3
2:  mov dword ptr [edi], eax
    add eax, 0x1000
    add edi, 8
    loop 2b
    mov ecx, 2048
    mov eax, 0x83
    mov edi, offset boot_level_2
3:  mov dword ptr [edi], eax
    add eax, 0x200000
    add edi, 8
    loop 3b
    mov ecx, 511                // the first 2 MiB in pages of 4 KiB, but for the first
    mov eax, 0x1003
    mov edi, offset boot_level_1 + 8
4:  mov dword ptr [edi], eax
    add eax, 0x1000
    add edi, 8
    loop 4b
    mov dword ptr [boot_level_1], 1                 // not writable: the loader's information may be there
    mov dword ptr [boot_level_2], offset boot_level_1 + 3
    mov dword ptr [boot_level_2 + 8], 0x200081      // text and constants: not writable
    mov dword ptr [boot_level_2 + 16], 0            // the stack's guard
    mov esi, offset machine_main

    // Other processors come here, too. esp: the stack; ebp: an argument; esi: what to call with it.
    .global enter_long_mode
enter_long_mode:
    mov eax, offset boot_level_4
    mov cr3, eax
    mov eax, cr4
    or eax, 0x620               // physical address extension, SSE
    mov cr4, eax
    mov ecx, 0xc0000080         // EFER
    rdmsr
    or eax, 0x100               // long mode
    wrmsr
    mov eax, cr0
    and eax, 0x9ffffffb         // caches are used; no floating-point emulation
    or eax, 0x80010003          // paging, write protection, monitor coprocessor, protection
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset long_mode
    push eax
    retf

    .code64
long_mode:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, esp                // stack and function are below 4 GiB: the upper halves become zero
    mov edi, ebp
    mov esi, esi
    xor ebp, ebp
    call rsi
    ud2

    .section .rodata
    .align 8
    .global boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    // code, 64 bit; accessed already, for this memory is read-only
    .quad 0x00cf93000000ffff    // data; the same
    .quad 0x00cf9b000000ffff    // code, 32 bit: for processors on their way to 64 bit
boot_gdt_pointer:
    .word 31
    .quad boot_gdt

    .section .bss
    .align 4096
    .global boot_level_4
boot_level_4:
    .skip 4096
boot_level_3:
    .skip 4096
boot_level_2:
    .skip 4 * 4096
boot_level_1:
    .skip 4096

    .section .stack, "aw", @nobits
    .align 4096
    .skip 256 * 1024
boot_stack_top:
    "#
);

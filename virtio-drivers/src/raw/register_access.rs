//! One register access: one instruction, of exactly the register's width.
//!
//! Spec: §4.1.3.1 and §4.2.2.2 (access widths).
//!
//! A guest's register accesses end in its hypervisor. On aarch64 that is told what the guest did for plain loads and stores only: those that also write
//! their address register back, or fill two registers, it cannot complete. A compiler may choose either for a volatile access, so there the instructions
//! are spelled out (Arm Architecture Reference Manual, ESR_ELx.ISS for data aborts, field ISV). On x86, ports have instructions of their own.

use core::ptr::NonNull;

#[cfg(not(target_arch = "aarch64"))]
use volatile::VolatilePtr;

use crate::hal::AccessWidth;

/// # Safety
/// `register` is a mapped device register of that width, aligned to it.
#[cfg(not(target_arch = "aarch64"))]
pub(super) unsafe fn read_memory(register: NonNull<u8>, width: AccessWidth) -> u32 {
    match width {
        AccessWidth::Byte => {
            // SAFETY: the caller's promise.
            let register = unsafe { VolatilePtr::new(register) };
            u32::from(register.read())
        }
        AccessWidth::Word => {
            // SAFETY: the caller's promise.
            let register = unsafe { VolatilePtr::new(register.cast::<u16>()) };
            u32::from(u16::from_le(register.read()))
        }
        AccessWidth::Long => {
            // SAFETY: the caller's promise.
            let register = unsafe { VolatilePtr::new(register.cast::<u32>()) };
            u32::from_le(register.read())
        }
    }
}

/// # Safety
/// `register` is a mapped device register of that width, aligned to it.
#[cfg(not(target_arch = "aarch64"))]
#[allow(clippy::cast_possible_truncation, reason = "a register takes as many low bits as it is wide")]
pub(super) unsafe fn write_memory(register: NonNull<u8>, width: AccessWidth, value: u32) {
    match width {
        AccessWidth::Byte => {
            // SAFETY: the caller's promise.
            let register = unsafe { VolatilePtr::new(register) };
            register.write(value as u8);
        }
        AccessWidth::Word => {
            // SAFETY: the caller's promise.
            let register = unsafe { VolatilePtr::new(register.cast::<u16>()) };
            register.write((value as u16).to_le());
        }
        AccessWidth::Long => {
            // SAFETY: the caller's promise.
            let register = unsafe { VolatilePtr::new(register.cast::<u32>()) };
            register.write(value.to_le());
        }
    }
}

#[cfg(target_arch = "aarch64")]
macro_rules! instruction {
    (load $name:literal, $register:expr) => {{
        let value: u32;
        // SAFETY: the caller promised a mapped register of this width, aligned to it. It is device memory, which no reference points to.
        unsafe {
            core::arch::asm!(concat!($name, " {value:w}, [{register}]"), value = out(reg) value, register = in(reg) $register.as_ptr(), options(nostack, preserves_flags));
        }
        value
    }};
    (store $name:literal, $register:expr, $value:expr) => {
        // SAFETY: as for loads.
        unsafe {
            core::arch::asm!(concat!($name, " {value:w}, [{register}]"), value = in(reg) $value, register = in(reg) $register.as_ptr(), options(nostack, preserves_flags));
        }
    };
}

/// # Safety
/// `register` is a mapped device register of that width, aligned to it.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn read_memory(register: NonNull<u8>, width: AccessWidth) -> u32 {
    match width {
        AccessWidth::Byte => instruction!(load "ldrb", register),
        AccessWidth::Word => u32::from(u16::from_le((instruction!(load "ldrh", register) & 0xffff) as u16)),
        AccessWidth::Long => u32::from_le(instruction!(load "ldr", register)),
    }
}

/// # Safety
/// `register` is a mapped device register of that width, aligned to it.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn write_memory(register: NonNull<u8>, width: AccessWidth, value: u32) {
    match width {
        AccessWidth::Byte => instruction!(store "strb", register, value),
        AccessWidth::Word => {
            instruction!(store "strh", register, u32::from(((value & 0xffff) as u16).to_le()));
        }
        AccessWidth::Long => instruction!(store "str", register, value.to_le()),
    }
}

/// # Safety
/// The port is a device register of that width, aligned to it, and accessing it is up to the caller.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub(super) unsafe fn read_port(port: u16, width: AccessWidth) -> u32 {
    let value: u32;
    match width {
        // SAFETY: the caller's promise.
        AccessWidth::Byte => unsafe {
            core::arch::asm!("xor eax, eax", "in al, dx", in("dx") port, out("eax") value, options(nostack));
        },
        // SAFETY: the caller's promise.
        AccessWidth::Word => unsafe {
            core::arch::asm!("xor eax, eax", "in ax, dx", in("dx") port, out("eax") value, options(nostack));
        },
        // SAFETY: the caller's promise.
        AccessWidth::Long => unsafe {
            core::arch::asm!("in eax, dx", in("dx") port, out("eax") value, options(nostack, preserves_flags));
        },
    }
    value
}

/// # Safety
/// As for [`read_port`].
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub(super) unsafe fn write_port(port: u16, width: AccessWidth, value: u32) {
    match width {
        // SAFETY: the caller's promise.
        AccessWidth::Byte => unsafe {
            core::arch::asm!("out dx, al", in("dx") port, in("eax") value, options(nostack, preserves_flags));
        },
        // SAFETY: the caller's promise.
        AccessWidth::Word => unsafe {
            core::arch::asm!("out dx, ax", in("dx") port, in("eax") value, options(nostack, preserves_flags));
        },
        // SAFETY: the caller's promise.
        AccessWidth::Long => unsafe {
            core::arch::asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags));
        },
    }
}

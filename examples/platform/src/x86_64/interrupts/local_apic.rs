//! The local APIC: what delivers interrupts to the processor beside it, and has a timer.
//!
//! Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller (APIC)". Its registers are at the same address for each processor, and each sees
//! its own. This is the xAPIC, registers in memory, which every 64-bit processor has; the x2APIC, registers behind instructions, is for machines with more
//! than 255 processors.

use core::arch::asm;

use spin::Once;
use virtio_guest::hal::MapMmio;

use super::entry::SPURIOUS;
use crate::dma::MMIO;

/// The model-specific register that says where the registers are, and in which mode.
const BASE_REGISTER: u32 = 0x1b;
const IS_X2APIC: u64 = 1 << 10;
const IS_ENABLED: u64 = 1 << 11;
const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Registers, as offsets in bytes.
pub(super) mod register {
    pub(in super::super) const ID: usize = 0x20;
    pub(in super::super) const TASK_PRIORITY: usize = 0x80;
    pub(in super::super) const END_OF_INTERRUPT: usize = 0xb0;
    pub(in super::super) const SPURIOUS_VECTOR: usize = 0xf0;
    pub(in super::super) const COMMAND_LOW: usize = 0x300;
    pub(in super::super) const COMMAND_HIGH: usize = 0x310;
    pub(in super::super) const TIMER: usize = 0x320;
    pub(in super::super) const LOCAL_LINE_0: usize = 0x350;
    pub(in super::super) const ERROR: usize = 0x370;
    pub(in super::super) const TIMER_INITIAL_COUNT: usize = 0x380;
    pub(in super::super) const TIMER_CURRENT_COUNT: usize = 0x390;
    pub(in super::super) const TIMER_DIVIDE: usize = 0x3e0;
}

const BYTES: usize = 4096;
/// In a local vector: nothing is delivered.
pub(super) const MASKED: u32 = 1 << 16;
/// In the spurious vector register: the local APIC is enabled.
const ENABLED: u32 = 1 << 8;
/// In the command register: the last command has not been delivered yet.
const IS_PENDING: u32 = 1 << 12;

static BASE: Once<usize> = Once::new();
static BOOT_PROCESSOR: Once<u8> = Once::new();

fn pointer(register: usize) -> *mut u32 {
    let base = *BASE.get().expect("interrupts are set up before they are used");
    (base + register) as *mut u32
}

pub(super) fn read(register: usize) -> u32 {
    // SAFETY: mapped when the base became known, and aligned; no register that is read here has a side effect.
    unsafe { pointer(register).read_volatile() }
}

pub(super) fn write(register: usize, value: u32) {
    // SAFETY: mapped when the base became known, and aligned; what is written makes no processor run code but that of this kernel's gates and of `cpus`.
    unsafe { pointer(register).write_volatile(value) };
}

/// Finds the boot processor's, and enables it.
pub(super) fn init() {
    let (low, high): (u32, u32);
    // SAFETY: every processor with an APIC has this register, and reading it changes nothing.
    unsafe {
        asm!("rdmsr", in("ecx") BASE_REGISTER, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    };
    let mode = u64::from(high) << 32 | u64::from(low);
    assert!(mode & IS_ENABLED != 0, "the processor's local APIC is switched off");
    assert!(mode & IS_X2APIC == 0, "firmware chose the x2APIC, which this kernel does not know");
    let base = mode & BASE_ADDRESS;
    // SAFETY: the processor says that its local APIC is there.
    let window = unsafe { MMIO.map_mmio(base, BYTES) };
    assert!(window.is_some(), "no way to map the local APIC");
    BASE.call_once(|| base as usize);
    BOOT_PROCESSOR.call_once(|| (read(register::ID) >> 24) as u8);
    enable();
}

/// Enables this processor's: nothing but what is asked for later comes through.
pub(super) fn enable() {
    write(register::TASK_PRIORITY, 0);
    for line in [register::TIMER, register::LOCAL_LINE_0, register::ERROR] {
        write(line, MASKED);
    }
    write(register::SPURIOUS_VECTOR, ENABLED | u32::from(SPURIOUS));
}

/// The number of the boot processor.
pub(in super::super) fn boot_processor() -> u8 {
    *BOOT_PROCESSOR.get().expect("interrupts are set up before they are used")
}

/// Says that the interrupt in service is handled.
pub(super) fn end_of_interrupt() {
    write(register::END_OF_INTERRUPT, 0);
}

/// Has another processor start over, and wait to be told where.
pub(in super::super) fn send_init(to: u8) {
    const INIT: u32 = 0x4500; // asserted
    send(to, INIT);
}

/// Has a processor that waits start in real mode, at the beginning of a page below 1 MiB.
pub(in super::super) fn send_startup(to: u8, page: u8) {
    const STARTUP: u32 = 0x4600; // asserted
    send(to, STARTUP | u32::from(page));
}

fn send(to: u8, command: u32) {
    write(register::COMMAND_HIGH, u32::from(to) << 24);
    write(register::COMMAND_LOW, command);
    while read(register::COMMAND_LOW) & IS_PENDING != 0 {
        core::hint::spin_loop();
    }
}

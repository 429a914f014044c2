//! The end: the machine's test device ends QEMU with a status.

use core::ptr::NonNull;

use spin::Once;
use volatile::VolatilePtr;

use super::csr;
use crate::device_tree;

/// The device's command "fail", with the status in the upper half; the other one, "pass", has no status.
const FAIL: u32 = 0x3333;

/// Where the device's one register is.
static REGISTER: Once<u64> = Once::new();

/// How the program ended: what QEMU exits with.
#[derive(Clone, Copy)]
pub(crate) enum Status {
    /// All went well.
    Success = 33,
    /// Something failed.
    Failure = 35,
}

/// Looks for the device.
pub(super) fn init() {
    if let Some(range) = device_tree::compatible("sifive,test1").and_then(device_tree::registers) {
        REGISTER.call_once(|| range.address);
    }
}

/// The register's address, which is to be mapped.
pub(super) fn register() -> Option<u64> {
    REGISTER.get().copied()
}

/// Ends the virtual machine. Without the device the firmware ends it, and nobody learns how it went.
pub(crate) fn exit(status: Status) -> ! {
    if let Some(register) = register().and_then(|address| NonNull::new(address as *mut u32)) {
        // SAFETY: the device tree says that the register is there, and it stays mapped.
        let register = unsafe { VolatilePtr::new(register) };
        register.write((status as u32) << 16 | FAIL);
    } else {
        sbi_rt::system_reset(sbi_rt::Shutdown, sbi_rt::NoReason);
    }
    // The machine may take a moment to end, and another request would change how it ends.
    loop {
        csr::wait_for_interrupt();
    }
}

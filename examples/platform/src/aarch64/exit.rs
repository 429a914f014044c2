//! The end: semihosting hands an exit status to QEMU (`-semihosting-config enable=on,target=native`).
//!
//! Arm, Semihosting for AArch32 and AArch64, `SYS_EXIT`.

use core::sync::atomic::{AtomicBool, Ordering};

use aarch64_cpu::asm;

/// How the program ended: QEMU's exit status.
#[derive(Clone, Copy)]
pub(crate) enum Status {
    Success = 33,
    Failure = 35,
}

static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

/// Whether the machine is ending: without semihosting, the attempt is an exception.
pub(super) fn has_begun() -> bool {
    HAS_BEGUN.load(Ordering::Relaxed)
}

/// Ends the virtual machine; without semihosting, stops for good.
pub(crate) fn exit(status: Status) -> ! {
    if HAS_BEGUN.swap(true, Ordering::Relaxed) {
        halt();
    }
    semihosting::process::exit(status as i32)
}

/// Stops this processor.
pub(super) fn halt() -> ! {
    loop {
        asm::wfi();
    }
}

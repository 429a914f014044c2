//! Marks for the host: writes to port 0x80, which nobody listens to but QEMU's trace.

use core::arch::asm;

/// What begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// A line of the table, outside of what is counted.
    Line = 0x10,
    /// What is counted as submitting.
    Submit = 0x11,
    /// What is counted as completing.
    Complete = 0x12,
    /// What is not counted.
    Outside = 0x13,
    /// What is between lines.
    Between = 0x14,
}

/// Sets a mark. The processor waits here until QEMU's devices are done with what they are doing.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as cheap as can be")]
pub fn mark(mark: Mark) {
    // SAFETY: nobody listens at this port.
    unsafe { asm!("out 0x80, al", in("al") mark as u8, options(nostack, preserves_flags)) };
}

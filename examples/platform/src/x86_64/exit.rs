//! The end: QEMU's `isa-debug-exit` device turns a byte into an exit status, `2 * byte + 1`.

use super::ports;

/// Where `-device isa-debug-exit,iobase=0xf4` is.
const DEBUG_EXIT: u16 = 0xf4;

/// How the program ended.
pub(crate) enum Status {
    /// QEMU exits with 33.
    Success = 0x10,
    /// QEMU exits with 35.
    Failure = 0x11,
}

/// Ends the virtual machine; without the exit device, stops for good.
pub(crate) fn exit(status: Status) -> ! {
    // SAFETY: nothing else answers at this port.
    unsafe { ports::write_u8(DEBUG_EXIT, status as u8) };
    loop {
        // SAFETY: nobody needs this processor any more; interrupts are off.
        unsafe { core::arch::asm!("hlt", options(nomem, nostack)) };
    }
}

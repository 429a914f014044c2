//! I/O ports.

use core::arch::asm;

macro_rules! port_access {
    ($read:ident, $write:ident, $value:ty, $register:tt) => {
        /// Reads a port.
        ///
        /// # Safety
        /// The device behind the port has no side effect of the read that anybody would be surprised by.
        pub(super) unsafe fn $read(port: u16) -> $value {
            let value;
            // SAFETY: the caller's promise; the instruction touches no memory.
            unsafe { asm!(concat!("in ", $register, ", dx"), in("dx") port, out($register) value, options(nomem, nostack, preserves_flags)) };
            value
        }

        /// Writes a port.
        ///
        /// # Safety
        /// The device behind the port is the caller's to command.
        pub(super) unsafe fn $write(port: u16, value: $value) {
            // SAFETY: the caller's promise; the instruction itself touches no memory.
            unsafe { asm!(concat!("out dx, ", $register), in("dx") port, in($register) value, options(nostack, preserves_flags)) };
        }
    };
}

port_access!(read_u8, write_u8, u8, "al");
port_access!(read_u32, write_u32, u32, "eax");

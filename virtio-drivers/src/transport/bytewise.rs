//! The configuration space of a legacy device: accessed byte by byte.
//!
//! Spec: §2.5.4 Legacy Interface: A Note on Device Configuration Space endian-ness, §4.2.4 Legacy interface. The guest's own byte order counts there, which is little-endian on all
//! machines that legacy devices are opened on.

use crate::hal::AccessWidth;
use crate::raw::Registers;

/// Reads a field.
pub(super) fn read(registers: &Registers, offset: usize, width: AccessWidth) -> u32 {
    (0..width.bytes()).fold(0, |value, byte| {
        let bits = registers.read(offset.saturating_add(byte), AccessWidth::Byte);
        value | (bits & 0xff) << (8 * byte)
    })
}

/// Writes a field.
pub(super) fn write(registers: &Registers, offset: usize, width: AccessWidth, value: u32) {
    for byte in 0..width.bytes() {
        registers.write(offset.saturating_add(byte), AccessWidth::Byte, value >> (8 * byte) & 0xff);
    }
}

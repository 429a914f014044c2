//! Fields of a configuration space: an offset and a width that cannot part.
//!
//! Spec: §2.5 Device Configuration Space.

use core::marker::PhantomData;

mod sealed {
    pub trait Sealed {}
}

/// What a configuration field can hold: `u8`, `u16`, `u32` or `u64`, little-endian on the wire.
///
/// A field is accessed with its own width; a 64-bit one as two 32-bit halves, which need not agree (§2.5.3).
pub trait FieldValue: sealed::Sealed + Copy {
    /// Size in bytes.
    const BYTES: u16;

    /// Puts a value together from register reads: `read(bytes from the field's start, width in bytes)`.
    fn from_registers(read: impl FnMut(u16, u16) -> u32) -> Self;

    /// Takes a value apart into register writes: `write(bytes from the field's start, width in bytes, value)`.
    fn to_registers(self, write: impl FnMut(u16, u16, u32));
}

macro_rules! one_register {
    ($($value:ty: $bytes:literal),*) => {$(
        impl sealed::Sealed for $value {}
        impl FieldValue for $value {
            const BYTES: u16 = $bytes;

            #[allow(clippy::cast_possible_truncation, trivial_numeric_casts, reason = "a register has as many low bits as it is wide")]
            fn from_registers(mut read: impl FnMut(u16, u16) -> u32) -> Self {
                read(0, Self::BYTES) as Self
            }

            fn to_registers(self, mut write: impl FnMut(u16, u16, u32)) {
                write(0, Self::BYTES, u32::from(self));
            }
        }
    )*};
}
one_register!(u8: 1, u16: 2, u32: 4);

impl sealed::Sealed for u64 {}
impl FieldValue for u64 {
    const BYTES: u16 = 8;

    fn from_registers(mut read: impl FnMut(u16, u16) -> u32) -> Self {
        let low = read(0, 4);
        let high = read(4, 4);
        Self::from(high) << 32 | Self::from(low)
    }

    fn to_registers(self, mut write: impl FnMut(u16, u16, u32)) {
        write(0, 4, (self & 0xffff_ffff) as u32);
        write(4, 4, (self >> 32) as u32);
    }
}

/// A field of a device's configuration space: where it is, in bytes from the start, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<V> {
    offset: u16,
    value: PhantomData<V>,
}

impl<V: FieldValue> Field<V> {
    /// The field at `offset` bytes.
    pub const fn at(offset: u16) -> Self {
        Self { offset, value: PhantomData }
    }

    /// Bytes from the start of the configuration space.
    pub const fn offset(self) -> u16 {
        self.offset
    }
}

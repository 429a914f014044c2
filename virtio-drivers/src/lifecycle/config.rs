//! The configuration space, read as of one moment.
//!
//! Spec: §2.5 Device Configuration Space, §2.5.1 Driver Requirements: Device Configuration Space (generation), §2.5.4 (legacy interface).

use core::cell::Cell;

use crate::hal::AccessWidth;
use crate::transport::Transport;
use crate::wire::field::{Field, FieldValue};
use crate::wire::status::Status;

/// How often a read is tried while the configuration keeps changing.
const ATTEMPTS: usize = 16;
/// Where the digest FNV-1a begins, and by what it multiplies.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// A configuration field could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The device's configuration space ends before the field does.
    #[error("the configuration space has {bytes} bytes, and the field at {offset} is not among them")]
    Absent {
        /// Where the field is, in bytes.
        offset: u16,
        /// How long the space is, in bytes.
        bytes: usize,
    },
    /// The field's offset is no multiple of its access width, so no access can reach it: a mistake where the field is declared.
    #[error("a field at offset {offset} cannot be read with its own width")]
    Misaligned {
        /// Where the field is said to be, in bytes.
        offset: u16,
    },
    /// The device was asked for a reset and did not confirm it, so nothing is written.
    #[error("the device is in the middle of a reset")]
    DeviceResetPending,
    /// The configuration changed during every attempt to read it.
    #[error("the configuration does not stop changing")]
    Unstable,
    /// The device is gone: what its registers read means nothing.
    #[error("the device is gone")]
    Removed,
}

/// The configuration space of a device.
#[derive(Debug)]
pub struct Config<'d, T> {
    transport: &'d T,
}

impl<'d, T: Transport> Config<'d, T> {
    pub(super) const fn new(transport: &'d T) -> Self {
        Self { transport }
    }

    /// Reads one field.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read<V: FieldValue>(&self, field: Field<V>) -> Result<V, ConfigError> {
        self.read_together(|fields| fields.get(field))
    }

    /// Reads several fields as of one moment: `read` is called again if the configuration changed meanwhile.
    ///
    /// A legacy device does not say whether it did. There everything is read until it is twice the same.
    ///
    /// Work: bounded; `read` is called at most 16 times.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read_together<R>(
        &self,
        read: impl Fn(Fields<'_, T>) -> Result<R, ConfigError>,
    ) -> Result<R, ConfigError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let before = self.transport.config_generation();
            let seen = Cell::new(FNV_OFFSET);
            let value = read(Fields { transport: self.transport, seen: &seen })?;
            let is_whole = match before {
                Some(_) => self.transport.config_generation() == before,
                None => last.replace(seen.get()) == Some(seen.get()),
            };
            if is_whole {
                // Registers of a device that is gone read anything at all, again and again.
                let is_there = self.transport.status() != Status::REMOVED;
                return is_there.then_some(value).ok_or(ConfigError::Removed);
            }
        }
        Err(ConfigError::Unstable)
    }
}

/// The fields of a configuration space during one attempt to read them.
#[derive(Debug)]
pub struct Fields<'d, T> {
    transport: &'d T,
    /// A digest (FNV-1a) of everything that was read: two attempts that saw the same have the same.
    seen: &'d Cell<u64>,
}

impl<T: Transport> Fields<'_, T> {
    /// Reads one field.
    ///
    /// # Errors
    /// - [`ConfigError::Absent`]: the space ends before the field does.
    pub fn get<V: FieldValue>(&self, field: Field<V>) -> Result<V, ConfigError> {
        let start = check(self.transport, field)?;
        Ok(V::from_registers(|offset, bytes| {
            let value = self.transport.read_config(start + usize::from(offset), width(bytes));
            self.seen.set((self.seen.get() ^ u64::from(value)).wrapping_mul(FNV_PRIME));
            value
        }))
    }
}

/// Writes one field, with accesses of its own width.
pub(crate) fn write<T: Transport, V: FieldValue>(
    transport: &mut T,
    field: Field<V>,
    value: V,
) -> Result<(), ConfigError> {
    let start = check(transport, field)?;
    value.to_registers(|offset, bytes, part| {
        transport.write_config(start + usize::from(offset), width(bytes), part);
    });
    Ok(())
}

fn check<T: Transport, V: FieldValue>(transport: &T, field: Field<V>) -> Result<usize, ConfigError> {
    let bytes = transport.config_bytes();
    let offset = field.offset();
    let end = usize::from(offset) + usize::from(V::BYTES);
    if end > bytes {
        return Err(ConfigError::Absent { offset, bytes });
    }
    // Fields of 8 bytes are accessed as two halves.
    if !offset.is_multiple_of(V::BYTES.min(4)) {
        return Err(ConfigError::Misaligned { offset });
    }
    Ok(usize::from(offset))
}

const fn width(bytes: u16) -> AccessWidth {
    match bytes {
        1 => AccessWidth::Byte,
        2 => AccessWidth::Word,
        _ => AccessWidth::Long,
    }
}

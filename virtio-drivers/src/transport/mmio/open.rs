//! Is there a device, and which version of the interface does it have?
//!
//! Spec: §4.2.2.2 Driver Requirements: MMIO Device Register Layout.

use super::registers::MmioTransport;
use crate::hal::AccessWidth;
use crate::raw::Registers;
use crate::transport::Interface;
use crate::wire::device_type::DeviceType;
use crate::wire::mmio::{LEGACY_VERSION, MAGIC, VERSION, register};

/// There is no virtio device behind the registers that this crate can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The window ends before the configuration space begins.
    #[error("a window of {size_bytes} bytes is too small for virtio over MMIO")]
    TooSmall {
        /// Its size.
        size_bytes: usize,
    },
    /// These are the registers of something else.
    #[error("the magic value is {magic:#010x}: no virtio device")]
    BadMagic {
        /// What is there instead.
        magic: u32,
    },
    /// Neither version 2 nor version 1, or version 1 on a big-endian machine, where everything of such a device is big-endian.
    #[error("version {version} of virtio over MMIO is not supported here")]
    UnsupportedVersion {
        /// Which one.
        version: u32,
    },
    /// A device type of more than 16 bits.
    #[error("device type {device_type} is none")]
    BadDeviceType {
        /// Which one.
        device_type: u32,
    },
}

impl MmioTransport {
    /// Looks at what is behind a window of registers; `None` if it is a slot that no device is in.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was written.
    ///
    /// Spec: §4.2.2.2 Driver Requirements: MMIO Device Register Layout.
    pub fn open(registers: Registers) -> Result<Option<Self>, OpenError> {
        let size_bytes = registers.size_bytes();
        if size_bytes < register::CONFIG {
            return Err(OpenError::TooSmall { size_bytes });
        }
        let magic = registers.read(register::MAGIC, AccessWidth::Long);
        if magic != MAGIC {
            return Err(OpenError::BadMagic { magic });
        }
        let interface = match registers.read(register::VERSION, AccessWidth::Long) {
            VERSION => Interface::Modern,
            LEGACY_VERSION if cfg!(target_endian = "little") => Interface::Legacy,
            version => return Err(OpenError::UnsupportedVersion { version }),
        };
        let device_type = registers.read(register::DEVICE_ID, AccessWidth::Long);
        match u16::try_from(device_type) {
            Ok(0) => Ok(None),
            Ok(number) => Ok(Some(Self::new(DeviceType(number), interface, registers))),
            Err(_) => Err(OpenError::BadDeviceType { device_type }),
        }
    }
}

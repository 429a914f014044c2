//! Emergency writes: a character at once, without queues.
//!
//! Spec: §5.3.5 Device Initialization, step 1. For a kernel that has nothing else yet, or nothing else any more.
//!
//! ```no_run
//! # use virtio_guest::transport::Transport;
//! use virtio_guest::device::console::emergency_write;
//!
//! /// Before the console is up. Says nothing where there is nobody to say it to.
//! fn early(transport: &mut impl Transport, text: &str) {
//!     for byte in text.bytes() {
//!         let _ = emergency_write(transport, byte);
//!     }
//! }
//! ```

use super::control::Control;
use crate::hal::Hal;
use crate::lifecycle::{ConfigError, write_config};
use crate::transport::Transport;
use crate::wire::console::{ConsoleFeatures, config};
use crate::wire::device_type::DeviceType;

/// A character was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmergencyError {
    /// The device is no console, or does not offer emergency writes.
    #[error("the device does not offer emergency writes")]
    Unsupported,
    /// The configuration space cannot be accessed.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Puts out a character through a console that may be in any state: its features need not be agreed on, nor its queues be there. [`Control::emergency_write`] does so while a driver has the transport.
///
/// Work: reads what the device offers, and writes one register. Never waits.
///
/// # Errors
/// See [`EmergencyError`].
///
/// Spec: §5.3.5 Device Initialization.
pub fn emergency_write<T: Transport>(transport: &mut T, byte: u8) -> Result<(), EmergencyError> {
    let is_console = transport.device_type() == DeviceType::CONSOLE;
    if !is_console || !offers(transport.device_features()) {
        return Err(EmergencyError::Unsupported);
    }
    Ok(write_config(transport, config::EMERG_WR, byte.into())?)
}

/// Whether a device that offers these features takes emergency writes.
pub(super) fn offers(features: u128) -> bool {
    ConsoleFeatures::from_bits_truncate(features).contains(ConsoleFeatures::EMERG_WRITE)
}

impl<T: Transport, H: Hal> Control<'_, T, H> {
    /// Puts out a character at once, past the queues: for a kernel in distress.
    ///
    /// Work: writes one register. Never waits.
    ///
    /// # Errors
    /// See [`EmergencyError`].
    pub fn emergency_write(&mut self, byte: u8) -> Result<(), EmergencyError> {
        if !self.offers_emergency_write {
            return Err(EmergencyError::Unsupported);
        }
        Ok(self.half.write_config(config::EMERG_WR, u32::from(byte))?)
    }
}

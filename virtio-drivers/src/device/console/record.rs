//! What is known of one port: its name, its state on both sides, and what the device is still to be told.
//!
//! Spec: §5.3.6.2 Multiport Device Operation.

use core::str;

use super::settings::Size;

/// Longest name of a port that is kept, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// See the module's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// The device added it, and has not removed it since.
    pub(super) is_there: bool,
    pub(super) is_console: bool,
    pub(super) device_is_open: bool,
    pub(super) size: Option<Size>,
    /// What the device is still to be told: first that the port is open here,
    pub(super) owes_open: bool,
    /// then that it is closed.
    pub(super) owes_close: bool,
    name: [u8; NAME_BYTES_MAX],
    name_bytes: usize,
}

impl Record {
    /// Of a port that there is not.
    pub(super) const EMPTY: Self = Self {
        is_there: false,
        is_console: false,
        device_is_open: false,
        size: None,
        owes_open: false,
        owes_close: false,
        name: [0; NAME_BYTES_MAX],
        name_bytes: 0,
    };

    /// Keeps a name, unless it is empty, too long, or not UTF-8.
    pub(super) fn set_name(&mut self, name: &[u8]) -> bool {
        if name.is_empty() || str::from_utf8(name).is_err() {
            return false;
        }
        let Some(place) = self.name.get_mut(..name.len()) else { return false };
        place.copy_from_slice(name);
        self.name_bytes = name.len();
        true
    }

    /// The name, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        let name = self.name.get(..self.name_bytes).filter(|name| !name.is_empty())?;
        str::from_utf8(name).ok()
    }

    /// The device is to be told that the port is open here, or that it is closed.
    pub(super) const fn owe(&mut self, is_open: bool) {
        if is_open {
            self.owes_open = true;
            // An older word is overtaken.
            self.owes_close = false;
        } else {
            self.owes_close = true;
        }
    }

    /// What it is to be told next.
    pub(super) const fn next_owed(&self) -> Option<bool> {
        if self.owes_open {
            Some(true)
        } else if self.owes_close {
            Some(false)
        } else {
            None
        }
    }

    /// It was told.
    pub(super) const fn told(&mut self, is_open: bool) {
        if is_open {
            self.owes_open = false;
        } else {
            self.owes_close = false;
        }
    }
}

//! Where an access to configuration space or to a BAR goes.
//!
//! Spec: §4.1.4 Virtio Structure PCI Capabilities. An access is matched against the places that the capabilities name, and against the ports of a legacy device;
//! what lies in none of them is a driver error.

use super::capability::{Structure, cfg_type};
use super::legacy::LEGACY_BAR;
use super::state::{State, all_ones};

/// What is at a place in a BAR.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// A virtio structure, and the offset within.
    Structure(Structure, u64),
    /// The MSI-X table, and the offset within.
    Table(u64),
    /// A port of a legacy device.
    Port(u64),
}

impl State {
    pub(crate) fn config_read(&mut self, offset: u16) -> u32 {
        if self.is_removed() {
            return u32::MAX;
        }
        if !offset.is_multiple_of(4) {
            self.complain(format!("configuration space read at {offset:#x}"));
            return u32::MAX;
        }
        match self.config_space.window_access(offset) {
            Some(window) => {
                let value = self.bar_read(window.bar, window.offset, window.width, true);
                self.config_space.store_window_data(offset, window.width, value);
                self.config_space.read(offset)
            }
            None if offset == 0x04 => self.config_space.read(offset) | u32::from(self.wants_line()) << 19,
            None => self.config_space.read(offset),
        }
    }

    pub(crate) fn config_write(&mut self, offset: u16, value: u32) {
        if self.is_removed() {
            return;
        }
        if !offset.is_multiple_of(4) {
            self.complain(format!("configuration space write at {offset:#x}"));
            return;
        }
        match self.config_space.window_access(offset) {
            Some(window) => {
                self.config_space.store_window_data(offset, 4, value);
                let value = value & all_ones(window.width);
                self.bar_write(window.bar, window.offset, window.width, value, true);
            }
            None => {
                if let Err(complaint) = self.config_space.write(offset, value) {
                    self.complain(complaint);
                }
            }
        }
    }

    /// Reads a register; `through_window` accesses need no decoding.
    pub(crate) fn bar_read(&mut self, bar: u8, offset: u64, width: u8, through_window: bool) -> u32 {
        let (structure, within) = match self.place(bar, offset, width, through_window) {
            Some(Place::Structure(structure, within)) => (structure, within),
            Some(Place::Table(within)) => return self.table_read(within, width),
            Some(Place::Port(port)) => return self.port_read(port, width),
            None => return all_ones(width),
        };
        match structure.cfg_type {
            cfg_type::COMMON => self.common_read(within, width),
            cfg_type::ISR if width == 1 => std::mem::take(&mut self.isr).into(),
            cfg_type::DEVICE => self.device_config_read(within, width),
            other => {
                self.complain(format!("read of {width} bytes at {within:#x} of structure {other}"));
                0
            }
        }
    }

    /// Writes a register; `through_window` accesses need no decoding.
    pub(crate) fn bar_write(&mut self, bar: u8, offset: u64, width: u8, value: u32, through_window: bool) {
        let (structure, within) = match self.place(bar, offset, width, through_window) {
            Some(Place::Structure(structure, within)) => (structure, within),
            Some(Place::Table(within)) => return self.table_write(within, width, value),
            Some(Place::Port(port)) => return self.port_write(port, width, value),
            None => return,
        };
        match structure.cfg_type {
            cfg_type::COMMON => self.common_write(within, width, value),
            cfg_type::NOTIFY => self.notify(structure.multiplier, within, width, value),
            cfg_type::DEVICE => self.device_config_write(within, width, value),
            other => {
                self.complain(format!("write of {width} bytes at {within:#x} of structure {other}"));
            }
        }
    }

    /// Finds what an access reaches.
    fn place(&mut self, bar: u8, offset: u64, width: u8, through_window: bool) -> Option<Place> {
        let Some(decoder) = self.config_space.bar(bar) else {
            self.complain(format!("access to BAR {bar}, which does not exist"));
            return None;
        };
        if !through_window && !self.config_space.decodes(decoder) {
            self.complain(format!("access to BAR {bar} while it is not decoded"));
            return None;
        }
        if !matches!(width, 1 | 2 | 4) || !offset.is_multiple_of(u64::from(width)) {
            self.complain(format!("access of {width} bytes at {offset:#x} of BAR {bar}"));
            return None;
        }
        let bytes = u64::from(width);
        let is_inside = offset.checked_add(bytes).is_some_and(|end| end <= decoder.size());
        if is_inside && self.has_ports && bar == LEGACY_BAR {
            return Some(Place::Port(offset));
        }
        let in_table = self.msi_x.as_ref().and_then(|msi_x| msi_x.locate(bar, offset, bytes));
        let mut structures = self.structures.iter();
        let in_structure = structures.find_map(|structure| {
            let within = structure.locate(bar, offset, bytes)?;
            Some(Place::Structure(*structure, within))
        });
        let found = in_table.map(Place::Table).or(in_structure).filter(|_| is_inside);
        if found.is_none() {
            self.complain(format!("access at {offset:#x} of BAR {bar}, where no register is"));
        }
        found
    }
}

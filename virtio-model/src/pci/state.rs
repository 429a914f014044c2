//! Everything a device holds behind its lock, and where an access to a BAR goes.
//!
//! Spec: §4.1.4 Virtio Structure PCI Capabilities. An access is matched against the places that
//! the capabilities name; what lies in none of them is a driver error.

use super::capability::{Structure, cfg_type};
use super::config_space::ConfigSpace;
use super::misbehaviour::Misbehaviour;
use super::queue::{NO_VECTOR, QueueRegisters};
use super::status::Reset;
use crate::mmio::Registers;

/// The device behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config_space: ConfigSpace,
    pub(super) structures: Vec<Structure>,
    pub(crate) vectors: u16,
    /// Whether this is a device of before version 1: it has no `FEATURES_OK`, nor a configuration generation.
    pub(crate) is_legacy: bool,
    pub(crate) offered: u128,
    pub(crate) accepted: u128,
    pub(crate) device_feature_select: u32,
    pub(crate) driver_feature_select: u32,
    pub(crate) config_vector: u16,
    pub(crate) status: u8,
    pub(crate) statuses_written: Vec<u8>,
    pub(crate) reset: Reset,
    pub(crate) resets: usize,
    pub(crate) queue_select: u16,
    pub(crate) queues: Vec<QueueRegisters>,
    pub(crate) device_config: Vec<u8>,
    pub(crate) generation: u8,
    pub(crate) scheduled_config: Option<(u32, Vec<u8>)>,
    pub(crate) config_writes: Vec<(u64, u8, u32)>,
    pub(crate) isr: u8,
    pub(crate) used_interrupts: usize,
    pub(crate) config_interrupts: usize,
    pub(crate) lies: Misbehaviour,
    pub(crate) errors: Vec<String>,
    /// What only MMIO registers hold, if the device is behind those.
    pub(crate) mmio: Option<Registers>,
}

/// The value with all bits of an access of `width` bytes set.
pub(crate) fn all_ones(width: u8) -> u32 {
    match width {
        1 => 0xff,
        2 => 0xffff,
        _ => u32::MAX,
    }
}

impl State {
    pub(super) fn new(config_space: ConfigSpace, structures: Vec<Structure>) -> Self {
        Self {
            config_space,
            structures,
            vectors: 0,
            is_legacy: false,
            offered: 0,
            accepted: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            config_vector: NO_VECTOR,
            status: 0,
            statuses_written: Vec::new(),
            reset: Reset::NeverAsked,
            resets: 0,
            queue_select: 0,
            queues: Vec::new(),
            device_config: Vec::new(),
            generation: 0,
            scheduled_config: None,
            config_writes: Vec::new(),
            isr: 0,
            used_interrupts: 0,
            config_interrupts: 0,
            lies: Misbehaviour::default(),
            errors: Vec::new(),
            mmio: None,
        }
    }

    /// Records a driver error.
    pub(crate) fn complain(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    /// Counts an access and tells whether the device is gone.
    pub(crate) fn is_removed(&mut self) -> bool {
        if let Some(left) = &mut self.lies.removed_after {
            if *left == 0 {
                self.lies.all_ones = true;
            } else {
                *left -= 1;
            }
        }
        self.lies.all_ones
    }

    pub(crate) fn config_read(&mut self, offset: u16) -> u32 {
        if self.is_removed() {
            return u32::MAX;
        }
        if !offset.is_multiple_of(4) {
            self.complain(format!("configuration space read at {offset:#x}"));
            return u32::MAX;
        }
        match self.config_space.window_access(offset) {
            Some(window) => self.bar_read(window.bar, window.offset, window.width, true),
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
                let value = value & all_ones(window.width);
                self.bar_write(window.bar, window.offset, window.width, value, true);
            }
            None => self.config_space.write(offset, value),
        }
    }

    /// Reads a register; `through_window` accesses need no decoding.
    pub(crate) fn bar_read(&mut self, bar: u8, offset: u64, width: u8, through_window: bool) -> u32 {
        let Some((structure, within)) = self.locate(bar, offset, width, through_window) else {
            return all_ones(width);
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
        let Some((structure, within)) = self.locate(bar, offset, width, through_window) else {
            return;
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

    /// Finds the structure that an access reaches.
    fn locate(&mut self, bar: u8, offset: u64, width: u8, through_window: bool) -> Option<(Structure, u64)> {
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
        let width = u64::from(width);
        let inside = offset.checked_add(width).is_some_and(|end| end <= decoder.size());
        let found = self.structures.iter().find_map(|structure| {
            let within = structure.locate(bar, offset, width)?;
            Some((*structure, within))
        });
        if !inside || found.is_none() {
            self.complain(format!("access at {offset:#x} of BAR {bar}, where no register is"));
            return None;
        }
        found
    }

    pub(crate) fn device_config_read(&mut self, within: u64, width: u8) -> u32 {
        let value = self.device_config_bytes(within, width).map(|bytes| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(word)
        });
        if let Some((reads_left, bytes)) = &mut self.scheduled_config {
            *reads_left = reads_left.saturating_sub(1);
            if *reads_left == 0 {
                let bytes = std::mem::take(bytes);
                self.scheduled_config = None;
                self.set_device_config(bytes);
            }
        }
        value.unwrap_or(0)
    }

    pub(crate) fn device_config_write(&mut self, within: u64, width: u8, value: u32) {
        if !self.negotiation_is_over() {
            self.complain("device configuration written before FEATURES_OK");
        }
        self.config_writes.push((within, width, value));
        if let Some(bytes) = self.device_config_bytes(within, width) {
            bytes.copy_from_slice(&value.to_le_bytes()[..usize::from(width)]);
        }
    }

    fn device_config_bytes(&mut self, within: u64, width: u8) -> Option<&mut [u8]> {
        let start = usize::try_from(within).ok()?;
        let end = start.checked_add(usize::from(width))?;
        if end > self.device_config.len() {
            self.complain(format!("access at {within:#x} past the device configuration"));
        }
        self.device_config.get_mut(start..end)
    }

    pub(crate) fn set_device_config(&mut self, bytes: Vec<u8>) {
        self.device_config = bytes;
        self.generation = self.generation.wrapping_add(1);
    }
}

//! Everything a device holds behind its lock, and where an access to a BAR goes.
//!
//! Spec: §4.1.4 Virtio Structure PCI Capabilities. An access is matched against the places that
//! the capabilities name; what lies in none of them is a driver error.

use super::capability::{Structure, cfg_type};
use super::config_space::ConfigSpace;
use super::misbehaviour::Misbehaviour;
use super::queue::{NO_VECTOR, QueueRegisters};
use super::status::Reset;

/// The device behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config_space: ConfigSpace,
    pub(super) structures: Vec<Structure>,
    pub(super) vectors: u16,
    pub(super) offered: u128,
    pub(super) accepted: u128,
    pub(super) device_feature_select: u32,
    pub(super) driver_feature_select: u32,
    pub(super) config_vector: u16,
    pub(super) status: u8,
    pub(super) statuses_written: Vec<u8>,
    pub(super) reset: Reset,
    pub(super) resets: usize,
    pub(super) queue_select: u16,
    pub(super) queues: Vec<QueueRegisters>,
    pub(super) device_config: Vec<u8>,
    pub(super) generation: u8,
    pub(super) scheduled_config: Option<(u32, Vec<u8>)>,
    pub(super) config_writes: Vec<(u64, u8, u32)>,
    pub(super) isr: u8,
    pub(super) used_interrupts: usize,
    pub(super) config_interrupts: usize,
    pub(super) lies: Misbehaviour,
    pub(super) errors: Vec<String>,
}

/// The value with all bits of an access of `width` bytes set.
pub(super) fn all_ones(width: u8) -> u32 {
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
        }
    }

    /// Records a driver error.
    pub(super) fn complain(&mut self, text: impl Into<String>) {
        self.errors.push(text.into());
    }

    /// Counts an access and tells whether the device is gone.
    pub(super) fn is_removed(&mut self) -> bool {
        if let Some(left) = &mut self.lies.removed_after {
            if *left == 0 {
                self.lies.all_ones = true;
            } else {
                *left -= 1;
            }
        }
        self.lies.all_ones
    }

    pub(super) fn config_read(&mut self, offset: u16) -> u32 {
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

    pub(super) fn config_write(&mut self, offset: u16, value: u32) {
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
    pub(super) fn bar_read(&mut self, bar: u8, offset: u64, width: u8, through_window: bool) -> u32 {
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
    pub(super) fn bar_write(&mut self, bar: u8, offset: u64, width: u8, value: u32, through_window: bool) {
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

    fn device_config_read(&mut self, within: u64, width: u8) -> u32 {
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

    fn device_config_write(&mut self, within: u64, width: u8, value: u32) {
        if self.status & super::status::FEATURES_OK == 0 {
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

    pub(super) fn set_device_config(&mut self, bytes: Vec<u8>) {
        self.device_config = bytes;
        self.generation = self.generation.wrapping_add(1);
    }
}

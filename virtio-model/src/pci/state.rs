//! Everything a device holds behind its lock, and its configuration.
//!
//! Spec: §2.5 Device Configuration Space. The rest of what can be done to it is in the files beside this one, by what it is done through.

use super::capability::Structure;
use super::config_space::ConfigSpace;
use super::misbehaviour::Misbehaviour;
use super::msi_x::MsiX;
use super::queue::{NO_VECTOR, QueueRegisters};
use super::status::Reset;
use super::suspend::Suspension;
use crate::mmio::Registers;

/// The device behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config_space: ConfigSpace,
    pub(super) structures: Vec<Structure>,
    pub(crate) msi_x: Option<MsiX>,
    /// Whether this is a device of before version 1, or driven as one: it has no `FEATURES_OK`, nor a configuration generation.
    pub(crate) is_legacy: bool,
    /// Whether there are ports in the first BAR.
    pub(super) has_ports: bool,
    /// Whether there are modern registers beside the ports.
    pub(super) is_transitional: bool,
    /// Of a transitional device: whether its driver uses the ports, if it has used anything since the last reset.
    pub(super) interface_in_use: Option<bool>,
    pub(crate) offered: u128,
    pub(crate) accepted: u128,
    pub(crate) device_feature_select: u32,
    pub(crate) driver_feature_select: u32,
    pub(crate) config_vector: u16,
    pub(crate) status: u8,
    pub(crate) statuses_written: Vec<u8>,
    pub(crate) reset: Reset,
    pub(crate) resets: usize,
    pub(crate) suspension: Suspension,
    /// Whether the configuration changed while the device was suspended, and nobody was told.
    pub(crate) config_change_is_untold: bool,
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
            msi_x: MsiX::new(&config_space),
            config_space,
            structures,
            is_legacy: false,
            has_ports: false,
            is_transitional: false,
            interface_in_use: None,
            offered: 0,
            accepted: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            config_vector: NO_VECTOR,
            status: 0,
            statuses_written: Vec::new(),
            reset: Reset::NeverAsked,
            resets: 0,
            suspension: Suspension::Off,
            config_change_is_untold: false,
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
        if self.suspension_was_asked_for() {
            self.complain("device configuration written after SUSPEND");
            return;
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

//! Everything a device holds behind its lock.
//!
//! Spec: §2 Basic Facilities of a Virtio Device. What can be done to it is in the files beside this one, by what it is done through.

use super::capability::Structure;
use super::config_space::ConfigSpace;
use super::device_config::ConfigField;
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
    /// Features without which the device does not work, if it offers them.
    pub(crate) insisted_on: u128,
    /// Features that a driver must not accept, though they are offered.
    pub(crate) forbidden: u128,
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
    /// What is known of the fields in it; none, and all of it is the driver's to read and to write.
    pub(crate) config_fields: Vec<ConfigField>,
    pub(crate) generation: u8,
    pub(crate) scheduled_config: Option<(u32, Vec<u8>)>,
    pub(crate) config_writes: Vec<(u64, u8, u32)>,
    /// How many of these were made before the last reset.
    pub(crate) config_writes_before_reset: usize,
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
            insisted_on: 0,
            forbidden: 0,
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
            config_fields: Vec::new(),
            generation: 0,
            scheduled_config: None,
            config_writes: Vec::new(),
            config_writes_before_reset: 0,
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
}

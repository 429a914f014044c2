//! The device-specific configuration, and what is known of its fields.
//!
//! Spec: §2.5 Device Configuration Space. Without [`ConfigField`]s all of it can be read and written; with them the device is strict about who
//! reads what, and when, and about writes.

use super::state::State;
use super::status::DRIVER_OK;
use std::ops::Range;

/// A field that is there with a feature only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigField {
    /// Its place in the configuration.
    pub bytes: Range<usize>,
    /// The feature, by number. A driver that reads the field though this is not offered is wrong.
    pub feature: u32,
    /// What else holds for it.
    pub rule: FieldRule,
}

/// What holds for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldRule {
    /// Nothing more.
    Optional,
    /// It reads 0 once features are agreed on without its own.
    ZeroUnlessAgreed,
    /// The driver reads it once features are agreed on, and may write 0 and 1 if its own is among them. It is 0 unless the other one is, too.
    Switch {
        /// The other feature.
        with: u32,
    },
    /// It is always there, and a legacy driver may write it, byte by byte.
    LegacyWritable,
    /// The driver may write all of it at any time, before it begins with the device, too, if its feature is offered.
    AnyTime,
    /// It is always there, and the driver writes all of it once features are agreed on.
    Told,
    /// The driver writes all of it once features are agreed on, its own among them, and no more after `DRIVER_OK`.
    ToldBeforeDriverOk,
}

impl FieldRule {
    /// Whether the field is there whatever the device offers.
    const fn is_always_there(self) -> bool {
        matches!(self, Self::LegacyWritable | Self::Told)
    }
}

impl State {
    pub(crate) fn device_config_read(&mut self, within: u64, width: u8) -> u32 {
        self.check_read(within, width);
        let hidden = self.hidden_bytes();
        let value = self.device_config_bytes(within, width).map(|bytes| {
            let mut word = [0; 4];
            for (at, (shown, byte)) in (within..).zip(word.iter_mut().zip(bytes)) {
                let is_hidden =
                    hidden.iter().any(|range| range.contains(&usize::try_from(at).unwrap_or(usize::MAX)));
                *shown = if is_hidden { 0 } else { *byte };
            }
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
        let is_early = self.fields_at(within, width).iter().any(|field| field.rule == FieldRule::AnyTime);
        if !is_early && !self.negotiation_is_over() {
            self.complain("device configuration written before FEATURES_OK");
        }
        if self.suspension_was_asked_for() {
            self.complain("device configuration written after SUSPEND");
            return;
        }
        self.config_writes.push((within, width, value));
        if !self.may_write(within, width, value) || self.lies.ignores_config_writes {
            return;
        }
        if let Some(bytes) = self.device_config_bytes(within, width) {
            bytes.copy_from_slice(&value.to_le_bytes()[..usize::from(width)]);
        }
    }

    /// The fields that an access reaches.
    fn fields_at(&self, within: u64, width: u8) -> Vec<ConfigField> {
        let start = usize::try_from(within).unwrap_or(usize::MAX);
        let end = start.saturating_add(width.into());
        let mut fields = self.config_fields.clone();
        fields.retain(|field| field.bytes.start < end && start < field.bytes.end);
        fields
    }

    /// Spec: §2.5.1 Driver Requirements: Device Configuration Space.
    fn check_read(&mut self, within: u64, width: u8) {
        for ConfigField { bytes, feature, rule } in self.fields_at(within, width) {
            if self.offered & 1 << feature == 0 && !rule.is_always_there() {
                self.complain(format!(
                    "configuration {bytes:#x?} read, though feature {feature} is not offered"
                ));
            }
            if matches!(rule, FieldRule::Switch { .. }) && !self.is_legacy && !self.negotiation_is_over() {
                self.complain(format!("configuration {bytes:#x?} read before FEATURES_OK"));
            }
        }
    }

    /// What reads 0, since features are agreed on without it.
    fn hidden_bytes(&self) -> Vec<Range<usize>> {
        let is_hidden = |field: &&ConfigField| match field.rule {
            FieldRule::Optional
            | FieldRule::LegacyWritable
            | FieldRule::AnyTime
            | FieldRule::Told
            | FieldRule::ToldBeforeDriverOk => false,
            FieldRule::ZeroUnlessAgreed => !self.negotiated(field.feature),
            FieldRule::Switch { with } => self.negotiated(field.feature) && !self.negotiated(with),
        };
        let fields = self.config_fields.iter().filter(|_| self.negotiation_is_over());
        fields.filter(is_hidden).map(|field| field.bytes.clone()).collect()
    }

    /// Whether a write changes anything; one that a driver must not make is an error of it.
    fn may_write(&mut self, within: u64, width: u8, value: u32) -> bool {
        if self.config_fields.is_empty() {
            return true;
        }
        let fields = self.fields_at(within, width);
        if self.is_legacy && fields.iter().any(|field| field.rule == FieldRule::LegacyWritable) && width == 1
        {
            return true;
        }
        let may = fields.first().is_some_and(|field| {
            let is_whole = field.bytes.start as u64 == within && field.bytes.len() == usize::from(width);
            // Behind the legacy interface drivers access single bytes, from the first to the last (§2.5.4).
            let is_byte = self.is_legacy && width == 1;
            let is_agreed = self.negotiated(field.feature);
            match field.rule {
                FieldRule::Optional | FieldRule::ZeroUnlessAgreed | FieldRule::LegacyWritable => false,
                FieldRule::Switch { .. } => is_whole && is_agreed && value <= 1,
                FieldRule::AnyTime => (is_whole || is_byte) && self.offered & 1 << field.feature != 0,
                FieldRule::Told => is_whole || is_byte,
                FieldRule::ToldBeforeDriverOk => {
                    (is_whole || is_byte) && is_agreed && self.status & DRIVER_OK == 0
                }
            }
        });
        if !may {
            self.complain(format!("{value:#x} written to {width} bytes at {within:#x} of the configuration"));
        }
        may
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

//! The device-specific configuration of a balloon: 16 bytes.
//!
//! Spec: §5.5.4 Device configuration layout. Little-endian, on a legacy device, too.

use super::numbers::feature;
use crate::pci::{ConfigField, FieldRule};

/// The fields of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BalloonConfig {
    /// How many pages of 4096 bytes the device wants.
    pub num_pages: u32,
    /// How many the driver says that it has.
    pub actual: u32,
    /// What it wants of hints.
    pub free_page_hint_cmd_id: u32,
    /// What the driver fills pages with.
    pub poison_val: u32,
}

/// The length of the configuration in bytes.
pub const CONFIG_BYTES: usize = 16;
pub(super) const NUM_PAGES: usize = 0;
pub(super) const ACTUAL: usize = 4;
pub(super) const HINT_COMMAND: usize = 8;
pub(super) const POISON: usize = 12;

impl BalloonConfig {
    /// The bytes that a driver reads.
    pub fn bytes(&self) -> [u8; CONFIG_BYTES] {
        let mut bytes = [0; CONFIG_BYTES];
        for (at, field) in [
            (NUM_PAGES, self.num_pages),
            (ACTUAL, self.actual),
            (HINT_COMMAND, self.free_page_hint_cmd_id),
            (POISON, self.poison_val),
        ] {
            bytes[at..at + 4].copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// The fields in these bytes; what is not there is 0.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let field =
            |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        Self {
            num_pages: u32::from_le_bytes(field(NUM_PAGES)),
            actual: u32::from_le_bytes(field(ACTUAL)),
            free_page_hint_cmd_id: u32::from_le_bytes(field(HINT_COMMAND)),
            poison_val: u32::from_le_bytes(field(POISON)),
        }
    }
}

/// What the driver writes, and what is there with a feature only.
pub(super) fn fields() -> Vec<ConfigField> {
    vec![
        ConfigField { bytes: ACTUAL..ACTUAL + 4, feature: feature::MUST_TELL_HOST, rule: FieldRule::Told },
        ConfigField {
            bytes: HINT_COMMAND..HINT_COMMAND + 4,
            feature: feature::FREE_PAGE_HINT,
            rule: FieldRule::Optional,
        },
        ConfigField {
            bytes: POISON..POISON + 4,
            feature: feature::PAGE_POISON,
            rule: FieldRule::ToldBeforeDriverOk,
        },
    ]
}

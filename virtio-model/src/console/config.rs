//! The device-specific configuration of a console: 12 bytes.
//!
//! Spec: §5.3.4 Device configuration layout. Little-endian; a legacy device's is as its guest is, and the driver opens no such device on a big-endian machine.

use super::numbers::feature;
use crate::pci::{ConfigField, FieldRule};

/// The fields of the configuration that the device says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsoleConfig {
    /// Characters in a line.
    pub cols: u16,
    /// Lines.
    pub rows: u16,
    /// How many ports there may be.
    pub max_nr_ports: u32,
}

/// The length of the configuration in bytes.
pub const CONFIG_BYTES: usize = 12;
/// Where characters are written in an emergency.
pub(super) const EMERG_WR: u64 = 8;

impl ConsoleConfig {
    /// The bytes that a driver reads.
    pub fn bytes(&self) -> [u8; CONFIG_BYTES] {
        let mut bytes = [0; CONFIG_BYTES];
        bytes[0..2].copy_from_slice(&self.cols.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.rows.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.max_nr_ports.to_le_bytes());
        bytes
    }
}

/// Each field is there with its feature only.
pub(super) fn fields() -> Vec<ConfigField> {
    vec![
        ConfigField { bytes: 0..2, feature: feature::SIZE, rule: FieldRule::Optional },
        ConfigField { bytes: 2..4, feature: feature::SIZE, rule: FieldRule::Optional },
        ConfigField { bytes: 4..8, feature: feature::MULTIPORT, rule: FieldRule::Optional },
        ConfigField { bytes: 8..12, feature: feature::EMERG_WRITE, rule: FieldRule::AnyTime },
    ]
}

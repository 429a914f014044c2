//! The device-specific configuration of a network device: 28 bytes.
//!
//! Spec: §5.1.4 Device configuration layout. A test changes fields before it builds the device, or while it works with
//! [`Nic::change_config`](super::Nic::change_config).

use super::numbers::{feature, link_status};
use crate::pci::{ConfigField, FieldRule};

/// The fields of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NicConfig {
    /// The address.
    pub mac: [u8; 6],
    /// Bits of [`link_status`](super::link_status).
    pub status: u16,
    /// The largest number of pairs of queues.
    pub max_virtqueue_pairs: u16,
    /// The largest packet in bytes, without its Ethernet header.
    pub mtu: u16,
    /// Mbit/s; 0xffffffff is unknown.
    pub speed: u32,
    /// 0 half, 1 full, 0xff unknown.
    pub duplex: u8,
    /// The longest key of a hash, in bytes.
    pub rss_max_key_size: u8,
    /// The largest number of entries of an indirection table.
    pub rss_max_indirection_table_length: u16,
    /// The hash types that the device knows.
    pub supported_hash_types: u32,
    /// The tunnels whose inner headers the device hashes.
    pub supported_tunnel_types: u32,
}

/// The length of the configuration in bytes.
pub const CONFIG_BYTES: usize = 28;

impl NicConfig {
    /// What a plain network device has: link up, one pair, 1500 bytes, 10 Gbit/s, full duplex, all hashes.
    pub(super) fn plain(mac: [u8; 6]) -> Self {
        Self {
            mac,
            status: link_status::LINK_UP,
            max_virtqueue_pairs: 1,
            mtu: 1500,
            speed: 10_000,
            duplex: 1,
            rss_max_key_size: 40,
            rss_max_indirection_table_length: 128,
            supported_hash_types: 0x1ff,
            supported_tunnel_types: 0x1ff,
        }
    }

    /// The bytes that a driver reads.
    pub fn bytes(&self) -> [u8; CONFIG_BYTES] {
        let mut bytes = [0; CONFIG_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0x00, &self.mac);
        put(0x06, &self.status.to_le_bytes());
        put(0x08, &self.max_virtqueue_pairs.to_le_bytes());
        put(0x0a, &self.mtu.to_le_bytes());
        put(0x0c, &self.speed.to_le_bytes());
        put(0x10, &[self.duplex, self.rss_max_key_size]);
        put(0x12, &self.rss_max_indirection_table_length.to_le_bytes());
        put(0x14, &self.supported_hash_types.to_le_bytes());
        put(0x18, &self.supported_tunnel_types.to_le_bytes());
        bytes
    }
}

/// The fields that are there with a feature only; of two features that bring one, the offered one counts.
pub(super) fn fields(offered: u128) -> Vec<ConfigField> {
    let either = |first: u32, second: u32| if offered & 1 << first == 0 { second } else { first };
    let optional = [
        (0x06..0x08, feature::STATUS),
        (0x08..0x0a, either(feature::MQ, feature::RSS)),
        (0x0a..0x0c, feature::MTU),
        (0x0c..0x11, feature::SPEED_DUPLEX),
        (0x11..0x12, either(feature::RSS, feature::HASH_REPORT)),
        (0x12..0x14, feature::RSS),
        (0x14..0x18, either(feature::RSS, feature::HASH_REPORT)),
        (0x18..0x1c, feature::HASH_TUNNEL),
    ];
    let field = |(bytes, feature)| ConfigField { bytes, feature, rule: FieldRule::Optional };
    let mac = ConfigField { bytes: 0x00..0x06, feature: feature::MAC, rule: FieldRule::LegacyWritable };
    optional.into_iter().map(field).chain([mac]).collect()
}

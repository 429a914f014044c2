//! The device-specific configuration of a disk: 96 bytes.
//!
//! Spec: §5.2.4 Device configuration layout. A test changes fields before it builds the device,
//! or makes new bytes for [`PciDevice::set_config`](crate::pci::PciDevice::set_config) later.

use crate::pci::{ConfigField, FieldRule};

/// The fields of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskConfig {
    /// Capacity in units of 512 bytes.
    pub capacity_sectors: u64,
    /// Largest data segment in bytes.
    pub size_max: u32,
    /// Largest number of data segments in a request.
    pub seg_max: u32,
    /// Disk-style geometry.
    pub geometry: Geometry,
    /// Block size in bytes.
    pub blk_size: u32,
    /// How requests are best aligned.
    pub topology: Topology,
    /// 1 if the cache is in write-back mode.
    pub writeback: u8,
    /// The number of request queues.
    pub num_queues: u16,
    /// The limits of discard requests.
    pub discard: RangeLimits,
    /// The limits of requests to write zeros; they have no alignment.
    pub write_zeroes: RangeLimits,
    /// 1 if a request to write zeros may deallocate sectors.
    pub write_zeroes_may_unmap: u8,
    /// The limits of secure erase requests.
    pub secure_erase: RangeLimits,
    /// What the disk says of its zones.
    pub zoned: ZonedConfig,
}

/// Cylinders, heads, and sectors of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
}

/// How requests are best aligned; in logical blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Topology {
    /// Logical blocks in a physical one, as a power of 2.
    pub physical_block_exp: u8,
    /// The first aligned logical block.
    pub alignment_offset: u8,
    /// Suggested smallest request.
    pub min_io_size: u16,
    /// Suggested largest request.
    pub opt_io_size: u32,
}

/// The limits of requests that carry ranges of sectors. The model takes 0 sectors for no limit, and 0 ranges for 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RangeLimits {
    /// Most sectors in one range.
    pub sectors_max: u32,
    /// Most ranges in one request.
    pub ranges_max: u32,
    /// Where to split, in sectors.
    pub alignment_sectors: u32,
}

/// What a disk says of its zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ZonedConfig {
    /// Sectors of a zone.
    pub zone_sectors: u32,
    /// Most zones that may be open; 0 is no limit.
    pub max_open_zones: u32,
    /// Most zones that may be active; 0 is no limit.
    pub max_active_zones: u32,
    /// Most sectors in one append; 0 if the disk cannot append.
    pub max_append_sectors: u32,
    /// Bytes that a write is a multiple of.
    pub write_granularity: u32,
    /// One of [`zoned_model`](super::zoned_model).
    pub model: u8,
}

/// The length of the configuration in bytes.
pub const CONFIG_BYTES: usize = 96;
/// Where the driver switches the cache.
pub(super) const WRITEBACK: usize = 0x20;

impl DiskConfig {
    /// The bytes that a driver reads.
    pub fn bytes(&self) -> [u8; CONFIG_BYTES] {
        let mut bytes = [0; CONFIG_BYTES];
        let Geometry { cylinders, heads, sectors } = self.geometry;
        let Topology { physical_block_exp, alignment_offset, min_io_size, opt_io_size } = self.topology;
        let mut put = |at: usize, field: &[u8]| bytes[at..][..field.len()].copy_from_slice(field);
        put(0x00, &self.capacity_sectors.to_le_bytes());
        put(0x10, &cylinders.to_le_bytes());
        put(0x12, &[heads, sectors]);
        put(0x18, &[physical_block_exp, alignment_offset]);
        put(0x1a, &min_io_size.to_le_bytes());
        put(WRITEBACK, &[self.writeback]);
        put(0x22, &self.num_queues.to_le_bytes());
        put(0x38, &[self.write_zeroes_may_unmap]);
        put(0x5c, &[self.zoned.model]);
        let words = [
            (0x08, self.size_max),
            (0x0c, self.seg_max),
            (0x14, self.blk_size),
            (0x1c, opt_io_size),
            (0x24, self.discard.sectors_max),
            (0x28, self.discard.ranges_max),
            (0x2c, self.discard.alignment_sectors),
            (0x30, self.write_zeroes.sectors_max),
            (0x34, self.write_zeroes.ranges_max),
            (0x3c, self.secure_erase.sectors_max),
            (0x40, self.secure_erase.ranges_max),
            (0x44, self.secure_erase.alignment_sectors),
            (0x48, self.zoned.zone_sectors),
            (0x4c, self.zoned.max_open_zones),
            (0x50, self.zoned.max_active_zones),
            (0x54, self.zoned.max_append_sectors),
            (0x58, self.zoned.write_granularity),
        ];
        for (at, word) in words {
            put(at, &word.to_le_bytes());
        }
        bytes
    }
}

/// The fields that are there with a feature only, and what holds for them.
pub(super) fn fields() -> Vec<ConfigField> {
    use super::state::feature;
    let optional = [
        (0x08..0x0c, feature::SIZE_MAX),
        (0x0c..0x10, feature::SEG_MAX),
        (0x10..0x14, feature::GEOMETRY),
        (0x14..0x18, feature::BLK_SIZE),
        (0x18..0x20, feature::TOPOLOGY),
        (0x22..0x24, feature::MQ),
        (0x24..0x30, feature::DISCARD),
        (0x30..0x39, feature::WRITE_ZEROES),
        (0x3c..0x48, feature::SECURE_ERASE),
    ];
    let optional = optional.into_iter().map(|(bytes, feature)| ConfigField {
        bytes,
        feature,
        rule: FieldRule::Optional,
    });
    let cache = ConfigField {
        bytes: WRITEBACK..WRITEBACK + 1,
        feature: feature::CONFIG_WCE,
        rule: FieldRule::Switch { with: feature::FLUSH },
    };
    let zoned = ConfigField { bytes: 0x48..0x60, feature: feature::ZONED, rule: FieldRule::ZeroUnlessAgreed };
    optional.chain([cache, zoned]).collect()
}

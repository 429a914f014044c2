//! What a disk says of itself besides its size: blocks, geometry, cache, limits, zones.
//!
//! Spec: §5.2.4 Device configuration layout. Read together, as of one moment; each field only if the feature was agreed on that makes it mean something.

use super::range_limits::RangeLimits;
use super::shape::Shape;
use super::zones::ZonedCharacteristics;
use crate::lifecycle::{Config, ConfigError, Fields, NegotiatedFeatures};
use crate::transport::Transport;
use crate::wire::block::{BlockFeatures, SECTOR_BYTES, config, zone_model};
use crate::wire::features::CommonFeatures;

/// Cylinders, heads and sectors, for firmware and file systems of old that want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
}

/// Which transfers suit a disk. Positions and lengths of requests count 512 bytes all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Logical blocks ([`Control::block_bytes`](super::Control::block_bytes)) of a physical one, as the exponent of a power of two.
    pub physical_block_exponent: u8,
    /// Logical blocks before the first one that physical blocks are aligned to.
    pub alignment_offset: u8,
    /// Smallest transfer that suits it, in logical blocks.
    pub min_transfer_blocks: u16,
    /// Transfer that suits it best, in logical blocks; 0 if there is none.
    pub optimal_transfer_blocks: u32,
}

/// What a disk's cache does with what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheMode {
    /// Keeps it: it is safe from a power failure only after a flush.
    WriteBack,
    /// Writes it through: a write that is done is safe.
    WriteThrough,
}

/// A sector, in bytes as configuration fields count them.
#[allow(clippy::cast_possible_truncation, reason = "512")]
const WHOLE_SECTOR: u32 = SECTOR_BYTES as u32;

/// What is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Characteristics {
    pub(super) block_bytes: Option<u32>,
    pub(super) geometry: Option<Geometry>,
    pub(super) topology: Option<Topology>,
}

/// All that is read at bring-up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Description {
    pub(super) shape: Shape,
    pub(super) characteristics: Characteristics,
    pub(super) size_max: Option<u32>,
    pub(super) seg_max: Option<u32>,
    pub(super) queues: u16,
}

impl Description {
    pub(super) fn read<T: Transport>(
        config: &Config<'_, T>,
        features: NegotiatedFeatures<BlockFeatures>,
    ) -> Result<Self, ConfigError> {
        let agreed = features.device;
        config.read_together(|fields| {
            let if_agreed = |feature, field| agreed.contains(feature).then(|| fields.get(field)).transpose();
            let block_bytes = if_agreed(BlockFeatures::BLK_SIZE, config::BLK_SIZE)?;
            let block_bytes =
                block_bytes.filter(|bytes| bytes.is_power_of_two() && *bytes as usize >= SECTOR_BYTES);
            let has = |feature| agreed.contains(feature);
            let zoned = if has(BlockFeatures::ZONED) { zoned(&fields)? } else { None };
            Ok(Self {
                shape: Shape {
                    capacity_sectors: fields.get(config::CAPACITY)?,
                    discard: has(BlockFeatures::DISCARD).then(|| discard(&fields)).transpose()?,
                    write_zeroes: has(BlockFeatures::WRITE_ZEROES)
                        .then(|| write_zeroes(&fields))
                        .transpose()?,
                    write_zeroes_may_unmap: may_unmap(&fields, agreed)?,
                    secure_erase: if has(BlockFeatures::SECURE_ERASE) {
                        secure_erase(&fields, zoned.as_ref())?
                    } else {
                        None
                    },
                    zoned,
                    read_only: has(BlockFeatures::RO),
                    flush: has(BlockFeatures::FLUSH),
                    lifetime: has(BlockFeatures::LIFETIME),
                    lengths_count: features.common.contains(CommonFeatures::VERSION_1),
                },
                characteristics: Characteristics {
                    block_bytes,
                    geometry: has(BlockFeatures::GEOMETRY).then(|| geometry(&fields)).transpose()?,
                    topology: has(BlockFeatures::TOPOLOGY).then(|| topology(&fields)).transpose()?,
                },
                size_max: if_agreed(BlockFeatures::SIZE_MAX, config::SIZE_MAX)?,
                seg_max: if_agreed(BlockFeatures::SEG_MAX, config::SEG_MAX)?,
                queues: if has(BlockFeatures::MQ) { fields.get(config::NUM_QUEUES)? } else { 1 },
            })
        })
    }
}

/// Whether a disk with `ZONED` may have to be written one sector after the other, asked before features are agreed on. Such a disk is not to be asked for `DISCARD` (§5.2.5.1).
pub(super) fn may_be_host_managed<T: Transport>(config: &Config<'_, T>) -> bool {
    // One that cannot say it is not believed to be harmless.
    !matches!(config.read(config::MODEL), Ok(zone_model::NONE | zone_model::HOST_AWARE))
}

/// What of a [`Shape`] may change while the disk runs.
pub(super) fn refresh<T: Transport>(
    config: &Config<'_, T>,
    agreed: BlockFeatures,
    shape: &mut Shape,
) -> Result<(), ConfigError> {
    (shape.capacity_sectors, shape.write_zeroes_may_unmap) =
        config.read_together(|fields| Ok((fields.get(config::CAPACITY)?, may_unmap(&fields, agreed)?)))?;
    Ok(())
}

fn may_unmap<T: Transport>(fields: &Fields<'_, T>, agreed: BlockFeatures) -> Result<bool, ConfigError> {
    let is_there = agreed.contains(BlockFeatures::WRITE_ZEROES);
    Ok(is_there && fields.get(config::WRITE_ZEROES_MAY_UNMAP)? != 0)
}

fn discard<T: Transport>(fields: &Fields<'_, T>) -> Result<RangeLimits, ConfigError> {
    Ok(RangeLimits::new(
        fields.get(config::MAX_DISCARD_SECTORS)?,
        fields.get(config::MAX_DISCARD_SEG)?,
        fields.get(config::DISCARD_SECTOR_ALIGNMENT)?,
    ))
}

fn write_zeroes<T: Transport>(fields: &Fields<'_, T>) -> Result<RangeLimits, ConfigError> {
    Ok(RangeLimits::new(
        fields.get(config::MAX_WRITE_ZEROES_SECTORS)?,
        fields.get(config::MAX_WRITE_ZEROES_SEG)?,
        1,
    ))
}

/// Of a disk with zones, whole ones (§5.2.6.3). One that takes less than a zone at a time erases nothing.
fn secure_erase<T: Transport>(
    fields: &Fields<'_, T>,
    zoned: Option<&ZonedCharacteristics>,
) -> Result<Option<RangeLimits>, ConfigError> {
    let limits = RangeLimits::new(
        fields.get(config::MAX_SECURE_ERASE_SECTORS)?,
        fields.get(config::MAX_SECURE_ERASE_SEG)?,
        fields.get(config::SECURE_ERASE_SECTOR_ALIGNMENT)?,
    );
    Ok(match zoned {
        Some(zoned) => limits.of_whole_zones(zoned.zone_sectors),
        None => Some(limits),
    })
}

/// Zones, if the disk has any that a driver has to know of. A disk whose zones have no size has none.
fn zoned<T: Transport>(fields: &Fields<'_, T>) -> Result<Option<ZonedCharacteristics>, ConfigError> {
    let is_host_managed = match fields.get(config::MODEL)? {
        zone_model::HOST_MANAGED => true,
        zone_model::HOST_AWARE => false,
        _ => return Ok(None),
    };
    let unless_zero = |field| fields.get(field).map(|value: u32| Some(value).filter(|value| *value != 0));
    // Requests are of whole sectors anyhow.
    let granularity: u32 = fields.get(config::WRITE_GRANULARITY)?;
    let is_sound = granularity != 0 && granularity.is_multiple_of(WHOLE_SECTOR);
    let characteristics = ZonedCharacteristics {
        is_host_managed,
        zone_sectors: fields.get(config::ZONE_SECTORS)?,
        max_open_zones: unless_zero(config::MAX_OPEN_ZONES)?,
        max_active_zones: unless_zero(config::MAX_ACTIVE_ZONES)?,
        max_append_sectors: unless_zero(config::MAX_APPEND_SECTORS)?,
        write_granularity: if is_sound { granularity } else { WHOLE_SECTOR },
    };
    Ok(Some(characteristics).filter(|zoned| zoned.zone_sectors != 0))
}

fn geometry<T: Transport>(fields: &Fields<'_, T>) -> Result<Geometry, ConfigError> {
    Ok(Geometry {
        cylinders: fields.get(config::CYLINDERS)?,
        heads: fields.get(config::HEADS)?,
        sectors: fields.get(config::SECTORS)?,
    })
}

fn topology<T: Transport>(fields: &Fields<'_, T>) -> Result<Topology, ConfigError> {
    Ok(Topology {
        physical_block_exponent: fields.get(config::PHYSICAL_BLOCK_EXP)?,
        alignment_offset: fields.get(config::ALIGNMENT_OFFSET)?,
        min_transfer_blocks: fields.get(config::MIN_IO_SIZE)?,
        optimal_transfer_blocks: fields.get(config::OPT_IO_SIZE)?,
    })
}

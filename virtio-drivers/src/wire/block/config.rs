//! Fields of the block device's configuration space.
//!
//! Spec: §5.2.4 Device configuration layout. A field means something only with the feature that is named with it.

use crate::wire::field::Field;

/// Sectors of 512 bytes.
pub const CAPACITY: Field<u64> = Field::at(0);
/// Largest segment, in bytes (with `SIZE_MAX`).
pub const SIZE_MAX: Field<u32> = Field::at(0x08);
/// Most data segments of a request (with `SEG_MAX`).
pub const SEG_MAX: Field<u32> = Field::at(0x0c);
/// Cylinders (with `GEOMETRY`).
pub const CYLINDERS: Field<u16> = Field::at(0x10);
/// Heads (with `GEOMETRY`).
pub const HEADS: Field<u8> = Field::at(0x12);
/// Sectors of a track (with `GEOMETRY`).
pub const SECTORS: Field<u8> = Field::at(0x13);
/// Block size that suits the device best, in bytes (with `BLK_SIZE`).
pub const BLK_SIZE: Field<u32> = Field::at(0x14);
/// Logical blocks of a physical one, as the exponent of a power of two (with `TOPOLOGY`).
pub const PHYSICAL_BLOCK_EXP: Field<u8> = Field::at(0x18);
/// Logical blocks before the first one that physical blocks are aligned to (with `TOPOLOGY`).
pub const ALIGNMENT_OFFSET: Field<u8> = Field::at(0x19);
/// Smallest transfer that suits the device, in blocks (with `TOPOLOGY`).
pub const MIN_IO_SIZE: Field<u16> = Field::at(0x1a);
/// Transfer that suits the device best, in blocks (with `TOPOLOGY`).
pub const OPT_IO_SIZE: Field<u32> = Field::at(0x1c);
/// 1 while the cache keeps writes back, 0 while it writes through; may be written (with `CONFIG_WCE`).
pub const WRITEBACK: Field<u8> = Field::at(0x20);
/// Request queues (with `MQ`).
pub const NUM_QUEUES: Field<u16> = Field::at(0x22);
/// Most sectors of one range to discard (with `DISCARD`).
pub const MAX_DISCARD_SECTORS: Field<u32> = Field::at(0x24);
/// Most ranges of one request to discard (with `DISCARD`).
pub const MAX_DISCARD_SEG: Field<u32> = Field::at(0x28);
/// Where to split what is discarded: at multiples of so many sectors (with `DISCARD`).
pub const DISCARD_SECTOR_ALIGNMENT: Field<u32> = Field::at(0x2c);
/// Most sectors of one range to write zeros to (with `WRITE_ZEROES`).
pub const MAX_WRITE_ZEROES_SECTORS: Field<u32> = Field::at(0x30);
/// Most ranges of one request to write zeros to (with `WRITE_ZEROES`).
pub const MAX_WRITE_ZEROES_SEG: Field<u32> = Field::at(0x34);
/// Whether writing zeros may give the storage behind them back (with `WRITE_ZEROES`); may change at any time.
pub const WRITE_ZEROES_MAY_UNMAP: Field<u8> = Field::at(0x38);
/// Most sectors of one range to erase (with `SECURE_ERASE`).
pub const MAX_SECURE_ERASE_SECTORS: Field<u32> = Field::at(0x3c);
/// Most ranges of one request to erase (with `SECURE_ERASE`).
pub const MAX_SECURE_ERASE_SEG: Field<u32> = Field::at(0x40);
/// Where to split what is erased: at multiples of so many sectors (with `SECURE_ERASE`).
pub const SECURE_ERASE_SECTOR_ALIGNMENT: Field<u32> = Field::at(0x44);
/// Sectors of a zone (with `ZONED`, as all that follow).
pub const ZONE_SECTORS: Field<u32> = Field::at(0x48);
/// Most zones that can be open; 0 is no limit.
pub const MAX_OPEN_ZONES: Field<u32> = Field::at(0x4c);
/// Most zones that can be active; 0 is no limit.
pub const MAX_ACTIVE_ZONES: Field<u32> = Field::at(0x50);
/// Most sectors of one append; 0 if there are no appends.
pub const MAX_APPEND_SECTORS: Field<u32> = Field::at(0x54);
/// What positions and lengths of writes to sequential zones are multiples of, in bytes.
pub const WRITE_GRANULARITY: Field<u32> = Field::at(0x58);
/// How the device is zoned: see [`zone_model`](super::zone_model).
pub const MODEL: Field<u8> = Field::at(0x5c);

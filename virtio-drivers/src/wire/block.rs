//! The block device's numbers and layouts.
//!
//! Spec: §5.2 Block Device. All positions and lengths count sectors of 512 bytes, whatever `blk_size` says.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::features::{Dependency, DeviceFeatures};

/// Bytes of a sector: the unit of every position and length.
pub const SECTOR_BYTES: usize = 512;

bitflags::bitflags! {
    /// Feature bits of the block device.
    ///
    /// Spec: §5.2.3 Feature bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BlockFeatures: u128 {
        /// `size_max` limits the bytes of one segment.
        #[doc(alias = "VIRTIO_BLK_F_SIZE_MAX")]
        const SIZE_MAX = 1 << 1;
        /// `seg_max` limits the segments of one request.
        #[doc(alias = "VIRTIO_BLK_F_SEG_MAX")]
        const SEG_MAX = 1 << 2;
        /// The geometry fields are valid.
        #[doc(alias = "VIRTIO_BLK_F_GEOMETRY")]
        const GEOMETRY = 1 << 4;
        /// The device is read-only.
        #[doc(alias = "VIRTIO_BLK_F_RO")]
        const RO = 1 << 5;
        /// `blk_size` is valid.
        #[doc(alias = "VIRTIO_BLK_F_BLK_SIZE")]
        const BLK_SIZE = 1 << 6;
        /// The flush command is supported.
        #[doc(alias = "VIRTIO_BLK_F_FLUSH")]
        const FLUSH = 1 << 9;
        /// The topology fields are valid.
        #[doc(alias = "VIRTIO_BLK_F_TOPOLOGY")]
        const TOPOLOGY = 1 << 10;
        /// The cache can be switched between write-back and write-through.
        #[doc(alias = "VIRTIO_BLK_F_CONFIG_WCE")]
        const CONFIG_WCE = 1 << 11;
        /// There are several request queues.
        #[doc(alias = "VIRTIO_BLK_F_MQ")]
        const MQ = 1 << 12;
        /// The discard command is supported.
        #[doc(alias = "VIRTIO_BLK_F_DISCARD")]
        const DISCARD = 1 << 13;
        /// The write-zeroes command is supported.
        #[doc(alias = "VIRTIO_BLK_F_WRITE_ZEROES")]
        const WRITE_ZEROES = 1 << 14;
        /// The device reports its lifetime.
        #[doc(alias = "VIRTIO_BLK_F_LIFETIME")]
        const LIFETIME = 1 << 15;
        /// The secure-erase command is supported.
        #[doc(alias = "VIRTIO_BLK_F_SECURE_ERASE")]
        const SECURE_ERASE = 1 << 16;
        /// The device has zones.
        #[doc(alias = "VIRTIO_BLK_F_ZONED")]
        const ZONED = 1 << 17;
    }
}

impl DeviceFeatures for BlockFeatures {
    /// A device that lets its cache be switched must be able to flush it (§5.2.5.1).
    const DEPENDENCIES: &'static [Dependency<Self>] = &[Dependency::all(Self::CONFIG_WCE, Self::FLUSH)];
}

/// Fields of the configuration space.
///
/// Spec: §5.2.4 Device configuration layout.
pub mod config {
    use crate::wire::field::Field;

    /// Sectors of 512 bytes.
    pub const CAPACITY: Field<u64> = Field::at(0);
    /// Largest segment, in bytes (with `SIZE_MAX`).
    pub const SIZE_MAX: Field<u32> = Field::at(0x08);
    /// Most data segments of a request (with `SEG_MAX`).
    pub const SEG_MAX: Field<u32> = Field::at(0x0c);
    /// Block size that suits the device best, in bytes (with `BLK_SIZE`).
    pub const BLK_SIZE: Field<u32> = Field::at(0x14);
    /// Request queues (with `MQ`).
    pub const NUM_QUEUES: Field<u16> = Field::at(0x22);
}

/// Numbers of the request types.
///
/// Spec: §5.2.6 Device Operation.
pub mod request {
    /// Read.
    #[doc(alias = "VIRTIO_BLK_T_IN")]
    pub const IN: u32 = 0;
    /// Write.
    #[doc(alias = "VIRTIO_BLK_T_OUT")]
    pub const OUT: u32 = 1;
    /// Flush.
    #[doc(alias = "VIRTIO_BLK_T_FLUSH")]
    pub const FLUSH: u32 = 4;
    /// Read the device id string.
    #[doc(alias = "VIRTIO_BLK_T_GET_ID")]
    pub const GET_ID: u32 = 8;
}

/// What every request starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_blk_req")]
pub struct RequestHeader {
    /// One of the numbers in [`request`].
    pub request_type: U32,
    /// Zero.
    pub reserved: U32,
    /// First sector; 0 where the request has none.
    pub sector: U64,
}

/// Bytes of a [`RequestHeader`].
pub const REQUEST_HEADER_BYTES: usize = size_of::<RequestHeader>();

/// Bytes of the device id string: padded with zeros, and without a zero at its end if it fills all of them.
#[doc(alias = "VIRTIO_BLK_ID_BYTES")]
pub const DEVICE_ID_BYTES: usize = 20;

/// Values of the status byte that ends every request.
pub mod request_status {
    /// Done.
    #[doc(alias = "VIRTIO_BLK_S_OK")]
    pub const OK: u8 = 0;
    /// Failed on the device's side.
    #[doc(alias = "VIRTIO_BLK_S_IOERR")]
    pub const IOERR: u8 = 1;
    /// The device does not know the request.
    #[doc(alias = "VIRTIO_BLK_S_UNSUPP")]
    pub const UNSUPP: u8 = 2;
    /// No status: what the driver writes there before the device does, so that silence is not taken for success.
    pub const NOT_WRITTEN: u8 = 0xff;
}

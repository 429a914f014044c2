//! The block device's numbers and layouts.
//!
//! Spec: §5.2 Block Device. All positions and lengths count sectors of 512 bytes, whatever `blk_size` says.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod ranges;
mod zoned;

pub mod config;

use super::features::{Dependency, DeviceFeatures};

pub use ranges::{RANGE_BYTES, RangeFlags, WireRange};
pub use zoned::{WireZone, ZONE_BYTES, ZoneReportHeader, zone_model, zone_state, zone_type};

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
    /// Read how worn the device is.
    #[doc(alias = "VIRTIO_BLK_T_GET_LIFETIME")]
    pub const GET_LIFETIME: u32 = 10;
    /// Discard ranges: their contents mean nothing any more.
    #[doc(alias = "VIRTIO_BLK_T_DISCARD")]
    pub const DISCARD: u32 = 11;
    /// Make ranges read as zeros.
    #[doc(alias = "VIRTIO_BLK_T_WRITE_ZEROES")]
    pub const WRITE_ZEROES: u32 = 13;
    /// Erase ranges for good.
    #[doc(alias = "VIRTIO_BLK_T_SECURE_ERASE")]
    pub const SECURE_ERASE: u32 = 14;
    /// Write at a zone's write pointer, wherever that is.
    #[doc(alias = "VIRTIO_BLK_T_ZONE_APPEND")]
    pub const ZONE_APPEND: u32 = 15;
    /// Read what zones there are.
    #[doc(alias = "VIRTIO_BLK_T_ZONE_REPORT")]
    pub const ZONE_REPORT: u32 = 16;
    /// Open a zone.
    #[doc(alias = "VIRTIO_BLK_T_ZONE_OPEN")]
    pub const ZONE_OPEN: u32 = 18;
    /// Close a zone.
    #[doc(alias = "VIRTIO_BLK_T_ZONE_CLOSE")]
    pub const ZONE_CLOSE: u32 = 20;
    /// Finish a zone: it counts as full.
    #[doc(alias = "VIRTIO_BLK_T_ZONE_FINISH")]
    pub const ZONE_FINISH: u32 = 22;
    /// Reset a zone: it is empty.
    #[doc(alias = "VIRTIO_BLK_T_ZONE_RESET")]
    pub const ZONE_RESET: u32 = 24;
    /// Reset all zones.
    #[doc(alias = "VIRTIO_BLK_T_ZONE_RESET_ALL")]
    pub const ZONE_RESET_ALL: u32 = 26;
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

/// How worn a device is, as it says.
///
/// Spec: §5.2.6 Device Operation.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_blk_lifetime")]
pub struct WireLifetime {
    /// How much of the reserved blocks is consumed: 1 is less than 80 %, 2 is 80 %, 3 is 90 %.
    pub pre_eol_info: U16,
    /// Cells of one bit, in tenths of their life that are begun: 1 to 10, or 11 when it is over.
    pub device_lifetime_est_typ_a: U16,
    /// The same for cells of several bits.
    pub device_lifetime_est_typ_b: U16,
}

/// Bytes of a [`WireLifetime`].
pub const LIFETIME_BYTES: usize = size_of::<WireLifetime>();

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
    /// Not for this zone, or not now.
    #[doc(alias = "VIRTIO_BLK_S_ZONE_INVALID_CMD")]
    pub const ZONE_INVALID_COMMAND: u8 = 3;
    /// A write that does not begin at its zone's write pointer, or ends where none may.
    #[doc(alias = "VIRTIO_BLK_S_ZONE_UNALIGNED_WP")]
    pub const ZONE_UNALIGNED_WRITE_POINTER: u8 = 4;
    /// Too many zones would be open.
    #[doc(alias = "VIRTIO_BLK_S_ZONE_OPEN_RESOURCE")]
    pub const ZONE_OPEN_RESOURCE: u8 = 5;
    /// Too many zones would be active.
    #[doc(alias = "VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE")]
    pub const ZONE_ACTIVE_RESOURCE: u8 = 6;
    /// No status: what the driver writes there before the device does, so that silence is not taken for success.
    pub const NOT_WRITTEN: u8 = 0xff;
}

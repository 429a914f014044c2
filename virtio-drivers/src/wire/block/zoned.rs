//! Zones of a disk, as it reports them.
//!
//! Spec: §5.2.6 Device Operation (`struct virtio_blk_zone_report`, `struct virtio_blk_zone_descriptor`). A report is a header and as many descriptors as there was room for.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a report starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_blk_zone_report")]
pub struct ZoneReportHeader {
    /// How many descriptors follow.
    pub nr_zones: U64,
    /// Nothing.
    pub reserved: [u8; 56],
}

/// A zone.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_blk_zone_descriptor")]
pub struct WireZone {
    /// Most sectors that can be written when it is empty.
    pub capacity: U64,
    /// Its first sector.
    pub start: U64,
    /// Where the next write goes; means nothing for conventional zones, and those that cannot be written.
    pub write_pointer: U64,
    /// See [`zone_type`].
    pub zone_type: u8,
    /// See [`zone_state`].
    pub state: u8,
    /// Nothing.
    pub reserved: [u8; 38],
}

/// Bytes of a [`WireZone`]; those of a [`ZoneReportHeader`] are as many.
pub const ZONE_BYTES: usize = size_of::<WireZone>();

/// How a device is zoned.
///
/// Spec: §5.2.4 Device configuration layout.
pub mod zone_model {
    /// Not at all, or nobody has to know.
    #[doc(alias = "VIRTIO_BLK_Z_NONE")]
    pub const NONE: u8 = 0;
    /// Zones have to be written one sector after the other.
    #[doc(alias = "VIRTIO_BLK_Z_HM")]
    pub const HOST_MANAGED: u8 = 1;
    /// Zones should be written so.
    #[doc(alias = "VIRTIO_BLK_Z_HA")]
    pub const HOST_AWARE: u8 = 2;
}

/// Kinds of zones.
pub mod zone_type {
    /// Written anywhere.
    #[doc(alias = "VIRTIO_BLK_ZT_CONV")]
    pub const CONVENTIONAL: u8 = 1;
    /// Has to be written at its write pointer.
    #[doc(alias = "VIRTIO_BLK_ZT_SWR")]
    pub const SEQUENTIAL_WRITE_REQUIRED: u8 = 2;
    /// Should be written at its write pointer.
    #[doc(alias = "VIRTIO_BLK_ZT_SWP")]
    pub const SEQUENTIAL_WRITE_PREFERRED: u8 = 3;
}

/// States of zones.
pub mod zone_state {
    /// It has no write pointer: a conventional one.
    #[doc(alias = "VIRTIO_BLK_ZS_NOT_WP")]
    pub const NOT_WRITE_POINTER: u8 = 0;
    /// Nothing is written.
    #[doc(alias = "VIRTIO_BLK_ZS_EMPTY")]
    pub const EMPTY: u8 = 1;
    /// Opened by a write.
    #[doc(alias = "VIRTIO_BLK_ZS_IOPEN")]
    pub const IMPLICITLY_OPEN: u8 = 2;
    /// Opened by request.
    #[doc(alias = "VIRTIO_BLK_ZS_EOPEN")]
    pub const EXPLICITLY_OPEN: u8 = 3;
    /// Written in part, and not open.
    #[doc(alias = "VIRTIO_BLK_ZS_CLOSED")]
    pub const CLOSED: u8 = 4;
    /// Can be read only.
    #[doc(alias = "VIRTIO_BLK_ZS_RDONLY")]
    pub const READ_ONLY: u8 = 13;
    /// Nothing more can be written before a reset.
    #[doc(alias = "VIRTIO_BLK_ZS_FULL")]
    pub const FULL: u8 = 14;
    /// Lost.
    #[doc(alias = "VIRTIO_BLK_ZS_OFFLINE")]
    pub const OFFLINE: u8 = 15;
}

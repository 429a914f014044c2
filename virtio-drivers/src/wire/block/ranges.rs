//! Ranges, as discard, write zeroes and secure erase name them.
//!
//! Spec: §5.2.6 Device Operation (`struct virtio_blk_discard_write_zeroes`). One or more of them are the data of such a request.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A range of sectors.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_blk_discard_write_zeroes")]
pub struct WireRange {
    /// Its first sector.
    pub sector: U64,
    /// How many sectors it has.
    pub num_sectors: U32,
    /// See [`RangeFlags`].
    pub flags: U32,
}

/// Bytes of a [`WireRange`].
pub const RANGE_BYTES: usize = size_of::<WireRange>();

bitflags::bitflags! {
    /// What may be done with a range besides.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RangeFlags: u32 {
        /// The storage behind zeros may be given back. For write zeroes only.
        const UNMAP = 1;
    }
}

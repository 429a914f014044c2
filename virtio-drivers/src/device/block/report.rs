//! What a block driver tells of itself and of its disk.
//!
//! Spec: §5.2.6 Device Operation (device id string, lifetime).

use core::fmt;

use zerocopy::little_endian::U16;

use crate::lifecycle::VectorRouting;
use crate::ring::ActivePath;
use crate::wire::block::{BlockFeatures, DEVICE_ID_BYTES, WireLifetime};

/// Which paths a driver takes, as negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivePaths {
    /// Descriptors of the request queue.
    pub queue_size: u16,
    /// Requests that can be in flight together.
    pub requests: usize,
    /// Bytes of data in one request.
    pub request_bytes: usize,
    /// What the ring makes use of.
    pub ring: ActivePath,
    /// How the device's interrupt vectors were dealt out.
    pub vectors: VectorRouting,
    /// The device's memory accesses go through the platform's translation.
    pub access_platform: bool,
    /// What was agreed of the device's own features.
    pub features: BlockFeatures,
}

/// A disk's id string: up to 20 bytes, in most devices a serial number in ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceId([u8; DEVICE_ID_BYTES]);

impl DeviceId {
    pub(super) const fn new(bytes: [u8; DEVICE_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes before the first zero.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId(\"{self}\")")
    }
}

/// How worn a disk is, as it says.
///
/// Spec: §5.2.6 Device Operation (`struct virtio_blk_lifetime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How much of its reserved blocks is consumed; `None` if it does not say.
    pub reserved_blocks: Option<ReservedBlocks>,
    /// Cells of one bit: tenths of their life that are begun, 1 to 10, or 11 if it is over. `None` if it does not say.
    pub single_level_cells: Option<u8>,
    /// The same for cells of several bits.
    pub multi_level_cells: Option<u8>,
}

/// How much of a disk's reserved blocks is consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReservedBlocks {
    /// Less than 80 %.
    Normal,
    /// 80 % or more.
    Warning,
    /// 90 % or more.
    Urgent,
}

impl Lifetime {
    /// What the device said; values that mean nothing are not said.
    pub(super) fn new(wire: &WireLifetime) -> Self {
        let tenths = |value: U16| u8::try_from(value.get()).ok().filter(|tenths| (1..=11).contains(tenths));
        Self {
            reserved_blocks: match wire.pre_eol_info.get() {
                1 => Some(ReservedBlocks::Normal),
                2 => Some(ReservedBlocks::Warning),
                3 => Some(ReservedBlocks::Urgent),
                _ => None,
            },
            single_level_cells: tenths(wire.device_lifetime_est_typ_a),
            multi_level_cells: tenths(wire.device_lifetime_est_typ_b),
        }
    }
}

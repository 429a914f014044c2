//! What a block driver tells of itself and of its disk.
//!
//! Spec: §5.2.6 Device Operation (device id string).

use core::fmt;

use crate::lifecycle::VectorRouting;
use crate::ring::ActivePath;
use crate::wire::block::{BlockFeatures, DEVICE_ID_BYTES};

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

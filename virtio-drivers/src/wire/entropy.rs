//! Entropy device: it has a queue, and nothing else.
//!
//! Spec: §5.4 Entropy Device.

use crate::wire::features::DeviceFeatures;

bitflags::bitflags! {
    /// The device's own feature bits: none is defined.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct EntropyFeatures: u128 {}
}

impl DeviceFeatures for EntropyFeatures {}

/// Index of the queue for requests.
pub const REQUESTQ: u16 = 0;

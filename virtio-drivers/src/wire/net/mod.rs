//! The network device's numbers and layouts.
//!
//! Spec: §5.1 Network Device. Queues: 2i receives and 2i + 1 transmits (pair i, from 0), then the control queue, which comes after all pairs that the device has.

mod features;
mod hash;

pub mod config;
pub mod control;
pub mod header;
pub mod rss;
pub mod statistics;

pub use features::NetFeatures;
pub use hash::{HashTypes, TunnelTypes, hash_report};

bitflags::bitflags! {
    /// What `status` says.
    ///
    /// Spec: §5.1.4 Device configuration layout.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LinkStatus: u16 {
        /// The link is up.
        #[doc(alias = "VIRTIO_NET_S_LINK_UP")]
        const LINK_UP = 1;
        /// The driver is to announce itself.
        #[doc(alias = "VIRTIO_NET_S_ANNOUNCE")]
        const ANNOUNCE = 2;
    }
}

/// Values of `duplex`. The specification has them twice, and once the other way round; this is how they are in its prose, in Linux and in QEMU. Anything else is not known.
///
/// Spec: §5.1.4 Device configuration layout.
pub mod duplex {
    /// One side at a time.
    pub const HALF: u8 = 0;
    /// Both sides at once.
    pub const FULL: u8 = 1;
    /// Not known.
    pub const UNKNOWN: u8 = 0xff;
}

/// Highest value of `speed` that says one.
pub const SPEED_MAX: u32 = 0x7fff_ffff;

/// Lowest value of `mtu` that a device may have.
pub const MTU_MIN: u16 = 68;

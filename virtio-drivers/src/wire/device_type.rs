//! Device types, by their ids.
//!
//! Spec: §5 Device Types.

/// The id of a device type. Any number can be held: a kernel may drive types that this crate does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceType(pub u16);

impl DeviceType {
    /// Network card.
    #[doc(alias = "VIRTIO_ID_NET")]
    pub const NETWORK: Self = Self(1);
    /// Block device.
    #[doc(alias = "VIRTIO_ID_BLOCK")]
    pub const BLOCK: Self = Self(2);
    /// Console.
    #[doc(alias = "VIRTIO_ID_CONSOLE")]
    pub const CONSOLE: Self = Self(3);
    /// Entropy source.
    #[doc(alias = "VIRTIO_ID_RNG")]
    pub const ENTROPY: Self = Self(4);
    /// Traditional memory balloon.
    #[doc(alias = "VIRTIO_ID_BALLOON")]
    pub const BALLOON: Self = Self(5);
    /// SCSI host.
    #[doc(alias = "VIRTIO_ID_SCSI")]
    pub const SCSI: Self = Self(8);
    /// 9P transport.
    #[doc(alias = "VIRTIO_ID_9P")]
    pub const NINE_P: Self = Self(9);
}

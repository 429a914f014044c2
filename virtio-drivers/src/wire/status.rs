//! The device status field.
//!
//! Spec: §2.1 Device Status Field.

bitflags::bitflags! {
    /// The steps a driver has taken, and what the device says of itself.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Status: u8 {
        /// The guest has noticed the device.
        #[doc(alias = "VIRTIO_CONFIG_S_ACKNOWLEDGE")]
        const ACKNOWLEDGE = 1;
        /// The guest has a driver for it.
        #[doc(alias = "VIRTIO_CONFIG_S_DRIVER")]
        const DRIVER = 2;
        /// The driver is ready; the device is live.
        #[doc(alias = "VIRTIO_CONFIG_S_DRIVER_OK")]
        const DRIVER_OK = 4;
        /// Feature negotiation is complete.
        #[doc(alias = "VIRTIO_CONFIG_S_FEATURES_OK")]
        const FEATURES_OK = 8;
        /// The driver asks the device to suspend (only with the SUSPEND feature).
        const SUSPEND = 16;
        /// The device met an error that only a reset cures.
        #[doc(alias = "VIRTIO_CONFIG_S_NEEDS_RESET")]
        const DEVICE_NEEDS_RESET = 64;
        /// The driver gave up on the device.
        #[doc(alias = "VIRTIO_CONFIG_S_FAILED")]
        const FAILED = 128;
        const _ = !0;
    }
}

impl Status {
    /// What a status register reads when there is no device behind it any more.
    pub const REMOVED: Self = Self::from_bits_retain(0xff);
}

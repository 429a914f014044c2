//! virtio over MMIO: the registers.
//!
//! Spec: §4.2.2 MMIO Device Register Layout, §4.2.4 Legacy interface. All are 32 bits wide, but for the configuration space.

/// What [`MAGIC`](register::MAGIC) reads: "virt".
pub const MAGIC: u32 = 0x7472_6976;
/// The version of the legacy interface.
pub const LEGACY_VERSION: u32 = 1;
/// The version since the first specification.
pub const VERSION: u32 = 2;

/// Byte offsets of the registers.
pub mod register {
    /// Reads [`MAGIC`](super::MAGIC).
    #[doc(alias = "VIRTIO_MMIO_MAGIC_VALUE")]
    pub const MAGIC: usize = 0x000;
    /// Version of the interface.
    #[doc(alias = "VIRTIO_MMIO_VERSION")]
    pub const VERSION: usize = 0x004;
    /// Device type; 0 for a slot without a device.
    #[doc(alias = "VIRTIO_MMIO_DEVICE_ID")]
    pub const DEVICE_ID: usize = 0x008;
    /// A word of the device's features.
    #[doc(alias = "VIRTIO_MMIO_DEVICE_FEATURES")]
    pub const DEVICE_FEATURES: usize = 0x010;
    /// Which word that is.
    #[doc(alias = "VIRTIO_MMIO_DEVICE_FEATURES_SEL")]
    pub const DEVICE_FEATURES_SEL: usize = 0x014;
    /// A word of the driver's features.
    #[doc(alias = "VIRTIO_MMIO_DRIVER_FEATURES")]
    pub const DRIVER_FEATURES: usize = 0x020;
    /// Which word that is.
    #[doc(alias = "VIRTIO_MMIO_DRIVER_FEATURES_SEL")]
    pub const DRIVER_FEATURES_SEL: usize = 0x024;
    /// Legacy: bytes of the pages that [`QUEUE_PFN`] counts.
    #[doc(alias = "VIRTIO_MMIO_GUEST_PAGE_SIZE")]
    pub const GUEST_PAGE_SIZE: usize = 0x028;
    /// Which queue the registers below are about.
    #[doc(alias = "VIRTIO_MMIO_QUEUE_SEL")]
    pub const QUEUE_SEL: usize = 0x030;
    /// The largest size of the queue; 0 if there is none.
    #[doc(alias = "VIRTIO_MMIO_QUEUE_NUM_MAX")]
    pub const QUEUE_SIZE_MAX: usize = 0x034;
    /// The size of the queue.
    #[doc(alias = "VIRTIO_MMIO_QUEUE_NUM")]
    pub const QUEUE_SIZE: usize = 0x038;
    /// Legacy: where the queue's used ring may start, a power of two.
    #[doc(alias = "VIRTIO_MMIO_QUEUE_ALIGN")]
    pub const QUEUE_ALIGN: usize = 0x03c;
    /// Legacy: the number of the queue's first page; 0 if the queue is not in use.
    #[doc(alias = "VIRTIO_MMIO_QUEUE_PFN")]
    pub const QUEUE_PFN: usize = 0x040;
    /// 1 if the queue is in use.
    #[doc(alias = "VIRTIO_MMIO_QUEUE_READY")]
    pub const QUEUE_READY: usize = 0x044;
    /// Doorbell of all queues.
    #[doc(alias = "VIRTIO_MMIO_QUEUE_NOTIFY")]
    pub const QUEUE_NOTIFY: usize = 0x050;
    /// Why the device interrupts.
    #[doc(alias = "VIRTIO_MMIO_INTERRUPT_STATUS")]
    pub const INTERRUPT_STATUS: usize = 0x060;
    /// What of that was handled.
    #[doc(alias = "VIRTIO_MMIO_INTERRUPT_ACK")]
    pub const INTERRUPT_ACK: usize = 0x064;
    /// Device status.
    #[doc(alias = "VIRTIO_MMIO_STATUS")]
    pub const STATUS: usize = 0x070;
    /// Address of the descriptor area (two words, low half first).
    #[doc(alias = "VIRTIO_MMIO_QUEUE_DESC_LOW")]
    pub const QUEUE_DESC: usize = 0x080;
    /// Address of the driver area (two words).
    #[doc(alias = "VIRTIO_MMIO_QUEUE_AVAIL_LOW")]
    pub const QUEUE_DRIVER: usize = 0x090;
    /// Address of the device area (two words).
    #[doc(alias = "VIRTIO_MMIO_QUEUE_USED_LOW")]
    pub const QUEUE_DEVICE: usize = 0x0a0;
    /// Which shared memory region the registers below are about.
    #[doc(alias = "VIRTIO_MMIO_SHM_SEL")]
    pub const SHM_SEL: usize = 0x0ac;
    /// Its length in bytes (two words); all ones if there is none.
    #[doc(alias = "VIRTIO_MMIO_SHM_LEN_LOW")]
    pub const SHM_LEN: usize = 0x0b0;
    /// Its physical address (two words).
    #[doc(alias = "VIRTIO_MMIO_SHM_BASE_LOW")]
    pub const SHM_BASE: usize = 0x0b8;
    /// Write 1 to reset the queue, with `RING_RESET`; reads 1 until that is done.
    #[doc(alias = "VIRTIO_MMIO_QUEUE_RESET")]
    pub const QUEUE_RESET: usize = 0x0c0;
    /// Configuration generation.
    #[doc(alias = "VIRTIO_MMIO_CONFIG_GENERATION")]
    pub const CONFIG_GENERATION: usize = 0x0fc;
    /// The configuration space, up to the end of the window.
    #[doc(alias = "VIRTIO_MMIO_CONFIG")]
    pub const CONFIG: usize = 0x100;
}

bitflags::bitflags! {
    /// The interrupt status register: why the device interrupts.
    ///
    /// Spec: §4.2.2 MMIO Device Register Layout, `InterruptStatus`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InterruptStatus: u32 {
        /// A queue has used buffers.
        const USED_BUFFER = 1;
        /// The configuration changed.
        const CONFIGURATION_CHANGE = 2;
        const _ = !0;
    }
}

//! The split virtqueue's layout: descriptor table, available ring, used ring.
//!
//! Spec: §2.7 Split Virtqueues.

bitflags::bitflags! {
    /// Flags of one descriptor.
    ///
    /// Spec: §2.7.5 The Virtqueue Descriptor Table.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DescriptorFlags: u16 {
        /// The chain goes on at `next`.
        #[doc(alias = "VIRTQ_DESC_F_NEXT")]
        const NEXT = 1;
        /// Device-writable; otherwise device-readable.
        #[doc(alias = "VIRTQ_DESC_F_WRITE")]
        const WRITE = 2;
        /// The buffer is a table of descriptors.
        #[doc(alias = "VIRTQ_DESC_F_INDIRECT")]
        const INDIRECT = 4;
    }
}

/// In the available ring's flags: the device need not send used-buffer notifications.
#[doc(alias = "VIRTQ_AVAIL_F_NO_INTERRUPT")]
pub const AVAILABLE_NO_INTERRUPT: u16 = 1;

/// In the used ring's flags: the driver need not send available-buffer notifications.
#[doc(alias = "VIRTQ_USED_F_NO_NOTIFY")]
pub const USED_NO_NOTIFY: u16 = 1;

/// The largest queue size.
pub const QUEUE_SIZE_MAX: u16 = 0x8000;

/// Bytes of one descriptor: address (8), length (4), flags (2), next (2).
pub const DESCRIPTOR_BYTES: usize = 16;

/// Byte offsets in a descriptor.
pub mod descriptor {
    /// Address (u64).
    pub const ADDRESS: usize = 0;
    /// Length (u32).
    pub const LENGTH: usize = 8;
    /// Flags (u16).
    pub const FLAGS: usize = 12;
    /// The descriptor that follows (u16), if NEXT is set.
    pub const NEXT: usize = 14;
}

/// Alignment of the descriptor table, and of indirect tables, in bytes.
pub const DESCRIPTOR_ALIGN: usize = 16;

/// Alignment of the used ring (device area), in bytes.
pub const DEVICE_AREA_ALIGN: usize = 4;

/// Where the ring's entries start, in the available and in the used ring: after flags and index, 2 bytes each.
pub const RING_OFFSET: usize = 4;

/// Bytes of one entry of the used ring: id (4), written length (4).
pub const USED_ELEMENT_BYTES: usize = 8;

/// Bytes of the driver area (available ring with its `used_event`) for a queue of `size` descriptors.
pub const fn driver_area_bytes(size: u16) -> usize {
    RING_OFFSET + 2 * size as usize + 2
}

/// Bytes of the device area (used ring with its `avail_event`) for a queue of `size` descriptors.
pub const fn device_area_bytes(size: u16) -> usize {
    RING_OFFSET + USED_ELEMENT_BYTES * size as usize + 2
}

//! The packed virtqueue's layout.
//!
//! One descriptor ring that both sides write, and an event suppression structure for each side.
//!
//! Spec: §2.8 Packed Virtqueues. Descriptors have the size and the NEXT, WRITE and INDIRECT flags of the [split](super::split) layout.

use super::split::DescriptorFlags;

/// In a descriptor's flags: with [`USED`], whose turn the descriptor is, relative to the ring wrap counters.
#[doc(alias = "VIRTQ_DESC_F_AVAIL")]
pub const AVAILABLE: u16 = 1 << 7;

/// See [`AVAILABLE`].
#[doc(alias = "VIRTQ_DESC_F_USED")]
pub const USED: u16 = 1 << 15;

/// The largest queue size. Any size from 1 on will do; it need not be a power of two.
pub const QUEUE_SIZE_MAX: u16 = 0x8000;

/// Byte offsets in a descriptor.
pub mod descriptor {
    /// Address (u64).
    pub const ADDRESS: usize = 0;
    /// Length (u32); of a used descriptor, the bytes that the device wrote.
    pub const LENGTH: usize = 8;
    /// Buffer id (u16).
    pub const ID: usize = 12;
    /// Flags (u16).
    pub const FLAGS: usize = 14;
}

/// Bytes of an event suppression structure: place (u16) and flags (u16).
pub const EVENT_SUPPRESSION_BYTES: usize = 4;

/// Alignment of an event suppression structure, in bytes.
pub const EVENT_SUPPRESSION_ALIGN: usize = 4;

/// The wrap counter in the place of an event, and in notification data; the other bits are the offset in the ring.
pub const WRAP_COUNTER: u16 = 1 << 15;

/// What an event suppression structure asks for.
///
/// Spec: §2.8.10 Driver and Device Event Suppression.
pub mod event_flags {
    /// Notify of every change.
    #[doc(alias = "RING_EVENT_FLAGS_ENABLE")]
    pub const ENABLE: u16 = 0;
    /// Do not notify.
    #[doc(alias = "RING_EVENT_FLAGS_DISABLE")]
    pub const DISABLE: u16 = 1;
    /// Notify when the descriptor at the structure's place is reached; only with `EVENT_IDX`.
    #[doc(alias = "RING_EVENT_FLAGS_DESC")]
    pub const DESCRIPTOR: u16 = 2;
    /// The bits that mean something.
    pub const MASK: u16 = 3;
}

/// The flags of an available descriptor, under the driver's wrap counter.
pub const fn available_flags(kind: DescriptorFlags, wrap_counter: bool) -> u16 {
    kind.bits() | if wrap_counter { AVAILABLE } else { USED }
}

/// Whether a descriptor with these flags is used, under the wrap counter of the used position.
pub const fn is_used(flags: u16, wrap_counter: bool) -> bool {
    let expected = if wrap_counter { AVAILABLE | USED } else { 0 };
    flags & (AVAILABLE | USED) == expected
}

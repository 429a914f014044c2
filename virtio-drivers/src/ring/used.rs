//! What a device says of a chain that it is done with, before anything of it is believed.
//!
//! Spec: §2.7.8 The Virtqueue Used Ring, §2.8.22 Receiving Used Buffers From The Device, §2.7.9 and §2.8.8 (in-order batches).

/// A used element, or a used descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsedElement {
    /// The chain, or under IN_ORDER the last one of a batch.
    pub(super) id: u32,
    /// Bytes that the device says it wrote.
    pub(super) written_len: u32,
    /// Whether the format says that the length means something: a packed descriptor without the WRITE flag says it does not (§2.8.4).
    pub(super) length_is_vouched_for: bool,
}

/// The used index moved by more than the chains that the device holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsedIndexJumped {
    pub(super) by: u16,
}

/// A batch of chains that were used in order, of which the device named the last one only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// That last one.
    pub(super) last: u16,
    /// Bytes that the device says it wrote to it; all others count as written completely.
    pub(super) element: UsedElement,
}

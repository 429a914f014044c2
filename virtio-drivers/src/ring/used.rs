//! What a device says of a chain that it is done with, before anything of it is believed.
//!
//! Spec: §2.7.8 The Virtqueue Used Ring, §2.8.22 Receiving Used Buffers From The Device, §2.7.9 and §2.8.8 (in-order batches).

use super::books::Progress;
use super::broken::Broken;

/// A used element, or a used descriptor.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsedElement {
    /// The chain, or under IN_ORDER the last one of a batch.
    pub(super) id: u32,
    /// Bytes that the device says it wrote.
    pub(super) written_len: u32,
    /// Whether the length has to mean something: not in a packed descriptor without the WRITE flag (§2.8.4), nor from a device of before version 1 (§2.7.8.1).
    pub(super) length_is_vouched_for: bool,
}

/// Where a ring's layout has what the device is done with, read one after the other. What was read stays read when this is dropped.
pub(super) trait UsedPlaces {
    /// How many elements the device vouches for, at least one if it says anything new.
    ///
    /// # Errors
    /// What it says cannot be, whatever it is about.
    fn vouched_for(&mut self, progress: &Progress) -> Result<u16, Broken>;

    /// Whether the device vouches for one at a time, and has to be asked for each.
    const ONE_BY_ONE: bool;

    /// Of the next of them, `taken` chains being taken back, the chain and the bytes written.
    fn id_and_length(&self, taken: usize) -> (u32, u32);

    /// Whether the length that was read has to mean something.
    fn length_is_vouched_for(&self) -> bool;

    /// The next of them, `taken` chains being taken back.
    #[inline(always)]
    fn element(&self, taken: usize) -> UsedElement {
        let (id, written_len) = self.id_and_length(taken);
        UsedElement { id, written_len, length_is_vouched_for: self.length_is_vouched_for() }
    }

    /// Moves on past a chain of `descriptors`.
    fn advance(&mut self, descriptors: u16);

    /// How many chains the device says it is done with, at most: a batch may not have more.
    fn covered(&self, progress: &Progress) -> u16;
}

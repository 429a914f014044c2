//! What a dishonest device writes into a packed ring.
//!
//! Each function stores exactly what it is told and leaves the honest books of the queue alone,
//! so that a test can tell one lie and go on truthfully. Called by tests only.

use super::layout::{Descriptor, EventSuppression};
use super::{ModelError, PackedQueue};

impl PackedQueue {
    /// Writes a used descriptor into `slot`, at once visible if `flags` say so.
    ///
    /// The flags of an honest one are [`Position::used_flags`](super::Position::used_flags) of
    /// its place, and [`WRITE`](super::WRITE) if the length counts.
    pub fn put_used(&self, slot: u16, id: u16, len: u32, flags: u16) -> Result<(), ModelError> {
        self.areas.set_used(slot, id, len)?;
        Ok(self.areas.set_flags(slot, flags)?)
    }

    /// Overwrites id and length of the descriptor in `slot`, not its flags: what `push_used`
    /// wrote can be changed before `publish_used` shows it.
    pub fn put_used_id(&self, slot: u16, id: u16, len: u32) -> Result<(), ModelError> {
        Ok(self.areas.set_used(slot, id, len)?)
    }

    /// Stores the device's event suppression.
    pub fn set_device_event(&self, place: u16, flags: u16) -> Result<(), ModelError> {
        Ok(self.areas.set_device_event(EventSuppression { place, flags })?)
    }

    /// Overwrites the descriptor in `slot` of the ring.
    pub fn overwrite_descriptor(&self, slot: u16, descriptor: Descriptor) -> Result<(), ModelError> {
        Ok(descriptor.store(&self.areas.memory, self.areas.descriptor_area, slot)?)
    }

    /// Overwrites entry `index` of the indirect table at device address `table`.
    pub fn overwrite_indirect(
        &self,
        table: u64,
        index: u16,
        descriptor: Descriptor,
    ) -> Result<(), ModelError> {
        Ok(descriptor.store(&self.areas.memory, table, index)?)
    }
}

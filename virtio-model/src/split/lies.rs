//! What a dishonest device writes into a split ring.
//!
//! Each function stores exactly what it is told and leaves the honest books of the queue alone,
//! so that a test can tell one lie and go on truthfully. Called by tests only.

use super::layout::Descriptor;
use super::{ModelError, SplitQueue};

impl SplitQueue {
    /// Writes a used element into `slot`, modulo the queue size, without publishing it.
    pub fn put_used_element(&self, slot: u16, id: u32, len: u32) -> Result<(), ModelError> {
        Ok(self.areas.set_used_element(slot, id, len)?)
    }

    /// Stores the used index.
    pub fn set_used_idx(&self, idx: u16) -> Result<(), ModelError> {
        Ok(self.areas.set_used_idx(idx)?)
    }

    /// Stores the flags of the used ring.
    pub fn set_used_flags(&self, flags: u16) -> Result<(), ModelError> {
        Ok(self.areas.set_used_flags(flags)?)
    }

    /// Stores the available index after which the device wants a notification.
    pub fn set_avail_event(&self, idx: u16) -> Result<(), ModelError> {
        Ok(self.areas.set_avail_event(idx)?)
    }

    /// Overwrites entry `index` of the descriptor table.
    pub fn overwrite_descriptor(&self, index: u16, descriptor: Descriptor) -> Result<(), ModelError> {
        Ok(descriptor.store(&self.areas.memory, self.areas.descriptor_area, index)?)
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

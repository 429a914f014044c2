//! The memory as a device sees it that is served in this process.

use virtio_model::AddressSpace;

use super::SharedMemory;

/// Device addresses of a memory, for the device side of a queue. The memory stays mapped for as long as this lives.
#[derive(Debug)]
pub(crate) struct DeviceSide {
    space: AddressSpace,
    memory: SharedMemory,
}

impl DeviceSide {
    pub(super) fn new(memory: SharedMemory) -> Self {
        let space = AddressSpace::new();
        if let Some(start) = memory.mapping.start() {
            // SAFETY: mapped until this value is dropped, which takes it out of the space. Both sides access it atomically: whoever copies into and out of it, the drivers, and the space.
            unsafe { space.map(memory.region().address, start, memory.bytes(), true, true) };
        }
        Self { space, memory }
    }

    /// What its queues work on.
    pub(crate) const fn space(&self) -> &AddressSpace {
        &self.space
    }
}

impl Drop for DeviceSide {
    fn drop(&mut self) {
        self.space.unmap(self.memory.region().address);
    }
}

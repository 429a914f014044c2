//! The drivers' platform: shared memory, where a buffer is reached for free if it is inside.
//!
//! A device address is the address in this process. The back-end learns with the memory table where that is, and translates.

use std::alloc::Layout;
use std::ptr::NonNull;

use virtio_guest::hal::{DeviceAddress, Direction, DmaError, DmaRegion, Domain, Hal, MapError};

use super::copy;
use super::ranges::GRAIN;
use super::shared::Shared;

/// The [`Hal`] of drivers whose devices are in another process. From [`SharedMemory::hal`](super::SharedMemory::hal).
///
/// [`SharedBuffer`](super::SharedBuffer)s and memory of its own are mapped for free. A buffer from elsewhere is bounced: it is copied into a piece of the memory and, if the device was to write, back; what the
/// device did not write is as it was. [`SharedMemory::costs`](super::SharedMemory::costs) says how often.
///
/// Cloning it costs nothing, and keeps nothing: the memory is unmapped when no [`SharedMemory`](super::SharedMemory), no buffer, and no driver or queue with memory from it is left. Afterwards nothing can be
/// allocated or mapped.
#[derive(Clone, Copy, Debug)]
pub struct SharedHal {
    shared: &'static Shared,
}

impl SharedHal {
    pub(super) const fn new(shared: &'static Shared) -> Self {
        Self { shared }
    }

    /// Finds room for a buffer from elsewhere, and copies it there.
    ///
    /// # Safety
    /// The buffer is valid for reads, and used by nobody else.
    #[cold]
    unsafe fn bounce(&self, buffer: NonNull<[u8]>) -> Result<DeviceAddress, MapError> {
        let Some(mut copy) = self.shared.take(buffer.len(), GRAIN) else {
            self.shared.counters.refused();
            return Err(MapError);
        };
        // SAFETY: the caller's promise, for as long as this function runs.
        let bytes = unsafe { buffer.as_ref() };
        copy.write(0, bytes).map_err(|_| MapError)?;
        self.shared.counters.bounced();
        self.shared.counters.copied(buffer.len());
        Ok(DeviceAddress(copy.start().addr().get() as u64))
    }

    /// Copies a buffer from elsewhere back, if the device wrote it, and gives the room back.
    ///
    /// # Safety
    /// `address` came from `bounce` for the same buffer, once; the device is done with it; it is valid for writes, and used by nobody else.
    #[cold]
    unsafe fn come_back(&self, address: DeviceAddress, mut buffer: NonNull<[u8]>, direction: Direction) {
        let Some(copy) = self.shared.at(address.0) else { return };
        if direction == Direction::DeviceWritable {
            // SAFETY: the caller's promise, for as long as this function runs.
            let bytes = unsafe { buffer.as_mut() };
            // SAFETY: the piece of memory was taken for as many bytes, and is still.
            unsafe { copy::copy_out(copy, bytes) };
            self.shared.counters.copied(buffer.len());
        }
        self.shared.give_back(copy, buffer.len());
    }
}

// SAFETY: regions and bounced buffers are pieces of one mapping, each with one holder, aligned by address, and mapped until the last one is given back, whatever becomes of values of this type; regions are zeroed.
// Device addresses are those of this process, contiguous, and no two mapped memories have the same domain; one that is unmapped gives nothing out any more. Both sides' processors are coherent.
unsafe impl Hal for SharedHal {
    #[inline]
    fn domain(&self) -> Domain {
        Domain(self.shared.domain())
    }

    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        if layout.size() == 0 {
            return Err(DmaError);
        }
        let mut piece = self.shared.take(layout.size(), layout.align()).ok_or(DmaError)?;
        piece.fill(0);
        let pointer = piece.start();
        Ok(DmaRegion { pointer, device_address: DeviceAddress(pointer.addr().get() as u64), layout })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        self.shared.give_back(region.pointer, region.layout.size());
    }

    #[inline]
    unsafe fn map(&self, buffer: NonNull<[u8]>, _: Direction) -> Result<DeviceAddress, MapError> {
        if self.shared.has(buffer) {
            return Ok(DeviceAddress(buffer.addr().get() as u64));
        }
        // SAFETY: the caller's promise.
        unsafe { self.bounce(buffer) }
    }

    #[inline]
    unsafe fn unmap(&self, address: DeviceAddress, buffer: NonNull<[u8]>, direction: Direction) {
        if address.0 != buffer.addr().get() as u64 {
            // SAFETY: the caller's promise; a buffer that is somewhere else than its device address was bounced.
            unsafe { self.come_back(address, buffer, direction) };
        }
    }
}

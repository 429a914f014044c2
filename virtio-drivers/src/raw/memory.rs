//! DMA memory as a guard: reached by copying, given back when dropped.
//!
//! Spec: §2.6 Virtqueues. Rings, request headers and bounce buffers live in it.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::cell;
use crate::hal::{DeviceAddress, DmaError, DmaRegion, Domain, Hal};

/// A range that is not inside of the memory it was asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the range is not inside of the shared memory")]
pub struct OutOfBounds;

/// Memory that driver and device share, from [`Hal::allocate_dma`].
///
/// There is never a reference to its bytes: they are copied in and out, with accesses that may race with the device's.
/// Dropping gives the memory back; what a device may still use is wrapped in [`Lent`](super::Lent), which does not drop it.
///
/// `Send`, not `Sync`: bytes are copied word by word where that is possible, and two threads' accesses to the same bytes that are not of the same size must not race.
///
/// ```compile_fail,E0277
/// fn is_sync<S: Sync>() {}
/// fn memory_is_sync<H: virtio_guest::hal::Hal + Sync>() {
///     is_sync::<virtio_guest::raw::DmaMemory<H>>();
/// }
/// ```
#[derive(Debug)]
pub struct DmaMemory<H: Hal> {
    hal: H,
    region: DmaRegion,
}

// SAFETY: the region is this value's alone among all threads (the device, which is no thread of ours, is answered by atomic
// accesses); moving the value to another thread moves the right to use and free it, which `Hal` values that are `Send` can do.
unsafe impl<H: Hal + Send> Send for DmaMemory<H> {}

impl<H: Hal> DmaMemory<H> {
    /// Allocates `bytes` zeroed bytes, aligned to at least `align` (a power of two).
    ///
    /// # Errors
    /// - [`DmaError`]: the kernel has none to give, or the size is zero or too large for a layout.
    pub fn allocate(hal: &H, bytes: usize, align: usize) -> Result<Self, DmaError> {
        let layout = Layout::from_size_align(bytes, align).map_err(|_| DmaError)?;
        if bytes == 0 {
            return Err(DmaError);
        }
        let region = hal.allocate_dma(layout)?;
        #[cfg(virtio_guest_stand_in)]
        super::stand_in::share(region.pointer, bytes);
        Ok(Self { hal: hal.clone(), region })
    }

    /// The domain whose devices can reach it.
    pub fn domain(&self) -> Domain {
        self.hal.domain()
    }

    /// Its size in bytes.
    pub const fn len(&self) -> usize {
        self.region.layout.size()
    }

    /// Always `false`: there is no memory of zero bytes.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the device finds the byte at `offset`.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: `len` bytes from `offset` are not all inside.
    pub fn device_address(&self, offset: usize, len: usize) -> Result<DeviceAddress, OutOfBounds> {
        self.place(offset, len)?;
        Ok(DeviceAddress(self.region.device_address.0.wrapping_add(offset as u64)))
    }

    /// Copies bytes out, from `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: not all of the range is inside; nothing was copied.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        let place = self.place(offset, into.len())?;
        // SAFETY: `place` checked the range; the region is valid until it is freed, and everybody accesses it atomically.
        unsafe { cell::copy_out(place, into) };
        Ok(())
    }

    /// Copies bytes in, from `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: not all of the range is inside; nothing was copied.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        let place = self.place(offset, from.len())?;
        // SAFETY: `place` checked the range; the region is valid until it is freed, and everybody accesses it atomically.
        unsafe { cell::copy_in(place, from) };
        Ok(())
    }

    /// The address of `len` bytes from `offset` on, if all of them are inside.
    pub(super) fn place(&self, offset: usize, len: usize) -> Result<NonNull<u8>, OutOfBounds> {
        match offset.checked_add(len) {
            // SAFETY: `offset` is at most the size of the region, which is one allocation.
            Some(end) if end <= self.len() => Ok(unsafe { self.region.pointer.add(offset) }),
            _ => Err(OutOfBounds),
        }
    }
}

impl<H: Hal> DmaMemory<H> {
    /// Has the processor fetch the cache line of the byte at `offset`, for it will be written soon. Outside there is none.
    #[inline]
    pub(super) fn fetch_for_writing(&self, offset: usize) {
        if let Ok(place) = self.place(offset, 1) {
            super::fetch::fetch_for_writing(place);
        }
    }

    /// The address of the byte at `offset`.
    ///
    /// # Safety
    /// It is inside.
    #[inline]
    pub(super) unsafe fn inside(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: the caller's promise: inside of the region, which is one allocation.
        unsafe { self.region.pointer.add(offset) }
    }
}

impl<H: Hal> Drop for DmaMemory<H> {
    fn drop(&mut self) {
        // SAFETY: the region came from this domain's `allocate_dma` and ends with this value; whoever lends the memory to a device
        // wraps this value in `Lent`, and so it is dropped only before the device learns of it or after a confirmed reset.
        unsafe { self.hal.free_dma(self.region) };
    }
}

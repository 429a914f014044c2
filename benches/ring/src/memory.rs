//! Memory for rings and buffers: identity mapped, zeroed, and never given back, for a benchmark lives no longer than its process.

use std::alloc::{Layout, alloc_zeroed};
use std::marker::PhantomData;
use std::ptr::NonNull;

use virtio_guest::hal::{DeviceAddress, Direction, DmaError, DmaRegion, Hal, MapError};

/// Zeroed memory for as long as the process runs.
///
/// # Panics
/// There is none, or none was asked for.
pub fn zeroed(layout: Layout) -> NonNull<u8> {
    assert!(layout.size() > 0, "memory of no bytes");
    // SAFETY: the size is not zero.
    let pointer = unsafe { alloc_zeroed(layout) };
    NonNull::new(pointer).expect("there is memory")
}

/// The same as bytes, which nobody else has.
pub fn zeroed_bytes(bytes: usize, align: usize) -> &'static mut [u8] {
    let pointer = zeroed(Layout::from_size_align(bytes, align).expect("a layout"));
    // SAFETY: so many zeroed bytes of a fresh allocation, which is never freed.
    unsafe { std::slice::from_raw_parts_mut(pointer.as_ptr(), bytes) }
}

/// The address of a place, as every device here sees it.
pub fn device_address(pointer: NonNull<u8>) -> u64 {
    pointer.as_ptr().expose_provenance() as u64
}

/// The place at a device address that [`device_address`] gave out.
///
/// # Panics
/// The address is 0.
pub fn place(address: u64) -> NonNull<u8> {
    let address = usize::try_from(address).expect("an address of this machine");
    NonNull::new(std::ptr::with_exposed_provenance_mut(address)).expect("not at address 0")
}

/// Our `Hal` of it. `U` is what it is for: each user of rings has code of its own, as if there were no other in the program.
pub struct Identity<U>(PhantomData<fn(U)>);

impl<U> Identity<U> {
    /// There is only one.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<U> Default for Identity<U> {
    fn default() -> Self {
        Self::new()
    }
}

impl<U> Clone for Identity<U> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

// SAFETY: fresh zeroed memory of that layout, that stays valid for ever; addresses are pointers, which every device here can follow; nothing is ever unmapped.
unsafe impl<U> Hal for Identity<U> {
    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        let pointer = zeroed(layout);
        Ok(DmaRegion { pointer, device_address: DeviceAddress(device_address(pointer)), layout })
    }

    unsafe fn free_dma(&self, _: DmaRegion) {}

    unsafe fn map(&self, buffer: NonNull<[u8]>, _: Direction) -> Result<DeviceAddress, MapError> {
        Ok(DeviceAddress(device_address(buffer.cast())))
    }

    unsafe fn unmap(&self, _: DeviceAddress, _: NonNull<[u8]>, _: Direction) {}
}

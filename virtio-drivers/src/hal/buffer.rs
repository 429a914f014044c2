//! Buffers that go to a device and come back: the [`DmaBuffer`] trait.
//!
//! Spec: §2.6 Virtqueues. A buffer in flight belongs to the queue; `raw::MappedBuffer` is the guard that keeps it.

use core::ptr::NonNull;

/// Memory that can move into a queue, stay there while a device uses it, and come back.
///
/// Kernels implement it for their page or frame type. With the `alloc` feature it is implemented for `Box<[u8]>` and `Vec<u8>`
/// (its initialized bytes).
///
/// # Safety
///
/// As long as the value lives, wherever it is moved to:
/// - [`bytes`](DmaBuffer::bytes) names the same memory each time: valid for reads and writes, initialized, used by nobody else.
/// - forgetting the value keeps that memory valid for ever (`'static`): a buffer whose device never lets go is leaked.
pub unsafe trait DmaBuffer: 'static {
    /// Where the buffer's bytes are. The caller makes no reference from it while a device may write there.
    fn bytes(&mut self) -> NonNull<[u8]>;
}

#[cfg(feature = "alloc")]
// SAFETY: a boxed slice owns its heap memory exclusively; moving the box moves only the pointer to it.
unsafe impl DmaBuffer for alloc::boxed::Box<[u8]> {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut **self)
    }
}

#[cfg(feature = "alloc")]
// SAFETY: a vector owns its heap memory exclusively, moving it moves only the pointer, and nobody grows it while
// a guard holds it.
unsafe impl DmaBuffer for alloc::vec::Vec<u8> {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut **self)
    }
}

//! A buffer in the shared memory: the kind that costs a driver nothing to map.

use std::ptr::NonNull;
use std::sync::Arc;

use virtio_guest::hal::DmaBuffer;
use virtio_guest::raw::OutOfBounds;

use super::piece::Piece;
use super::pool::Home;
use super::shared::Shared;

/// Bytes of the shared memory that one owner has: they move into a queue, and come back. Dropped, they go to where they came from.
///
/// A back-end that is up to no good may write there at any time, so bytes are copied in and out; what counts is read once. What is in a new one is what its last owner left.
#[derive(Debug)]
pub struct SharedBuffer {
    piece: Piece,
    from: From,
}

/// Who gets a buffer's bytes back.
#[derive(Debug)]
pub(super) enum From {
    Memory(&'static Shared),
    Pool(Arc<Home>),
}

impl SharedBuffer {
    pub(super) const fn new(piece: Piece, from: From) -> Self {
        Self { piece, from }
    }

    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        self.piece.len()
    }

    /// Always `false`: no buffer is without a byte.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes out, from the one at `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: there are not as many; nothing was copied.
    #[inline]
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.piece.read(offset, into)
    }

    /// Copies bytes in, from the one at `offset` on.
    ///
    /// # Errors
    /// - [`OutOfBounds`]: there are not as many; nothing was copied.
    #[inline]
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        self.piece.write(offset, from)
    }

    /// Makes all bytes the same.
    pub fn fill(&mut self, byte: u8) {
        self.piece.fill(byte);
    }

    /// A copy of all bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        // As many as there are.
        let _ = self.piece.read(0, &mut bytes);
        bytes
    }

    /// The bytes themselves, to be read where they are.
    ///
    /// # Safety
    /// No back-end that has the memory writes these bytes while the slice lives. A back-end that is trusted writes buffers in flight only, and this one is not in flight; of others nobody knows.
    pub const unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the bytes are this value's, initialized since the memory was made, and mapped while it lives; the caller promises that they stay as they are.
        unsafe { NonNull::slice_from_raw_parts(self.piece.start(), self.len()).as_ref() }
    }

    /// The bytes themselves, to be written where they are.
    ///
    /// # Safety
    /// As for [`as_slice`](SharedBuffer::as_slice), and no such back-end reads them either.
    pub const unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above; nobody else has them while this value is borrowed.
        unsafe { NonNull::slice_from_raw_parts(self.piece.start(), self.len()).as_mut() }
    }
}

// SAFETY: the bytes are initialized, nobody else's in this process, stay where they are, and are mapped for as long as they were not given back, which only dropping the value does.
unsafe impl DmaBuffer for SharedBuffer {
    #[inline]
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.piece.start(), self.len())
    }
}

impl Drop for SharedBuffer {
    #[inline]
    fn drop(&mut self) {
        let (start, len) = (self.piece.start(), self.len());
        match &self.from {
            From::Memory(shared) => shared.give_back(start, len),
            // SAFETY: the piece of this value, which ends here.
            From::Pool(home) => home.put_back(unsafe { Piece::new(start, len) }),
        }
    }
}

//! Bytes of the memory that have one owner.

use std::ptr::NonNull;

use virtio_guest::raw::OutOfBounds;

use super::copy;

/// Where bytes are that its holder took from the memory, and how many.
#[derive(Debug)]
pub(super) struct Piece {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the bytes are the holder's alone in this process, and are accessed atomically only.
unsafe impl Send for Piece {}
// SAFETY: as before.
unsafe impl Sync for Piece {}

impl Piece {
    /// # Safety
    /// The bytes were taken from a memory, and are not given back before this value's last use. They are nobody else's.
    pub(super) const unsafe fn new(start: NonNull<u8>, len: usize) -> Self {
        Self { start, len }
    }

    pub(super) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// `len` bytes of it, from the one at `offset` on.
    #[inline]
    fn place(&self, offset: usize, len: usize) -> Result<NonNull<u8>, OutOfBounds> {
        match offset.checked_add(len) {
            // SAFETY: inside of the piece, or its end.
            Some(end) if end <= self.len => Ok(unsafe { self.start.add(offset) }),
            _ => Err(OutOfBounds),
        }
    }

    pub(super) fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        let place = self.place(offset, into.len())?;
        // SAFETY: the bytes are inside, and stay mapped.
        unsafe { copy::copy_out(place, into) };
        Ok(())
    }

    pub(super) fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        let place = self.place(offset, from.len())?;
        // SAFETY: the bytes are inside, and stay mapped.
        unsafe { copy::copy_in(place, from) };
        Ok(())
    }

    pub(super) fn fill(&mut self, byte: u8) {
        // SAFETY: these are the bytes that there are.
        unsafe { copy::fill(self.start, self.len, byte) };
    }

    /// A piece of it, of `len` bytes from the one at `offset` on.
    ///
    /// # Safety
    /// No two pieces of it have a byte in common, and it is used no more while there are any.
    pub(super) unsafe fn part(&self, offset: usize, len: usize) -> Result<Self, OutOfBounds> {
        Ok(Self { start: self.place(offset, len)?, len })
    }
}

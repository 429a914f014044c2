//! Buffers of one length in a queue's own memory: where they are, and which of them are free.
//!
//! Spec: §5.3.6 Device Operation. The number of a buffer is what its chain carries.

use crate::ring::Portion;

/// Where the buffers of a queue are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    count: u16,
    bytes: u32,
}

impl Places {
    /// So many buffers of so many bytes; at least one of each, and no more buffers than descriptors.
    pub(super) fn new(count: u16, bytes: u32, descriptors: u16) -> Self {
        Self { count: count.min(descriptors).max(1), bytes: bytes.max(1) }
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u16 {
        self.count
    }

    /// Bytes of each.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Bytes of all; so many that nobody has them, if they cannot be counted with 32 bits.
    pub(super) fn memory_bytes(&self) -> usize {
        let bytes = u32::from(self.count).checked_mul(self.bytes);
        bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX)
    }

    /// Where a byte of a buffer is, from the start of the memory.
    pub(super) fn offset(&self, buffer: u16, at: usize) -> usize {
        usize::from(buffer).saturating_mul(self.bytes()).saturating_add(at)
    }

    /// The first bytes of a buffer, for a chain.
    pub(super) fn portion(&self, buffer: u16, bytes: u32) -> Portion {
        Portion { offset: u32::from(buffer).saturating_mul(self.bytes), len: bytes.min(self.bytes) }
    }

    /// A whole buffer.
    pub(super) fn whole(&self, buffer: u16) -> Portion {
        self.portion(buffer, self.bytes)
    }
}

/// Which buffers are free, of up to 128.
#[derive(Clone, Copy, Debug)]
pub(super) struct FreeBuffers(u128);

impl FreeBuffers {
    /// Most buffers.
    pub(super) const MAX: u16 = 128;

    /// All of so many.
    pub(super) const fn all(count: u16) -> Self {
        Self(if count < Self::MAX { (1 << count) - 1 } else { u128::MAX })
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// One of them, from now on in use.
    pub(super) fn take(&mut self) -> Option<u16> {
        let buffer = u16::try_from(self.0.trailing_zeros()).ok().filter(|buffer| *buffer < Self::MAX)?;
        self.0 &= self.0.wrapping_sub(1);
        Some(buffer)
    }

    /// A buffer is free again.
    pub(super) fn put(&mut self, buffer: u16) {
        self.0 |= 1_u128.checked_shl(buffer.into()).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::{FreeBuffers, Places};

    #[test]
    fn each_buffer_is_had_once_until_it_is_put_back() {
        for count in [0, 1, 127, 128, u16::MAX] {
            let mut free = FreeBuffers::all(count);
            for buffer in 0..count.min(128) {
                assert_eq!(free.take(), Some(buffer));
            }
            assert!(free.take().is_none() && free.is_empty());
        }
        let mut free = FreeBuffers::all(0);
        free.put(128);
        assert!(free.is_empty(), "there is no such buffer");
        free.put(127);
        assert_eq!((free.take(), free.take()), (Some(127), None));
    }

    #[test]
    fn there_is_a_buffer_and_it_has_a_byte_whatever_the_settings_say() {
        let places = Places::new(0, 0, 8);
        assert_eq!((places.count(), places.memory_bytes()), (1, 1));
        assert_eq!(Places::new(u16::MAX, 16, 8).memory_bytes(), 128);
        assert_eq!(Places::new(2, u32::MAX, 8).memory_bytes(), usize::MAX, "nobody has as many");
    }
}

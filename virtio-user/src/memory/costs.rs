//! What buffers cost that are not in the shared memory: numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was bounced through a memory so far.
///
/// A buffer that is in the memory costs nothing to map, not even the count of it: an addition that processors share would cost more than the rest. So what is not counted here was free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Buffers that were bounced: memory for them was found, and given back afterwards.
    pub bounced: u64,
    /// Bytes that were copied for them, in both directions.
    pub copied_bytes: u64,
    /// Buffers that were refused, because the memory had no room for a copy.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    bounced: AtomicU64,
    copied_bytes: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    pub(super) fn bounced(&self) {
        self.bounced.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn copied(&self, bytes: usize) {
        self.copied_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Costs {
        Costs {
            bounced: self.bounced.load(Ordering::Relaxed),
            copied_bytes: self.copied_bytes.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

//! A queue that no device knows of yet: its memory and its books, allocated and checked.
//!
//! Spec: §4.1.5.1.3 Virtqueue Configuration, steps before the device is told. Dropping it frees everything; once the device knows the addresses it
//! becomes an [`InstalledQueue`] and nothing is freed without a reset any more.

use super::installed::InstalledQueue;
use super::queue::Virtqueue;
use super::slots::{Books, Slots};
use super::split::SplitRing;
use crate::hal::{DmaError, Hal};
use crate::raw::{DmaMemory, Doorbell, IndirectTables, Lent, Payload, QueueAddresses, Session, SplitAreas};
use crate::wire::features::CommonFeatures;
use crate::wire::split::QUEUE_SIZE_MAX;

/// Alignment of the memory that a queue holds for its driver, in bytes: a cache line.
const DRIVER_MEMORY_ALIGN: usize = 64;

/// What a driver asks of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Most descriptors; the queue gets the largest power of two within this, the device's limit and the storage.
    pub size_max: u16,
    /// Longest chain that goes into an indirect table; 0 or 1 for none. Costs 16 bytes of DMA memory per descriptor and segment.
    pub indirect_segments: u16,
    /// Bytes of DMA memory that the queue holds for its driver: headers, status bytes, bounce buffers. May be 0.
    pub memory_bytes: usize,
}

/// A queue could not be prepared; nothing is left allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrepareError {
    /// No DMA memory.
    Dma,
    /// The storage has no slot at all, or the size is no power of two.
    Size,
}

impl From<DmaError> for PrepareError {
    fn from(DmaError: DmaError) -> Self {
        Self::Dma
    }
}

/// All memory of a queue that its device uses.
#[derive(Debug)]
pub(super) struct QueueMemory<H: Hal> {
    pub(super) areas: SplitAreas<H>,
    pub(super) tables: Option<IndirectTables<H>>,
    pub(super) driver: Option<DmaMemory<H>>,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct PreparedQueue<'s, H: Hal, T> {
    memory: QueueMemory<H>,
    books: Books<'s, T>,
    ring: SplitRing,
}

impl<'s, H: Hal, T: Payload> PreparedQueue<'s, H, T> {
    /// Allocates a queue as large as settings, storage and the device's maximum allow.
    pub(crate) fn allocate(
        hal: &H,
        features: CommonFeatures,
        device_size_max: u16,
        settings: &QueueSettings,
        slots: Slots<'s, T>,
    ) -> Result<Self, PrepareError> {
        let size = queue_size(device_size_max, settings, slots.len()).ok_or(PrepareError::Size)?;
        let books = Books::new(slots, size).ok_or(PrepareError::Size)?;

        // A chain may not have more descriptors than the queue, not even in an indirect table (§2.7.5.3.1).
        let table_segments = settings.indirect_segments.min(size);
        let tables = if features.contains(CommonFeatures::INDIRECT_DESC) && table_segments > 1 {
            Some(IndirectTables::allocate(hal, size, table_segments)?)
        } else {
            None
        };
        let driver = match settings.memory_bytes {
            0 => None,
            bytes => Some(DmaMemory::allocate(hal, bytes, DRIVER_MEMORY_ALIGN)?),
        };
        let memory = QueueMemory { areas: SplitAreas::allocate(hal, size)?, tables, driver };
        let ring = SplitRing::new(features.contains(CommonFeatures::EVENT_IDX));
        Ok(Self { memory, books, ring })
    }

    /// Number of descriptors.
    pub(crate) const fn size(&self) -> u16 {
        self.memory.areas.size()
    }

    /// What the device is to be told.
    pub(crate) const fn addresses(&self) -> QueueAddresses {
        self.memory.areas.addresses()
    }

    /// The queue, from the moment its device knows of it.
    pub(crate) fn install(
        self,
        session: Session,
        index: u16,
        doorbell: Doorbell,
    ) -> InstalledQueue<'s, H, T> {
        let memory = Lent::to(session, self.memory);
        InstalledQueue::new(Virtqueue::new(memory, self.books, self.ring, index, doorbell))
    }
}

/// The largest size that the device, the settings and a storage of `slots` slots allow: a power of two (§2.7). `None` if one of them allows none.
pub(crate) fn queue_size(device_size_max: u16, settings: &QueueSettings, slots: usize) -> Option<u16> {
    let slots = u16::try_from(slots).unwrap_or(u16::MAX);
    let limit = device_size_max.min(settings.size_max).min(slots).min(QUEUE_SIZE_MAX);
    limit.checked_ilog2().map(|exponent| 1 << exponent)
}

#[cfg(test)]
mod tests {
    use super::{QueueSettings, queue_size};

    /// Spec: §2.7 — the queue size of a split virtqueue is a power of two.
    #[test]
    fn a_limit_that_is_no_power_of_two_gives_the_next_smaller_one() {
        let settings = QueueSettings { size_max: u16::MAX, indirect_segments: 0, memory_bytes: 0 };
        let cases = [
            (0, None),
            (1, Some(1)),
            (2, Some(2)),
            (4, Some(4)),
            (7, Some(4)),
            (32768, Some(32768)),
            (65535, Some(32768)),
        ];
        for (limit, size) in cases {
            assert_eq!(queue_size(limit, &settings, 100_000), size, "device limit {limit}");
            assert_eq!(queue_size(u16::MAX, &settings, limit.into()), size, "storage {limit}");
            assert_eq!(
                queue_size(u16::MAX, &QueueSettings { size_max: limit, ..settings }, 100_000),
                size,
                "settings {limit}"
            );
        }
    }
}

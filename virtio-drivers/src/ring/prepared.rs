//! A queue that no device knows of yet: its memory and its books, allocated and checked.
//!
//! Spec: §4.1.5.1.3 Virtqueue Configuration, steps before the device is told. Dropping it frees everything; once the device knows the addresses it
//! becomes an [`InstalledQueue`] and nothing is freed without a reset any more.

use super::books::Books;
use super::installed::InstalledQueue;
use super::layout::{Layout, Ring};
use super::queue::Virtqueue;
use super::slots::Slots;
use crate::hal::{DmaError, Domain, Hal};
use crate::raw::{
    AreaPlacement, DmaMemory, Doorbell, IndirectTables, Lent, Payload, QueueAddresses, RequestFrames, Session,
};
use crate::wire::features::CommonFeatures;
use crate::wire::split::QUEUE_SIZE_MAX;

/// Alignment of the memory that a queue holds for its driver, in bytes: a cache line.
const DRIVER_MEMORY_ALIGN: usize = 64;

/// What a driver asks of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Most descriptors; the queue gets the largest size within this, the device's limit and the storage: in the split layout a power of two.
    pub size_max: u16,
    /// Longest chain that goes into an indirect table; 0 or 1 for none. Costs 16 bytes of DMA memory per descriptor and segment.
    pub indirect_segments: u16,
    /// Bytes of DMA memory that the queue holds for its driver: headers, status bytes, bounce buffers. May be 0.
    pub memory_bytes: usize,
}

/// Whether a queue has frames for requests, one for each chain id: see [`framed`](super::framed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// It has none.
    Without,
    /// It has.
    With,
}

/// A queue could not be prepared; nothing is left allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrepareError {
    /// No DMA memory.
    Dma,
    /// The storage has no slot at all, or the size is no power of two.
    Size,
}

/// The same, with the storage that was meant for the queue.
#[derive(Debug)]
pub(crate) struct PrepareFailed<'s, T> {
    pub(crate) error: PrepareError,
    pub(crate) slots: Slots<'s, T>,
}

/// All memory of a queue that its device uses.
#[derive(Debug)]
pub(super) struct QueueMemory<H: Hal> {
    pub(super) ring: Ring<H>,
    pub(super) tables: Option<IndirectTables<H>>,
    pub(super) driver: Option<DmaMemory<H>>,
    /// Frames of requests, if the driver's requests have such.
    pub(super) frames: Option<RequestFrames<H>>,
    /// Whose devices can reach all of it.
    pub(super) domain: Domain,
}

impl<H: Hal> QueueMemory<H> {
    fn allocate(
        hal: &H,
        features: CommonFeatures,
        size: u16,
        placement: AreaPlacement,
        settings: &QueueSettings,
        frames: Frames,
    ) -> Result<Self, DmaError> {
        // A chain may not have more descriptors than the queue, not even in an indirect table (§2.7.5.3.1, §2.8.6).
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
        let ring = Ring::allocate(hal, features, size, placement)?;
        let frames = match frames {
            Frames::Without => None,
            Frames::With => Some(RequestFrames::allocate(hal, size, Layout::of(features) == Layout::Packed)?),
        };
        Ok(Self { ring, tables, driver, frames, domain: hal.domain() })
    }
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct PreparedQueue<'s, H: Hal, T> {
    memory: QueueMemory<H>,
    books: Books<'s, T>,
    features: CommonFeatures,
}

impl<'s, H: Hal, T: Payload> PreparedQueue<'s, H, T> {
    /// Allocates a queue as large as settings, storage and the device's maximum allow.
    pub(crate) fn allocate(
        hal: &H,
        features: CommonFeatures,
        limits: DeviceLimits,
        settings: &QueueSettings,
        frames: Frames,
        slots: Slots<'s, T>,
    ) -> Result<Self, PrepareFailed<'s, T>> {
        let layout = Layout::of(features);
        let Some(size) = queue_size(layout, &limits, settings, slots.len()) else {
            return Err(PrepareFailed { error: PrepareError::Size, slots });
        };
        let memory = match QueueMemory::allocate(hal, features, size, limits.placement, settings, frames) {
            Ok(memory) => memory,
            Err(DmaError) => return Err(PrepareFailed { error: PrepareError::Dma, slots }),
        };
        match Books::new(slots, size) {
            Ok(books) => Ok(Self { memory, books, features }),
            Err(slots) => Err(PrepareFailed { error: PrepareError::Size, slots }),
        }
    }

    /// The storage again, of a queue that its device was not told of; its memory is freed.
    pub(crate) fn into_slots(self) -> Slots<'s, T> {
        self.books.slots
    }

    /// Number of descriptors.
    pub(crate) const fn size(&self) -> u16 {
        self.memory.ring.size()
    }

    /// What the device is to be told.
    pub(crate) const fn addresses(&self) -> QueueAddresses {
        self.memory.ring.addresses()
    }

    /// The queue, from the moment its device knows of it.
    pub(crate) fn install(
        self,
        session: Session,
        index: u16,
        doorbell: Doorbell,
    ) -> InstalledQueue<'s, H, T> {
        let memory = Lent::to(session, self.memory);
        InstalledQueue::new(Virtqueue::new(memory, self.books, self.features, index, doorbell))
    }
}

/// What device and transport say of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceLimits {
    /// Its largest size.
    pub(crate) size_max: u16,
    /// Whether it has no other.
    pub(crate) size_is_fixed: bool,
    /// How its areas are placed.
    pub(crate) placement: AreaPlacement,
}

/// The largest size that the device, the settings and a storage of `slots` slots allow. `None` if one of them allows none.
pub(crate) fn queue_size(
    layout: Layout,
    limits: &DeviceLimits,
    settings: &QueueSettings,
    slots: usize,
) -> Option<u16> {
    let slots = u16::try_from(slots).unwrap_or(u16::MAX);
    let size = layout.size_within(limits.size_max.min(settings.size_max).min(slots).min(QUEUE_SIZE_MAX));
    size.filter(|size| !limits.size_is_fixed || *size == limits.size_max)
}

#[cfg(test)]
mod tests {
    use super::{AreaPlacement, DeviceLimits, Layout, QueueSettings, queue_size};

    const SETTINGS: QueueSettings =
        QueueSettings { size_max: u16::MAX, indirect_segments: 0, memory_bytes: 0 };

    fn limits(size_max: u16, size_is_fixed: bool) -> DeviceLimits {
        DeviceLimits { size_max, size_is_fixed, placement: AreaPlacement::Separate }
    }

    /// Device, storage and settings limit a queue each in the same way.
    fn check(layout: Layout, limit: u16, size: Option<u16>) {
        assert_eq!(
            queue_size(layout, &limits(limit, false), &SETTINGS, 100_000),
            size,
            "device limit {limit}"
        );
        assert_eq!(
            queue_size(layout, &limits(u16::MAX, false), &SETTINGS, limit.into()),
            size,
            "storage {limit}"
        );
        let settings = QueueSettings { size_max: limit, ..SETTINGS };
        assert_eq!(
            queue_size(layout, &limits(u16::MAX, false), &settings, 100_000),
            size,
            "settings {limit}"
        );
    }

    /// Spec: §2.7 — the queue size of a split virtqueue is a power of two.
    #[test]
    fn a_limit_that_is_no_power_of_two_gives_the_next_smaller_one() {
        let sizes = [1, 2, 4, 4, 32768, 32768];
        for (limit, size) in [1, 2, 4, 7, 32768, 65535].into_iter().zip(sizes) {
            check(Layout::Split, limit, Some(size));
        }
        check(Layout::Split, 0, None);
    }

    /// Spec: §2.8 — the queue size of a packed virtqueue need not be a power of two.
    #[test]
    fn a_packed_queue_has_any_size_up_to_the_limit() {
        for (limit, size) in [1, 2, 7, 1000, 32768, 65535].into_iter().zip([1, 2, 7, 1000, 32768, 32768]) {
            check(Layout::Packed, limit, Some(size));
        }
        check(Layout::Packed, 0, None);
    }

    /// Spec: §4.1.5.1.3.1 — a legacy PCI device is not told a size.
    #[test]
    fn a_fixed_size_is_had_or_no_queue_is() {
        let size = |slots| queue_size(Layout::Split, &limits(256, true), &SETTINGS, slots);

        assert_eq!([255, 256, 257].map(size), [None, Some(256), Some(256)]);
        assert_eq!(queue_size(Layout::Split, &limits(100, true), &SETTINGS, 1000), None, "no power of two");
    }
}

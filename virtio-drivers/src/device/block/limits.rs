//! What one request may carry: limits of the device, the queue and our own, as one.
//!
//! Spec: §5.2.4 Device configuration layout (`size_max`, `seg_max`), §2.7.5.3.1 (no chain longer than the queue).

use crate::hal::Attempts;
use crate::wire::block::SECTOR_BYTES;

/// Most data segments in one request. More than one are needed only where the device limits their size.
pub(super) const DATA_SEGMENTS_MAX: u16 = 16;

/// Segments of a request besides its data: header and status.
pub(super) const OTHER_SEGMENTS: u16 = 2;

/// What a kernel may choose about a block driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most request queues, where the disk has several; at least one. [`Block::start`](super::Block::start) uses one, [`Starting`](super::Starting) as many as were installed.
    pub queues_max: u16,
    /// Bytes of DMA memory through which each request's data is copied; rounded down to whole sectors, at least one.
    /// Longer transfers take several requests, which are in flight together.
    pub request_bytes: u32,
    /// Most descriptors of the request queue, even if storage and device allow more.
    pub queue_size_max: u16,
    /// Whether the disk is to interrupt while a call waits: for a [`Patience`](crate::hal::Patience) that sleeps. Without, calls look at the ring again and again, and no vector is used. (Nothing
    /// interrupts for a reset: a patience for starting or closing that sleeps may sleep to its end, with devices that take their time.)
    pub notifications: bool,
    /// How often a drop looks at the status of the device that it resets, before it leaks what the device may still use.
    pub drop_attempts: Attempts,
}

impl Default for Settings {
    /// One queue, 4096 bytes per request, as many descriptors as there is storage for, no notifications, 100,000 attempts.
    fn default() -> Self {
        Self {
            queues_max: 1,
            request_bytes: 4096,
            queue_size_max: u16::MAX,
            notifications: false,
            drop_attempts: Attempts(100_000),
        }
    }
}

/// The limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of data in one request: whole sectors.
    pub(super) request_bytes: usize,
    /// Bytes in one segment.
    pub(super) segment_bytes: usize,
    /// Descriptors of a request with that much data, header and status included.
    pub(super) segments: u16,
}

impl Limits {
    /// Limits that all parties can live with; `None` if not even one sector fits into a request.
    ///
    /// A `seg_max` of 0 would allow no data at all; it counts as 1, as everywhere else.
    pub(super) fn new(
        settings: &Settings,
        size_max: Option<u32>,
        seg_max: Option<u32>,
        queue_size: u16,
    ) -> Option<Self> {
        let segments = queue_size.checked_sub(OTHER_SEGMENTS)?.min(DATA_SEGMENTS_MAX);
        let segments =
            usize::from(segments).min(usize::try_from(seg_max.map_or(u32::MAX, |max| max.max(1))).ok()?);
        let segment_bytes = usize::try_from(size_max.unwrap_or(u32::MAX)).ok()?;
        let wanted = usize::try_from(settings.request_bytes).ok()?.max(SECTOR_BYTES);
        let request_bytes = wanted.min(segments.saturating_mul(segment_bytes)) / SECTOR_BYTES * SECTOR_BYTES;
        if request_bytes == 0 {
            return None;
        }
        let data_segments = u16::try_from(request_bytes.div_ceil(segment_bytes)).ok()?;
        Some(Self { request_bytes, segment_bytes, segments: data_segments + OTHER_SEGMENTS })
    }

    /// Most segments of data in a request: as many as each slot has descriptors for.
    pub(super) const fn data_segments(&self) -> u16 {
        self.segments.saturating_sub(OTHER_SEGMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(size_max: Option<u32>, seg_max: Option<u32>, queue_size: u16) -> Option<Limits> {
        Limits::new(&Settings::default(), size_max, seg_max, queue_size)
    }

    #[test]
    fn without_limits_a_request_is_one_data_segment() {
        let expected = Limits { request_bytes: 4096, segment_bytes: u32::MAX as usize, segments: 3 };

        assert_eq!(limits(None, None, 16), Some(expected));
    }

    /// Spec: §5.2.4 — `size_max` and `seg_max` bound what a driver sends.
    #[test]
    fn small_segments_are_many_and_few_segments_are_a_small_request() {
        let many = limits(Some(1024), None, 16).unwrap();
        assert_eq!((many.request_bytes, many.segments), (4096, 6));

        let few = limits(Some(1024), Some(2), 16).unwrap();
        assert_eq!((few.request_bytes, few.segments), (2048, 4));

        let odd = limits(Some(700), Some(1), 16).unwrap();
        assert_eq!((odd.request_bytes, odd.segments), (512, 3));
    }

    #[test]
    fn no_chain_is_longer_than_the_queue() {
        let small = limits(Some(512), None, 4).unwrap();
        assert_eq!((small.request_bytes, small.segments), (1024, 4));
    }

    #[test]
    fn a_seg_max_of_zero_counts_as_one() {
        assert_eq!(limits(None, Some(0), 16), limits(None, Some(1), 16));
    }

    #[test]
    fn limits_below_one_sector_are_refused() {
        assert_eq!(limits(Some(0), None, 16), None);
        assert_eq!(limits(Some(511), Some(1), 16), None);
        assert_eq!(limits(None, None, 2), None);
        assert_eq!(limits(None, None, 1), None);
    }
}

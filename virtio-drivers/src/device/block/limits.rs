//! What one request may carry: limits of the device, the queue and our own, as one.
//!
//! Spec: §5.2.4 Device configuration layout (`size_max`, `seg_max`), §2.7.5.3.1 (no chain longer than the queue).

use crate::hal::Attempts;
use crate::raw::Fit;
use crate::wire::block::SECTOR_BYTES;

/// Most data segments in a request of a blocking call. More than one are needed only where the device limits their size.
pub(super) const DATA_SEGMENTS_MAX: u16 = 16;

/// Segments of a request besides its data: header and status.
pub(super) const OTHER_SEGMENTS: u16 = 2;

/// Most bytes of an owned buffer in one request: with header and status less than 4 GiB (§2.7.5.2).
const PART_BYTES_MAX: u64 = 1 << 31;

/// What a kernel may choose about a block driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most request queues, where the disk has several; at least one. [`Block::start`](super::Block::start) uses one, [`Starting`](super::Starting) as many as were installed.
    pub queues_max: u16,
    /// Bytes of DMA memory through which each request's data is copied; rounded down to whole sectors, at least one.
    /// Longer transfers take several requests, which are in flight together. A call that writes to a disk with zones needs as much as their
    /// [granularity](super::ZonedCharacteristics::write_granularity).
    pub request_bytes: u32,
    /// Segments of data that a request has room for whose buffer it owns, as far as device and queue allow; at least one. A buffer with more, or with longer ones than the device takes, is sent part by part,
    /// one after the other.
    pub data_segments: u16,
    /// Most descriptors of the request queue, even if storage and device allow more.
    pub queue_size_max: u16,
    /// Whether the disk is to interrupt while a call waits: for a [`Patience`](crate::hal::Patience) that sleeps. Without, calls look at the ring again and again, and no vector is used. (Nothing
    /// interrupts for a reset: a patience for starting or closing that sleeps may sleep to its end, with devices that take their time.)
    pub notifications: bool,
    /// How often a drop looks at the status of the device that it resets, before it leaks what the device may still use.
    pub drop_attempts: Attempts,
}

impl Default for Settings {
    /// One queue, 4096 bytes per request, one segment of data, as many descriptors as there is storage for, no notifications, 100,000 attempts.
    fn default() -> Self {
        Self {
            queues_max: 1,
            request_bytes: 4096,
            data_segments: 1,
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
    /// Descriptors that a request may have, header and status included.
    pub(super) segments: u16,
    /// Where requests are cut, in bytes: at whole blocks, if one fits.
    pub(super) granule: u32,
    /// Bytes of data of a request in a frame; 0 if the queue has none.
    pub(super) frame_bytes: u32,
}

impl Limits {
    /// Limits that all parties can live with; `None` if not even one sector fits into a request.
    ///
    /// A `seg_max` of 0 would allow no data at all; it counts as 1, as everywhere else. A `size_max` of 0 counts as none: QEMU's storage daemon offers `SIZE_MAX` and says 0.
    /// `block_bytes` are best not cut apart: whole sectors.
    pub(super) fn new(
        settings: &Settings,
        size_max: Option<u32>,
        seg_max: Option<u32>,
        queue_size: u16,
        block_bytes: u32,
    ) -> Option<Self> {
        let segments_max = queue_size.checked_sub(OTHER_SEGMENTS)?;
        let segments_max =
            segments_max.min(u16::try_from(seg_max.unwrap_or(u32::MAX).max(1)).unwrap_or(u16::MAX));
        let size_max = size_max.filter(|bytes| *bytes > 0);
        let segment_bytes = usize::try_from(size_max.unwrap_or(u32::MAX)).ok()?;
        let wanted = usize::try_from(settings.request_bytes).ok()?.max(SECTOR_BYTES);
        let copied_segments = usize::from(segments_max.min(DATA_SEGMENTS_MAX));
        let fitting = wanted.min(copied_segments.saturating_mul(segment_bytes));
        let block = usize::try_from(block_bytes).ok()?;
        let granule = if fitting >= block { block.max(SECTOR_BYTES) } else { SECTOR_BYTES };
        let request_bytes = fitting / granule * granule;
        if request_bytes == 0 {
            return None;
        }
        let copied_segments = u16::try_from(request_bytes.div_ceil(segment_bytes)).ok()?;
        let data_segments = settings.data_segments.min(segments_max).max(copied_segments);
        Some(Self {
            request_bytes,
            segment_bytes,
            segments: data_segments.saturating_add(OTHER_SEGMENTS),
            granule: u32::try_from(granule).ok()?,
            frame_bytes: 0,
        })
    }

    /// What of an owned buffer fits into one request.
    pub(super) fn fit(&self) -> Fit {
        Fit {
            segments_max: self.data_segments().into(),
            segment_bytes_max: u32::try_from(self.segment_bytes).unwrap_or(u32::MAX),
            granule: self.granule,
            bytes_max: PART_BYTES_MAX,
        }
    }

    /// The same of a queue with frames.
    pub(super) fn with_frames(self) -> Self {
        let bytes = u64::try_from(self.segment_bytes).unwrap_or(PART_BYTES_MAX).min(PART_BYTES_MAX);
        Self { frame_bytes: u32::try_from(bytes).unwrap_or(0), ..self }
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
        Limits::new(&Settings::default(), size_max, seg_max, queue_size, 512)
    }

    #[test]
    fn without_limits_a_request_is_one_data_segment() {
        let expected = Limits {
            request_bytes: 4096,
            segment_bytes: u32::MAX as usize,
            segments: 3,
            granule: 512,
            frame_bytes: 0,
        };

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

    /// A block that is larger than what fits is cut all the same: some devices take it.
    #[test]
    fn requests_are_cut_at_whole_blocks_if_one_fits() {
        let cut = |request_bytes, block_bytes| {
            let settings = Settings { request_bytes, ..Settings::default() };
            let limits = Limits::new(&settings, None, None, 16, block_bytes).unwrap();
            (limits.request_bytes, limits.granule)
        };
        assert_eq!(cut(10_000, 4096), (8192, 4096));
        assert_eq!(cut(4095, 4096), (3584, 512));
        assert_eq!(cut(10_000, 1), (9728, 512));
    }

    /// Room that is asked for, within what device and queue allow.
    #[test]
    fn owned_buffers_have_the_segments_that_were_asked_for() {
        let room = |data_segments, seg_max, queue_size| {
            let settings = Settings { data_segments, ..Settings::default() };
            Limits::new(&settings, None, seg_max, queue_size, 512).unwrap().data_segments()
        };
        assert_eq!(room(0, None, 16), 1);
        assert_eq!(room(5, None, 16), 5);
        assert_eq!(room(50, None, 16), 14);
        assert_eq!(room(50, Some(7), 128), 7);
        assert_eq!(room(50, Some(0), 128), 1);
    }

    /// Spec: §2.7.5.2 — no chain has more than 4 GiB, so longer buffers go part by part.
    #[test]
    fn no_part_is_longer_than_a_chain_may_be() {
        let fit = limits(None, None, 16).unwrap().fit();
        assert!(fit.bytes_max < u64::from(u32::MAX) - 64);
        assert!(fit.bytes_max.is_multiple_of(fit.granule.into()));
    }

    #[test]
    fn a_seg_max_of_zero_counts_as_one() {
        assert_eq!(limits(None, Some(0), 16), limits(None, Some(1), 16));
    }

    #[test]
    fn a_size_max_of_zero_is_no_limit() {
        assert_eq!(limits(Some(0), None, 16), limits(None, None, 16));
    }

    #[test]
    fn limits_below_one_sector_are_refused() {
        assert_eq!(limits(Some(1), None, 16), None);
        assert_eq!(limits(Some(511), Some(1), 16), None);
        assert_eq!(limits(None, None, 2), None);
        assert_eq!(limits(None, None, 1), None);
    }
}

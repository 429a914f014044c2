//! A part of a payload, in segments that are not too long.
//!
//! Spec: §5.2.4 (`size_max`, `seg_max`) and its like: a device may take less in one request than a buffer has. A [`Window`] owns the whole payload and shows one part of it
//! after the other; each travels through the queue by itself, so the buffer stays with the queue until the last one is done.

#![allow(
    clippy::inline_always,
    reason = "as in `mapped`: what a payload's segments have constant is judged by the compiler"
)]

use super::mapped::{Payload, Segment, SegmentVisitor};
use crate::hal::DeviceAddress;

/// See the module's head.
#[derive(Debug)]
pub struct Window<P> {
    payload: P,
    /// Bytes before the part that is shown,
    start: u64,
    /// and bytes of it.
    bytes: u64,
    /// Bytes after it.
    left: u64,
    /// Segments of it.
    count: usize,
    segment_bytes_max: u32,
}

/// What of a payload fits into one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Most segments.
    pub segments_max: usize,
    /// Most bytes of a segment; 0 counts as 1.
    pub segment_bytes_max: u32,
    /// A part that ends where no more segments fit has a multiple of so many bytes; 0 counts as 1.
    pub granule: u32,
    /// Most bytes. A part may end there, granule or not.
    pub bytes_max: u64,
}

impl<P> Window<P> {
    /// A payload, of which nothing is shown yet.
    pub const fn new(payload: P) -> Self {
        Self { payload, start: 0, bytes: 0, left: 0, count: 0, segment_bytes_max: u32::MAX }
    }

    /// Bytes before the part that is shown.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Bytes up to the end of that part.
    pub const fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes)
    }

    /// Bytes after that part, once one was shown.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// The payload again.
    pub fn into_payload(self) -> P {
        self.payload
    }
}

impl<P: Payload> Window<P> {
    /// Shows the next part: as much as fits. Says how many bytes that is; none if everything was shown, or not even a granule fits: then something is [`left`](Window::left).
    pub fn advance(&mut self, fit: Fit) -> u64 {
        self.start = self.end();
        self.segment_bytes_max = fit.segment_bytes_max.max(1);
        // First without an end, to see how far the segments reach; then up to there.
        let (mut fitting, mut all, mut room) = (0u64, 0u64, fit.segments_max);
        self.each_segment(u64::MAX, |bytes, pieces| {
            all = all.saturating_add(bytes);
            let fits = if pieces <= room { bytes } else { self.piece_bytes().saturating_mul(room as u64) };
            fitting = fitting.saturating_add(fits);
            room = room.saturating_sub(pieces);
        });
        let granule = u64::from(fit.granule.max(1));
        let wanted = all.min(fit.bytes_max);
        self.bytes = if fitting >= wanted { wanted } else { fitting - fitting % granule };
        self.left = all.saturating_sub(self.bytes);
        let mut count = 0usize;
        self.each_segment(self.end(), |_, pieces| count = count.saturating_add(pieces));
        self.count = count;
        self.bytes
    }

    const fn piece_bytes(&self) -> u64 {
        self.segment_bytes_max as u64
    }

    /// Goes through what is there of each segment, from the start on and up to `end`: how many bytes, and in how many pieces.
    fn each_segment(&self, end: u64, mut found: impl FnMut(u64, usize)) {
        let mut segment_start = 0u64;
        self.payload.visit_segments(&mut |segment: &Segment| {
            let segment_end = segment_start.saturating_add(segment.len.into());
            let bytes = end.min(segment_end).saturating_sub(self.start.max(segment_start));
            segment_start = segment_end;
            if bytes > 0 {
                found(bytes, usize::try_from(bytes.div_ceil(self.piece_bytes())).unwrap_or(usize::MAX));
            }
        });
    }
}

// SAFETY: what is shown are parts of segments for which the payload promises; the window owns it, gives no reference to it, and changes what it shows only while it is borrowed mutably, which no queue does.
unsafe impl<P: Payload> Payload for Window<P> {
    #[inline]
    fn segment_count(&self) -> usize {
        self.count
    }

    #[inline(always)]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        let end = self.end();
        let mut segment_start = 0u64;
        self.payload.visit_segments(&mut |segment: &Segment| {
            let segment_end = segment_start.saturating_add(segment.len.into());
            let (mut at, to) = (self.start.max(segment_start), end.min(segment_end));
            while at < to {
                let len = u32::try_from(to - at).unwrap_or(u32::MAX).min(self.segment_bytes_max);
                let address = DeviceAddress(segment.address.0.wrapping_add(at - segment_start));
                visitor.segment(&Segment { address, len, ..*segment });
                at = at.saturating_add(len.into());
            }
            segment_start = segment_end;
        });
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::{Fit, Window};
    use crate::hal::{DeviceAddress, Direction, Domain};
    use crate::raw::{Payload, Segment, SegmentVisitor};

    /// Segments that are nowhere.
    struct Nowhere(Vec<(u64, u32)>);

    // SAFETY: no device is shown them.
    unsafe impl Payload for Nowhere {
        fn segment_count(&self) -> usize {
            self.0.len()
        }

        fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
            for (address, len) in &self.0 {
                visitor.segment(&Segment {
                    address: DeviceAddress(*address),
                    len: *len,
                    direction: Direction::DeviceReadable,
                    domain: Domain(0),
                });
            }
        }
    }

    /// All parts, each with its segments.
    fn parts(segments: &[(u64, u32)], fit: Fit) -> Vec<Vec<(u64, u32)>> {
        let all: u64 = segments.iter().map(|(_, len)| u64::from(*len)).sum();
        let mut window = Window::new(Nowhere(segments.to_vec()));
        let mut parts = Vec::new();
        let mut start = 0;
        loop {
            let bytes = window.advance(fit);
            assert_eq!((window.start(), window.left()), (start, all - start - bytes));
            if bytes == 0 {
                return parts;
            }
            start += bytes;
            let mut part = Vec::new();
            window.visit_segments(&mut |segment: &Segment| part.push((segment.address.0, segment.len)));
            assert_eq!(part.len(), window.segment_count());
            assert_eq!(part.iter().map(|(_, len)| u64::from(*len)).sum::<u64>(), bytes);
            parts.push(part);
        }
    }

    const FIT: Fit = Fit { segments_max: 2, segment_bytes_max: 1000, granule: 512, bytes_max: u64::MAX };

    #[test]
    fn what_fits_is_one_part() {
        assert_eq!(parts(&[(7, 600), (9000, 1000)], FIT), [[(7, 600), (9000, 1000)]]);
    }

    /// Parts end at multiples of the granule, also in the middle of a segment.
    #[test]
    fn what_does_not_fit_goes_part_by_part_and_every_byte_once() {
        let first = vec![(0, 1000), (1000, 536)];
        assert_eq!(parts(&[(0, 3000)], FIT), [first.clone(), vec![(1536, 1000), (2536, 464)]]);

        let uneven = [first, vec![(1536, 1000), (2536, 24)], vec![(2560, 440), (9000, 72)]];
        assert_eq!(parts(&[(0, 3000), (9000, 72)], FIT), uneven);
    }

    #[test]
    fn nothing_is_shown_where_not_even_a_granule_fits() {
        assert!(parts(&[(0, 100); 8], FIT).is_empty());
        assert!(parts(&[(0, 512)], Fit { segments_max: 0, ..FIT }).is_empty());
        assert_eq!(
            parts(&[(0, 1024), (9000, 100), (9100, 100), (9200, 312)], FIT),
            [[(0, 1000), (1000, 24)]]
        );
    }

    #[test]
    fn no_part_is_longer_than_it_may_be() {
        let fit = Fit { bytes_max: 1024, ..FIT };
        assert_eq!(parts(&[(0, 1500)], fit), [vec![(0, 1000), (1000, 24)], vec![(1024, 476)]]);
        // There it ends well, whatever the granule.
        let fit = Fit { bytes_max: 700, ..FIT };
        assert_eq!(parts(&[(0, 1500)], fit), [[(0, 700)], [(700, 700)], [(1400, 100)]]);
    }

    #[test]
    fn limits_of_zero_count_as_one() {
        let fit = Fit { segments_max: 4, segment_bytes_max: 0, granule: 0, bytes_max: u64::MAX };
        assert_eq!(parts(&[(5, 6)], fit), [vec![(5, 1), (6, 1), (7, 1), (8, 1)], vec![(9, 1), (10, 1)]]);
    }
}

//! Descriptor chains, as a caller describes them.
//!
//! Spec: §2.7.4.2 (device-readable parts come before device-writable ones), §2.7.13 Supplying Buffers to The Device.
//!
//! A chain is made of portions of the queue's own memory and of the segments of its payload, in this order:
//!
//! ```text
//!   readable portions │ the payload's segments, readable ones first │ writable portions
//!   (request header)    (data to a device, data from it)              (status byte)
//! ```

use crate::hal::{DeviceAddress, Direction, Domain, Hal};
use crate::raw::{DmaMemory, Payload, Segment, SegmentVisitor};

/// A portion of the memory that a queue owns for its driver ([`QueueSettings::memory_bytes`](super::QueueSettings)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// Bytes from the start of that memory.
    pub offset: u32,
    /// Length in bytes, at least 1.
    pub len: u32,
}

/// The portions of a descriptor chain that are in the queue's own memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain<'a> {
    /// What the device reads, in order.
    pub readable: &'a [Portion],
    /// What the device writes, in order.
    pub writable: &'a [Portion],
}

/// Why a chain was not made available. The queue is as it was. If several things are wrong with a chain, it is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedReason {
    /// Fewer free descriptors than the chain needs: try again after [`take_used`](super::Virtqueue::take_used).
    #[error("fewer free descriptors than the chain needs")]
    Full,
    /// More segments than the queue can ever take in one chain, or more than 4 GiB - 1 bytes in all (§2.7.5.2).
    #[error("the chain is longer than the queue allows")]
    TooLong,
    /// No segment at all.
    #[error("the chain is empty")]
    Empty,
    /// A portion that is empty or not inside of the queue's memory.
    #[error("a portion is empty or not inside of the queue's memory")]
    BadPortion,
    /// The payload has fewer or more segments than it says, or an empty one: its implementation breaks its promise.
    #[error("the payload has other segments than it says, or an empty one")]
    BadPayload,
    /// A device-readable segment of the payload comes after a device-writable one (§2.7.4.2).
    #[error("a device-readable segment comes after a device-writable one")]
    Misordered,
    /// A segment of the payload was mapped for another DMA domain than the queue's.
    #[error("the buffer was mapped for another DMA domain")]
    OtherDomain,
    /// The device broke the protocol earlier, or the queue was taken down: only a reset and a new bring-up help.
    #[error("the queue is out of service")]
    Broken,
}

/// A burst that ended early: how much of it was made available, and the chain that was refused.
#[derive(Debug, thiserror::Error)]
#[error("after {made_available} chains: {refused}")]
pub struct RefusedBurst<T> {
    /// Chains before the refused one: they are made available.
    pub made_available: usize,
    /// The first one that was refused.
    pub refused: RefusedChain<T>,
}

/// A refused chain: why, and the payload back.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct RefusedChain<T> {
    /// Why.
    pub reason: RefusedReason,
    /// What was handed in.
    pub payload: T,
}

impl Chain<'_> {
    /// How many segments it has, with this payload.
    #[inline(always)]
    pub(super) fn count<T: Payload>(&self, payload: &T) -> usize {
        let portions = self.readable.len().saturating_add(self.writable.len());
        portions.saturating_add(payload.segment_count())
    }
}

/// A chain, and all that is needed to see and judge its segments.
pub(super) struct Candidate<'c, H: Hal, T> {
    pub(super) chain: Chain<'c>,
    pub(super) payload: &'c T,
    /// How many segments it has. Asked once, so that nobody can give two answers.
    pub(super) count: usize,
    /// What portions are of.
    pub(super) memory: Option<&'c DmaMemory<H>>,
    pub(super) domain: Domain,
}

impl<H: Hal, T: Payload> Candidate<'_, H, T> {
    /// Puts the chain's segments into their places in the order in which the device sees them, then says how many bytes are writable.
    ///
    /// Every segment is judged on the way: whoever writes descriptors of them takes that back if this is an error.
    #[inline(always)]
    pub(super) fn visit(&self, places: &mut impl DescriptorSink) -> Result<u32, RefusedReason> {
        let Self { chain, payload, count, domain, .. } = self;
        let mut visit = Visit {
            places,
            left: *count,
            payload_end: chain.writable.len(),
            domain: *domain,
            verdict: Verdict::default(),
        };
        for portion in chain.readable {
            visit.portion(&self.portion(*portion, Direction::DeviceReadable));
        }
        payload.visit_segments(&mut visit);
        visit.verdict.is_miscounted |= visit.left != visit.payload_end;
        for portion in chain.writable {
            visit.portion(&self.portion(*portion, Direction::DeviceWritable));
        }
        visit.verdict.result()
    }

    /// A portion as a segment: an empty one, if it is not inside of the queue's memory.
    #[inline(always)]
    fn portion(&self, Portion { offset, len }: Portion, direction: Direction) -> Segment {
        let place = self.memory.zip(usize::try_from(offset).ok()).zip(usize::try_from(len).ok());
        let address = place.and_then(|((memory, offset), len)| memory.device_address(offset, len).ok());
        let (address, len) = address.map_or((DeviceAddress(0), 0), |address| (address, len));
        Segment { address, len, direction, domain: self.domain }
    }
}

/// Where descriptors are written.
pub(super) trait DescriptorSink {
    /// Writes the next descriptor, after which `left` come.
    fn put(&mut self, segment: &Segment, left: usize);
}

/// On the way through a chain.
struct Visit<'p, P> {
    places: &'p mut P,
    /// Segments that are still to come,
    left: usize,
    /// and how many they are when the payload has shown all of its own.
    payload_end: usize,
    domain: Domain,
    verdict: Verdict,
}

impl<P: DescriptorSink> Visit<'_, P> {
    #[inline(always)]
    fn next(&mut self, segment: &Segment) {
        // A copy: what is written into shared memory might be the segment, as far as a compiler knows.
        let segment = *segment;
        self.left = self.left.wrapping_sub(1);
        self.verdict.add(&segment, self.domain);
        self.places.put(&segment, self.left);
    }

    #[inline(always)]
    fn portion(&mut self, segment: &Segment) {
        self.verdict.has_bad_portion |= segment.len == 0;
        self.next(segment);
    }
}

impl<P: DescriptorSink> SegmentVisitor for Visit<'_, P> {
    #[inline(always)]
    fn segment(&mut self, segment: &Segment) {
        if self.left == self.payload_end {
            // There is no place for it.
            self.verdict.is_miscounted = true;
        } else {
            self.next(segment);
        }
    }
}

/// What segments come to, without a decision at each of them.
#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    bytes: u64,
    writable_bytes: u64,
    /// All ones if the last segment was a writable one, else 0.
    writable: u64,
    /// Not 0 if a readable segment came after a writable one.
    misordered: u64,
    /// The top bit is set if a segment was empty. The others mean nothing.
    empty: u64,
    /// Bits in which a segment's domain is another than the queue's.
    other_domain: u16,
    has_bad_portion: bool,
    /// Whether the payload has other segments than it says.
    is_miscounted: bool,
}

impl Verdict {
    #[inline(always)]
    fn add(&mut self, segment: &Segment, domain: Domain) {
        let bytes = u64::from(segment.len);
        let writable = match segment.direction {
            Direction::DeviceReadable => 0,
            Direction::DeviceWritable => u64::MAX,
        };
        self.bytes += bytes;
        self.writable_bytes += bytes & writable;
        self.misordered |= self.writable & !writable;
        self.writable = writable;
        self.empty |= bytes.wrapping_sub(1);
        self.other_domain |= segment.domain.0 ^ domain.0;
    }

    /// How many bytes are writable, or what is wrong.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "as many bytes as all at most")]
    fn result(&self) -> Result<u32, RefusedReason> {
        let Self { bytes, misordered, empty, other_domain, is_miscounted, .. } = *self;
        let too_long = bytes >> u32::BITS;
        let is_wrong = empty >> 63 != 0 || other_domain != 0 || misordered != 0 || too_long != 0;
        if !is_wrong && !is_miscounted {
            return Ok(self.writable_bytes as u32);
        }
        Err(if self.has_bad_portion {
            RefusedReason::BadPortion
        } else if self.is_miscounted || self.empty >> 63 != 0 {
            RefusedReason::BadPayload
        } else if self.other_domain != 0 {
            RefusedReason::OtherDomain
        } else if self.misordered != 0 {
            RefusedReason::Misordered
        } else {
            RefusedReason::TooLong
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{RefusedReason, Verdict};
    use crate::hal::{DeviceAddress, Direction, Domain};
    use crate::raw::Segment;

    const DOMAIN: Domain = Domain(6);

    fn segment(len: u32, direction: Direction, domain: Domain) -> Segment {
        Segment { address: DeviceAddress(0), len, direction, domain }
    }

    /// One fault, or any two of them: a chain is refused, and faults do not make up for each other.
    #[test]
    fn whatever_is_wrong_with_a_chain_it_is_refused() {
        use Direction::{DeviceReadable, DeviceWritable};
        let sound = segment(16, DeviceWritable, DOMAIN);
        let faults = [
            (RefusedReason::BadPayload, [sound, segment(0, DeviceWritable, DOMAIN)]),
            (RefusedReason::OtherDomain, [sound, segment(16, DeviceWritable, Domain(7))]),
            (RefusedReason::Misordered, [sound, segment(16, DeviceReadable, DOMAIN)]),
            (RefusedReason::TooLong, [sound, segment(u32::MAX, DeviceWritable, DOMAIN)]),
        ];
        for (one, first) in faults {
            for (other, second) in faults {
                let mut verdict = Verdict::default();
                first.iter().chain(&second).for_each(|segment| verdict.add(segment, DOMAIN));
                let refused = verdict.result();
                assert!(refused == Err(one) || refused == Err(other), "{one:?} and {other:?}: {refused:?}");
            }
        }
    }

    #[test]
    fn the_writable_bytes_are_those_of_writable_segments() {
        let mut verdict = Verdict::default();
        for (len, direction) in [(7, Direction::DeviceReadable), (u32::MAX - 7, Direction::DeviceWritable)] {
            verdict.add(&segment(len, direction, DOMAIN), DOMAIN);
        }
        assert_eq!(verdict.result(), Ok(u32::MAX - 7));
    }
}

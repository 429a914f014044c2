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

use crate::hal::{Direction, Domain, Hal};
use crate::raw::{DmaMemory, Payload, Segment};

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

/// Why a chain was not made available. The queue is as it was.
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
    /// The payload has fewer segments than it says, or an empty one: its implementation breaks its promise.
    #[error("the payload has fewer segments than it says, or an empty one")]
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

/// A refused chain: why, and the payload back.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct RefusedChain<T> {
    /// Why.
    pub reason: RefusedReason,
    /// What was handed in.
    pub payload: T,
}

/// How many segments a chain has. Asked once, so that nobody can give two answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    payload: usize,
    pub(super) all: usize,
}

impl Chain<'_> {
    #[inline(always)]
    pub(super) fn count<T: Payload>(&self, payload: &T) -> Count {
        let payload = payload.segment_count();
        let portions = self.readable.len().saturating_add(self.writable.len());
        Count { payload, all: portions.saturating_add(payload) }
    }

    /// Shows `each` the chain's segments in the order in which the device sees them, and how many come after each; then says how many bytes are writable.
    ///
    /// Every segment is judged on the way: whoever writes descriptors of them takes that back if this is an error.
    #[inline(always)]
    pub(super) fn visit<H: Hal, T: Payload>(
        &self,
        memory: Option<&DmaMemory<H>>,
        payload: &T,
        count: Count,
        domain: Domain,
        each: impl FnMut(&Segment, usize),
    ) -> Result<u32, RefusedReason> {
        let mut visit = Visit::new(count, domain, each);
        for portion in self.readable {
            visit.portion(memory, *portion, Direction::DeviceReadable)?;
        }
        for index in 0..count.payload {
            let segment = payload.segment(index).ok_or(RefusedReason::BadPayload)?;
            visit.segment(&segment);
        }
        for portion in self.writable {
            visit.portion(memory, *portion, Direction::DeviceWritable)?;
        }
        visit.finish()
    }
}

/// Going through a chain. What is wrong is gathered and told at the end, so that nothing is decided at each segment.
struct Visit<F> {
    each: F,
    domain: Domain,
    /// Segments that are still to come.
    left: usize,
    /// The shortest segment.
    shortest: u32,
    bytes: u64,
    writable_bytes: u64,
    /// A readable segment comes after a writable one.
    is_misordered: bool,
    /// Bits in which a segment's domain is another than the queue's.
    other_domain: u16,
}

impl<F: FnMut(&Segment, usize)> Visit<F> {
    const fn new(count: Count, domain: Domain, each: F) -> Self {
        let (shortest, other_domain) = (u32::MAX, 0);
        let (bytes, writable_bytes, is_misordered) = (0, 0, false);
        Self { each, domain, left: count.all, shortest, bytes, writable_bytes, is_misordered, other_domain }
    }

    #[inline(always)]
    fn portion<H: Hal>(
        &mut self,
        memory: Option<&DmaMemory<H>>,
        Portion { offset, len }: Portion,
        direction: Direction,
    ) -> Result<(), RefusedReason> {
        let place = memory.zip(usize::try_from(offset).ok()).zip(usize::try_from(len).ok());
        let address = place.and_then(|((memory, offset), len)| memory.device_address(offset, len).ok());
        let address = address.filter(|_| len > 0).ok_or(RefusedReason::BadPortion)?;
        self.segment(&Segment { address, len, direction, domain: self.domain });
        Ok(())
    }

    #[inline(always)]
    fn segment(&mut self, segment: &Segment) {
        // There are as many as were counted.
        self.left = self.left.wrapping_sub(1);
        self.shortest = self.shortest.min(segment.len);
        self.other_domain |= segment.domain.0 ^ self.domain.0;
        self.bytes += u64::from(segment.len);
        match segment.direction {
            Direction::DeviceReadable => self.is_misordered |= self.writable_bytes > 0,
            Direction::DeviceWritable => self.writable_bytes += u64::from(segment.len),
        }
        (self.each)(segment, self.left);
    }

    /// What all of it comes to.
    #[inline(always)]
    fn finish(self) -> Result<u32, RefusedReason> {
        if self.shortest == 0 {
            return Err(RefusedReason::BadPayload);
        }
        if self.other_domain != 0 {
            return Err(RefusedReason::OtherDomain);
        }
        if self.is_misordered {
            return Err(RefusedReason::Misordered);
        }
        if self.bytes > u64::from(u32::MAX) {
            return Err(RefusedReason::TooLong);
        }
        u32::try_from(self.writable_bytes).map_err(|_| RefusedReason::TooLong)
    }
}

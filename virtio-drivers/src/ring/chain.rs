//! Descriptor chains, as a caller describes them.
//!
//! Spec: §2.7.4.2 (device-readable parts come before device-writable ones), §2.7.13 Supplying Buffers to The Device.
//!
//! A chain is made of portions of the queue's own memory and of the segments of its payload, in an order that cannot be wrong:
//!
//! ```text
//!   readable portions │ readable segments of the payload │ its writable segments │ writable portions
//!   (request header)    (data to a device)                 (data from it)          (status byte)
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
    /// The payload has other segments than it says, or an empty one: its implementation breaks its promise.
    #[error("the payload has other segments than it says")]
    BadPayload,
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

/// What a chain comes to, after everything about it was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) segments: u16,
    pub(super) writable_bytes: u32,
}

impl Chain<'_> {
    /// Checks every portion against the queue's memory, counts segments and writable bytes.
    pub(super) fn measure<H: Hal, T: Payload>(
        &self,
        memory: Option<&DmaMemory<H>>,
        payload: &T,
        segments_max: u16,
        domain: Domain,
    ) -> Result<Measured, RefusedReason> {
        let portions = self.readable.len().saturating_add(self.writable.len());
        let segments = portions.saturating_add(payload.segment_count());
        if segments == 0 {
            return Err(RefusedReason::Empty);
        }
        let segments = u16::try_from(segments).map_err(|_| RefusedReason::TooLong)?;
        if segments > segments_max {
            return Err(RefusedReason::TooLong);
        }
        for portion in self.readable.iter().chain(self.writable) {
            resolve(memory, *portion, Direction::DeviceReadable).ok_or(RefusedReason::BadPortion)?;
        }
        let (mut bytes, mut writable_bytes, mut yielded) = (0u32, 0u32, 0u16);
        // One more than promised is enough to see that the promise is not kept.
        for segment in self.segments(memory, payload).take(usize::from(segments) + 1) {
            yielded += 1;
            if segment.len == 0 {
                return Err(RefusedReason::BadPayload);
            }
            if segment.domain != domain {
                return Err(RefusedReason::OtherDomain);
            }
            bytes = bytes.checked_add(segment.len).ok_or(RefusedReason::TooLong)?;
            if segment.direction == Direction::DeviceWritable {
                writable_bytes += segment.len;
            }
        }
        if yielded != segments {
            return Err(RefusedReason::BadPayload);
        }
        Ok(Measured { segments, writable_bytes })
    }

    /// All segments in the order in which the device sees them.
    pub(super) fn segments<H: Hal, T: Payload>(
        &self,
        memory: Option<&DmaMemory<H>>,
        payload: &T,
    ) -> impl Iterator<Item = Segment> {
        let readable = self
            .readable
            .iter()
            .filter_map(move |portion| resolve(memory, *portion, Direction::DeviceReadable));
        let writable = self
            .writable
            .iter()
            .filter_map(move |portion| resolve(memory, *portion, Direction::DeviceWritable));
        readable
            .chain(payload_segments(payload, Direction::DeviceReadable))
            .chain(payload_segments(payload, Direction::DeviceWritable))
            .chain(writable)
    }
}

fn resolve<H: Hal>(memory: Option<&DmaMemory<H>>, portion: Portion, direction: Direction) -> Option<Segment> {
    let len = usize::try_from(portion.len).ok().filter(|len| *len > 0)?;
    let memory = memory?;
    let address = memory.device_address(usize::try_from(portion.offset).ok()?, len).ok()?;
    Some(Segment { address, len: portion.len, direction, domain: memory.domain() })
}

fn payload_segments<T: Payload>(payload: &T, direction: Direction) -> impl Iterator<Item = Segment> {
    (0..payload.segment_count())
        .filter_map(|index| payload.segment(index))
        .filter(move |segment| segment.direction == direction)
}

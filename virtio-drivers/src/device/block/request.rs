//! Requests and what can become of them.
//!
//! Spec: §5.2.6 Device Operation.

use super::command::Command;
use crate::ring::{Broken, RefusedReason};
use crate::wire::block::request_status;

/// A position on the disk, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sector(pub u64);

/// Why a request did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The buffer is empty. The device was not asked.
    #[error("the buffer is empty")]
    Empty,
    /// The buffer is no multiple of 512 bytes. The device was not asked.
    #[error("{bytes} bytes are no whole number of 512-byte sectors")]
    NotWholeSectors {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The range reaches past the end of the disk. The device was not asked.
    #[error("{sectors} sectors from sector {sector} on reach past the disk's {capacity_sectors}")]
    OutOfRange {
        /// Its first sector.
        sector: u64,
        /// Its length in sectors.
        sectors: u64,
        /// The disk's.
        capacity_sectors: u64,
    },
    /// So many sectors are more than one request may be of: an append, or a range of a burst; or a range takes more requests than one call sends. The device was not asked.
    #[error("{sectors} sectors, and there may be {sectors_max} at most")]
    TooManySectors {
        /// How many there are.
        sectors: u64,
        /// Most that there may be.
        sectors_max: u64,
    },
    /// The buffer is too small for what is to be read. The device was not asked.
    #[error("{bytes} bytes are too few: at least {bytes_min} are needed")]
    TooSmall {
        /// Its length in bytes.
        bytes: usize,
        /// What is needed at least.
        bytes_min: usize,
    },
    /// So many ranges are more than one request may have. The device was not asked.
    #[error("{ranges} ranges, and a request may have {ranges_max} at most")]
    TooManyRanges {
        /// How many there are.
        ranges: usize,
        /// Most that there may be.
        ranges_max: usize,
    },
    /// What is written to this disk has to begin and end at multiples of so many bytes, and so does each request of it: [`Settings::request_bytes`](super::Settings::request_bytes) has to be such a
    /// multiple, too. The device was not asked, or only for the parts before.
    #[error("what is written has to begin and end at multiples of {granularity} bytes")]
    NotGranular {
        /// That many bytes.
        granularity: u32,
    },
    /// No zone starts there. The device was not asked.
    #[error("no zone starts at sector {sector}: zones have {zone_sectors} sectors")]
    NotAZone {
        /// Where.
        sector: u64,
        /// Sectors of a zone.
        zone_sectors: u32,
    },
    /// The disk is read-only. The device was not asked.
    #[error("the disk is read-only")]
    ReadOnly,
    /// The buffer does not fit into one request, and this request cannot be split, or its segments are so short that not one block fits. The device was not asked, or only for the parts before those segments.
    #[error(
        "the buffer does not fit into {segments_max} segments of {segment_bytes_max} bytes, nor does a part of it"
    )]
    TooLarge {
        /// Most bytes in a segment.
        segment_bytes_max: usize,
        /// Most segments of data.
        segments_max: u16,
    },
    /// The buffer is mapped for the other direction: a read needs one that the device may write, a write one that it may read. The device was not asked.
    #[error("the buffer is mapped for the other direction")]
    WrongDirection,
    /// The kernel could not map the buffer for the device: there was no room, or it is empty, or longer than a descriptor can say. The device was not asked.
    #[error("the buffer could not be mapped for the device")]
    NotMapped,
    /// As many requests are in flight as there can be, or as many calls wait for one of their places as the storage has room for. Nothing was sent.
    #[error("there is no place for one more request")]
    Full,
    /// The device did not finish in time. It may still do so: a write may yet happen, a read is thrown away.
    #[error("the device did not finish in time")]
    TimedOut,
    /// The device failed to do it (status IOERR).
    #[error("the device reports an input/output error")]
    Device,
    /// The device does not know this kind of request: it said so (status UNSUPP), or the feature that it needs was not agreed on, and the device was not asked.
    #[error("the device does not support the request")]
    Unsupported,
    /// Not for this zone, or not in the state that it is in.
    #[error("the request is not for this zone, or not for the state that it is in")]
    ZoneInvalidCommand,
    /// The write does not begin at its zone's write pointer.
    #[error("the write does not begin at its zone's write pointer")]
    ZoneUnalignedWritePointer,
    /// More zones would be open than can be.
    #[error("more zones would be open than can be")]
    ZoneOpenResource,
    /// More zones would be active than can be.
    #[error("more zones would be active than can be")]
    ZoneActiveResource,
    /// The device reports success, and answered with what makes no sense.
    #[error("the device's answer makes no sense")]
    BadAnswer,
    /// The device answered with a status that means nothing.
    #[error("the device answered with unknown status {status}")]
    UnknownStatus {
        /// The status byte.
        status: u8,
    },
    /// The device returned the request without having written its status.
    #[error("the device returned the request without a status")]
    NoStatus,
    /// The device reports success, but wrote fewer bytes than it was to read.
    #[error("the device wrote {written_bytes} of {expected_bytes} bytes")]
    Short {
        /// What it wrote, in bytes, status included.
        written_bytes: u32,
        /// What it should have written.
        expected_bytes: u32,
    },
    /// The queue did not take the request; it says why.
    #[error("the queue did not take the request: {0}")]
    Refused(RefusedReason),
    /// The device broke the protocol of its queue: close the driver, and start it again.
    #[error("the queue is broken: {0}")]
    Broken(#[from] Broken),
    /// The device asks to be reset: close the driver, and start it again.
    #[error("the device needs a reset")]
    NeedsReset,
    /// The device is gone.
    #[error("the device is gone")]
    Removed,
    /// The device was reset before it was done with the request, or the driver was taken down. Whether a write happened is not known.
    #[error("the device was reset before it was done with the request")]
    Reset,
}

/// What the driver knows of a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InFlight {
    /// Its slot.
    pub(super) slot: u16,
    /// What it asks for.
    pub(super) command: Command,
    /// Bytes that the device must have written for success, status included.
    pub(super) expected_bytes: u32,
    /// Whose it is.
    pub(super) owner: Owner,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A blocking call's.
    Call {
        /// Which one. A call that gave up leaves requests behind, which are not the next call's.
        serial: u64,
        /// Where its data belongs in the caller's buffer, and how much it is, in bytes.
        offset: usize,
        len: usize,
    },
    /// That of whoever has the ticket.
    Ticket {
        /// The ticket's number.
        serial: u32,
    },
}

/// What a status byte and a written length mean. Some only mean something where there are zones.
pub(super) fn outcome(
    status: u8,
    written_bytes: u32,
    expected_bytes: u32,
    is_zoned: bool,
) -> Result<(), RequestError> {
    match status {
        request_status::OK if written_bytes < expected_bytes => {
            Err(RequestError::Short { written_bytes, expected_bytes })
        }
        request_status::OK => Ok(()),
        request_status::IOERR => Err(RequestError::Device),
        request_status::UNSUPP => Err(RequestError::Unsupported),
        request_status::ZONE_INVALID_COMMAND if is_zoned => Err(RequestError::ZoneInvalidCommand),
        request_status::ZONE_UNALIGNED_WRITE_POINTER if is_zoned => {
            Err(RequestError::ZoneUnalignedWritePointer)
        }
        request_status::ZONE_OPEN_RESOURCE if is_zoned => Err(RequestError::ZoneOpenResource),
        request_status::ZONE_ACTIVE_RESOURCE if is_zoned => Err(RequestError::ZoneActiveResource),
        request_status::NOT_WRITTEN => Err(RequestError::NoStatus),
        status => Err(RequestError::UnknownStatus { status }),
    }
}

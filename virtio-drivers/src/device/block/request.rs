//! Requests and what can become of them.
//!
//! Spec: §5.2.6 Device Operation.

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
    /// The disk is read-only. The device was not asked.
    #[error("the disk is read-only")]
    ReadOnly,
    /// The buffer has more bytes than one request may carry: the device's limits allow so many segments of so many bytes. The device was not asked.
    #[error(
        "the buffer has segments of {bytes} bytes, and the device takes {segments_max} of {segment_bytes_max} bytes at most"
    )]
    TooLarge {
        /// The length of its longest segment, in bytes.
        bytes: u32,
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
    /// The device does not know this kind of request (status UNSUPP).
    #[error("the device does not support the request")]
    Unsupported,
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

/// What a status byte and a written length mean.
pub(super) fn outcome(status: u8, written_bytes: u32, expected_bytes: u32) -> Result<(), RequestError> {
    match status {
        request_status::OK if written_bytes < expected_bytes => {
            Err(RequestError::Short { written_bytes, expected_bytes })
        }
        request_status::OK => Ok(()),
        request_status::IOERR => Err(RequestError::Device),
        request_status::UNSUPP => Err(RequestError::Unsupported),
        request_status::NOT_WRITTEN => Err(RequestError::NoStatus),
        status => Err(RequestError::UnknownStatus { status }),
    }
}

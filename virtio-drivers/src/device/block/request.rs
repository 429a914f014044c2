//! Requests and what can become of them.
//!
//! Spec: §5.2.6 Device Operation.

use crate::ring::{Broken, RefusedReason};
use crate::wire::block::{SECTOR_BYTES, request_status};

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
}

/// What the driver knows of a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Its slot.
    pub(super) slot: u16,
    /// The call it belongs to. A call that gave up leaves requests behind, which are not the next call's.
    pub(super) call: u64,
    /// Where its data belongs in the caller's buffer, and how much it is, in bytes.
    pub(super) offset: usize,
    pub(super) len: usize,
    /// Bytes that the device must have written for success, status included.
    pub(super) expected_bytes: u32,
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

/// Checks a range against the disk before the device is asked.
pub(super) fn check_range(
    Sector(sector): Sector,
    bytes: usize,
    capacity_sectors: u64,
) -> Result<(), RequestError> {
    if bytes == 0 {
        return Err(RequestError::Empty);
    }
    if !bytes.is_multiple_of(SECTOR_BYTES) {
        return Err(RequestError::NotWholeSectors { bytes });
    }
    let sectors = (bytes / SECTOR_BYTES) as u64;
    match sector.checked_add(sectors) {
        Some(end) if end <= capacity_sectors => Ok(()),
        _ => Err(RequestError::OutOfRange { sector, sectors, capacity_sectors }),
    }
}

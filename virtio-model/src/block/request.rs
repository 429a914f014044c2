//! One block request: reading its header, and judging its form.
//!
//! Spec: §5.2.6 Device Operation. The framing is free, so only byte counts matter: 16 readable
//! bytes of header, data, and one writable byte of status at the very end.
//!
//! ```text
//!   readable   type le32, reserved le32, sector le64 | data of a write
//!   writable   data of a read                        | status u8
//! ```

use crate::chain::Chain;
use crate::memory::{AddressSpace, Fault};

/// The unit of capacity and of data, in bytes.
pub const SECTOR_BYTES: usize = 512;
/// The length of a device id, in bytes.
pub const ID_BYTES: usize = 20;

const HEADER_BYTES: usize = 16;

/// The request types that the model serves.
pub mod request_type {
    /// Read sectors.
    pub const IN: u32 = 0;
    /// Write sectors.
    pub const OUT: u32 = 1;
    /// Make earlier writes durable.
    pub const FLUSH: u32 = 4;
    /// Read the device id.
    pub const GET_ID: u32 = 8;
}

/// The status bytes that the model answers with.
pub mod status {
    /// Done.
    pub const OK: u8 = 0;
    /// Failed.
    pub const IOERR: u8 = 1;
    /// Not supported.
    pub const UNSUPP: u8 = 2;
}

/// A request as the device saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The queue it came through.
    pub queue: u16,
    /// The descriptor that names it.
    pub head: u16,
    /// The type in its header.
    pub request_type: u32,
    /// The sector in its header.
    pub sector: u64,
    /// The bytes between header and status.
    pub data_bytes: u64,
    /// The lengths of its device-readable segments.
    pub readable_lens: Vec<u32>,
    /// The lengths of its device-writable segments.
    pub writable_lens: Vec<u32>,
    /// Whether it came in an indirect table.
    pub indirect: bool,
    /// What is wrong with its form; an honest device fails it.
    pub complaint: Option<String>,
}

/// The limits that were agreed on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    pub(super) capacity_sectors: u64,
    pub(super) seg_max: Option<u32>,
    pub(super) size_max: Option<u32>,
}

impl Request {
    /// Reads the header of the request in `chain` and judges its form.
    pub(super) fn parse(
        memory: &AddressSpace,
        queue: u16,
        chain: &Chain,
        limits: Limits,
    ) -> Result<Self, Fault> {
        let readable = chain.read_all(memory)?;
        let mut header = [0; HEADER_BYTES];
        let header_len = readable.len().min(HEADER_BYTES);
        header[..header_len].copy_from_slice(&readable[..header_len]);
        let [type_bytes, reserved] =
            [0, 4].map(|at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
        let sector = (8..16).rev().fold(0, |sector, at| sector << 8 | u64::from(header[at]));
        let data_out = readable.len().saturating_sub(HEADER_BYTES) as u64;
        let data_in = chain.writable_bytes().saturating_sub(1);
        let mut request = Self {
            queue,
            head: chain.head,
            request_type: type_bytes,
            sector,
            data_bytes: data_out + data_in,
            readable_lens: chain.readable_lens(),
            writable_lens: chain.writable_lens(),
            indirect: chain.indirect,
            complaint: None,
        };
        request.complaint = if readable.len() < HEADER_BYTES {
            Some(format!("a header of {} bytes", readable.len()))
        } else if chain.writable_bytes() == 0 {
            Some("no byte for the status".into())
        } else if reserved != 0 {
            Some(format!("reserved header field is {reserved:#x}"))
        } else {
            request.judge_data(data_out, data_in, limits)
        };
        Ok(request)
    }

    /// What is wrong with the data part, if anything.
    fn judge_data(&self, data_out: u64, data_in: u64, limits: Limits) -> Option<String> {
        let kind = self.request_type;
        let (unused, data) = match kind {
            request_type::OUT => (data_in, data_out),
            request_type::FLUSH if self.sector != 0 => {
                return Some(format!("a flush of sector {}", self.sector));
            }
            request_type::FLUSH => (data_out + data_in, 0),
            request_type::GET_ID if data_in != ID_BYTES as u64 => {
                return Some(format!("{data_in} bytes for the device id"));
            }
            request_type::IN | request_type::GET_ID => (data_out, data_in),
            _ => return Some(format!("request type {kind}")),
        };
        if unused != 0 {
            return Some(format!("{unused} bytes of data that request type {kind} does not have"));
        }
        if !matches!(kind, request_type::IN | request_type::OUT) {
            return None;
        }
        if data == 0 || !data.is_multiple_of(SECTOR_BYTES as u64) {
            return Some(format!("{data} bytes of data are no whole number of sectors"));
        }
        let sectors = data / SECTOR_BYTES as u64;
        let end = self.sector.checked_add(sectors);
        if end.is_none_or(|end| end > limits.capacity_sectors) {
            return Some(format!("{sectors} sectors at {} are beyond the end", self.sector));
        }
        self.judge_segments(limits)
    }

    /// What is wrong with the number and the sizes of the data segments, if anything.
    fn judge_segments(&self, limits: Limits) -> Option<String> {
        let segments = self.data_segments();
        let count = segments.len();
        if limits.seg_max.is_some_and(|most| count > most as usize) {
            return Some(format!("{count} data segments, more than seg_max"));
        }
        let longest = segments.into_iter().max().unwrap_or(0);
        if limits.size_max.is_some_and(|most| longest > u64::from(most)) {
            return Some(format!("a data segment of {longest} bytes, more than size_max"));
        }
        None
    }

    /// The lengths of the segments, or parts of segments, that hold data.
    pub fn data_segments(&self) -> Vec<u64> {
        let mut lens = Vec::new();
        let mut header_left = HEADER_BYTES as u64;
        for len in self.readable_lens.iter().copied().map(u64::from) {
            let header_part = header_left.min(len);
            header_left -= header_part;
            lens.push(len - header_part);
        }
        lens.extend(self.writable_lens.iter().copied().map(u64::from));
        if let Some(last) = lens.last_mut().filter(|_| !self.writable_lens.is_empty()) {
            *last = last.saturating_sub(1);
        }
        lens.retain(|len| *len != 0);
        lens
    }
}

//! One block request: reading its header, and what it is about.
//!
//! Spec: §5.2.6 Device Operation. The framing is free, so only byte counts matter: 16 readable
//! bytes of header, data, and one writable byte of status at the very end.
//!
//! ```text
//!   readable   type le32, reserved le32, sector le64 | data of a write, ranges
//!   writable   data of a read | status u8                append: its sector le64 | status u8
//! ```

use super::judge::{Complaint, Rules, judge};
use super::numbers::request_type;
use super::ranges::{self, SectorRange};
use super::zones::APPENDED_BYTES;
use crate::chain::Chain;
use crate::memory::{AddressSpace, Fault};
use std::ops::Range;

/// The unit of capacity and of data, in bytes.
pub const SECTOR_BYTES: usize = 512;
/// The length of a device id, in bytes.
pub const ID_BYTES: usize = 20;
/// The length of what is said of the lifetime, in bytes.
pub const LIFETIME_BYTES: usize = 6;

const HEADER_BYTES: usize = 16;

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
    /// The bytes of its data: those between header and status, without the sector of an append.
    pub data_bytes: u64,
    /// The ranges of sectors in its data, if it is of a type that has some.
    pub ranges: Vec<SectorRange>,
    /// The lengths of its device-readable segments.
    pub readable_lens: Vec<u32>,
    /// The lengths of its device-writable segments.
    pub writable_lens: Vec<u32>,
    /// Whether it came in an indirect table.
    pub indirect: bool,
    /// What is wrong with its form; an honest device fails it.
    pub complaint: Option<String>,
}

impl Request {
    /// Reads the header of the request in `chain` and judges its form; tells the status that it gets if it is not in order.
    pub(super) fn parse(
        memory: &AddressSpace,
        queue: u16,
        chain: &Chain,
        rules: &Rules<'_>,
    ) -> Result<(Self, Option<u8>), Fault> {
        let readable = chain.read_all(memory)?;
        let mut header = [0; HEADER_BYTES];
        let header_len = readable.len().min(HEADER_BYTES);
        header[..header_len].copy_from_slice(&readable[..header_len]);
        let [kind, reserved] =
            [0, 4].map(|at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
        let sector = (8..16).rev().fold(0, |sector, at| sector << 8 | u64::from(header[at]));
        let data = &readable[header_len..];
        let out = data.len() as u64;
        let inward = chain.writable_bytes().saturating_sub(1);
        let is_append = kind == request_type::ZONE_APPEND;
        let mut request = Self {
            queue,
            head: chain.head,
            request_type: kind,
            sector,
            data_bytes: if is_append { out } else { out + inward },
            ranges: ranges::parse(kind, data),
            readable_lens: chain.readable_lens(),
            writable_lens: chain.writable_lens(),
            indirect: chain.indirect,
            complaint: None,
        };
        let judgement = if readable.len() < HEADER_BYTES {
            Err(Complaint::io(format!("a header of {} bytes", readable.len())))
        } else if chain.writable_bytes() == 0 {
            Err(Complaint::io("no byte for the status"))
        } else if reserved != 0 {
            Err(Complaint::io(format!("reserved header field is {reserved:#x}")))
        } else {
            judge(&request, out, inward, rules)
        };
        let refusal = judgement.err().map(|complaint| {
            request.complaint = Some(complaint.text);
            complaint.status
        });
        Ok((request, refusal))
    }

    /// The sectors that it is about, as far as it says so itself.
    pub fn spans(&self) -> Vec<Range<u64>> {
        let sectors = match self.request_type {
            request_type::IN | request_type::OUT => self.data_bytes.div_ceil(SECTOR_BYTES as u64),
            request_type::ZONE_OPEN
            | request_type::ZONE_CLOSE
            | request_type::ZONE_FINISH
            | request_type::ZONE_RESET
            | request_type::ZONE_APPEND
            | request_type::ZONE_REPORT => 1,
            _ => return self.ranges.iter().map(|range| range.span()).collect(),
        };
        let end = self.sector.saturating_add(sectors);
        std::iter::once(self.sector..end).collect()
    }

    /// The lengths of the segments, or parts of segments, that hold data.
    pub fn data_segments(&self) -> Vec<u64> {
        let is_append = self.request_type == request_type::ZONE_APPEND;
        let mut lens = without(HEADER_BYTES as u64, self.readable_lens.iter());
        let mut written =
            without(if is_append { APPENDED_BYTES as u64 + 1 } else { 1 }, self.writable_lens.iter().rev());
        written.reverse();
        lens.append(&mut written);
        lens
    }
}

/// The lengths of segments without the first so many bytes.
fn without<'l>(bytes: u64, lens: impl Iterator<Item = &'l u32>) -> Vec<u64> {
    let mut left = bytes;
    let lens = lens.map(|len| {
        let taken = left.min(u64::from(*len));
        left -= taken;
        u64::from(*len) - taken
    });
    lens.filter(|len| *len != 0).collect()
}

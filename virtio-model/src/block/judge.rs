//! Judging the form of requests, as a device that checks its driver.
//!
//! Spec: §5.2.6.2 Driver Requirements: Device Operation. What only the state of a zone forbids is no complaint: the status says it.

use super::config::DiskConfig;
use super::numbers::{request_type, status};
use super::request::{ID_BYTES, LIFETIME_BYTES, Request, SECTOR_BYTES};
use super::state::feature;
use super::zones::{self, Zones};
use super::{ranges, zones::APPENDED_BYTES};

/// What holds for requests at the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'d> {
    /// The features that were agreed on.
    pub(super) features: u128,
    /// How many sectors there really are.
    pub(super) capacity_sectors: u64,
    pub(super) config: &'d DiskConfig,
    pub(super) zones: Option<&'d Zones>,
}

/// What is wrong with a request, and the status that it gets for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) text: String,
    pub(super) status: u8,
}

impl Complaint {
    pub(super) fn io(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: status::IOERR }
    }

    pub(super) fn unsupported(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: status::UNSUPP }
    }

    pub(super) fn zone(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: status::ZONE_INVALID_CMD }
    }
}

/// Says what is wrong with a request, if anything; it has so many readable bytes after its header, and so many
/// writable ones before its status.
pub(super) fn judge(request: &Request, out: u64, inward: u64, rules: &Rules<'_>) -> Result<(), Complaint> {
    let kind = request.request_type;
    let unused = match kind {
        request_type::OUT
        | request_type::DISCARD
        | request_type::WRITE_ZEROES
        | request_type::SECURE_ERASE => inward,
        request_type::ZONE_APPEND => inward.saturating_sub(APPENDED_BYTES as u64),
        request_type::IN | request_type::GET_ID | request_type::GET_LIFETIME | request_type::ZONE_REPORT => {
            out
        }
        request_type::FLUSH
        | request_type::ZONE_OPEN
        | request_type::ZONE_CLOSE
        | request_type::ZONE_FINISH
        | request_type::ZONE_RESET
        | request_type::ZONE_RESET_ALL => out + inward,
        _ => return Err(Complaint::unsupported(format!("request type {kind}"))),
    };
    if unused != 0 {
        return Err(Complaint::io(format!("{unused} bytes of data that request type {kind} does not have")));
    }
    match kind {
        request_type::IN | request_type::OUT => {
            let sectors = expect_whole_sectors(request.data_bytes)?;
            rules.expect_in_reach(request.sector, sectors)?;
            rules.expect_few_segments(request)?;
            if kind == request_type::OUT { zones::judge_write(request, rules) } else { Ok(()) }
        }
        request_type::FLUSH if request.sector != 0 => {
            Err(Complaint::io(format!("a flush of sector {}", request.sector)))
        }
        request_type::FLUSH => rules.expect_feature(request, feature::FLUSH),
        request_type::GET_ID if inward != ID_BYTES as u64 => {
            Err(Complaint::io(format!("{inward} bytes for the device id")))
        }
        request_type::GET_ID => expect_no_sector(request),
        request_type::GET_LIFETIME => {
            rules.expect_feature(request, feature::LIFETIME)?;
            if inward != LIFETIME_BYTES as u64 {
                return Err(Complaint::io(format!("{inward} bytes for the lifetime")));
            }
            expect_no_sector(request)
        }
        request_type::DISCARD | request_type::WRITE_ZEROES | request_type::SECURE_ERASE => {
            ranges::judge(request, rules)
        }
        _ => zones::judge(request, inward, rules),
    }
}

impl Rules<'_> {
    pub(super) fn is_agreed(&self, feature: u32) -> bool {
        self.features & 1 << feature != 0
    }

    pub(super) fn expect_feature(&self, request: &Request, feature: u32) -> Result<(), Complaint> {
        if self.is_agreed(feature) {
            return Ok(());
        }
        let kind = request.request_type;
        Err(Complaint::unsupported(format!("request type {kind} without feature {feature}")))
    }

    pub(super) fn expect_in_reach(&self, sector: u64, sectors: u64) -> Result<(), Complaint> {
        match sector.checked_add(sectors) {
            Some(end) if end <= self.capacity_sectors => Ok(()),
            _ => Err(Complaint::io(format!("{sectors} sectors at {sector} are beyond the end"))),
        }
    }

    /// What is wrong with the number and the sizes of the data segments, if anything.
    pub(super) fn expect_few_segments(&self, request: &Request) -> Result<(), Complaint> {
        let segments = request.data_segments();
        let count = segments.len();
        // A disk that allows no data segment at all would be no disk: 0 is meant as 1.
        let most = usize::try_from(self.config.seg_max.max(1)).unwrap_or(usize::MAX);
        if self.is_agreed(feature::SEG_MAX) && count > most {
            return Err(Complaint::io(format!("{count} data segments, more than seg_max")));
        }
        let longest = segments.into_iter().max().unwrap_or(0);
        let is_limited = self.is_agreed(feature::SIZE_MAX) && self.config.size_max > 0;
        if is_limited && longest > u64::from(self.config.size_max) {
            return Err(Complaint::io(format!("a data segment of {longest} bytes, more than size_max")));
        }
        Ok(())
    }
}

pub(super) fn expect_no_sector(request: &Request) -> Result<(), Complaint> {
    let Request { request_type, sector, .. } = request;
    if *sector == 0 {
        return Ok(());
    }
    Err(Complaint::io(format!("sector {sector}, which request type {request_type} does not have")))
}

pub(super) fn expect_whole_sectors(bytes: u64) -> Result<u64, Complaint> {
    if bytes == 0 || !bytes.is_multiple_of(SECTOR_BYTES as u64) {
        return Err(Complaint::io(format!("{bytes} bytes of data are no whole number of sectors")));
    }
    Ok(bytes / SECTOR_BYTES as u64)
}

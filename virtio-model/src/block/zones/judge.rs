//! Judging the form of requests about zones.
//!
//! Spec: §5.2.6.2 Driver Requirements: Device Operation.

use super::{APPENDED_BYTES, REPORT_HEADER_BYTES};
use crate::block::judge::{Complaint, Rules, expect_no_sector, expect_whole_sectors};
use crate::block::numbers::request_type;
use crate::block::request::Request;
use crate::block::state::feature;

/// Says what is wrong with a request about zones, if anything; it has so many writable bytes before its status.
pub(in crate::block) fn judge(request: &Request, inward: u64, rules: &Rules<'_>) -> Result<(), Complaint> {
    rules.expect_feature(request, feature::ZONED)?;
    match request.request_type {
        request_type::ZONE_RESET_ALL => expect_no_sector(request),
        request_type::ZONE_REPORT => {
            if inward < REPORT_HEADER_BYTES as u64 {
                return Err(Complaint::zone(format!("{inward} bytes for a zone report")));
            }
            if request.sector >= rules.capacity_sectors {
                return Err(Complaint::zone(format!(
                    "a report from sector {}, beyond the end",
                    request.sector
                )));
            }
            rules.expect_few_segments(request)
        }
        request_type::ZONE_APPEND => {
            judge_append(request, inward, rules)?;
            rules.expect_few_segments(request)
        }
        _ => expect_start(request, rules),
    }
}

fn expect_start(request: &Request, rules: &Rules<'_>) -> Result<(), Complaint> {
    let Request { request_type, sector, .. } = request;
    if rules.zones.is_some_and(|zones| zones.starting_at(*sector).is_some()) {
        return Ok(());
    }
    Err(Complaint::zone(format!("request type {request_type} for sector {sector}, where no zone starts")))
}

fn judge_append(request: &Request, inward: u64, rules: &Rules<'_>) -> Result<(), Complaint> {
    if inward != APPENDED_BYTES as u64 {
        return Err(Complaint::io(format!("{inward} bytes for the sector of an append")));
    }
    let sectors = expect_whole_sectors(request.data_bytes)?;
    let zoned = &rules.config.zoned;
    match zoned.max_append_sectors {
        0 => return Err(Complaint::unsupported("an append to a disk without appends")),
        most if sectors > u64::from(most) => {
            return Err(Complaint::zone(format!("an append of {sectors} sectors, more than {most}")));
        }
        _ => {}
    }
    expect_start(request, rules)?;
    let granularity = u64::from(zoned.write_granularity);
    if granularity != 0 && !request.data_bytes.is_multiple_of(granularity) {
        let bytes = request.data_bytes;
        return Err(Complaint::zone(format!("an append of {bytes} bytes, no multiple of {granularity}")));
    }
    Ok(())
}

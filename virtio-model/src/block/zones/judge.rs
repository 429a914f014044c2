//! Judging the form of requests about zones.
//!
//! Spec: §5.2.6.2 Driver Requirements: Device Operation.

use super::{APPENDED_BYTES, REPORT_HEADER_BYTES};
use crate::block::judge::{Complaint, Rules, expect_no_sector, expect_whole_sectors};
use crate::block::numbers::{request_type, status};
use crate::block::request::{Request, SECTOR_BYTES};
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

/// Says what is wrong with a write, if it is one to sequential zones: that it is no multiple of the granularity.
pub(in crate::block) fn judge_write(request: &Request, rules: &Rules<'_>) -> Result<(), Complaint> {
    let Some(zones) = rules.zones.filter(|_| rules.is_agreed(feature::ZONED)) else {
        return Ok(());
    };
    let granularity = u64::from(rules.config.zoned.write_granularity);
    let start = request.sector.saturating_mul(SECTOR_BYTES as u64);
    let is_whole = |bytes: u64| granularity == 0 || bytes.is_multiple_of(granularity);
    if is_whole(start) && is_whole(request.data_bytes)
        || !request.spans().iter().any(|span| zones.has_sequential(span))
    {
        return Ok(());
    }
    let Request { sector, data_bytes, .. } = request;
    Err(Complaint {
        text: format!("a write of {data_bytes} bytes at {sector} is no multiple of {granularity}"),
        status: status::ZONE_UNALIGNED_WP,
    })
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

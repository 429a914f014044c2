//! The zone report.
//!
//! Spec: §5.2.6 Device Operation. A header of 64 bytes, then 64 bytes for each zone:
//!
//! ```text
//!   number of zones le64 | 56 reserved
//!   capacity le64 | start le64 | write pointer le64 | type u8 | state u8 | 38 reserved
//! ```

use super::{Zone, Zones};
use crate::block::numbers::zone_state as state;

/// The length of a report's header, in bytes.
pub const REPORT_HEADER_BYTES: usize = 64;
/// The length of what a report says of one zone, in bytes.
pub const DESCRIPTOR_BYTES: usize = 64;

impl Zones {
    /// The report that fits into so many bytes, from the zone around `sector` on.
    pub(in crate::block) fn report(&self, sector: u64, bytes: usize) -> Vec<u8> {
        let first = self.around(sector).unwrap_or(self.list.len());
        let room = bytes.saturating_sub(REPORT_HEADER_BYTES) / DESCRIPTOR_BYTES;
        let zones: Vec<_> = self.list[first..].iter().take(room).collect();
        let mut report = vec![0; REPORT_HEADER_BYTES];
        report[..8].copy_from_slice(&(zones.len() as u64).to_le_bytes());
        report.extend(zones.into_iter().flat_map(Zone::descriptor));
        report
    }
}

impl Zone {
    /// What a report says of it. A write pointer that has no meaning is one that nobody can take for a sector.
    fn descriptor(&self) -> [u8; DESCRIPTOR_BYTES] {
        let is_meant = matches!(
            self.state,
            state::EMPTY | state::IMPLICITLY_OPEN | state::EXPLICITLY_OPEN | state::CLOSED
        );
        let write_pointer = if is_meant { self.write_pointer } else { u64::MAX };
        let mut bytes = [0; DESCRIPTOR_BYTES];
        bytes[0..8].copy_from_slice(&self.capacity_sectors.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.start.to_le_bytes());
        bytes[16..24].copy_from_slice(&write_pointer.to_le_bytes());
        bytes[24..26].copy_from_slice(&[self.zone_type, self.state]);
        bytes
    }
}

//! What writes and appends do to zones.
//!
//! Spec: §5.2.6.3 Device Requirements: Device Operation.

use super::{Zone, ZoneLimits, Zones};
use crate::block::numbers::{status, zone_state as state, zone_type};
use crate::block::request::SECTOR_BYTES;
use std::ops::Range;

impl Zones {
    /// Prepares a write of these sectors, and moves write pointers past it; or tells the status, and has changed nothing.
    pub(in crate::block) fn write(&mut self, span: &Range<u64>, limits: ZoneLimits) -> Result<(), u8> {
        let touched = self.touched(span);
        let zones = &self.list[touched.clone()];
        if zones.iter().any(Zone::is_beyond_repair) {
            return Err(status::ZONE_INVALID_CMD);
        }
        if let Some(zone) = zones.iter().find(|zone| zone.must_be_written_in_sequence()) {
            if zones.len() > 1 || zone.state == state::FULL {
                return Err(status::ZONE_INVALID_CMD);
            }
            if span.start != zone.write_pointer || !ends_well(span.end, limits) {
                return Err(status::ZONE_UNALIGNED_WP);
            }
            if span.end > zone.writable_end() {
                return Err(status::ZONE_INVALID_CMD);
            }
        }
        let before = self.list.clone();
        for index in touched {
            if let Err(status) = self.advance(index, span.end, limits) {
                self.list = before;
                return Err(status);
            }
        }
        Ok(())
    }

    /// Prepares an append of so many sectors to the zone that starts at `start`; tells where it goes.
    pub(in crate::block) fn append(
        &mut self,
        start: u64,
        sectors: u64,
        limits: ZoneLimits,
    ) -> Result<u64, u8> {
        let zone = self.starting_at(start).map(|index| self.list[index]);
        let zone = zone.filter(|zone| zone.must_be_written_in_sequence() && zone.state != state::FULL);
        let at = zone.ok_or(status::ZONE_INVALID_CMD)?.write_pointer;
        self.write(&(at..at.saturating_add(sectors)), limits)?;
        Ok(at)
    }

    /// Whether these sectors may be written at any time: no zone of them has to be written in sequence.
    pub(in crate::block) fn overwrite(&self, span: &Range<u64>) -> Result<(), u8> {
        let zones = &self.list[self.touched(span)];
        let is_refused = |zone: &Zone| zone.must_be_written_in_sequence() || zone.is_beyond_repair();
        if zones.iter().any(is_refused) { Err(status::ZONE_INVALID_CMD) } else { Ok(()) }
    }

    /// Opens a zone for a write, if need be, and moves its write pointer up to the end of the write.
    fn advance(&mut self, index: usize, end: u64, limits: ZoneLimits) -> Result<(), u8> {
        let zone = self.list[index];
        if zone.zone_type == zone_type::CONVENTIONAL || zone.state == state::FULL {
            return Ok(());
        }
        if !zone.is_open() {
            self.open(index, state::IMPLICITLY_OPEN, limits)?;
        }
        let zone = &mut self.list[index];
        zone.write_pointer = end.min(zone.writable_end()).max(zone.write_pointer);
        if zone.write_pointer == zone.writable_end() {
            zone.state = state::FULL;
        }
        Ok(())
    }
}

/// Whether a write may end before this sector.
fn ends_well(end: u64, limits: ZoneLimits) -> bool {
    let granularity = u64::from(limits.write_granularity);
    granularity == 0 || end.saturating_mul(SECTOR_BYTES as u64).is_multiple_of(granularity)
}

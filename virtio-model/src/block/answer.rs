//! Doing what requests ask for.
//!
//! Spec: §5.2.6 Device Operation. A request that was judged to be in order gets its data or its status here; `service` brings both to the driver.

use super::numbers::{request_type, status};
use super::ranges::{DISCARDED, ERASED, SectorRange};
use super::request::{ID_BYTES, SECTOR_BYTES};
use super::service::Waiting;
use super::state::{State, feature};
use super::zones::UNWRITTEN;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use std::ops::Range;

/// The data for the driver, or the status that says why there is none.
pub(super) type Answer = Result<Vec<u8>, u8>;

impl State {
    /// Does what a request asks for. What it writes is stable once it is complete, or waits for a flush.
    pub(super) fn answer(
        &mut self,
        memory: &AddressSpace,
        features: u128,
        waiting: &Waiting,
        is_stable: bool,
    ) -> Result<Answer, ModelError> {
        if let Some(status) = waiting.refusal {
            return Ok(Err(status));
        }
        let request = &waiting.request;
        if let Some(status) = self.failures.of(waiting.number, request).filter(|status| *status != status::OK)
        {
            return Ok(Err(status));
        }
        let knows_zones = features & 1 << feature::ZONED != 0;
        let sectors = request.data_bytes / SECTOR_BYTES as u64;
        let span = request.sector..request.sector.saturating_add(sectors);
        Ok(match request.request_type {
            request_type::IN => self.read(&span, knows_zones),
            request_type::FLUSH => {
                self.flushes += 1;
                self.cache.flush(&self.contents, waiting.completed_before);
                Ok(Vec::new())
            }
            request_type::GET_ID => {
                let mut id = self.id.clone();
                id.resize(ID_BYTES, 0);
                Ok(id)
            }
            request_type::GET_LIFETIME => {
                Ok(self.lifetime.iter().flat_map(|field| field.to_le_bytes()).collect())
            }
            request_type::ZONE_REPORT => {
                let room = waiting.chain.writable_bytes().saturating_sub(1);
                let room = usize::try_from(room).unwrap_or(usize::MAX);
                Ok(self.zones.as_ref().map_or_else(Vec::new, |zones| zones.report(request.sector, room)))
            }
            _ if self.read_only => Err(status::IOERR),
            request_type::OUT | request_type::ZONE_APPEND => {
                let readable = waiting.chain.read_all(memory)?;
                let len = usize::try_from(request.data_bytes).unwrap_or(usize::MAX);
                let data = readable.len().checked_sub(len).map_or(&[][..], |start| &readable[start..]);
                self.write(waiting, &span, data, knows_zones, is_stable)
            }
            request_type::DISCARD | request_type::WRITE_ZEROES | request_type::SECURE_ERASE => {
                self.change_ranges(waiting, knows_zones, is_stable)
            }
            _ => self.manage_zones(waiting, is_stable),
        })
    }

    fn read(&self, span: &Range<u64>, knows_zones: bool) -> Answer {
        if let Some(zones) = self.zones.as_ref().filter(|_| knows_zones) {
            zones.read(span)?;
        }
        self.contents.get(bytes_of(span)).map(<[u8]>::to_vec).ok_or(status::IOERR)
    }

    /// Writes; an append tells where it did.
    fn write(
        &mut self,
        waiting: &Waiting,
        span: &Range<u64>,
        data: &[u8],
        knows_zones: bool,
        is_stable: bool,
    ) -> Answer {
        let is_append = waiting.request.request_type == request_type::ZONE_APPEND;
        let limits = self.zone_limits();
        let mut span = span.clone();
        match self.zones.as_mut().filter(|_| knows_zones) {
            Some(zones) if is_append => {
                let sectors = span.end - span.start;
                let at = zones.append(span.start, sectors, limits)?;
                span = at..at.saturating_add(sectors);
            }
            Some(zones) => zones.write(&span, limits)?,
            None => {}
        }
        let target = self.contents.get_mut(bytes_of(&span)).filter(|target| target.len() == data.len());
        target.ok_or(status::IOERR)?.copy_from_slice(data);
        let told = if is_append { span.start.to_le_bytes().to_vec() } else { Vec::new() };
        self.cache.write(&self.contents, span, is_stable);
        Ok(told)
    }

    fn change_ranges(&mut self, waiting: &Waiting, knows_zones: bool, is_stable: bool) -> Answer {
        let kind = waiting.request.request_type;
        let limits = self.zone_limits();
        for span in waiting.request.ranges.iter().copied().map(SectorRange::span) {
            let fill = match (self.zones.as_mut().filter(|_| knows_zones), kind) {
                (Some(zones), request_type::SECURE_ERASE) => {
                    for start in zones.starts_in(&span) {
                        zones.manage(request_type::ZONE_RESET, start, limits)?;
                    }
                    UNWRITTEN
                }
                (zones, _) => {
                    zones.map_or(Ok(()), |zones| zones.overwrite(&span))?;
                    match kind {
                        request_type::DISCARD => DISCARDED,
                        request_type::WRITE_ZEROES => 0,
                        _ => ERASED,
                    }
                }
            };
            self.fill(span, fill, is_stable)?;
        }
        Ok(Vec::new())
    }

    fn manage_zones(&mut self, waiting: &Waiting, is_stable: bool) -> Answer {
        let limits = self.zone_limits();
        let zones = self.zones.as_mut().ok_or(status::UNSUPP)?;
        for span in zones.manage(waiting.request.request_type, waiting.request.sector, limits)? {
            self.fill(span, UNWRITTEN, is_stable)?;
        }
        Ok(Vec::new())
    }

    /// Fills sectors, as a write does.
    pub(super) fn fill(&mut self, span: Range<u64>, byte: u8, is_stable: bool) -> Result<(), u8> {
        self.contents.get_mut(bytes_of(&span)).ok_or(status::IOERR)?.fill(byte);
        self.cache.write(&self.contents, span, is_stable);
        Ok(())
    }
}

/// Where sectors are in the contents.
fn bytes_of(span: &Range<u64>) -> Range<usize> {
    let byte = |sector: u64| usize::try_from(sector).unwrap_or(usize::MAX).saturating_mul(SECTOR_BYTES);
    byte(span.start)..byte(span.end)
}

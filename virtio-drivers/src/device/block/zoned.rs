//! Requests of disks with zones: report, open, close, finish, reset, append. Blocking, and in bursts.
//!
//! Spec: §5.2.6 Device Operation, as far as `VIRTIO_BLK_F_ZONED` is negotiated. A zone is named by its first sector. Reads and writes are the usual ones; they are split where zones end, and what is
//! written goes out one request after the other, for a sequential zone takes nothing out of order.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use virtio_guest::device::block::{Block, RequestError, Sector, Zone, ZoneState};
//!
//! /// Appends a record to the first zone that has room; says where it is.
//! fn append(disk: &mut Block<'_, impl Transport, impl Hal>, record: &[u8]) -> Result<Option<Sector>, RequestError> {
//!     let mut zones = [Zone::NONE; 16];
//!     let count = disk.report_zones_blocking(Sector(0), &mut zones, Attempts(1_000_000))?;
//!     let mut zones = zones.iter().take(count);
//!     let Some(zone) = zones.find(|zone| zone.state == ZoneState::Empty) else { return Ok(None) };
//!     disk.append_blocking(zone.start, record, Attempts(1_000_000)).map(Some)
//! }
//! ```

use super::command::{Command, ZoneAction};
use super::completion::{Failed, Ticket};
use super::queue::RequestQueue;
use super::request::{RequestError, Sector};
use super::transfer::{Call, Data};
use super::zones::Zone;
use crate::hal::{Hal, Patience};
use crate::raw::Payload;
use crate::wire::block::SECTOR_BYTES;

impl<H: Hal, P: Payload> RequestQueue<'_, H, P> {
    /// Reads what zones there are, from the one that `from` is in; says how many were read: fewer than there is room for if the disk ends.
    ///
    /// Work: waits within `patience`; a request for seven zones at least.
    ///
    /// # Errors
    /// See [`RequestError`]: [`Unsupported`](RequestError::Unsupported) if the disk has no zones, [`BadAnswer`](RequestError::BadAnswer) if it reports what makes no sense.
    pub fn report_zones_blocking(
        &mut self,
        from: Sector,
        into: &mut [Zone],
        mut patience: impl Patience,
    ) -> Result<usize, RequestError> {
        let mut report = [0; SECTOR_BYTES];
        self.shape.check(Command::ReportZones(from), SECTOR_BYTES as u64)?;
        let zone_sectors = self.shape.zoned.map_or(1, |zoned| zoned.zone_sectors.into());
        let (mut at, mut count) = (from, 0);
        while at.0 < self.shape.capacity_sectors && count < into.len() {
            let data = Data::FromDevice(&mut [&mut report]);
            let answered = self.run(Call { command: Command::ReportZones(at), data }, &mut patience)?;
            let zones = self.shape.zones_in(report.get(..answered.bytes).unwrap_or_default());
            let before = count;
            for (place, zone) in into.iter_mut().skip(count).zip(zones) {
                *place = zone?;
                // Zones come one after the other, or reports would not end.
                let first = at.0.checked_div(zone_sectors).and_then(|zone| zone.checked_mul(zone_sectors));
                if Some(place.start.0) != first {
                    return Err(RequestError::BadAnswer);
                }
                at = Sector(place.start.0.saturating_add(zone_sectors));
                count += 1;
            }
            if count == before {
                return Err(RequestError::BadAnswer);
            }
        }
        Ok(count)
    }

    /// Does something with a whole zone.
    ///
    /// Work: waits within `patience`.
    ///
    /// # Errors
    /// See [`RequestError`]: the disk's state, or that of the zone, may not allow it.
    pub fn zone_blocking(
        &mut self,
        action: ZoneAction,
        zone: Sector,
        mut patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.run_without_data(Command::Zone(action, zone), &mut patience)
    }

    /// Resets all zones that are open, closed or full. What they held is lost.
    ///
    /// Work: waits within `patience`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn reset_all_zones_blocking(&mut self, mut patience: impl Patience) -> Result<(), RequestError> {
        self.run_without_data(Command::ResetAllZones, &mut patience)
    }

    /// Writes at a zone's write pointer, wherever that is; says where that was. All in one request: as much as fits into [`Settings::request_bytes`](super::Settings::request_bytes).
    ///
    /// Work: waits within `patience`; copies each byte once.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn append_blocking(
        &mut self,
        zone: Sector,
        from: &[u8],
        mut patience: impl Patience,
    ) -> Result<Sector, RequestError> {
        let command = Command::Append(zone);
        self.shape.check(command, from.len() as u64)?;
        if from.len() > self.limits.request_bytes {
            let [sectors, sectors_max] =
                [from.len(), self.limits.request_bytes].map(|bytes| (bytes / SECTOR_BYTES) as u64);
            return Err(RequestError::TooManySectors { sectors, sectors_max });
        }
        let answered = self.run(Call { command, data: Data::ToDevice(&[from]) }, &mut patience)?;
        self.shape.check_appended(zone, Sector(answered.appended))
    }

    /// Hands in a request to do something with a whole zone.
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_zone(&mut self, action: ZoneAction, zone: Sector) -> Result<Ticket, RequestError> {
        Ok(self.submit(Command::Zone(action, zone), &[], None)?)
    }

    /// Hands in a request to reset all zones.
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_reset_all_zones(&mut self) -> Result<Ticket, RequestError> {
        Ok(self.submit(Command::ResetAllZones, &[], None)?)
    }

    /// Hands in an append of all of `from` to a zone; the completion has as its [`Answer`](super::Answer) where it was written. It is not split.
    ///
    /// Ownership and work: as for [`submit_read`](RequestQueue::submit_read).
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_append(&mut self, zone: Sector, from: P) -> Result<Ticket, Failed<P>> {
        self.submit(Command::Append(zone), &[], Some(from))
    }

    /// Hands in a request for a report of zones, from the one that `from` is in. `into` takes a header of 64 bytes and as many for each zone; the completion has as its
    /// [`Answer`](super::Answer) how many bytes were written, and [`Shape::zones_in`](super::Shape::zones_in) reads them. It is not split.
    ///
    /// Ownership and work: as for [`submit_read`](RequestQueue::submit_read).
    ///
    /// # Errors
    /// See [`RequestError`]: [`TooSmall`](RequestError::TooSmall) if not one zone fits. The device was not asked.
    pub fn submit_report_zones(&mut self, from: Sector, into: P) -> Result<Ticket, Failed<P>> {
        self.submit(Command::ReportZones(from), &[], Some(into))
    }

    fn run_without_data(
        &mut self,
        command: Command,
        patience: &mut dyn Patience,
    ) -> Result<(), RequestError> {
        self.shape.check(command, 0)?;
        self.run(Call { command, data: Data::None }, patience).map(|_| ())
    }
}

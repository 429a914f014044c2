//! Requests with ranges: discard, write zeroes, secure erase. Blocking, and in bursts.
//!
//! Spec: §5.2.6 Device Operation (`struct virtio_blk_discard_write_zeroes`). What a discarded range reads as means nothing; written zeros read as zeros, whatever becomes of the storage behind them.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use virtio_guest::device::block::{Block, RequestError, Sector, SectorRange, Unmap};
//!
//! fn clear(disk: &mut Block<'_, impl Transport, impl Hal>, file: SectorRange) -> Result<(), RequestError> {
//!     disk.write_zeroes_blocking(file, Unmap::Allowed, Attempts(1_000_000))?;
//!     disk.flush_blocking(Attempts(1_000_000))
//! }
//! ```

use zerocopy::IntoBytes;

use super::command::{Command, RangeKind, SectorRange, Unmap};
use super::completion::Ticket;
use super::queue::RequestQueue;
use super::request::{RequestError, Sector};
use super::transfer::{Call, Data};
use crate::hal::{Hal, Patience};
use crate::raw::Payload;
use crate::ring::RefusedReason;
use crate::wire::block::{RANGE_BYTES, WireRange};

/// Most ranges that a blocking call puts into one request: what fits into the smallest slot.
const RANGES_AT_ONCE: usize = 32;

impl<H: Hal, P: Payload> RequestQueue<'_, H, P> {
    /// Says that nobody needs what is in a range any more. What it reads as afterwards means nothing.
    ///
    /// Work: waits within `patience`; as many requests as the device's limits need for the range, one after the other. After a failure some of the range may be discarded.
    ///
    /// # Errors
    /// See [`RequestError`]: [`Unsupported`](RequestError::Unsupported) if the disk has no such command; [`TooManySectors`](RequestError::TooManySectors) if the device takes so few sectors at a time
    /// that this would take more than a million pieces.
    pub fn discard_blocking(
        &mut self,
        range: SectorRange,
        mut patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.run_ranges(RangeKind::Discard, range, &mut patience)
    }

    /// Makes a range read as zeros.
    ///
    /// Work: as for [`discard_blocking`](RequestQueue::discard_blocking).
    ///
    /// # Errors
    /// As for [`discard_blocking`](RequestQueue::discard_blocking).
    pub fn write_zeroes_blocking(
        &mut self,
        range: SectorRange,
        unmap: Unmap,
        mut patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.run_ranges(RangeKind::WriteZeroes(unmap), range, &mut patience)
    }

    /// Erases a range for good: what it held, and copies that the disk made of it.
    ///
    /// Work: as for [`discard_blocking`](RequestQueue::discard_blocking).
    ///
    /// # Errors
    /// As for [`discard_blocking`](RequestQueue::discard_blocking).
    pub fn secure_erase_blocking(
        &mut self,
        range: SectorRange,
        mut patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.run_ranges(RangeKind::SecureErase, range, &mut patience)
    }

    /// Hands in a request to discard ranges: no more of them, and none longer, than [the disk takes](super::Shape::discard), nor more than fit into
    /// [`Settings::request_bytes`](super::Settings::request_bytes) and into a segment that the disk takes, 16 bytes each.
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_discard(&mut self, ranges: &[SectorRange]) -> Result<Ticket, RequestError> {
        Ok(self.submit(Command::Ranges(RangeKind::Discard), ranges, None)?)
    }

    /// Hands in a request to make ranges read as zeros; limits as for [`submit_discard`](RequestQueue::submit_discard).
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_write_zeroes(
        &mut self,
        ranges: &[SectorRange],
        unmap: Unmap,
    ) -> Result<Ticket, RequestError> {
        Ok(self.submit(Command::Ranges(RangeKind::WriteZeroes(unmap)), ranges, None)?)
    }

    /// Hands in a request to erase ranges for good; limits as for [`submit_discard`](RequestQueue::submit_discard).
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_secure_erase(&mut self, ranges: &[SectorRange]) -> Result<Ticket, RequestError> {
        Ok(self.submit(Command::Ranges(RangeKind::SecureErase), ranges, None)?)
    }

    fn run_ranges(
        &mut self,
        kind: RangeKind,
        range: SectorRange,
        patience: &mut dyn Patience,
    ) -> Result<(), RequestError> {
        let command = Command::Ranges(kind);
        let mut pieces = self.shape.pieces(kind, range)?;
        let limits = self.shape.range_limits(kind)?;
        let at_once = self.ranges_max(limits.ranges_max).min(RANGES_AT_ONCE);
        loop {
            let mut wire = [WireRange::default(); RANGES_AT_ONCE];
            let places = wire.iter_mut().take(at_once);
            let count = places.zip(pieces.by_ref()).map(|(place, (Sector(first), sectors))| {
                *place = kind.on_the_wire(first, sectors);
            });
            let bytes = count.count() * RANGE_BYTES;
            if bytes == 0 {
                return Ok(());
            }
            let data = wire.as_bytes().get(..bytes).unwrap_or_default();
            self.run(Call { command, data: Data::ToDevice(&[data]) }, patience)?;
        }
    }

    /// Most ranges of a request: what the device takes, and a slot has room for.
    fn ranges_max(&self, ranges_max: u32) -> usize {
        let ranges_max = usize::try_from(ranges_max).unwrap_or(usize::MAX).max(1);
        // They are one segment.
        ranges_max.min(self.limits.request_bytes.min(self.limits.segment_bytes) / RANGE_BYTES)
    }

    /// Checks the ranges of a burst's request. No other request has any.
    pub(super) fn check_ranges(&self, command: Command, ranges: &[SectorRange]) -> Result<(), RequestError> {
        let Command::Ranges(kind) = command else { return Ok(()) };
        let limits = self.shape.range_limits(kind)?;
        if ranges.is_empty() {
            return Err(RequestError::Empty);
        }
        let (count, ranges_max) = (ranges.len(), self.ranges_max(limits.ranges_max));
        if count > ranges_max {
            return Err(RequestError::TooManyRanges { ranges: count, ranges_max });
        }
        for range in ranges {
            self.shape.check_range_of(kind, *range)?;
            let (sectors, sectors_max) = (range.sectors, limits.sectors_max.into());
            if sectors > sectors_max {
                return Err(RequestError::TooManySectors { sectors, sectors_max });
            }
        }
        Ok(())
    }

    /// Writes the ranges of a request into its slot.
    pub(super) fn write_ranges(
        &mut self,
        slot: u16,
        command: Command,
        ranges: &[SectorRange],
    ) -> Result<(), RefusedReason> {
        let Command::Ranges(kind) = command else { return Ok(()) };
        let mut at = self.slots.data(slot);
        for range in ranges {
            let sectors = u32::try_from(range.sectors).map_err(|_| RefusedReason::TooLong)?;
            self.write(at, kind.on_the_wire(range.first.0, sectors).as_bytes())?;
            at += RANGE_BYTES;
        }
        Ok(())
    }
}

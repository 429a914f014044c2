//! Asynchronous calls without a buffer: ranges, zones, questions.
//!
//! Spec: §5.2.6 Device Operation. Dropped, a request may or may not happen.

use super::super::command::{Command, RangeKind, SectorRange, Unmap, ZoneAction};
use super::super::completion::Answer;
use super::super::report::{DeviceId, Lifetime};
use super::super::request::{RequestError, Sector};
use super::Shared;
use super::future::Sent;
use super::requests::Requests;
use super::step::Order;
use crate::hal::{Hal, Lock};
use crate::raw::Payload;

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Shared<H, L> {
    /// Makes everything safe from a power failure whose write was done before. A disk that has no cache to be flushed is not asked.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn flush(&self) -> Result<(), RequestError> {
        self.ask(Command::Flush).await.map(|_| ())
    }

    /// Says that nobody needs what is in a range any more. What it reads as afterwards means nothing.
    ///
    /// As many requests as the device's limits need for the range, one after the other; after an error, or dropped, some of the range may be discarded.
    ///
    /// # Errors
    /// See [`RequestError`]: [`Unsupported`](RequestError::Unsupported) if the disk has no such command.
    pub async fn discard(&self, range: SectorRange) -> Result<(), RequestError> {
        self.ranges(RangeKind::Discard, range).await
    }

    /// Makes a range read as zeros; otherwise like [`discard`](Shared::discard).
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn write_zeroes(&self, range: SectorRange, unmap: Unmap) -> Result<(), RequestError> {
        self.ranges(RangeKind::WriteZeroes(unmap), range).await
    }

    /// Erases a range for good; otherwise like [`discard`](Shared::discard).
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn secure_erase(&self, range: SectorRange) -> Result<(), RequestError> {
        self.ranges(RangeKind::SecureErase, range).await
    }

    /// Asks the disk for its id string.
    ///
    /// # Errors
    /// See [`RequestError`]; [`Unsupported`](RequestError::Unsupported) where the disk has none.
    pub async fn device_id(&self) -> Result<DeviceId, RequestError> {
        match self.ask(Command::DeviceId).await? {
            Some(Answer::DeviceId(id)) => Ok(id),
            _ => Err(RequestError::BadAnswer),
        }
    }

    /// Asks the disk how worn it is.
    ///
    /// # Errors
    /// See [`RequestError`]; [`Unsupported`](RequestError::Unsupported) where the disk does not say such things.
    pub async fn lifetime(&self) -> Result<Lifetime, RequestError> {
        match self.ask(Command::Lifetime).await? {
            Some(Answer::Lifetime(lifetime)) => Ok(lifetime),
            _ => Err(RequestError::BadAnswer),
        }
    }

    /// Does something with a whole zone.
    ///
    /// # Errors
    /// See [`RequestError`]: the disk's state, or that of the zone, may not allow it.
    pub async fn zone(&self, action: ZoneAction, zone: Sector) -> Result<(), RequestError> {
        self.ask(Command::Zone(action, zone)).await.map(|_| ())
    }

    /// Resets all zones that are open, closed or full. What they held is lost.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn reset_all_zones(&self) -> Result<(), RequestError> {
        self.ask(Command::ResetAllZones).await.map(|_| ())
    }

    async fn ranges(&self, kind: RangeKind, range: SectorRange) -> Result<(), RequestError> {
        // The queue may be another one before the end, with another disk's limits: each request is judged for itself when it is sent. Without a queue, the first one waits like every other request.
        let shape = self.inside.with(|requests| requests.shape);
        let pieces = shape.pieces(kind, range)?;
        for (first, sectors) in pieces {
            let range = SectorRange { first, sectors: sectors.into() };
            self.send(Command::Ranges(kind), Some(range)).await?;
        }
        Ok(())
    }

    async fn ask(&self, command: Command) -> Result<Option<Answer>, RequestError> {
        self.send(command, None).await
    }

    async fn send(
        &self,
        command: Command,
        range: Option<SectorRange>,
    ) -> Result<Option<Answer>, RequestError> {
        let done = Sent::new(self, Order { command, range, payload: None }).await?;
        Ok(done.answer)
    }
}

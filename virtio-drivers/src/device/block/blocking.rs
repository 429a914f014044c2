//! Blocking calls on a request queue: borrowed slices, copied through the driver's own memory.
//!
//! Spec: §5.2.6 Device Operation. A call may give up at its deadline without leaving the device a pointer into the caller's memory. What others have in flight on the same queue goes
//! on meanwhile; what of it is done during a call is kept for [`next_completion`](RequestQueue::next_completion).

use super::command::Command;
use super::queue::RequestQueue;
use super::report::{DeviceId, Lifetime};
use super::request::{RequestError, Sector};
use super::transfer::{Call, Data};
use crate::hal::{Hal, Patience};
use crate::raw::Payload;
use crate::wire::block::{DEVICE_ID_BYTES, LIFETIME_BYTES};

impl<H: Hal, P: Payload> RequestQueue<'_, H, P> {
    /// Reads whole sectors.
    ///
    /// Work: waits within `patience`; copies each byte once.
    /// Units: `into` is a multiple of 512 bytes.
    ///
    /// # Errors
    /// See [`RequestError`]. `into` may then hold some of the sectors.
    pub fn read_blocking(
        &mut self,
        from: Sector,
        into: &mut [u8],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.read_vectored_blocking(from, &mut [into], patience)
    }

    /// Reads whole sectors into several pieces, one after the other. Only their total is a multiple of 512 bytes.
    ///
    /// # Errors
    /// See [`RequestError`]. The pieces may then hold some of the sectors.
    pub fn read_vectored_blocking(
        &mut self,
        from: Sector,
        into: &mut [&mut [u8]],
        mut patience: impl Patience,
    ) -> Result<(), RequestError> {
        let (command, data) = (Command::Read(from), Data::FromDevice(into));
        self.shape.check(command, data.bytes() as u64)?;
        self.run(Call { command, data }, &mut patience).map(|_| ())
    }

    /// Writes whole sectors. They are safe from a power failure only after [`flush_blocking`](RequestQueue::flush_blocking).
    ///
    /// Work: waits within `patience`; copies each byte once.
    /// Units: `from` is a multiple of 512 bytes.
    ///
    /// # Errors
    /// See [`RequestError`]. Some of the sectors may then be written.
    pub fn write_blocking(
        &mut self,
        to: Sector,
        from: &[u8],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.write_vectored_blocking(to, &[from], patience)
    }

    /// Writes whole sectors from several pieces, one after the other. Only their total is a multiple of 512 bytes.
    ///
    /// # Errors
    /// See [`RequestError`]. Some of the sectors may then be written.
    pub fn write_vectored_blocking(
        &mut self,
        to: Sector,
        from: &[&[u8]],
        mut patience: impl Patience,
    ) -> Result<(), RequestError> {
        let (command, data) = (Command::Write(to), Data::ToDevice(from));
        self.shape.check(command, data.bytes() as u64)?;
        // Each request of it is written by itself.
        self.shape.check(command, data.bytes().min(self.limits.request_bytes) as u64)?;
        self.run(Call { command, data }, &mut patience).map(|_| ())
    }

    /// Makes everything written until now safe from a power failure.
    ///
    /// A disk that does not offer the command has no cache to be flushed, and is not asked.
    ///
    /// # Errors
    /// See [`RequestError`].
    ///
    /// Spec: §5.2.6.2 Driver Requirements: Device Operation.
    pub fn flush_blocking(&mut self, mut patience: impl Patience) -> Result<(), RequestError> {
        if !self.shape.flush {
            return Ok(());
        }
        self.run(Call { command: Command::Flush, data: Data::None }, &mut patience).map(|_| ())
    }

    /// Asks the disk for its id string.
    ///
    /// # Errors
    /// See [`RequestError`]; [`Unsupported`](RequestError::Unsupported) where the disk has none.
    pub fn device_id_blocking(&mut self, mut patience: impl Patience) -> Result<DeviceId, RequestError> {
        let mut id = [0; DEVICE_ID_BYTES];
        let data = Data::FromDevice(&mut [&mut id]);
        self.run(Call { command: Command::DeviceId, data }, &mut patience)?;
        Ok(DeviceId::new(id))
    }

    /// Asks the disk how worn it is.
    ///
    /// # Errors
    /// See [`RequestError`]; [`Unsupported`](RequestError::Unsupported) where the disk does not say such things.
    pub fn lifetime_blocking(&mut self, mut patience: impl Patience) -> Result<Lifetime, RequestError> {
        self.shape.check(Command::Lifetime, 0)?;
        let mut lifetime = [0; LIFETIME_BYTES];
        let data = Data::FromDevice(&mut [&mut lifetime]);
        self.run(Call { command: Command::Lifetime, data }, &mut patience)?;
        Ok(Lifetime::new(&zerocopy::transmute!(lifetime)))
    }
}

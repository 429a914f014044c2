//! Blocking calls on borrowed slices.
//!
//! Spec: §5.3.6 Device Operation. With [`Settings::notifications`](super::Settings::notifications) the device interrupts meanwhile, for a patience that sleeps.

use super::receive::ReceiveQueue;
use super::transmit::TransmitQueue;
use super::waiting::{StreamError, wait_for};
use super::writer::Writer;
use crate::hal::{Hal, Patience};

impl<H: Hal> ReceiveQueue<'_, H> {
    /// Waits until there are bytes, and takes as many as there are and `into` has room for: at least one, unless `into` is empty.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn read_blocking(
        &mut self,
        into: &mut [u8],
        mut patience: impl Patience,
    ) -> Result<usize, StreamError> {
        if into.is_empty() {
            return Ok(0);
        }
        let notified = self.notified;
        wait_for(self, &mut patience, notified, Self::look, Self::rearm)?;
        Ok(self.read(into)?)
    }
}

impl<'s, H: Hal> TransmitQueue<'s, H> {
    /// Waits until a byte fits.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn room_blocking(&mut self, mut patience: impl Patience) -> Result<(), StreamError> {
        let notified = self.notified;
        wait_for(self, &mut patience, notified, Self::look_for_room, Self::rearm_for_room)
    }

    /// Writes all of it, and waits for room where there is need. What does not fill a buffer goes with the next [`flush`](TransmitQueue::flush).
    ///
    /// # Errors
    /// See [`StreamError`]. Some of the bytes may have been written.
    pub fn write_all_blocking(
        &mut self,
        from: &[u8],
        mut patience: impl Patience,
    ) -> Result<(), StreamError> {
        let mut rest = from;
        loop {
            rest = rest.get(self.write(rest)?..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            self.room_blocking(|| patience.keep_waiting())?;
        }
    }

    /// Flushes, and waits until the device has taken everything.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn drain_blocking(&mut self, mut patience: impl Patience) -> Result<(), StreamError> {
        self.flush()?;
        let notified = self.notified;
        wait_for(self, &mut patience, notified, Self::look_whether_drained, Self::rearm_for_the_last)
    }

    /// For `write!`, with this patience for all that is written. It flushes when it is dropped.
    pub fn writer<P: Patience>(&mut self, patience: P) -> Writer<'_, 's, H, P> {
        Writer::new(self, patience)
    }
}

//! A port's queues, from storage to DRIVER_OK.
//!
//! Spec: §5.3.2 Virtqueues.

use super::buffers::Places;
use super::slots::{Buffer, Slots};
use crate::hal::Hal;
use crate::raw::ConfirmedReset;
use crate::ring::{InstalledQueue, Returned};

/// A port's queues that the device knows of, and that may not be used yet: [`Control::activate`](super::Control::activate) makes them usable.
#[derive(Debug)]
#[must_use = "dropping it leaks its memory"]
pub struct IdlePort<'s, H: Hal> {
    pub(super) receive: InstalledQueue<'s, H, Buffer>,
    pub(super) transmit: InstalledQueue<'s, H, Buffer>,
    pub(super) receive_places: Places,
    pub(super) transmit_places: Places,
    pub(super) notified: bool,
}

impl<'s, H: Hal> IdlePort<'s, H> {
    /// Which port of the device it is.
    pub const fn port(&self) -> u16 {
        self.receive.index().saturating_sub(2) / 2
    }

    /// Takes the queues back after a reset of their device.
    ///
    /// # Errors
    /// The port itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the port itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<Slots<'s>, Self> {
        let receive = match self.receive.reclaim(reset) {
            Ok(returned) => returned.into_slots(),
            Err(receive) => return Err(Self { receive, ..self }),
        };
        // Of the same bring-up as the other one, always.
        let transmit = self.transmit.reclaim(reset).map(Returned::into_slots);
        Ok(Slots { receive, transmit: transmit.unwrap_or(Slots::none().transmit) })
    }
}

//! The end of an entropy device: polite, or dropped.
//!
//! Spec: §2.4 Device Reset. Only a reset that was seen to be complete gives memory back.

use scopeguard::ScopeGuard;

use super::driver::{Control, Entropy, Live};
use super::start::Slots;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{Down, DownFailed, HandlerStillRunning, ResetError};
use crate::transport::Transport;

/// An entropy device that was closed: what its driver was made of, for another one.
#[derive(Debug)]
pub struct Closed<'s, T> {
    /// The way to the device.
    pub transport: T,
    /// The memory that was lent.
    pub slots: Slots<'s>,
    /// Whether interrupt handlers are done with the device; see [`Down::handlers`].
    pub handlers: Result<(), HandlerStillRunning>,
}

/// An entropy device that was not closed: why, and the driver.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct CloseFailed<'s, T: Transport, H: Hal> {
    /// Why.
    pub error: ResetError,
    /// The driver. The device was asked for a reset, so it is asked for nothing else any more.
    pub entropy: Entropy<'s, T, H>,
}

impl<'s, T: Transport, H: Hal> Entropy<'s, T, H> {
    /// Resets the device, gives all memory back, and hands out transport and storage for a new bring-up.
    ///
    /// # Errors
    /// - [`CloseFailed`]: the device does not answer. The driver comes back, to try again; dropping it leaks memory that the device may still use.
    #[allow(clippy::result_large_err, reason = "the driver itself comes back, once in its life")]
    pub fn close(self, patience: impl Patience) -> Result<Closed<'s, T>, CloseFailed<'s, T, H>> {
        let Live { control, mut requests } = ScopeGuard::into_inner(self.live);
        match control.half.take_down(patience) {
            Ok(Down { transport, reset, handlers }) => {
                // The queue is this device's, always.
                let slots = requests.reclaim(&reset).unwrap_or(Slots::none());
                Ok(Closed { transport, slots, handlers })
            }
            Err(DownFailed { error, half }) => {
                requests.retire();
                Err(CloseFailed { error, entropy: Self::of(Control { half }, requests) })
            }
        }
    }
}

impl<T: Transport, H: Hal> Live<'_, T, H> {
    /// The end of a driver that was dropped: as `close`, with the patience fixed at bring-up.
    pub(super) fn tear_down(self) {
        let Self { control, requests } = self;
        if let Some(reset) = control.half.reset_within_drop_bound() {
            let _ = requests.reclaim(&reset);
        }
    }
}

//! The end of a console in one piece: polite, or dropped.
//!
//! Spec: §2.4 Device Reset. Only a reset that was seen to be complete gives memory back.

use super::control::{Down, DownFailed};
use super::driver::{Console, Live};
use super::receive::ReceiveQueue;
use super::slots::Slots;
use super::transmit::TransmitQueue;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{HandlerStillRunning, ResetError};
use crate::raw::ConfirmedReset;
use crate::transport::Transport;

/// A console that was closed: what its driver was made of, for another one.
#[derive(Debug)]
pub struct Closed<'s, T> {
    /// The way to the device.
    pub transport: T,
    /// The memory that was lent: without room for a queue of another device, put together with this one's control half.
    pub slots: Slots<'s>,
    /// Whether interrupt handlers are done with the device; see [`Down::handlers`].
    pub handlers: Result<(), HandlerStillRunning>,
}

/// A console that was not closed: why, and the driver.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct CloseFailed<'s, T: Transport, H: Hal> {
    /// Why.
    pub error: ResetError,
    /// The driver. The device was asked for a reset, so nothing goes any more.
    pub console: Console<'s, T, H>,
}

impl<'s, T: Transport, H: Hal> Console<'s, T, H> {
    /// Resets the device, gives all memory back, and hands out transport and storage for a new bring-up. What the device has not taken by then is lost: [`drain_blocking`](TransmitQueue::drain_blocking) waits for that.
    ///
    /// # Errors
    /// - [`CloseFailed`]: the device does not answer. The driver comes back, to try again; dropping it leaks memory that the device may still use.
    #[allow(clippy::result_large_err, reason = "the driver itself comes back, once in its life")]
    pub fn close(self, patience: impl Patience) -> Result<Closed<'s, T>, CloseFailed<'s, T, H>> {
        let (control, mut receive, mut transmit) = self.split();
        match control.take_down(patience) {
            Ok(Down { transport, reset, handlers, .. }) => {
                Ok(Closed { transport, slots: reclaim(receive, transmit, &reset), handlers })
            }
            Err(DownFailed { error, control }) => {
                receive.queue.retire();
                transmit.queue.retire();
                Err(CloseFailed { error, console: Self::join(control, receive, transmit) })
            }
        }
    }
}

/// What two queues had; nothing of one that is another device's: its memory stays lent.
fn reclaim<'s, H: Hal>(
    receive: ReceiveQueue<'s, H>,
    transmit: TransmitQueue<'s, H>,
    reset: &ConfirmedReset,
) -> Slots<'s> {
    let none = Slots::none();
    Slots {
        receive: receive.reclaim(reset).unwrap_or(none.receive),
        transmit: transmit.reclaim(reset).unwrap_or(none.transmit),
    }
}

impl<T: Transport, H: Hal> Live<'_, T, H> {
    /// The end of a driver that was dropped: as `close`, with the patience fixed at bring-up.
    pub(super) fn tear_down(self) {
        let Self { control, receive, transmit } = self;
        if let Some(reset) = control.tear_down() {
            reclaim(receive, transmit, &reset);
        }
    }
}

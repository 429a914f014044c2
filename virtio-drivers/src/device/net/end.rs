//! The end of a card in one piece: polite, or dropped.
//!
//! Spec: §2.4 Device Reset. Only a reset that was seen to be complete gives memory back.

use super::commands::ControlSlots;
use super::control::{Down, DownFailed};
use super::driver::{Live, Net, Slots};
use super::frame::FrameSupply;
use super::pair::PairSlots;
use super::receive::{ReceiveQueue, ReclaimedReceive};
use super::transmit::TransmitQueue;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{HandlerStillRunning, ResetError};
use crate::raw::ConfirmedReset;
use crate::ring;
use crate::transport::Transport;

/// A card that was closed: what its driver was made of, for another one.
#[derive(Debug)]
pub struct Closed<'s, T, H: Hal> {
    /// The way to the device.
    pub transport: T,
    /// The memory that was lent.
    pub slots: Slots<'s, H>,
    /// The supply. `None` if the receive queue was another card's, put together with this one's control half.
    pub supply: Option<FrameSupply<'s, H>>,
    /// Whether interrupt handlers are done with the device; see [`Down::handlers`].
    pub handlers: Result<(), HandlerStillRunning>,
}

/// A card that was not closed: why, and the driver.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct CloseFailed<'s, T: Transport, H: Hal> {
    /// Why.
    pub error: ResetError,
    /// The driver. The device was asked for a reset, so nothing is sent any more.
    pub card: Net<'s, T, H>,
}

impl<'s, T: Transport, H: Hal> Net<'s, T, H> {
    /// Resets the device, gives all memory back, and hands out transport, storage and supply for a new bring-up.
    ///
    /// # Errors
    /// - [`CloseFailed`]: the device does not answer. The driver comes back, to try again; dropping it leaks memory that the device may still use.
    #[allow(clippy::result_large_err, reason = "the driver itself comes back, once in its life")]
    pub fn close(self, patience: impl Patience) -> Result<Closed<'s, T, H>, CloseFailed<'s, T, H>> {
        let (control, mut receive, mut transmit) = self.split();
        let Down { transport, reset, handlers, control_slots } = match control.take_down(patience) {
            Ok(down) => down,
            Err(DownFailed { error, control }) => {
                receive.queue.retire();
                transmit.queue.retire();
                return Err(CloseFailed { error, card: Self::join(control, receive, transmit) });
            }
        };
        let (slots, supply) = reclaim(receive, transmit, &reset);
        let control = control_slots.unwrap_or_else(|| ControlSlots(ring::Slots::none()));
        Ok(Closed { transport, slots: Slots { pair: slots, control }, supply, handlers })
    }
}

/// What two queues had; nothing of one that is another card's: its memory stays lent.
fn reclaim<'s, H: Hal>(
    receive: ReceiveQueue<'s, H>,
    transmit: TransmitQueue<'s, H>,
    reset: &ConfirmedReset,
) -> (PairSlots<'s, H>, Option<FrameSupply<'s, H>>) {
    let (receive, supply) = match receive.reclaim(reset) {
        Ok(ReclaimedReceive { slots, supply }) => (slots, Some(supply)),
        Err(_) => (ring::Slots::none(), None),
    };
    let transmit = transmit.reclaim(reset).unwrap_or_else(|_| ring::Slots::none());
    (PairSlots { receive, transmit }, supply)
}

impl<T: Transport, H: Hal> Live<'_, T, H> {
    /// The end of a driver that was dropped: as `close`, with the patience fixed at bring-up.
    pub(super) fn tear_down(self) {
        let Self { control, receive, transmit } = self;
        if let Some(reset) = control.tear_down() {
            drop(reclaim(receive, transmit, &reset));
        }
    }
}

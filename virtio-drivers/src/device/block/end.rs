//! The end of a disk in one piece: polite, or dropped.
//!
//! Spec: §2.4 Device Reset. Only a reset that was seen to be complete gives memory back.

use super::control::DownFailed;
use super::driver::{Block, Live};
use super::slots::Slots;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{Down, HandlerStillRunning, ResetError};
use crate::raw::{Payload, Tag};
use crate::transport::Transport;

/// A disk that was closed: what its driver was made of, for another one.
#[derive(Debug)]
pub struct Closed<'s, T, P = Tag<()>> {
    /// The way to the device.
    pub transport: T,
    /// The memory that was lent. What requests in flight carried was dropped.
    pub storage: Slots<'s, P>,
    /// Whether interrupt handlers are done with the device; see [`Down::handlers`].
    pub handlers: Result<(), HandlerStillRunning>,
}

/// A disk that was not closed: why, and the driver.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct CloseFailed<'s, T: Transport, H: Hal, P: Payload = Tag<()>> {
    /// Why.
    pub error: ResetError,
    /// The driver. The device was asked for a reset, so no requests are sent any more.
    pub disk: Block<'s, T, H, P>,
}

impl<'s, T: Transport, H: Hal, P: Payload> Block<'s, T, H, P> {
    /// Resets the device, gives all memory back, and hands out transport and storage for a new bring-up.
    ///
    /// # Errors
    /// - [`CloseFailed`]: the device does not answer. The driver comes back, to try again; dropping it leaks memory that the device may still use.
    #[allow(clippy::result_large_err, reason = "the driver itself comes back, once in its life")]
    pub fn close(self, patience: impl Patience) -> Result<Closed<'s, T, P>, CloseFailed<'s, T, H, P>> {
        let (control, mut queue) = self.split();
        let Down { transport, reset, handlers } = match control.take_down(patience) {
            Ok(down) => down,
            Err(DownFailed { error, control }) => {
                queue.queue.retire();
                return Err(CloseFailed { error, disk: Self::join(control, queue) });
            }
        };
        let storage = match queue.reclaim(&reset) {
            Ok(reclaimed) => reclaimed.into_slots(),
            // The queue was another disk's, put together with this one's control half: its memory stays lent.
            Err(_) => Slots::none(),
        };
        Ok(Closed { transport, storage, handlers })
    }
}

impl<T: Transport, H: Hal, P: Payload> Live<'_, T, H, P> {
    /// The end of a driver that was dropped: as `close`, with the patience fixed at bring-up.
    pub(super) fn tear_down(self) {
        let Self { control, queue } = self;
        if let Some(reset) = control.half.reset_within_drop_bound() {
            drop(queue.reclaim(&reset));
        }
    }
}

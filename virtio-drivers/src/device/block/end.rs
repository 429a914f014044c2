//! The end of a driver: polite, or dropped.
//!
//! Spec: §2.4 Device Reset. Only a reset that was seen to be complete gives memory back.

use scopeguard::ScopeGuard;

use super::driver::{Block, Live};
use super::slots::Slots;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{ResetError, ResetFailed};
use crate::ring;
use crate::transport::Transport;

/// A disk that was closed: what its driver was made of, for another one.
#[derive(Debug)]
pub struct Closed<'s, T> {
    /// The way to the device.
    pub transport: T,
    /// The memory that was lent.
    pub storage: Slots<'s>,
}

/// A disk that was not closed: why, and the driver.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct CloseFailed<'s, T: Transport, H: Hal> {
    /// Why.
    pub error: ResetError,
    /// The driver. The device was asked for a reset, so no requests are sent any more.
    pub disk: Block<'s, T, H>,
}

impl<'s, T: Transport, H: Hal> Block<'s, T, H> {
    /// Resets the device, gives all memory back, and hands out transport and storage for a new bring-up.
    ///
    /// # Errors
    /// - [`CloseFailed`]: the device does not answer. The driver comes back, to try again; dropping it leaks memory that the device may still use.
    #[allow(clippy::result_large_err, reason = "the driver itself comes back, once in its life")]
    pub fn close(self, patience: impl Patience) -> Result<Closed<'s, T>, CloseFailed<'s, T, H>> {
        let Live { device, mut queue, slots, limits, calls, capacity_sectors, block_bytes, notified } =
            ScopeGuard::into_inner(self.live);
        let alive = |device, queue, slots| {
            let live = Live { device, queue, slots, limits, calls, capacity_sectors, block_bytes, notified };
            Self { live: scopeguard::guard(live, Live::tear_down) }
        };
        let (transport, reset) = match device.reset(patience) {
            Ok(done) => done,
            Err(ResetFailed { error, device }) => {
                queue.retire();
                return Err(CloseFailed { error, disk: alive(device, queue, slots) });
            }
        };
        let ring = match queue.reclaim(&reset) {
            Ok(returned) => returned.into_slots(),
            // The queue is of this bring-up, so this does not happen; and if it did, its memory stays lent.
            Err(_) => ring::Slots::none(),
        };
        Ok(Closed { transport, storage: Slots { ring, free: slots.into_free() } })
    }
}

impl<T: Transport, H: Hal> Live<'_, T, H> {
    /// The end of a driver that was dropped: as `close`, with the patience fixed at bring-up.
    pub(super) fn tear_down(self) {
        let Self { device, queue, .. } = self;
        if let Some(reset) = device.reset_within_drop_bound() {
            drop(queue.reclaim(&reset));
        }
    }
}

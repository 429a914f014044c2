//! Blocking calls on borrowed slices: a frame is copied, one at a time.
//!
//! Spec: §5.1.9.2 Packet Transmission, §5.1.9.4 Processing of Incoming Packets. For first steps and small programs; whoever has many frames takes [bursts](super::ReceiveQueue::receive_burst).

use super::driver::{Live, Net};
use super::receive::LOOKS;
use super::transmit::{NotTransmitted, TransmitError};
use crate::hal::{Hal, Patience};
use crate::ring::{Broken, Rearmed};
use crate::transport::Transport;

/// A blocking call that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// Nothing came, or went, in time.
    #[error("nothing came, or went, in time")]
    TimedOut,
    /// All frames of the pool are out: drop some, or make the pool larger than the receive ring.
    #[error("all frames of the pool are out")]
    NoFrame,
    /// The frame that came is longer than the caller's slice; it was dropped.
    #[error("a frame of {len} bytes is longer than the room for it")]
    TooLong {
        /// How long it was.
        len: usize,
    },
    /// The frame cannot be transmitted.
    #[error(transparent)]
    Transmit(#[from] TransmitError),
    /// The device broke the protocol, now or earlier.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl<T: Transport, H: Hal> Net<'_, T, H> {
    /// Waits for the next frame and copies it; says how long it is.
    ///
    /// With [`Settings::notifications`](super::Settings::notifications) the card interrupts when one comes, for a patience that sleeps.
    ///
    /// # Errors
    /// See [`BlockingError`].
    pub fn receive_blocking(
        &mut self,
        into: &mut [u8],
        mut patience: impl Patience,
    ) -> Result<usize, BlockingError> {
        let receive = &mut self.live.receive;
        let mut out_of_patience = false;
        // A device that sends nothing but nonsense always has more waiting: that counts as waiting, too.
        let mut looks_left = LOOKS;
        loop {
            if let Some(frame) = receive.receive()? {
                let len = frame.len();
                let into = into.get_mut(..len).ok_or(BlockingError::TooLong { len })?;
                return match frame.read(0, into) {
                    Ok(()) => Ok(len),
                    Err(_) => Err(BlockingError::TooLong { len }),
                };
            }
            // After the last wait there is one more look: a sleep may have ended with what was waited for.
            if out_of_patience {
                return Err(BlockingError::TimedOut);
            }
            if receive.rearm() == Rearmed::MoreWaiting && looks_left > 0 {
                looks_left -= 1;
            } else {
                (out_of_patience, looks_left) = (!patience.keep_waiting(), LOOKS);
            }
        }
    }

    /// Copies a frame and hands it to the device, as soon as there is room. That it was sent is not waited for.
    ///
    /// # Errors
    /// See [`BlockingError`].
    pub fn transmit_blocking(
        &mut self,
        from: &[u8],
        mut patience: impl Patience,
    ) -> Result<(), BlockingError> {
        let Live { receive, transmit, .. } = &mut *self.live;
        let mut out_of_patience = false;
        // Frames that were sent come back for others.
        let mut frame = loop {
            if let Some(frame) = receive.supply.frame_for(from.len()) {
                break frame;
            }
            if transmit.reap()? > 0 {
                continue;
            }
            if out_of_patience {
                return Err(BlockingError::NoFrame);
            }
            if transmit.in_flight() == 0 || transmit.rearm() == Rearmed::Quiet {
                out_of_patience = !patience.keep_waiting();
            }
        };
        // There is room for all of it.
        let _ = frame.append(from);
        loop {
            match transmit.transmit(frame) {
                Ok(()) => return Ok(()),
                Err(NotTransmitted { error: TransmitError::Full, frame: again }) => frame = again,
                Err(refused) => return Err(refused.error.into()),
            }
            if out_of_patience {
                return Err(BlockingError::TimedOut);
            }
            if transmit.rearm() == Rearmed::Quiet {
                out_of_patience = !patience.keep_waiting();
            }
        }
    }
}

//! One direction: from a card's receive queue to the other card's transmit queue.
//!
//! What the transmit ring has no room for waits in a backlog, and as long as something is there no more is taken: then the card that receives has no empty buffers at last, and whoever sends there waits. So
//! nothing is lost in here.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use core::fmt;

use example_platform::Dma;
use virtio_guest::device::net::{Frame, ReceiveQueue, TransmitError, TransmitQueue};
use virtio_guest::raw::ConfirmedReset;
use virtio_guest::ring::Rearmed;

/// Most frames that are taken together.
const BURST: usize = 64;

/// See the module's head.
pub struct Lane {
    from: ReceiveQueue<'static, Dma>,
    to: TransmitQueue<'static, Dma>,
    backlog: VecDeque<Frame<'static, Dma>>,
    frames: u64,
    bursts: u64,
    refused: u64,
}

impl Lane {
    /// Both queues are the lane's from now on.
    pub fn new(from: ReceiveQueue<'static, Dma>, to: TransmitQueue<'static, Dma>) -> Self {
        Self { from, to, backlog: VecDeque::with_capacity(BURST), frames: 0, bursts: 0, refused: 0 }
    }

    /// Forwards what has come. Says whether there was anything to do.
    pub fn forward(&mut self) -> Result<bool, String> {
        // Frames that were sent go back to where they can be received into.
        self.to.reap().map_err(|broken| broken.to_string())?;
        let Self { from, backlog, .. } = self;
        if backlog.is_empty() {
            from.receive_burst(BURST, |frame| backlog.push_back(frame))
                .map_err(|broken| broken.to_string())?;
        }
        let waiting = self.backlog.len();
        if waiting == 0 {
            return Ok(false);
        }
        let backlog = &mut self.backlog;
        match self.to.transmit_burst(core::iter::from_fn(|| backlog.pop_front())) {
            Ok(_) => {}
            Err(burst) if burst.refused.error == TransmitError::Full => {
                backlog.push_front(burst.refused.frame);
            }
            Err(burst) => match burst.refused.error {
                TransmitError::Broken(broken) => return Err(broken.to_string()),
                // Not for this card: dropped, as a switch would.
                _ => self.refused += 1,
            },
        }
        self.frames += (waiting - self.backlog.len()) as u64;
        self.bursts += 1;
        Ok(waiting > self.backlog.len())
    }

    /// Asks for interrupts: for frames that come; for frames that were sent while others wait for their room. Says whether there is something to do already.
    pub fn rearm(&mut self) -> bool {
        let waits_for_room = !self.backlog.is_empty() || self.from.in_flight() == 0;
        let sent = waits_for_room && self.to.rearm() == Rearmed::MoreWaiting;
        sent || (self.backlog.is_empty() && self.from.rearm() == Rearmed::MoreWaiting)
    }

    /// After both cards were reset: the queues give back what they have.
    pub fn end(self, from: &ConfirmedReset, to: &ConfirmedReset) -> Result<(), String> {
        drop(self.backlog);
        self.to.reclaim(to).map_err(|_| "the queue is of another bring-up")?;
        self.from.reclaim(from).map_err(|_| "the queue is of another bring-up")?;
        Ok(())
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, frames, bursts, refused, .. } = self;
        let (pair, notifications) = (from.pair(), to.statistics().notifications_sent);
        write!(
            f,
            "pair {pair}: {frames} frames in {bursts} bursts, {notifications} notifications, {refused} refused"
        )
    }
}

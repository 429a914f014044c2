//! One pair of queues of a card that survives its back-end.
//!
//! Or what it is made of, while there is no back-end.

use std::collections::VecDeque;
use std::mem;

use virtio_guest::device::net::{
    BurstNotTransmitted, Frame, FrameSupply, NotTransmitted, ReceiveQueue, TransmitError, TransmitQueue,
};
use virtio_guest::raw::ConfirmedReset;
use virtio_guest::ring::{Broken, Rearmed};

use super::alive::Lane;
use crate::memory::SharedHal;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Pair<'p> {
    state: State<'p>,
    /// What a back-end had delivered before it went.
    kept: VecDeque<Frame<'p, SharedHal>>,
    lost: u64,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few, and they are up nearly always")]
enum State<'p> {
    Up(ReceiveQueue<'p, SharedHal>, TransmitQueue<'p, SharedHal>),
    Down(FrameSupply<'p, SharedHal>),
    /// A back-end that would not be stopped has it.
    Gone,
}

impl<'p> Pair<'p> {
    pub(super) const fn new(supply: FrameSupply<'p, SharedHal>) -> Self {
        Self { state: State::Down(supply), kept: VecDeque::new(), lost: 0 }
    }

    /// What a bring-up makes queues of.
    pub(super) fn take_supply(&mut self) -> Option<FrameSupply<'p, SharedHal>> {
        match mem::replace(&mut self.state, State::Gone) {
            State::Down(supply) => Some(supply),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The bring-up did not succeed.
    pub(super) fn put_supply(&mut self, supply: FrameSupply<'p, SharedHal>) {
        self.state = State::Down(supply);
    }

    pub(super) fn put_up(
        &mut self,
        receive: ReceiveQueue<'p, SharedHal>,
        transmit: TransmitQueue<'p, SharedHal>,
    ) {
        self.state = State::Up(receive, transmit);
    }

    pub(super) fn frame(&mut self) -> Option<Frame<'p, SharedHal>> {
        match &mut self.state {
            State::Up(receive, _) => receive.frame(),
            State::Down(supply) => supply.frame(),
            State::Gone => None,
        }
    }

    #[inline]
    pub(super) fn receive(
        &mut self,
        limit: usize,
        deliver: &mut impl FnMut(Frame<'p, SharedHal>),
    ) -> Result<usize, Broken> {
        let mut came = 0;
        while came < limit
            && let Some(frame) = self.kept.pop_front()
        {
            came += 1;
            deliver(frame);
        }
        if let State::Up(receive, _) = &mut self.state
            && came < limit
        {
            came += receive.receive_burst(limit - came, deliver)?;
        }
        Ok(came)
    }

    #[inline]
    pub(super) fn transmit(
        &mut self,
        frames: impl IntoIterator<Item = Frame<'p, SharedHal>>,
    ) -> Result<usize, BurstNotTransmitted<'p, SharedHal>> {
        match &mut self.state {
            State::Up(_, transmit) => transmit.transmit_burst(frames),
            State::Down(_) | State::Gone => match frames.into_iter().next() {
                None => Ok(0),
                Some(frame) => {
                    let refused = NotTransmitted { error: TransmitError::Full, frame };
                    Err(BurstNotTransmitted { transmitted: 0, refused })
                }
            },
        }
    }

    /// Frames that were handed in for transmission and are not known to be taken.
    pub(super) fn in_flight(&mut self) -> u16 {
        let State::Up(_, transmit) = &mut self.state else { return 0 };
        // If the queue breaks here, what is in it is lost as well.
        let _ = transmit.reap();
        transmit.in_flight()
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// The queues. `None` while there is no back-end.
    pub(super) const fn queues(
        &mut self,
    ) -> Option<(&mut ReceiveQueue<'p, SharedHal>, &mut TransmitQueue<'p, SharedHal>)> {
        match &mut self.state {
            State::Up(receive, transmit) => Some((receive, transmit)),
            _ => None,
        }
    }

    /// What it was made of, once there is no back-end.
    pub(super) fn into_supply(self) -> Option<FrameSupply<'p, SharedHal>> {
        match self.state {
            State::Down(supply) => Some(supply),
            _ => None,
        }
    }
}

impl Lane for Pair<'_> {
    fn drain(&mut self) {
        let Self { state, kept, .. } = self;
        if let State::Up(receive, _) = state {
            // A ringful at most, for it may be there and go on.
            let limit = receive.size().into();
            // If it broke the protocol, the rest is lost.
            let _ = receive.receive_burst(limit, |frame| kept.push_back(frame));
        }
    }

    fn take_down(&mut self, reset: &ConfirmedReset) {
        // What was on its way out is lost.
        self.lost += u64::from(self.in_flight());
        match mem::replace(&mut self.state, State::Gone) {
            State::Up(receive, transmit) => {
                // Queues of another bring-up, which there are not, would be leaked.
                drop(transmit.reclaim(reset));
                if let Ok(reclaimed) = receive.reclaim(reset) {
                    self.state = State::Down(reclaimed.supply);
                }
            }
            other => self.state = other,
        }
    }

    fn rearm(&mut self) -> Rearmed {
        match &mut self.state {
            State::Up(receive, _) if self.kept.is_empty() => receive.rearm(),
            _ => Rearmed::MoreWaiting,
        }
    }
}

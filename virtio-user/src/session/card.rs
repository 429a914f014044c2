//! A card that survives its back-end.
//!
//! Frames come and go as through the driver's own queues. Those that were on their way out when the back-end went are lost, as on any network, and counted.

use std::mem;
use std::time::{Duration, Instant};

use virtio_guest::device::net::{
    BurstNotTransmitted, Control, Frame, FrameSupply, MacAddress, PLAIN, ReceiveQueue, TransmitQueue,
};
use virtio_guest::lifecycle::Wants;
use virtio_guest::wire::net::NetFeatures;

use super::alive::Alive;
use super::back_end::{BackEnd, Wait, end_of};
use super::card_device::bring_up;
use super::card_pair::Pair;
use super::trouble::Away;
use crate::memory::SharedHal;
use crate::patience::deadline;
use crate::{Link, Settings, SharedMemory, VhostUser};

/// What may be chosen about a card.
#[derive(Clone, Debug)]
pub struct CardSettings {
    /// The connection.
    pub front_end: Settings,
    /// Most descriptors of each queue.
    pub descriptors: u16,
    /// Features that are wanted.
    pub wants: Wants<NetFeatures>,
    /// How long to wait for the back-end.
    pub wait: Wait,
}

impl Default for CardSettings {
    /// Queues of 256 descriptors, frames as they are on the wire, and what [`Settings`] and [`Wait`] have.
    fn default() -> Self {
        Self {
            front_end: Settings::default(),
            descriptors: 256,
            wants: Wants::features(PLAIN),
            wait: Wait::default(),
        }
    }
}

/// A card that survives its back-end.
///
/// One thread's. Dropping it resets the device, within about two seconds; whatever that does not get back is leaked.
#[derive(Debug)]
pub struct Card<'p> {
    alive: Alive<Control<'p, VhostUser, SharedHal>, Pair<'p>>,
    settings: CardSettings,
}

/// A card that was closed.
#[derive(Debug)]
pub struct ClosedCard<'p> {
    /// What each pair took its frames from; `None` of one that an earlier back-end would not let go of.
    pub supplies: Vec<Option<FrameSupply<'p, SharedHal>>>,
    /// Frames that were lost, in all.
    pub lost: u64,
}

impl<'p> Card<'p> {
    /// Connects to a back-end, and brings its card up with a pair of queues for each supply of frames.
    ///
    /// Back-ends may say that they have more pairs than they serve: DPDK's says 128, however it was started. What is transmitted on the others stays [in flight](Card::in_flight).
    ///
    /// # Errors
    /// - [`Away`]: why there is none. The supplies are dropped, and can be had from their pools again.
    pub fn connect(
        back_end: impl Into<BackEnd>,
        memory: &SharedMemory,
        supplies: impl IntoIterator<Item = FrameSupply<'p, SharedHal>>,
        settings: CardSettings,
    ) -> Result<Self, Away> {
        let pairs = supplies.into_iter().map(Pair::new).collect();
        let mut card = Self { alive: Alive::new(back_end.into(), memory.clone(), pairs), settings };
        card.keep_trying(card.settings.wait.connect_within)?;
        Ok(card)
    }

    fn keep_trying(&mut self, limit: Duration) -> Result<(), Away> {
        let Self { alive, settings } = self;
        alive.keep_trying(limit, |back_end, memory, pairs, end| {
            bring_up(back_end, memory, settings, pairs, end)
        })?;
        Ok(())
    }

    /// How many pairs of queues there are.
    pub fn pairs(&self) -> usize {
        self.alive.lanes.len()
    }

    /// The card's address. `None` while there is no back-end.
    pub fn mac(&self) -> Option<MacAddress> {
        self.alive.device.as_ref().map(|device| device.control.mac())
    }

    /// How often another back-end took over.
    pub const fn restarts(&self) -> u64 {
        self.alive.restarts
    }

    /// How many frames were lost because a back-end went: those that it had not taken from a transmit ring, as far as it said. Some of them it may have forwarded all the same.
    pub fn lost(&self) -> u64 {
        self.alive.lanes.iter().map(Pair::lost).sum()
    }

    /// Frames that a pair was given for transmission, and that the back-end has not said to have taken.
    pub fn in_flight(&mut self, pair: usize) -> u16 {
        self.alive.lanes.get_mut(pair).map_or(0, Pair::in_flight)
    }

    /// Takes back the frames that the back-end has taken from a pair's transmit ring: they go back to their pools. Done anyway, whenever the ring is half full.
    pub fn reap(&mut self, pair: usize) {
        self.in_flight(pair);
    }

    /// What to ask for the reason, when the back-end looks gone. `None` while there is none.
    pub fn link(&self) -> Option<&Link> {
        self.alive.link()
    }

    /// The driver's control half. `None` while there is no back-end.
    pub fn control(&mut self) -> Option<&mut Control<'p, VhostUser, SharedHal>> {
        self.alive.control()
    }

    /// The driver's queues of a pair. `None` while there is no back-end.
    pub fn queues(
        &mut self,
        pair: usize,
    ) -> Option<(&mut ReceiveQueue<'p, SharedHal>, &mut TransmitQueue<'p, SharedHal>)> {
        self.alive.lanes.get_mut(pair)?.queues()
    }

    /// An empty frame from a pair's supply. `None` if all are out.
    #[inline]
    pub fn frame(&mut self, pair: usize) -> Option<Frame<'p, SharedHal>> {
        self.alive.lanes.get_mut(pair)?.frame()
    }

    /// Takes frames that a pair has received, from up to `limit` buffers, and says from how many.
    ///
    /// If there are none because the back-end has gone, this waits for the next one: see [`tend`](Card::tend).
    ///
    /// # Errors
    /// - [`Away`]: none came in time, or it breaks the rules. The next call tries again.
    #[inline]
    pub fn receive_burst(
        &mut self,
        pair: usize,
        limit: usize,
        mut deliver: impl FnMut(Frame<'p, SharedHal>),
    ) -> Result<usize, Away> {
        let Some(queues) = self.alive.lanes.get_mut(pair) else { return Ok(0) };
        match queues.receive(limit, &mut deliver) {
            Ok(0) => self.tend().map(|()| 0),
            Ok(came) => Ok(came),
            Err(broken) => Err(Away { waited: Duration::ZERO, trouble: broken.into() }),
        }
    }

    /// Hands frames to a pair for transmission, with one notification at most, and says how many.
    ///
    /// It waits for nobody: while there is no back-end the ring is full. Whoever only transmits [tends](Card::tend) the card when it is.
    ///
    /// # Errors
    /// - [`BurstNotTransmitted`]: the first frame that was refused, and how many before it were not.
    #[inline]
    pub fn transmit_burst(
        &mut self,
        pair: usize,
        frames: impl IntoIterator<Item = Frame<'p, SharedHal>>,
    ) -> Result<usize, BurstNotTransmitted<'p, SharedHal>> {
        let Some(queues) = self.alive.lanes.get_mut(pair) else { return Ok(0) };
        queues.transmit(frames)
    }

    /// Sees to it that there is a back-end: to be called when nothing comes, and when nothing goes. Looks for it once in a while only, and if it has gone waits for the next one.
    ///
    /// # Errors
    /// - [`Away`]: none came in time. The next call tries again.
    #[inline]
    pub fn tend(&mut self) -> Result<(), Away> {
        if self.alive.is_down_after_all() {
            return self.restart();
        }
        Ok(())
    }

    /// Sleeps until frames come, the back-end goes, or the time is over. Without [`Settings::interrupts`] it does not sleep.
    pub fn wait(&mut self, limit: Duration) {
        self.alive.wait(limit);
    }

    /// Resets the device, and goes on with the back-end that is there then: with the next one, if this one went.
    ///
    /// # Errors
    /// - [`Away`]: none came in time. The next call tries again.
    pub fn restart(&mut self) -> Result<(), Away> {
        self.keep_trying(self.settings.wait.return_within)?;
        self.alive.restarts += 1;
        Ok(())
    }

    /// Waits until everything that was handed in was taken, or the time is over; then resets the device, and gives back what it was made of.
    ///
    /// # Errors
    /// - [`Away`]: the back-end does not stop within [`Settings::answer_limit`], and has not gone. What the card was made of is lost to it.
    pub fn close(mut self, limit: Duration) -> Result<ClosedCard<'p>, Away> {
        let end = deadline(limit);
        while self.alive.lanes.iter_mut().any(|pair| pair.in_flight() > 0)
            && self.link().is_some_and(Link::is_up)
            && Instant::now() < end
        {
            std::thread::yield_now();
        }
        let failed = |trouble| Away { waited: limit, trouble };
        self.alive.take_down(end_of(self.settings.front_end.answer_limit)).map_err(failed)?;
        let lost = self.lost();
        let supplies = mem::take(&mut self.alive.lanes).into_iter().map(Pair::into_supply).collect();
        Ok(ClosedCard { supplies, lost })
    }
}

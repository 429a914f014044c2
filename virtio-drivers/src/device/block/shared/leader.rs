//! Who looks for all: the leader, whose waker is the one that the interrupt wakes.
//!
//! Spec: §2.7.7 Used Buffer Notification Suppression, §2.8.10 Driver and Device Event Suppression. Each poll takes all that is done and wakes those it is for. As long as somebody waits
//! there is a leader, and one of two things holds, whenever the lock is free:
//!
//! - an interrupt was asked for, and the look that followed found nothing: the interrupt wakes the leader;
//! - the leader was woken and has not come yet: it will look.
//!
//! If nobody waits, everything that was sent is shown to the device, and an interrupt was asked for if something is in flight.
//!
//! A look that found something asks for no interrupt: it wakes the leader, who looks once more after all who were woken had their turn, and asks for one if there is nothing. So under load there
//! are few interrupts, and none is asked for in vain. What is sent until the leader comes is shown to the device then, all at once, with one notification at most. A leader that is done, or dropped, leaves the lead to another, on whose behalf the interrupt is asked for. Who is polled again for nothing
//! takes the lead: the leader's task may be busy with something else. A future that is neither polled nor dropped can still keep others waiting; who has such tasks spawns a runner, which leads always.

use core::mem;
use core::task::Waker;

use super::requests::Requests;
use super::step::{Place, Seat};
use crate::device::tasks::Later;
use crate::hal::Hal;
use crate::raw::Payload;
use crate::ring::Rearmed;

/// Who is polled, and goes on waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polled {
    /// Nobody: its request is over, or this is no task's poll.
    Nobody,
    /// Somebody who has begun to wait.
    First(Place),
    /// Somebody who waited before, and was woken for nothing.
    Again(Place),
}

impl Polled {
    const fn place(self) -> Option<Place> {
        match self {
            Self::Nobody => None,
            Self::First(place) | Self::Again(place) => Some(place),
        }
    }
}

impl<H: Hal, P: Payload> Requests<'_, H, P> {
    fn waker_at(&self, place: Place) -> Option<&Waker> {
        match place {
            Place::Entry(index) => self.entries.waker(index),
            Place::Room(number) => self.room.waker(number),
            Place::Seat(seat) => self.seats.get(seat as usize)?.as_ref(),
        }
    }

    pub(super) fn lead(&mut self, leader: Option<Place>, later: &mut Later<P>) {
        self.leader = leader;
        if let Some(signal) = self.signal {
            let waker = leader.and_then(|place| self.waker_at(place));
            later.forget(signal.replace(waker));
        }
    }

    /// Whether who is polled becomes the leader, or is it anyhow.
    fn takes_lead(&self, polled: Polled) -> bool {
        let Some(leader) = self.leader.filter(|place| self.waker_at(*place).is_some()) else { return true };
        match polled {
            Polled::Nobody => false,
            // Its waker may be another one than before, or have been used up by the interrupt.
            _ if polled.place() == Some(leader) => true,
            _ if polled.place() == Some(Place::Seat(Seat::Runner)) => true,
            Polled::First(_) => false,
            // Perhaps the leader was woken, and its task looks after something else. But a runner comes.
            Polled::Again(_) => leader != Place::Seat(Seat::Runner),
        }
    }

    /// Sees to it that somebody looks again, as long as somebody waits: an interrupt was asked for and wakes the leader, or the leader was woken already. `found` says whether the look
    /// before this found something.
    pub(super) fn settle(&mut self, polled: Polled, found: bool, later: &mut Later<P>) {
        let takes_lead = self.takes_lead(polled);
        if takes_lead {
            let leader = polled.place().or_else(|| self.next_leader());
            if leader.is_some() || self.leader.is_some() {
                self.lead(leader, later);
            }
        }
        let in_flight = self.in_flight() > 0;
        if self.leader.is_none() || takes_lead && !found {
            self.publish();
        }
        let Some(queue) = &mut self.queue else { return };
        let Some(leader) = self.leader else {
            self.leader_comes = false;
            // Nobody waits for what dropped futures left behind, but whoever calls `service` is told when there is something to collect.
            self.look_again = in_flight && self.signal.is_some() && queue.rearm() == Rearmed::MoreWaiting;
            return;
        };
        self.leader_comes = if found {
            // Interrupts would tell of what is looked for anyhow.
            queue.suppress_notifications();
            true
        } else if takes_lead {
            if self.signal.is_some() { queue.rearm() == Rearmed::MoreWaiting } else { in_flight }
        } else if self.signal.is_none() && in_flight {
            // Nothing but this wakes a leader who found nothing in flight, and slept.
            true
        } else {
            return;
        };
        if self.leader_comes {
            later.wake(self.waker_at(leader).cloned());
        }
    }

    /// Looks for all, without being a task; says whether there was anything.
    pub(super) fn look_for_all(&mut self, later: &mut Later<P>) -> bool {
        self.publish();
        let found = self.look(later);
        self.call(later);
        self.settle(Polled::Nobody, found, later);
        found
    }

    /// Somebody who waits.
    fn next_leader(&self) -> Option<Place> {
        let from = if let Some(Place::Entry(index)) = self.leader { index } else { 0 };
        let seat = |seat| Some(Place::Seat(seat)).filter(|place| self.waker_at(*place).is_some());
        let entry = || self.entries.waiting(from).map(|(index, _)| Place::Entry(index));
        let guest = || self.room.first().map(|(number, _)| Place::Room(number));
        seat(Seat::Runner).or_else(entry).or_else(guest).or_else(|| seat(Seat::Drainer))
    }

    /// Somebody waits on a seat, with this waker, or leaves it. The one from before comes back.
    pub(super) fn sit(&mut self, seat: Seat, waker: Option<Waker>) -> Option<Waker> {
        mem::replace(self.seats.get_mut(seat as usize)?, waker)
    }

    /// Whether a visit left something for another one.
    pub(super) const fn is_left(&self) -> bool {
        self.alarm || self.look_again
    }

    /// Does some of it.
    pub(super) fn go_on(&mut self, later: &mut Later<P>) {
        if self.alarm {
            self.wake_everybody(later);
        } else if mem::take(&mut self.look_again) {
            let found = self.look_for_all(later);
            // Each of these looks finds something, or is the last one.
            self.look_again &= found;
        }
    }

    /// Takes the wakers of everybody, as many as there is room for.
    fn wake_everybody(&mut self, later: &mut Later<P>) {
        while later.room() > 0 {
            let waker = self.entries.take_waker().or_else(|| self.room.take_waker());
            // A runner has nothing to be told of.
            let Some(waker) = waker.or_else(|| self.sit(Seat::Drainer, None)) else {
                self.alarm = false;
                break;
            };
            later.wake(Some(waker));
        }
    }
}

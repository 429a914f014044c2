//! Who looks for all: the leader, whose waker is the one that the interrupt wakes.
//!
//! Spec: §2.7.7 Used Buffer Notification Suppression, §2.8.10 Driver and Device Event Suppression. Each poll takes all that is done and wakes those it is for. As long as somebody waits
//! there is a leader, and one of two things holds, whenever the lock is free:
//!
//! - an interrupt was asked for, and the look that followed found nothing: the interrupt wakes the leader;
//! - the leader was woken and has not come yet: it will look.
//!
//! A look that found something asks for no interrupt: it wakes the leader, who looks once more after all who were woken had their turn, and asks for one if there is nothing. So under load there
//! are few interrupts, and none is asked for in vain. A leader that is done, or dropped, leaves the lead to another, on whose behalf the interrupt is asked for.

use core::task::Waker;

use super::requests::{Place, Requests};
use crate::device::tasks::Later;
use crate::hal::Hal;
use crate::raw::Payload;
use crate::ring::Rearmed;

impl<H: Hal, P: Payload> Requests<'_, H, P> {
    fn waker_at(&self, place: Place) -> Option<&Waker> {
        match place {
            Place::Entry(index) => self.entries.waker(index),
            Place::Room(number) => self.room.waker(number),
            Place::Drain => self.drainer.as_ref(),
        }
    }

    fn lead(&mut self, leader: Option<Place>, later: &mut Later<P>) {
        self.leader = leader;
        if let Some(signal) = self.signal {
            let waker = leader.and_then(|place| self.waker_at(place));
            later.forget(signal.replace(waker));
        }
    }

    /// Sees to it that somebody looks again, as long as somebody waits: an interrupt was asked for and wakes the leader, or the leader was woken already. `me` is who is polled, and goes on
    /// waiting; `found` says whether the look before this found something.
    pub(super) fn settle(&mut self, me: Option<Place>, found: bool, later: &mut Later<P>) {
        let has_leader = self.leader.is_some_and(|place| self.waker_at(place).is_some());
        let takes_lead = if has_leader {
            // Its waker may be another one than before, or have been used up by the interrupt.
            me == self.leader
        } else {
            true
        };
        if takes_lead {
            let leader = me.or_else(|| self.next_leader());
            if leader.is_some() || self.leader.is_some() {
                self.lead(leader, later);
            }
        }
        let (Some(leader), Some(queue)) = (self.leader, &mut self.queue) else { return };
        let is_woken = if found {
            // Interrupts would tell of what is looked for anyhow.
            queue.suppress_notifications();
            true
        } else {
            takes_lead && (self.signal.is_none() || queue.rearm() == Rearmed::MoreWaiting)
        };
        if is_woken {
            later.wake(self.waker_at(leader).cloned());
        }
    }

    /// Somebody who waits.
    fn next_leader(&self) -> Option<Place> {
        let from = if let Some(Place::Entry(index)) = self.leader { index } else { 0 };
        let entry = self.entries.waiting(from).map(|(index, _)| Place::Entry(index));
        let guest = || self.room.first().map(|(number, _)| Place::Room(number));
        entry.or_else(guest).or_else(|| self.drainer.is_some().then_some(Place::Drain))
    }

    /// Takes the wakers of everybody, as many as there is room for; says whether there were any.
    pub(super) fn wake_everybody(&mut self, later: &mut Later<P>) -> bool {
        let mut any = false;
        while later.room() > 0 {
            let waker = self.entries.take_waker().or_else(|| self.room.take_waker());
            let Some(waker) = waker.or_else(|| self.drainer.take()) else {
                self.alarm = false;
                break;
            };
            any = true;
            later.wake(Some(waker));
        }
        any
    }
}

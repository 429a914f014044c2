//! What is behind the lock: the queue, the tasks that wait, and who looks for all of them.
//!
//! Spec: §5.2.6 Device Operation. Everything here is bounded and waits for nothing; what runs the caller's code is left to [`Later`].
//!
//! ```text
//!             a place is free                     the device is done            its task looks
//!   wanted ──────────────────────▶ in flight ───────────────────────▶ done ───────────────────▶ over
//!      │  ▲                           │                                 │
//!      ▼  │ called                    ▼ dropped                         ▼ dropped
//!   waiting room ─── dropped ─▶    abandoned ── the device is done ─▶  what it carried is dropped
//! ```
//!
//! Who is woken by the interrupt, and who looks for all, is the business of `leader`.

use core::fmt;
use core::mem;
use core::task::{Poll, Waker};

use super::super::command::Command;
use super::super::completion::{Completion, Failed};
use super::super::queue::RequestQueue;
use super::super::request::RequestError;
use super::super::shape::Shape;
use super::leader::Polled;
use super::step::{Done, Order, Outcome, Pause, Place, Seat, Step};
use super::waiters::{Entries, State, WaitersRef};
use crate::device::tasks::{Later, Room};
use crate::hal::Hal;
use crate::lifecycle::{Interrupts, QueueSignal};
use crate::raw::{Payload, Tag};

/// What a kernel puts behind its [`Lock`](crate::hal::Lock), for a [`Shared`](super::Shared) queue.
pub struct Requests<'s, H: Hal, P: Payload = Tag<()>> {
    pub(super) queue: Option<RequestQueue<'s, H, P>>,
    /// What the disk says of itself, as of the last queue.
    pub(super) shape: Shape,
    pub(super) entries: Entries<'s, P>,
    pub(super) room: Room<'s>,
    pub(super) signal: Option<&'s QueueSignal>,
    pub(super) leader: Option<Place>,
    /// Whether the leader was woken to look again, and shows the device then what was sent meanwhile.
    pub(super) leader_comes: bool,
    /// Who waits for something else than a request.
    pub(super) seats: [Option<Waker>; 2],
    /// What may go out.
    pub(super) pause: Pause,
    /// Why no request succeeds any more.
    pub(super) trouble: Option<RequestError>,
    /// Whether everybody is to be woken.
    pub(super) alarm: bool,
    /// Whether something is done that nobody waits for.
    pub(super) look_again: bool,
}

/// A queue that cannot be shared yet: requests with tickets are in flight, or a queue is there already.
#[derive(thiserror::Error)]
#[error("the queue is in use")]
pub struct QueueInUse<'s, H: Hal, P: Payload> {
    /// The queue.
    pub queue: RequestQueue<'s, H, P>,
}

impl<'s, H: Hal, P: Payload> Requests<'s, H, P> {
    /// A queue to be shared, and where its tasks wait. `interrupts` are those of its disk ([`Control::interrupts`](super::super::Control::interrupts)), which needs
    /// [`Settings::notifications`](super::super::Settings::notifications). Without (nothing interrupts), one of the tasks that wait asks to be polled again and again.
    ///
    /// # Errors
    /// - [`QueueInUse`]: requests with tickets are in flight: take their completions first. The queue comes back.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn new(
        queue: RequestQueue<'s, H, P>,
        waiters: impl Into<WaitersRef<'s, P>>,
        interrupts: Option<&Interrupts<'s>>,
    ) -> Result<Self, QueueInUse<'s, H, P>> {
        let signal = interrupts.and_then(|interrupts| interrupts.queue_signal(queue.index()));
        if queue.has_tickets_out() {
            return Err(QueueInUse { queue });
        }
        let WaitersRef { entries, room } = waiters.into();
        Ok(Self {
            shape: queue.shape,
            queue: Some(queue),
            entries: Entries::new(entries),
            room: Room::new(room),
            signal,
            leader: None,
            leader_comes: false,
            seats: [None, None],
            pause: Pause::None,
            trouble: None,
            alarm: false,
            look_again: false,
        })
    }

    /// Takes a step with a task's request.
    pub(super) fn poll(
        &mut self,
        step: &mut Step<P>,
        waker: &Waker,
        later: &mut Later<P>,
    ) -> Poll<Outcome<P>> {
        let before = step.place();
        if before.is_some() && before == self.leader {
            self.publish();
        }
        // It is awake: whatever it waited for, it need not be woken for that.
        later.forget(match step {
            Step::InFlight(index) => self.entries.get(*index).and_then(|entry| entry.waker.take()),
            Step::Waiting(number, _) => self.room.awake(*number),
            Step::Wanted(_) | Step::Over => None,
        });
        let found = self.look(later);
        // Then somebody is woken below.
        self.leader_comes |= found;
        self.call(later);
        let outcome = match mem::replace(step, Step::Over) {
            Step::Wanted(order) if self.room.is_empty() => self.start(order, step, waker),
            Step::Wanted(order) => self.wait(order, step, waker),
            Step::Waiting(number, order) => {
                if self.trouble.is_some() || self.room.was_called(number) && self.places() > 0 {
                    later.forget(self.room.leave(number));
                    self.send(order, step, waker)
                } else {
                    later.forget(self.room.stay(number, waker.clone()));
                    *step = Step::Waiting(number, order);
                    Poll::Pending
                }
            }
            Step::InFlight(index) => self.result(index, step, waker, later),
            Step::Over => Poll::Pending,
        };
        self.call(later);
        let polled = match step.place() {
            None => Polled::Nobody,
            Some(place) if before == Some(place) => Polled::Again(place),
            Some(place) => Polled::First(place),
        };
        self.settle(polled, found, later);
        outcome
    }

    /// Shows the device what was sent, unless there is a pause that forbids it.
    pub(super) fn publish(&mut self) {
        if let Some(queue) = self.queue.as_mut().filter(|_| self.pause != Pause::Nothing) {
            queue.publish();
        }
    }

    /// Takes what the device is done with, a burst at most, and says whether there was anything.
    pub(super) fn look(&mut self, later: &mut Later<P>) -> bool {
        let (mut found, mut goes_on) = (false, false);
        for _ in 0..Later::<P>::COMPLETIONS_MAX {
            let Some(queue) = &mut self.queue else { break };
            match queue.take_completion(&mut goes_on) {
                Ok(Some(completion)) => {
                    found = true;
                    let unwanted = self.deliver(completion, later);
                    if unwanted.is_some() {
                        later.discard(unwanted);
                        break;
                    }
                }
                Ok(None) => break,
                Err(broken) => {
                    self.fail(RequestError::Broken(broken));
                    break;
                }
            }
        }
        // The next part is shown to the device by whoever comes because of this.
        found |= goes_on;
        let nothing_in_flight = self.in_flight() == 0;
        if nothing_in_flight {
            later.wake(self.sit(Seat::Drainer, None));
        }
        found
    }

    /// Gives a completion to its task. What it carried comes back if nobody waits for it.
    pub(super) fn deliver(&mut self, completion: Completion<P>, later: &mut Later<P>) -> Option<P> {
        let Completion { ticket, payload, answer, result } = completion;
        let index = ticket.serial as usize;
        match self.entries.get(index) {
            Some(entry) if matches!(entry.state, State::InFlight) => {
                entry.state = State::Done(match result {
                    Ok(()) => Ok(Done { payload, answer }),
                    Err(error) => Err(Failed { error, payload }),
                });
                later.wake(entry.waker.take());
                None
            }
            Some(entry) if matches!(entry.state, State::Abandoned) => {
                self.entries.vacate(index);
                payload
            }
            // Its completion comes once, so it is one of the two.
            _ => payload,
        }
    }

    /// Requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.requests() - queue.free_requests())
    }

    /// How many requests could go out.
    fn places(&self) -> usize {
        match &self.queue {
            Some(queue) if self.pause == Pause::None => queue.free_requests().min(self.entries.free()),
            _ => 0,
        }
    }

    /// No request succeeds any more; everybody is told.
    pub(super) fn fail(&mut self, why: RequestError) {
        if self.trouble.is_none() {
            self.trouble = Some(why);
            self.alarm = true;
        }
    }

    /// Sends a request if there is a place for it that is nobody else's; else its task waits.
    fn start(&mut self, order: Order<P>, step: &mut Step<P>, waker: &Waker) -> Poll<Outcome<P>> {
        if self.places() <= self.room.called() {
            return self.wait(order, step, waker);
        }
        self.send(order, step, waker)
    }

    /// Sends a request.
    fn send(&mut self, mut order: Order<P>, step: &mut Step<P>, waker: &Waker) -> Poll<Outcome<P>> {
        if let Some(error) = self.trouble {
            return Poll::Ready(Err(Failed { error, payload: order.payload }));
        }
        let (Some(queue), Some(index)) = (&mut self.queue, self.entries.next()) else {
            return self.wait(order, step, waker);
        };
        if order.command == Command::Flush && !queue.shape.flush {
            // There is no cache to be flushed.
            return Poll::Ready(Ok(Done { payload: order.payload, answer: None }));
        }
        let serial = u32::try_from(index).unwrap_or(u32::MAX);
        match queue.submit_as(serial, order.command, order.range.as_slice(), order.payload.take()) {
            Ok(_) => {
                if !self.leader_comes {
                    queue.publish();
                }
                self.entries.occupy(index);
                if let Some(entry) = self.entries.get(index) {
                    entry.waker = Some(waker.clone());
                }
                *step = Step::InFlight(index);
                Poll::Pending
            }
            Err(failed) => Poll::Ready(Err(failed)),
        }
    }

    /// A task waits for a place, if there is room for one more.
    fn wait(&mut self, order: Order<P>, step: &mut Step<P>, waker: &Waker) -> Poll<Outcome<P>> {
        let error = match self.trouble {
            Some(error) => error,
            None => match self.room.enter(waker.clone()) {
                Some(number) => {
                    *step = Step::Waiting(number, order);
                    return Poll::Pending;
                }
                None => RequestError::Full,
            },
        };
        Poll::Ready(Err(Failed { error, payload: order.payload }))
    }

    /// What has become of a request that was sent.
    fn result(
        &mut self,
        index: usize,
        step: &mut Step<P>,
        waker: &Waker,
        later: &mut Later<P>,
    ) -> Poll<Outcome<P>> {
        let Some(entry) = self.entries.get(index) else { return Poll::Pending };
        match (&entry.state, self.trouble) {
            (State::Done(..), _) => match self.entries.vacate(index) {
                Some((State::Done(outcome), _)) => Poll::Ready(outcome),
                _ => Poll::Pending,
            },
            (_, Some(error)) => {
                entry.state = State::Abandoned;
                later.forget(entry.waker.take());
                Poll::Ready(Err(Failed { error, payload: None }))
            }
            (_, None) => {
                later.forget(entry.waker.replace(waker.clone()));
                *step = Step::InFlight(index);
                Poll::Pending
            }
        }
    }

    /// A task wants its request no more.
    pub(super) fn abandon(&mut self, step: &mut Step<P>, later: &mut Later<P>) {
        match mem::replace(step, Step::Over) {
            Step::Waiting(number, order) => {
                later.forget(self.room.leave(number));
                later.discard(order.payload);
            }
            Step::InFlight(index) => {
                if let Some(entry) = self.entries.get(index) {
                    later.forget(entry.waker.take());
                    if matches!(entry.state, State::InFlight) {
                        entry.state = State::Abandoned;
                    } else if let Some((State::Done(outcome), _)) = self.entries.vacate(index) {
                        later.discard(outcome.map_or_else(|failed| failed.payload, |done| done.payload));
                    }
                }
            }
            // Nothing was done for it yet.
            other => *step = other,
        }
        self.call(later);
        self.settle(Polled::Nobody, false, later);
    }

    /// Calls as many from the waiting room as there are places for; says whether there are more.
    pub(super) fn call(&mut self, later: &mut Later<P>) -> bool {
        while self.places() > self.room.called() {
            if later.room() <= 4 {
                return true;
            }
            let Some((_, waker)) = self.room.call() else { break };
            later.wake(waker);
        }
        false
    }
}

impl<H: Hal, P: Payload> fmt::Debug for Requests<'_, H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl<H: Hal, P: Payload> fmt::Debug for QueueInUse<'_, H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QueueInUse").field(&self.queue).finish()
    }
}

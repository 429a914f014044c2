//! The short way for reads and writes whose buffer is one segment, which most are: few instructions, many at a time.
//!
//! Spec: §5.2.6 Device Operation. They go in frames of the queue's ([`ring`](crate::ring)) where indirect descriptors were agreed on and the disk has no zones; everything else goes the long way
//! ([`parts`](super::parts)). Callers see no difference.

#![allow(
    clippy::inline_always,
    reason = "as in `ring`: what is constant about a caller's requests is judged by the compiler"
)]

use core::cell::Cell;
use core::fmt;
use core::iter;

use super::command::Command;
use super::completion::{Completion, Failed, Ticket};
use super::limits::Limits;
use super::parts::Came;
use super::queue::RequestQueue;
use super::request::{RequestError, Sector, outcome};
use super::shape::Shape;
use super::slots::LongLoad;
use crate::hal::{Direction, Hal};
use crate::raw::{Either, Payload, Segment, Tag};
use crate::ring::{Broken, FrameAnswer, Framed, FramedTaker, RefusedChain, Used};
use crate::wire::block::{SECTOR_BYTES, request_status};

#[allow(clippy::cast_possible_truncation, reason = "512")]
const SECTOR: u32 = SECTOR_BYTES as u32;

/// A read or a write, and its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<P> {
    /// Sectors of the disk into memory: all of `into` is to be filled.
    Read {
        /// The first one.
        from: Sector,
        /// Whole sectors of memory, which the device writes.
        into: P,
    },
    /// Memory to sectors of the disk: all of `from` is to be written.
    Write {
        /// The first one.
        to: Sector,
        /// Whole sectors of memory, which the device reads.
        from: P,
    },
}

/// A burst that ended early: how much of it was handed in, and the request that was not.
#[derive(thiserror::Error)]
#[error("after {submitted} requests: {failed}")]
pub struct BurstFailed<P> {
    /// Requests before it: they were handed in.
    pub submitted: usize,
    /// The first one that was not. Those after it were not asked for.
    pub failed: Failed<P>,
}

// What is carried is the kernel's, and need not be printable.
impl<P> fmt::Debug for BurstFailed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { submitted, failed } = self;
        f.debug_struct("BurstFailed").field("submitted", submitted).field("failed", failed).finish()
    }
}

/// What the driver knows of a request that goes the short way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quick {
    pub(super) serial: u32,
}

impl Quick {
    /// The ticket of such a request whose chain has this id: that is its slot, too.
    pub(super) const fn ticket(self, id: u16) -> Ticket {
        Ticket { slot: id, serial: self.serial }
    }

    #[inline(always)]
    fn completion<P>(self, payload: P, answer: FrameAnswer, lengths_count: bool) -> Completion<P> {
        let FrameAnswer { id, status, written_len, writable_bytes } = answer;
        let result = if status == request_status::OK && written_len >= writable_bytes {
            Ok(())
        } else {
            judge(status, written_len, writable_bytes, lengths_count)
        };
        Completion { ticket: self.ticket(id), payload: Some(payload), answer: None, result }
    }
}

/// What became of a request that may not have succeeded.
#[cold]
#[inline(never)]
fn judge(status: u8, written_len: u32, writable_bytes: u32, lengths_count: bool) -> Result<(), RequestError> {
    // What is written to the disk leaves nothing to write but the status, which need not be counted.
    let expected_bytes = if lengths_count && writable_bytes > 1 { writable_bytes } else { 0 };
    outcome(status, written_len, expected_bytes, false)
}

/// The numbers of tickets of a burst: no number comes again, even if whoever hands it in panics in its middle.
struct Serials<'q> {
    /// A copy, which stays in a register,
    last: Cell<u32>,
    /// and the queue's own, to which it is written back.
    kept: &'q mut u32,
}

impl Serials<'_> {
    #[inline(always)]
    const fn last(&self) -> Quick {
        Quick { serial: self.last.get() }
    }

    #[inline(always)]
    fn next(&self) -> Quick {
        self.last.set(self.last.get().wrapping_add(1));
        self.last()
    }
}

impl Drop for Serials<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        *self.kept = self.last.get();
    }
}

/// A request that came back.
pub(super) enum EitherWay<P> {
    /// By the short way, and judged.
    Short(Completion<P>),
    /// By the long one.
    Long(Used<LongLoad<P>>),
}

/// What may go the short way.
#[derive(Clone, Copy, Debug)]
struct Gate {
    /// Most bytes; 0 if nothing may. The ring looks at that.
    bytes_max: u32,
    capacity_sectors: u64,
    read_only: bool,
}

impl Gate {
    #[inline(always)]
    fn new(shape: &Shape, limits: &Limits) -> Self {
        let bytes_max = if shape.zoned.is_none() { limits.frame_bytes } else { 0 };
        let Shape { capacity_sectors, read_only, .. } = *shape;
        // Where nothing may, nothing is inside: so that is asked for already, and the ring not bothered.
        let capacity_sectors = if bytes_max == 0 { 0 } else { capacity_sectors };
        Self { bytes_max, capacity_sectors, read_only }
    }

    /// Whether a request of no more than so many bytes may go the short way.
    #[inline(always)]
    fn admits(&self, command: Command, payload: &impl Payload) -> bool {
        let (mut bytes, mut direction) = (0, command.direction());
        payload
            .visit_segments(&mut |segment: &Segment| (bytes, direction) = (segment.len, segment.direction));
        let sectors = u64::from(bytes / SECTOR);
        let Sector(sector) = command.sector();
        let is_inside = self.capacity_sectors.checked_sub(sectors).is_some_and(|last| sector <= last);
        let is_whole = bytes.is_multiple_of(SECTOR);
        let is_allowed = match command {
            Command::Read(_) => direction == Direction::DeviceWritable,
            Command::Write(_) => direction == Direction::DeviceReadable && !self.read_only,
            _ => false,
        };
        is_whole && is_inside && is_allowed && payload.segment_count() == 1
    }
}

/// A request for a frame.
#[inline(always)]
fn framed<P>(command: Command, context: Quick, payload: P) -> Framed<Quick, P> {
    let Sector(sector) = command.sector();
    Framed { header: [command.request_type().into(), sector], context, payload }
}

/// A request that the ring refused. The long way says why.
#[cold]
fn refused<P>(framed: Framed<Quick, P>) -> (Command, P) {
    let Framed { header: [request_type, sector], payload, .. } = framed;
    let sector = Sector(sector);
    let is_read = request_type == u64::from(Command::Read(sector).request_type());
    (if is_read { Command::Read(sector) } else { Command::Write(sector) }, payload)
}

impl<H: Hal, P: Payload> RequestQueue<'_, H, P> {
    /// Hands in a burst of reads and writes, tells `accepted` the ticket of each, and says how many there were. The device sees them, all at once, with the next
    /// [`publish`](RequestQueue::publish).
    ///
    /// It ends where one is refused, and asks `accesses` for no more: whoever wants the rest passes `&mut accesses`.
    ///
    /// Ownership: as for [`submit_read`](RequestQueue::submit_read), for each of them. Work: bounded by the burst; never waits.
    ///
    /// # Errors
    /// - [`BurstFailed`]: the first one that was refused, and how many before it were handed in. [`RequestError::Full`] is the ordinary end of a burst that fills a queue.
    #[inline]
    pub fn submit_burst(
        &mut self,
        accesses: impl IntoIterator<Item = Access<P>>,
        mut accepted: impl FnMut(Ticket),
    ) -> Result<usize, BurstFailed<P>> {
        let mut accesses = accesses.into_iter();
        // Each request has one ticket more, and one that is refused, too.
        let before = self.tickets;
        while let Some((command, payload)) = self.submit_while_quick(&mut accesses, &mut accepted) {
            self.tickets = self.tickets.wrapping_add(1);
            match self.submit_long(self.tickets, command, &[], Some(payload)) {
                Ok(ticket) => accepted(ticket),
                Err(failed) => {
                    let submitted = self.tickets.wrapping_sub(before).wrapping_sub(1) as usize;
                    return Err(BurstFailed { submitted, failed });
                }
            }
        }
        Ok(self.tickets.wrapping_sub(before) as usize)
    }

    /// Hands in requests as long as they go the short way; what comes out is the first that does not.
    #[inline(always)]
    fn submit_while_quick(
        &mut self,
        accesses: &mut impl Iterator<Item = Access<P>>,
        mut accepted: impl FnMut(Ticket),
    ) -> Option<(Command, P)> {
        let gate = self.gate();
        let Self { queue, tickets, .. } = self;
        let (mut other, serials) = (None, Serials { last: Cell::new(*tickets), kept: tickets });
        let requests = iter::from_fn(|| {
            let (command, payload) = match accesses.next()? {
                Access::Read { from, into } => (Command::Read(from), into),
                Access::Write { to, from } => (Command::Write(to), from),
            };
            if gate.admits(command, &payload) {
                return Some(framed(command, serials.next(), payload));
            }
            other = Some((command, payload));
            None
        });
        let made =
            queue.make_available_framed(gate.bytes_max, requests, |id| accepted(serials.last().ticket(id)));
        drop(serials);
        match made {
            Ok(()) => other,
            Err(RefusedChain { payload, .. }) => {
                // It gets another one.
                *tickets = tickets.wrapping_sub(1);
                Some(refused(payload))
            }
        }
    }

    /// Hands in a request by the short way; what it carries comes back if that is not for it.
    #[inline(always)]
    pub(super) fn submit_quick(&mut self, serial: u32, command: Command, payload: P) -> Result<Ticket, P> {
        let gate = self.gate();
        if !gate.admits(command, &payload) {
            return Err(payload);
        }
        let (quick, mut slot) = (Quick { serial }, 0);
        let requests = [framed(command, quick, payload)];
        match self.queue.make_available_framed(gate.bytes_max, requests, |id| slot = id) {
            Ok(()) => Ok(quick.ticket(slot)),
            Err(RefusedChain { payload: Framed { payload, .. }, .. }) => Err(payload),
        }
    }

    #[inline(always)]
    fn gate(&self) -> Gate {
        Gate::new(&self.shape, &self.limits)
    }

    /// Takes up to `limit` requests that the device is done with, and says how many there were. Shows the device the next parts of requests that go part by part, if there are any.
    ///
    /// Work: bounded by `limit` and the requests in flight; never waits. Does not ask for an interrupt: [`rearm`](RequestQueue::rearm) does.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Nothing more comes back before a reset; what came before was handed to `done`.
    #[inline]
    pub fn complete_burst(
        &mut self,
        limit: usize,
        mut done: impl FnMut(Completion<P>),
    ) -> Result<usize, Broken> {
        let mut goes_on = false;
        let left = self.complete_up_to(limit, &mut goes_on, &mut done);
        if goes_on {
            self.queue.publish();
        }
        left.map(|left| limit - left)
    }

    /// The same, and says what is left of the limit, and whether something is to be published.
    #[inline(always)]
    pub(super) fn complete_up_to(
        &mut self,
        limit: usize,
        goes_on: &mut bool,
        mut done: impl FnMut(Completion<P>),
    ) -> Result<usize, Broken> {
        let mut left = limit;
        while left > 0
            && let Some(completion) = self.unpark()
        {
            left -= 1;
            done(completion);
        }
        while left > 0 {
            let Self { queue, shape, .. } = self;
            let mut finishing = Finishing { lengths_count: shape.lengths_count, done: &mut done };
            let (taken, is_other) = queue.take_framed_burst(left, &mut finishing)?;
            left = left.saturating_sub(taken);
            if !is_other {
                break;
            }
            match self.complete_long()? {
                Some(Came::Done(completion)) => {
                    left = left.saturating_sub(1);
                    self.put_slot(completion.ticket.slot);
                    done(completion);
                }
                Some(Came::GoesOn) => *goes_on = true,
                Some(Came::Left) => {}
                None => break,
            }
        }
        Ok(left)
    }

    /// The next request that is back, if there is one: by the long way, if the short one did not know it.
    #[inline(never)]
    fn complete_long(&mut self) -> Result<Option<Came<P>>, Broken> {
        Ok(match self.take_either()? {
            Some(EitherWay::Short(completion)) => Some(Came::Done(completion)),
            Some(EitherWay::Long(used)) => Some(self.complete(used)),
            None => None,
        })
    }

    /// The next request that the device is done with, whoever's it is: one that went the short way is judged.
    pub(super) fn take_either(&mut self) -> Result<Option<EitherWay<P>>, Broken> {
        let mut one = One { lengths_count: self.shape.lengths_count, short: None };
        let (_, is_other) = self.queue.take_framed_burst(1, &mut one)?;
        if let Some(completion) = one.short {
            return Ok(Some(EitherWay::Short(completion)));
        }
        if !is_other {
            return Ok(None);
        }
        Ok(match self.queue.take_used()? {
            Some(Used { payload: Either::Other(payload), written_len }) => {
                Some(EitherWay::Long(Used { payload, written_len }))
            }
            // The device has changed its word since it was read for the short way.
            Some(Used { payload: Either::One((Tag(quick), payload)), .. }) => {
                // What came back last is used first.
                let id = self.queue.next_id().unwrap_or(0);
                let result = Err(RequestError::BadAnswer);
                let (ticket, payload) = (quick.ticket(id), Some(payload));
                Some(EitherWay::Short(Completion { ticket, payload, answer: None, result }))
            }
            None => None,
        })
    }
}

/// Requests that come back by the short way, on their way to their owner.
struct Finishing<D> {
    lengths_count: bool,
    done: D,
}

impl<P, D: FnMut(Completion<P>)> FramedTaker<Quick, P> for Finishing<D> {
    #[inline(always)]
    fn take(&mut self, answer: FrameAnswer, quick: Quick, payload: P) {
        (self.done)(quick.completion(payload, answer, self.lengths_count));
    }
}

/// One such request.
struct One<P> {
    lengths_count: bool,
    short: Option<Completion<P>>,
}

impl<P> FramedTaker<Quick, P> for One<P> {
    fn take(&mut self, answer: FrameAnswer, quick: Quick, payload: P) {
        self.short = Some(quick.completion(payload, answer, self.lengths_count));
    }
}

//! Requests that own their buffers: many go out with one notification, and come back in any order.
//!
//! Spec: §5.2.6 Device Operation. Nothing here waits: for kernels with wait queues of their own.
//!
//! ```no_run
//! # use virtio_guest::hal::{Direction, Hal};
//! use virtio_guest::device::block::{Completion, RequestQueue, Sector, Ticket};
//! use virtio_guest::raw::MappedBuffer;
//! use virtio_guest::ring::{Broken, Rearmed};
//! # type Page = Vec<u8>;
//! # trait Waiters { fn remember(&self, ticket: Ticket); fn tell(&self, done: Completion<impl Sized>); }
//!
//! /// Sends a burst of reads, with one notification at most.
//! fn read_ahead<H: Hal>(
//!     queue: &mut RequestQueue<'_, H, MappedBuffer<H, Page>>, hal: &H, pages: Vec<Page>, waiters: &impl Waiters,
//! ) {
//!     for (page, sector) in pages.into_iter().zip((0..).step_by(8)) {
//!         let Ok(page) = MappedBuffer::map(hal, page, Direction::DeviceWritable) else { break };
//!         let Ok(ticket) = queue.submit_read(Sector(sector), page) else { break };
//!         waiters.remember(ticket); // in an array: see `Ticket::index`
//!     }
//!     queue.publish();
//! }
//!
//! /// After an interrupt: takes what is done, until nothing is left and the next interrupt is asked for.
//! fn complete<H: Hal>(
//!     queue: &mut RequestQueue<'_, H, MappedBuffer<H, Page>>, waiters: &impl Waiters,
//! ) -> Result<(), Broken> {
//!     loop {
//!         while let Some(done) = queue.next_completion()? {
//!             waiters.tell(done);
//!         }
//!         if queue.rearm() == Rearmed::Quiet {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```

use super::command::{Command, SectorRange};
use super::completion::{Completion, Failed, Ticket};
use super::parts::Outgoing;
use super::queue::RequestQueue;
use super::request::{RequestError, Sector};
use crate::hal::Hal;
use crate::raw::{Payload, Segment, Window};
use crate::ring::{Broken, RefusedReason};

impl<H: Hal, P: Payload> RequestQueue<'_, H, P> {
    /// Hands in a read: the device is to fill all of `into`, whole sectors. It does so after the next [`publish`](RequestQueue::publish).
    ///
    /// A buffer that is more than the device takes in one request is filled part by part; its ticket is done with the last one. [`Settings::data_segments`](super::Settings::data_segments) has room for
    /// buffers of several segments.
    ///
    /// Ownership: accepted, the queue has `into` until the completion; refused, it comes back in the error.
    /// Work: bounded; never waits.
    ///
    /// # Errors
    /// See [`RequestError`]: [`Full`](RequestError::Full) if as many are in flight as there can be. The device was not asked.
    pub fn submit_read(&mut self, from: Sector, into: P) -> Result<Ticket, Failed<P>> {
        self.submit(Command::Read(from), &[], Some(into))
    }

    /// Hands in a write of all of `from`, whole sectors.
    ///
    /// Ownership and work: as for [`submit_read`](RequestQueue::submit_read).
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_write(&mut self, to: Sector, from: P) -> Result<Ticket, Failed<P>> {
        self.submit(Command::Write(to), &[], Some(from))
    }

    /// Hands in a flush: when it is done, all that was written and completed before is safe from a power failure. `None` if the disk has no cache to be flushed, and is not asked.
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_flush(&mut self) -> Result<Option<Ticket>, RequestError> {
        if !self.shape.flush {
            return Ok(None);
        }
        Ok(Some(self.submit(Command::Flush, &[], None)?))
    }

    /// Hands in the question for the disk's id string; the completion has it as its [`Answer`](super::Answer).
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_device_id(&mut self) -> Result<Ticket, RequestError> {
        Ok(self.submit(Command::DeviceId, &[], None)?)
    }

    /// Hands in the question for how worn the disk is; the completion has it as its [`Answer`](super::Answer).
    ///
    /// # Errors
    /// See [`RequestError`]: [`Unsupported`](RequestError::Unsupported) if the disk does not say such things. The device was not asked.
    pub fn submit_lifetime(&mut self) -> Result<Ticket, RequestError> {
        Ok(self.submit(Command::Lifetime, &[], None)?)
    }

    /// Takes the next request that the device is done with, if there is one. Shows the device the next parts of requests that go part by part, if there are any.
    ///
    /// Work: bounded by the requests in flight; never waits. Does not ask for an interrupt: [`rearm`](RequestQueue::rearm) does.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Nothing comes back before a reset.
    pub fn next_completion(&mut self) -> Result<Option<Completion<P>>, Broken> {
        let mut goes_on = false;
        let completion = self.take_completion(&mut goes_on);
        if goes_on {
            self.queue.publish();
        }
        completion
    }

    /// The same, and says instead whether something is to be published.
    pub(super) fn take_completion(&mut self, goes_on: &mut bool) -> Result<Option<Completion<P>>, Broken> {
        let mut completion = None;
        self.complete_up_to(1, goes_on, |done| completion = Some(done))?;
        Ok(completion)
    }

    pub(super) fn submit(
        &mut self,
        command: Command,
        ranges: &[SectorRange],
        payload: Option<P>,
    ) -> Result<Ticket, Failed<P>> {
        self.tickets = self.tickets.wrapping_add(1);
        self.submit_as(self.tickets, command, ranges, payload)
    }

    /// Hands in a request, with a number of the caller's own choice on its ticket.
    #[inline]
    pub(super) fn submit_as(
        &mut self,
        serial: u32,
        command: Command,
        ranges: &[SectorRange],
        payload: Option<P>,
    ) -> Result<Ticket, Failed<P>> {
        let payload = match payload {
            Some(payload) => match self.submit_quick(serial, command, payload) {
                Ok(ticket) => return Ok(ticket),
                Err(payload) => Some(payload),
            },
            None => None,
        };
        self.submit_long(serial, command, ranges, payload)
    }

    /// The same, whatever it is about.
    pub(super) fn submit_long(
        &mut self,
        serial: u32,
        command: Command,
        ranges: &[SectorRange],
        payload: Option<P>,
    ) -> Result<Ticket, Failed<P>> {
        let admitted = self.admit(command, ranges, payload.as_ref());
        let bytes = match admitted {
            Ok(bytes) => bytes,
            Err(error) => return Err(Failed { error, payload }),
        };
        let mut window = payload.map(Window::new);
        let part_bytes = window.as_mut().map_or(0, |window| self.next_part(command, window));
        let is_enough = part_bytes == bytes
            || part_bytes > 0 && command.can_be_split() && self.shape.check(command, part_bytes).is_ok();
        let slot = if is_enough { self.take_slot() } else { None };
        let sent = match slot {
            Some(slot) => {
                let outgoing = Outgoing { slot, serial, command, ranges: ranges.len(), window };
                let sent = match self.write_ranges(slot, command, ranges) {
                    Ok(()) => self.send_part(outgoing, part_bytes),
                    Err(reason) => Err((reason, outgoing.window)),
                };
                sent.map(|()| slot).map_err(|(reason, window)| {
                    self.put_slot(slot);
                    let is_full = reason == RefusedReason::Full;
                    (if is_full { RequestError::Full } else { RequestError::Refused(reason) }, window)
                })
            }
            None if is_enough => Err((RequestError::Full, window)),
            None => Err((self.too_large(), window)),
        };
        match sent {
            Ok(slot) => Ok(Ticket { slot, serial }),
            Err((error, window)) => Err(Failed { error, payload: window.map(Window::into_payload) }),
        }
    }

    /// Judges a request before a slot is taken for it; says how many bytes its buffer has.
    fn admit(
        &self,
        command: Command,
        ranges: &[SectorRange],
        payload: Option<&P>,
    ) -> Result<u64, RequestError> {
        if let Some(broken) = self.queue.broken() {
            return Err(broken.into());
        }
        let (mut bytes, mut is_wrong) = (0u64, false);
        if let Some(payload) = payload {
            payload.visit_segments(&mut |segment: &Segment| {
                bytes = bytes.saturating_add(segment.len.into());
                is_wrong |= segment.direction != command.direction();
            });
        }
        if is_wrong {
            return Err(RequestError::WrongDirection);
        }
        self.shape.check(command, bytes)?;
        self.check_ranges(command, ranges)?;
        Ok(bytes)
    }

    pub(super) const fn too_large(&self) -> RequestError {
        RequestError::TooLarge {
            segment_bytes_max: self.limits.segment_bytes,
            segments_max: self.limits.data_segments(),
        }
    }
}

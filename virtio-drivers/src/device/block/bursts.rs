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

use super::completion::{Completion, Failed, Ticket};
use super::queue::RequestQueue;
use super::request::{InFlight, Owner, RequestError, Sector};
use crate::hal::{Direction, Hal};
use crate::raw::{Payload, Segment};
use crate::ring::{Broken, Chain, RefusedReason};
use crate::wire::block::request;

impl<H: Hal, P: Payload> RequestQueue<'_, H, P> {
    /// Hands in a read: the device is to fill all of `into`, whole sectors. It does so after the next [`publish`](RequestQueue::publish).
    ///
    /// Ownership: accepted, the queue has `into` until the completion; refused, it comes back in the error.
    /// Work: bounded; never waits.
    ///
    /// # Errors
    /// See [`RequestError`]: [`Full`](RequestError::Full) if as many are in flight as there can be. The device was not asked.
    pub fn submit_read(&mut self, from: Sector, into: P) -> Result<Ticket, Failed<P>> {
        self.submit(request::IN, from, Some(into))
    }

    /// Hands in a write of all of `from`, whole sectors.
    ///
    /// Ownership and work: as for [`submit_read`](RequestQueue::submit_read).
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_write(&mut self, to: Sector, from: P) -> Result<Ticket, Failed<P>> {
        self.submit(request::OUT, to, Some(from))
    }

    /// Hands in a flush: when it is done, all that was written and completed before is safe from a power failure. `None` if the disk has no cache to be flushed, and is not asked.
    ///
    /// # Errors
    /// See [`RequestError`]. The device was not asked.
    pub fn submit_flush(&mut self) -> Result<Option<Ticket>, RequestError> {
        if !self.shape.flush {
            return Ok(None);
        }
        Ok(Some(self.submit(request::FLUSH, Sector(0), None)?))
    }

    /// Takes the next request that the device is done with, if there is one.
    ///
    /// Work: bounded by the requests in flight; never waits. Does not ask for an interrupt: [`rearm`](RequestQueue::rearm) does.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Nothing comes back before a reset.
    pub fn next_completion(&mut self) -> Result<Option<Completion<P>>, Broken> {
        let mut completion = self.slots.unpark();
        while completion.is_none() {
            let Some(used) = self.queue.take_used()? else { return Ok(None) };
            completion = self.complete(used);
        }
        Ok(completion.inspect(|completion| {
            self.slots.put(completion.ticket.slot);
            self.tickets_out = self.tickets_out.saturating_sub(1);
        }))
    }

    fn submit(&mut self, request_type: u32, sector: Sector, payload: Option<P>) -> Result<Ticket, Failed<P>> {
        self.tickets = self.tickets.wrapping_add(1);
        self.submit_as(self.tickets, request_type, sector, payload)
    }

    /// Hands in a request, with a number of the caller's own choice on its ticket.
    pub(super) fn submit_as(
        &mut self,
        serial: u32,
        request_type: u32,
        sector: Sector,
        payload: Option<P>,
    ) -> Result<Ticket, Failed<P>> {
        match self.admit(request_type, sector, payload.as_ref()) {
            Ok(expected_bytes) => self.send(serial, request_type, sector, expected_bytes, payload),
            Err(error) => Err(Failed { error, payload }),
        }
    }

    /// Judges a request before a slot is taken for it; says how many bytes the device is to write for success.
    fn admit(&self, request_type: u32, sector: Sector, payload: Option<&P>) -> Result<u32, RequestError> {
        if let Some(broken) = self.queue.broken() {
            return Err(broken.into());
        }
        let Some(payload) = payload else { return Ok(0) };
        let direction =
            if request_type == request::OUT { Direction::DeviceReadable } else { Direction::DeviceWritable };
        let (mut bytes, mut longest, mut is_wrong) = (0u64, 0, false);
        payload.visit_segments(&mut |segment: &Segment| {
            bytes = bytes.saturating_add(segment.len.into());
            longest = longest.max(segment.len);
            is_wrong |= segment.direction != direction;
        });
        if is_wrong {
            return Err(RequestError::WrongDirection);
        }
        if request_type == request::OUT {
            self.shape.check_writable()?;
        }
        let len = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.shape.check_range(sector, len)?;
        let limits = &self.limits;
        let too_many = payload.segment_count() > usize::from(limits.data_segments());
        if too_many || usize::try_from(longest).is_ok_and(|longest| longest > limits.segment_bytes) {
            return Err(RequestError::TooLarge {
                bytes: longest,
                segment_bytes_max: limits.segment_bytes,
                segments_max: limits.data_segments(),
            });
        }
        let read = if direction == Direction::DeviceWritable { bytes } else { return Ok(0) };
        let read = u32::try_from(read).map_err(|_| RequestError::Refused(RefusedReason::TooLong))?;
        self.expected_bytes(read).map_err(RequestError::Refused)
    }

    fn send(
        &mut self,
        serial: u32,
        request_type: u32,
        sector: Sector,
        expected_bytes: u32,
        payload: Option<P>,
    ) -> Result<Ticket, Failed<P>> {
        let Some(slot) = self.slots.take() else {
            return Err(Failed { error: RequestError::Full, payload });
        };
        let (header, status) = match self.prepare(slot, request_type, sector.0) {
            Ok(portions) => portions,
            Err(reason) => {
                self.slots.put(slot);
                return Err(Failed { error: RequestError::Refused(reason), payload });
            }
        };
        let request = InFlight { slot, expected_bytes, owner: Owner::Ticket { serial } };
        let chain = Chain { readable: &[header], writable: &[status] };
        match self.make_available(chain, request, payload) {
            Ok(()) => {
                self.tickets_out += 1;
                Ok(Ticket { slot, serial })
            }
            Err((RefusedReason::Full, payload)) => Err(Failed { error: RequestError::Full, payload }),
            Err((reason, payload)) => Err(Failed { error: RequestError::Refused(reason), payload }),
        }
    }
}

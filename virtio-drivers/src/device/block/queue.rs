//! A request queue: requests go in, come back, and each is judged by its status.
//!
//! Spec: §5.2.6 Device Operation. A queue knows no transport and reads no register, so it may be another processor's than the device's [`Control`](super::Control). Three levels use
//! it: blocking calls (`blocking`), bursts of requests that own their buffers (`bursts`), and tasks (`shared`).

use core::fmt;
use core::iter;

use zerocopy::IntoBytes;

use super::command::{APPENDED_BYTES, Command};
use super::completion::{Completion, Ticket};
use super::limits::Limits;
use super::request::{InFlight, Owner, RequestError, Sector, outcome};
use super::shape::Shape;
use super::slots::{Load, RequestSlots, Slots};
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, Either, OutOfBounds, Payload, Tag, Window};
use crate::ring::{
    self, ActivePath, Broken, Chain, InstalledQueue, Portion, QueueStatistics, Rearmed, RefusedChain,
    RefusedReason, Returned, Virtqueue,
};
use crate::wire::block::{REQUEST_HEADER_BYTES, RequestHeader, ZONE_BYTES, request_status};

/// A sector that no disk has.
const NOWHERE: [u8; APPENDED_BYTES] = [0xff; APPENDED_BYTES];

/// One request queue of a disk. `Send`, not `Sync`: one owner at a time, without a lock.
///
/// Dropping it leaks its memory and what is in flight, for the device may be using both; [`reclaim`](RequestQueue::reclaim) takes them back after a reset.
pub struct RequestQueue<'s, H: Hal, P: Payload = Tag<()>> {
    pub(super) queue: Virtqueue<'s, H, Load<P>>,
    pub(super) slots: RequestSlots<'s, P>,
    pub(super) limits: Limits,
    pub(super) shape: Shape,
    /// Blocking calls so far.
    pub(super) calls: u64,
    /// Requests in flight that are blocking calls', of those that gave up, too.
    pub(super) calls_out: usize,
    /// Tickets so far.
    pub(super) tickets: u32,
    /// Whether calls that wait are woken.
    pub(super) notified: bool,
}

/// A request queue that its device knows of, and that may not be used yet: [`Control::activate`](super::Control::activate) makes it a [`RequestQueue`].
#[derive(Debug)]
#[must_use = "dropping it leaks its memory"]
pub struct IdleQueue<'s, H: Hal, P: Payload = Tag<()>> {
    pub(super) queue: InstalledQueue<'s, H, Load<P>>,
    pub(super) slots: RequestSlots<'s, P>,
    pub(super) limits: Limits,
    pub(super) shape: Shape,
    pub(super) notified: bool,
}

impl<'s, H: Hal, P: Payload> RequestQueue<'s, H, P> {
    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.queue.index()
    }

    /// Requests that can be in flight together.
    pub const fn requests(&self) -> usize {
        self.slots.count()
    }

    /// How many more there can be at the moment.
    pub fn free_requests(&self) -> usize {
        if self.queue.has_frames() { self.queue.free_descriptors().into() } else { self.slots.free() }
    }

    /// What the queue has done since the disk was started.
    pub fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
    }

    /// Which of the ring's features are in use.
    pub fn active_path(&self) -> ActivePath {
        self.queue.active_path()
    }

    /// Why the queue is out of service, if it is.
    pub const fn broken(&self) -> Option<Broken> {
        self.queue.broken()
    }

    /// Takes note of what a disk says of itself now: after it was resized, say.
    pub const fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Asks for an interrupt when requests are done, and looks once more: what is done already brings none.
    pub fn rearm(&mut self) -> Rearmed {
        if self.slots.has_parked() { Rearmed::MoreWaiting } else { self.queue.rearm() }
    }

    /// Asks for an interrupt only when so many more requests are done; it may come earlier. See [`Virtqueue::rearm_delayed`].
    pub fn rearm_delayed(&mut self, requests: u16) -> Rearmed {
        if self.slots.has_parked() { Rearmed::MoreWaiting } else { self.queue.rearm_delayed(requests) }
    }

    /// Tells the device that interrupts are not needed. A hint; some may still come.
    pub fn suppress_notifications(&mut self) {
        self.queue.suppress_notifications();
    }

    /// Shows the device every request since the last time, and notifies it if it wants that. Says whether it did.
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.queue.publish()
    }

    /// Takes the queue out of service after a confirmed reset of its disk: frees its memory, and hands back what requests in flight carried.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<Reclaimed<'s, P>, Self> {
        let Self { queue, slots, .. } = self;
        match queue.reclaim(reset) {
            Ok(returned) => Ok(Reclaimed { returned, slots }),
            Err(queue) => Err(Self { queue, slots, ..self }),
        }
    }

    /// Whether there are tickets whose completions were not taken yet: what is in flight is theirs, or blocking calls'.
    pub(super) fn has_tickets_out(&self) -> bool {
        self.slots.has_parked() || usize::from(self.queue.in_flight()) > self.calls_out
    }

    /// A slot for a request that goes the long way. In a queue with frames a request's slot is the id that its chain will have, so nothing else is to be made available before.
    pub(super) fn take_slot(&mut self) -> Option<u16> {
        if self.queue.has_frames() { self.queue.next_id_of_other() } else { self.slots.take() }
    }

    /// Makes the slot free again of a request that was not sent, or is done.
    pub(super) fn put_slot(&mut self, slot: u16) {
        if !self.queue.has_frames() {
            self.slots.put(slot);
        }
    }

    /// Keeps the completion of the request that came back last until somebody asks for it, and its slot in use.
    pub(super) fn park(&mut self, completion: Completion<P>) {
        if self.queue.has_frames() {
            self.queue.hold_last();
        }
        self.slots.park(completion);
    }

    /// The completion that was parked first. Its slot is free from now on.
    #[inline]
    pub(super) fn unpark(&mut self) -> Option<Completion<P>> {
        let completion = self.slots.unpark()?;
        if self.queue.has_frames() {
            self.queue.release(completion.ticket.slot);
        } else {
            self.slots.put(completion.ticket.slot);
        }
        Some(completion)
    }

    /// Writes a request's header and status byte into its slot. What an earlier request left there is not to be taken for an answer.
    pub(super) fn prepare(
        &mut self,
        slot: u16,
        command: Command,
    ) -> Result<(Portion, Portion), RefusedReason> {
        let (request_type, Sector(sector)) = (command.request_type(), command.sector());
        let header =
            RequestHeader { request_type: request_type.into(), reserved: 0.into(), sector: sector.into() };
        let (header_at, status_at) = (RequestSlots::<P>::header(slot), RequestSlots::<P>::status(slot));
        self.write(header_at, header.as_bytes())?;
        self.write(status_at, &[request_status::NOT_WRITTEN])?;
        let status = match command {
            // The answer is just before it.
            Command::Append(_) => {
                let appended_at = RequestSlots::<P>::appended(slot);
                self.write(appended_at, &NOWHERE)?;
                portion(appended_at, APPENDED_BYTES + 1)?
            }
            Command::DeviceId | Command::Lifetime | Command::ReportZones(_) => {
                self.write(self.slots.data(slot), &[0; ZONE_BYTES])?;
                portion(status_at, 1)?
            }
            _ => portion(status_at, 1)?,
        };
        Ok((portion(header_at, REQUEST_HEADER_BYTES)?, status))
    }

    /// Makes a prepared request available. If it is refused, its slot is still the caller's.
    pub(super) fn make_available(
        &mut self,
        chain: Chain<'_>,
        request: InFlight,
        payload: Option<Window<P>>,
    ) -> Result<(), (RefusedReason, Option<Window<P>>)> {
        let made = self.queue.make_available(chain, Either::Other((Tag(request), payload)));
        made.map_err(|RefusedChain { reason, payload }| match payload {
            Either::Other((_, payload)) => (reason, payload),
            Either::One((_, payload)) => (reason, Some(Window::new(payload))),
        })
    }

    /// Bytes that a device must have written for success, status included, where its data has room for `room` bytes. What devices of before version 1 say that they wrote is often wrong, and
    /// better ignored (§2.7.8.1): the status tells.
    pub(super) fn expected_bytes(&self, command: Command, room: u32) -> Result<u32, RefusedReason> {
        match command.answer_bytes(room) {
            0 => Ok(0),
            _ if !self.shape.lengths_count => Ok(0),
            bytes => bytes.checked_add(1).ok_or(RefusedReason::TooLong),
        }
    }

    /// What became of a request that came back.
    pub(super) fn judge(&self, request: &InFlight, written_len: u32) -> Result<(), RequestError> {
        let mut status = [request_status::NOT_WRITTEN];
        self.read(RequestSlots::<P>::status(request.slot), &mut status)?;
        outcome(status[0], written_len, request.expected_bytes, self.shape.zoned.is_some())
    }

    pub(super) fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), RefusedReason> {
        self.queue.write_memory(offset, from).map_err(|OutOfBounds| RefusedReason::BadPortion)
    }

    pub(super) fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), RequestError> {
        self.queue
            .read_memory(offset, into)
            .map_err(|OutOfBounds| RequestError::Refused(RefusedReason::BadPortion))
    }
}

impl<H: Hal, P: Payload> fmt::Debug for RequestQueue<'_, H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestQueue").field("index", &self.index()).finish_non_exhaustive()
    }
}

pub(super) fn portion(offset: usize, len: usize) -> Result<Portion, RefusedReason> {
    match (u32::try_from(offset), u32::try_from(len)) {
        (Ok(offset), Ok(len)) => Ok(Portion { offset, len }),
        _ => Err(RefusedReason::BadPortion),
    }
}

/// What comes back of a queue whose disk was reset: the requests in flight, each once, with [`RequestError::Reset`]. What is not taken from here is dropped with it.
#[derive(Debug)]
pub struct Reclaimed<'s, P> {
    pub(super) returned: Returned<'s, Load<P>>,
    pub(super) slots: RequestSlots<'s, P>,
}

impl<'s, P> Reclaimed<'s, P> {
    /// The storage that the queue had, for another one. What was not taken is dropped.
    pub fn into_slots(self) -> Slots<'s, P> {
        self.slots.into_slots(self.returned.into_slots())
    }
}

impl<P> Iterator for Reclaimed<'_, P> {
    type Item = Completion<P>;

    fn next(&mut self) -> Option<Completion<P>> {
        self.slots.unpark().or_else(|| {
            iter::from_fn(|| self.returned.next_with_id()).find_map(|(id, load)| {
                let (ticket, payload) = match load {
                    Either::One((Tag(quick), payload)) => (quick.ticket(id), Some(payload)),
                    Either::Other((Tag(InFlight { slot, owner, .. }), payload)) => {
                        let Owner::Ticket { serial } = owner else { return None };
                        (Ticket { slot, serial }, payload.map(Window::into_payload))
                    }
                };
                Some(Completion { ticket, payload, answer: None, result: Err(RequestError::Reset) })
            })
        })
    }
}

impl<'s, H: Hal, P: Payload> IdleQueue<'s, H, P> {
    /// Takes the queue back after a reset of its disk: its storage.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<Slots<'s, P>, Self> {
        let Self { queue, slots, limits, shape, notified } = self;
        match queue.reclaim(reset) {
            Ok(returned) => Ok(slots.into_slots(returned.into_slots())),
            Err(queue) => Err(Self { queue, slots, limits, shape, notified }),
        }
    }

    /// What is left of a queue whose memory stays lent.
    pub(super) fn into_empty_slots(self) -> Slots<'s, P> {
        self.slots.into_slots(ring::Slots::none())
    }
}

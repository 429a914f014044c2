//! One request queue of a disk that survives its back-end.
//!
//! The driver's queue, and the books beside it.

use virtio_guest::device::block::{Completion, Failed, RequestError, RequestQueue, Shape};
use virtio_guest::hal::DmaBuffer;
use virtio_guest::raw::{ConfirmedReset, MappedBuffer};
use virtio_guest::ring::{ActivePath, Broken, QueueStatistics, Rearmed};

use super::alive::Lane;
use super::books::{Asked, Books, Done, Entry};
use crate::memory::SharedHal;

/// A buffer on its way.
pub(super) type Carried<B> = MappedBuffer<SharedHal, B>;
/// The driver's queue.
pub(super) type Queue<B> = RequestQueue<'static, SharedHal, Carried<B>>;

/// See the module's head.
#[derive(Debug)]
pub(super) struct RequestLane<B: DmaBuffer> {
    /// `None` while there is no back-end.
    queue: Option<Queue<B>>,
    books: Books<Carried<B>>,
}

impl<B: DmaBuffer> RequestLane<B> {
    pub(super) const fn new() -> Self {
        Self { queue: None, books: Books::new() }
    }

    /// Hands in a request, unless older ones wait for a place.
    #[inline]
    pub(super) fn submit(
        &mut self,
        entry: Entry,
        payload: Option<Carried<B>>,
    ) -> Result<(), Failed<Carried<B>>> {
        if self.books.has_waiting() {
            let error = if self.queue.is_some() { RequestError::Full } else { RequestError::Removed };
            return Err(Failed { error, payload });
        }
        self.send(entry, payload)
    }

    #[inline]
    fn send(&mut self, entry: Entry, payload: Option<Carried<B>>) -> Result<(), Failed<Carried<B>>> {
        let Some(queue) = &mut self.queue else {
            return Err(Failed { error: RequestError::Removed, payload });
        };
        let ticket = match (entry.asked, payload) {
            (Asked::Read(from), Some(into)) => queue.submit_read(from, into)?,
            (Asked::Write(to), Some(from)) => queue.submit_write(to, from)?,
            (Asked::Flush, _) => match queue.submit_flush() {
                Ok(Some(ticket)) => ticket,
                // There is no cache.
                Ok(None) => {
                    self.books.finish(entry.done(None, Ok(())));
                    return Ok(());
                }
                Err(error) => return Err(Failed { error, payload: None }),
            },
            (_, None) => return Err(Failed { error: RequestError::Empty, payload: None }),
        };
        self.books.send(ticket.index(), entry);
        Ok(())
    }

    /// Shows the device what was handed in.
    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        self.queue.as_mut().is_some_and(RequestQueue::publish)
    }

    /// Takes up to `limit` requests that are done.
    #[inline]
    pub(super) fn complete(&mut self, limit: usize, done: &mut impl FnMut(Done<B>)) -> Result<usize, Broken> {
        let Self { queue, books } = self;
        let mut came = 0;
        while came < limit
            && let Some(Done { id, buffer, sent, result }) = books.next_done()
        {
            came += 1;
            done(Done { id, buffer: buffer.map(MappedBuffer::unmap), sent, result });
        }
        if let Some(queue) = queue
            && came < limit
        {
            came +=
                queue.complete_burst(limit - came, |Completion { ticket, payload, result, .. }| {
                    if let Some(entry) = books.land(ticket.index()) {
                        done(entry.done(payload.map(MappedBuffer::unmap), result));
                    }
                })?;
        }
        if self.books.has_waiting() {
            self.send_waiting();
        }
        Ok(came)
    }

    /// Sends again what came back, as far as there is room.
    pub(super) fn send_waiting(&mut self) {
        while let Some((entry, payload)) = self.books.next() {
            match self.send(entry, payload) {
                Ok(()) => {}
                Err(Failed { error: RequestError::Full | RequestError::Removed, payload }) => {
                    self.books.wait_first(entry, payload);
                    break;
                }
                // The disk is another one now: smaller, say.
                Err(Failed { error, payload }) => self.books.finish(entry.done(payload, Err(error))),
            }
        }
        self.publish();
    }

    /// Has the queue of a new bring-up. What waits is not sent yet.
    pub(super) fn put_up(&mut self, queue: Queue<B>) {
        self.books.set_places(queue.requests());
        self.queue = Some(queue);
    }

    /// Takes note of what the disk says of itself now.
    pub(super) fn set_shape(&mut self, shape: Shape) {
        self.queue.iter_mut().for_each(|queue| queue.set_shape(shape));
    }

    /// Which of the ring's features are in use; `None` while there is no back-end.
    pub(super) fn active_path(&self) -> Option<ActivePath> {
        self.queue.as_ref().map(RequestQueue::active_path)
    }

    /// What the queue has done with this back-end.
    pub(super) fn statistics(&self) -> QueueStatistics {
        self.queue.as_ref().map(RequestQueue::statistics).unwrap_or_default()
    }

    /// Requests that can be in flight together; none while there is no back-end.
    pub(super) fn places(&self) -> usize {
        self.queue.as_ref().map_or(0, RequestQueue::requests)
    }

    /// Requests that were handed in and not handed out.
    pub(super) fn count(&self) -> usize {
        self.books.count()
    }

    /// Hands out everything that is here: what was not done, with an error.
    pub(super) fn end(mut self, unfinished: &mut Vec<Done<B>>) {
        while let Some(Done { id, buffer, sent, result }) = self.books.next_done() {
            unfinished.push(Done { id, buffer: buffer.map(MappedBuffer::unmap), sent, result });
        }
        while let Some((entry, payload)) = self.books.next() {
            unfinished.push(entry.done(payload.map(MappedBuffer::unmap), Err(RequestError::Reset)));
        }
    }
}

impl<B: DmaBuffer> Lane for RequestLane<B> {
    fn drain(&mut self) {
        let Self { queue, books } = self;
        if let Some(queue) = queue {
            // If it broke the protocol, the rest comes back with the reset.
            let _ = queue.complete_burst(usize::MAX, |Completion { ticket, payload, result, .. }| {
                if let Some(entry) = books.land(ticket.index()) {
                    books.finish(entry.done(payload, result));
                }
            });
        }
    }

    fn take_down(&mut self, reset: &ConfirmedReset) {
        let Self { queue, books } = self;
        // A queue of another bring-up, which there is not, would be leaked.
        let Some(queue) = queue.take() else { return };
        let Ok(reclaimed) = queue.reclaim(reset) else { return };
        for Completion { ticket, payload, result, .. } in reclaimed {
            match books.land(ticket.index()) {
                Some(entry) if result == Err(RequestError::Reset) => books.wait(entry, payload),
                Some(entry) => books.finish(entry.done(payload, result)),
                None => {}
            }
        }
        books.put_in_order();
    }

    fn rearm(&mut self) -> Rearmed {
        match &mut self.queue {
            // What is done already needs no interrupt.
            Some(queue) if !self.books.has_done() => queue.rearm(),
            _ => Rearmed::MoreWaiting,
        }
    }
}

//! Request queues are put aside, so that their disk can be suspended.
//!
//! Spec: §3.4.1 Driver Requirements: Device Suspend. The lifecycle's [`park`](crate::lifecycle::Running::park) and [`unpark`](crate::lifecycle::Running::unpark), with what a request queue
//! has beside its virtqueue; [`Control::suspend`] has the sequence, and for tasks [`Shared::take_queue`](super::Shared::take_queue).

use super::control::Control;
use super::limits::Limits;
use super::queue::{Reclaimed, RequestQueue};
use super::shape::Shape;
use super::slots::{Load, RequestSlots};
use crate::hal::Hal;
use crate::raw::{ConfirmedReset, Payload, Tag};
use crate::ring::{ParkedQueue, Virtqueue};
use crate::transport::Transport;

/// A request queue that is put aside while its disk is suspended: nothing can be handed in, shown to the disk, or taken.
///
/// Dropping it leaks its memory and what is in flight, for the disk knows of both.
///
/// ```compile_fail,E0599
/// # use virtio_guest::{hal::Hal, device::block::ParkedRequestQueue};
/// fn show_requests(queue: &mut ParkedRequestQueue<'static, impl Hal>) -> bool {
///     queue.publish()
/// }
/// ```
#[derive(Debug)]
#[must_use = "dropping it leaks its memory; `Control::unpark` makes it usable again"]
pub struct ParkedRequestQueue<'s, H: Hal, P: Payload = Tag<()>> {
    queue: ParkedQueue<'s, H, Load<P>>,
    beside: Beside<'s, P>,
}

/// What a request queue has beside its virtqueue.
#[derive(Debug)]
struct Beside<'s, P> {
    slots: RequestSlots<'s, P>,
    limits: Limits,
    shape: Shape,
    calls: u64,
    calls_out: usize,
    tickets: u32,
    notified: bool,
}

impl<'s, P: Payload> Beside<'s, P> {
    fn of<H: Hal>(queue: RequestQueue<'s, H, P>) -> (Virtqueue<'s, H, Load<P>>, Self) {
        let RequestQueue { queue, slots, limits, shape, calls, calls_out, tickets, notified } = queue;
        (queue, Self { slots, limits, shape, calls, calls_out, tickets, notified })
    }

    fn around<H: Hal>(self, queue: Virtqueue<'s, H, Load<P>>) -> RequestQueue<'s, H, P> {
        let Self { slots, limits, shape, calls, calls_out, tickets, notified } = self;
        RequestQueue { queue, slots, limits, shape, calls, calls_out, tickets, notified }
    }
}

impl<T: Transport> Control<'_, T> {
    /// Puts a request queue aside, for [`suspend`](Control::suspend). The disk notices nothing.
    ///
    /// Ownership: everything stays where it is. Requests that were not published stay so; those that the disk finishes meanwhile can be taken later.
    ///
    /// # Errors
    /// The queue itself, as it was, if it is another disk's or of an earlier bring-up.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back")]
    pub fn park<'q, H: Hal, P: Payload>(
        &mut self,
        queue: RequestQueue<'q, H, P>,
    ) -> Result<ParkedRequestQueue<'q, H, P>, RequestQueue<'q, H, P>> {
        let (queue, beside) = Beside::of(queue);
        match self.half.device().park(queue) {
            Ok(queue) => Ok(ParkedRequestQueue { queue, beside }),
            Err(queue) => Err(beside.around(queue)),
        }
    }

    /// Makes a parked queue usable again, as it was. After a reset that was not confirmed it comes out of service.
    ///
    /// What the disk did meanwhile may bring no interrupt any more: [`rearm`](RequestQueue::rearm) looks for it.
    ///
    /// # Errors
    /// The queue itself, still parked, if it is another disk's or of an earlier bring-up.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back")]
    pub fn unpark<'q, H: Hal, P: Payload>(
        &mut self,
        queue: ParkedRequestQueue<'q, H, P>,
    ) -> Result<RequestQueue<'q, H, P>, ParkedRequestQueue<'q, H, P>> {
        let ParkedRequestQueue { queue, beside } = queue;
        match self.half.device().unpark(queue) {
            Ok(queue) => Ok(beside.around(queue)),
            Err(queue) => Err(ParkedRequestQueue { queue, beside }),
        }
    }
}

impl<'s, H: Hal, P: Payload> ParkedRequestQueue<'s, H, P> {
    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.queue.index()
    }

    /// How many requests are in flight: as far as anybody has looked.
    pub fn in_flight(&self) -> usize {
        usize::from(self.queue.in_flight()) + self.beside.slots.parked()
    }

    /// Takes the queue out of service after a confirmed reset of its disk, as [`RequestQueue::reclaim`] does.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<Reclaimed<'s, P>, Self> {
        let Self { queue, beside } = self;
        match queue.reclaim(reset) {
            Ok(returned) => Ok(Reclaimed { returned, slots: beside.slots }),
            Err(queue) => Err(Self { queue, beside }),
        }
    }
}

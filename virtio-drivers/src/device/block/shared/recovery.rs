//! The end of a shared queue, and its beginning anew: recovery, suspend and resume, removal.
//!
//! Spec: §2.1.2 Device Requirements: Device Status Field (DEVICE_NEEDS_RESET), §2.4 Device Reset, §3.4 Device Suspend. Tasks keep their reference meanwhile.
//!
//! ```text
//!   the device needs a reset         the guest is suspended            the device is gone
//!   Control::take_down ─▶ reset      Shared::drain                     Control::take_down fails
//!   Shared::take_down(reset)         Control::take_down ─▶ reset       Shared::end(Removed)
//!     each task: Err, its buffer     Shared::take_down(reset)            each task: Err
//!   bring-up                         … resume, bring-up                  new ones: Err, their buffer
//!   Shared::put_up(queue)            Shared::put_up(queue)
//!     tasks send again                 tasks that waited go on
//! ```
//!
//! A disk with `SUSPEND` keeps its queue: `drain`, `take_queue`, then what `Control::suspend` asks for, and `put_up` again.

use super::super::queue::RequestQueue;
use super::super::request::RequestError;
use super::super::slots::Slots;
use super::Shared;
use super::leader::Polled;
use super::requests::{QueueInUse, Requests, Seat};
use crate::hal::{Hal, Lock};
use crate::raw::{ConfirmedReset, Payload};

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Shared<H, L> {
    /// Lets requests go out again after [`drain`](Shared::drain).
    pub fn resume(&self) {
        self.visit(|requests, later| {
            requests.paused = false;
            later.wake(requests.sit(Seat::Drainer, None));
        });
        self.call_all();
    }

    /// Takes the queue out without a reset: for a disk that is to be suspended, after [`drain`](Shared::drain). Requests of tasks wait until it is [put up](Shared::put_up) again. `None` if
    /// there is no queue, or a request is in flight, that of a future that was dropped included.
    ///
    /// ```no_run
    /// # use virtio_guest::{hal::{Attempts, Hal, Lock}, raw::Payload, transport::Transport};
    /// use virtio_guest::device::block::{Control, Requests, Shared};
    ///
    /// async fn sleep<T: Transport, H: Hal, P: Payload + 'static, L: Lock<Inside = Requests<'static, H, P>>>(
    ///     mut control: Control<'static, T>,
    ///     disk: &Shared<H, L>,
    ///     power_down: impl FnOnce(),
    /// ) -> Result<Control<'static, T>, &'static str> {
    ///     disk.drain().await;
    ///     let queue = disk.take_queue().ok_or("the queue is broken, or was taken")?;
    ///     let queue = control.park(queue).map_err(|_| "another disk's queue")?;
    ///     let asleep = control.suspend(Attempts(100_000)).map_err(|_| "the disk does not suspend itself")?;
    ///     power_down();
    ///     let mut control = asleep.resume(Attempts(100_000)).map_err(|_| "the disk does not resume")?;
    ///     let queue = control.unpark(queue).map_err(|_| "another disk's queue")?;
    ///     disk.put_up(queue).map_err(|_| "there is another queue")?;
    ///     Ok(control)
    /// }
    /// ```
    pub fn take_queue(&self) -> Option<RequestQueue<'s, H, P>> {
        self.visit(|requests, later| {
            let queue = requests.queue.take_if(|queue| queue.tickets_out == 0)?;
            later.wake(requests.sit(Seat::Drainer, None));
            Some(queue)
        })
    }

    /// Takes the queue down after a confirmed reset of its disk: each task that waits for a request in flight gets [`RequestError::Reset`], and its buffer back. What waits for a place goes on waiting, and what comes
    /// waits, too, until [`put_up`](Shared::put_up). Gives back the storage that the queue had; `None` if there is no queue, or the reset is not its bring-up's.
    pub fn take_down(&self, reset: &ConfirmedReset) -> Option<Slots<'s, P>> {
        let is_its = |queue: &mut RequestQueue<'s, H, P>| queue.queue.is_ended_by(reset);
        let queue = self.visit(|requests, _| requests.queue.take_if(is_its))?;
        let mut reclaimed = queue.reclaim(reset).ok()?;
        for completion in reclaimed.by_ref() {
            // Dropped out here, if nobody waits for it.
            drop(self.visit(|requests, later| requests.deliver(completion, later)));
        }
        self.visit(|requests, later| {
            requests.trouble = None;
            requests.paused = false;
            later.wake(requests.sit(Seat::Drainer, None));
        });
        Some(reclaimed.into_slots())
    }

    /// Goes on with a queue of the disk's next bring-up, or with the one that was [taken out](Shared::take_queue).
    ///
    /// # Errors
    /// - [`QueueInUse`]: there is a queue, or requests with tickets are in flight on this one. It comes back.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn put_up(&self, queue: RequestQueue<'s, H, P>) -> Result<(), QueueInUse<'s, H, P>> {
        self.visit(|requests, _| {
            if requests.queue.is_some() || queue.tickets_out > 0 {
                return Err(QueueInUse { queue });
            }
            requests.queue = Some(queue);
            requests.paused = false;
            requests.trouble = None;
            // Whoever looked for the others did so on the queue before; on this one nobody has asked for an interrupt.
            requests.leader = None;
            requests.leader_comes = false;
            Ok(())
        })?;
        self.call_all();
        Ok(())
    }

    /// Ends all requests with this error, now and from now on: for a disk that does not answer any more. What it may still use stays with the queue, for [`take_down`](Shared::take_down) after a reset, or leaked.
    pub fn end(&self, why: RequestError) {
        self.visit(|requests, _| requests.fail(why));
    }

    /// Calls whoever can be called from the waiting room.
    fn call_all(&self) {
        while self.visit(|requests, later| {
            let more = requests.call(later);
            requests.settle(Polled::Nobody, false, later);
            more
        }) {}
    }
}

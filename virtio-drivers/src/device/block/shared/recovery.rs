//! The end of a shared queue, and its beginning anew: recovery, suspend and resume, removal.
//!
//! Spec: §2.1.2 Device Requirements: Device Status Field (DEVICE_NEEDS_RESET), §2.4 Device Reset, §3.4 Device Suspend. Tasks keep their reference meanwhile.
//!
//! ```text
//!   the device needs a reset         the guest is suspended            the device is gone
//!   Shared::pause                                                      Shared::pause
//!   Control::take_down ─▶ reset      Shared::drain                     Control::take_down fails
//!   Shared::take_down(reset)         Control::take_down ─▶ reset       Shared::end(Removed)
//!     each task: Err, its buffer     Shared::take_down(reset)            each task: Err
//!   bring-up                         … resume, bring-up                  new ones: Err, their buffer
//!   Shared::put_up(queue, …)         Shared::put_up(queue, …)
//!     tasks send again                 tasks that waited go on
//! ```
//!
//! A disk with `SUSPEND` keeps its queue: `drain`, `take_queue`, then what `Control::suspend` asks for, and `put_up` again.

use super::super::queue::RequestQueue;
use super::super::request::RequestError;
use super::super::slots::Slots;
use super::Shared;
use super::leader::Polled;
use super::requests::{QueueInUse, Requests};
use super::step::{Pause, Seat};
use crate::hal::{Hal, Lock};
use crate::lifecycle::Interrupts;
use crate::raw::{ConfirmedReset, Payload};

impl<'s, H: Hal, P: Payload + 's, L: Lock<Inside = Requests<'s, H, P>>> Shared<H, L> {
    /// Sends nothing more, and shows the device nothing more, until [`resume`](Shared::resume), [`take_down`](Shared::take_down) or [`put_up`](Shared::put_up): what goes before a reset of the disk, so that no task
    /// notifies a disk that knows of no queue. What is in flight goes on, but for the next parts of buffers that go part by part; requests of tasks wait.
    pub fn pause(&self) {
        self.visit(|requests, _| requests.pause = Pause::Nothing);
    }

    /// Lets requests go out again after [`pause`](Shared::pause) or [`drain`](Shared::drain).
    pub fn resume(&self) {
        self.visit(|requests, later| {
            requests.pause = Pause::None;
            requests.publish();
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
    ///     disk.put_up(queue, control.interrupts()).map_err(|_| "there is another queue")?;
    ///     Ok(control)
    /// }
    /// ```
    pub fn take_queue(&self) -> Option<RequestQueue<'s, H, P>> {
        self.visit(|requests, later| {
            let queue = requests.queue.take_if(|queue| !queue.has_tickets_out())?;
            later.wake(requests.sit(Seat::Drainer, None));
            Some(queue)
        })
    }

    /// Takes the queue down after a confirmed reset of its disk: each task that waits for a request in flight gets [`RequestError::Reset`], and its buffer back. What waits for a place goes on waiting, and what comes
    /// waits, too, until [`put_up`](Shared::put_up). Gives back the storage that the queue had; `None` if there is no queue, or the reset is not its bring-up's.
    ///
    /// Recovery, when the disk needs a reset, and a task that sends again what got lost (writing twice is as good as once):
    ///
    /// ```no_run
    /// # use virtio_guest::{hal::{Attempts, DmaBuffer, Hal, Lock}, lifecycle::{Condition, Interrupts, Signals}, transport::Transport};
    /// use virtio_guest::device::block::{Block, Control, Failed, RequestError, Requests, Sector, Settings, Shared};
    /// # use virtio_guest::{device::block::HANDLED, lifecycle::Wants, raw::MappedBuffer};
    ///
    /// # type Disk<H, L> = Shared<H, L>;
    /// async fn look_after<T, H, B, L>(
    ///     mut control: Control<'static, T>,
    ///     disk: &Disk<H, L>,
    ///     hal: H,
    ///     signals: &'static Signals,
    ///     register: impl Fn(&Interrupts<'static>), // gives handlers their objects
    /// ) -> Result<(), &'static str>
    /// where
    ///     T: Transport,
    ///     H: Hal + 'static,
    ///     B: DmaBuffer,
    ///     L: Lock<Inside = Requests<'static, H, MappedBuffer<H, B>>>,
    /// {
    ///     let settings = Settings { notifications: true, ..Settings::default() };
    ///     let mut condition = control.configuration_change().await;
    ///     loop {
    ///         if condition == Condition::Live {
    ///             if let Ok(shape) = control.refresh_shape() {
    ///                 disk.set_shape(shape); // resized, say
    ///             }
    ///             condition = control.configuration_change().await;
    ///             continue;
    ///         }
    ///         disk.pause();
    ///         let up = control.take_down(Attempts(100_000)).ok().and_then(|down| {
    ///             let storage = disk.take_down(&down.reset)?;
    ///             let (wants, patience) = (Wants::features(HANDLED), Attempts(100_000));
    ///             Block::start_with(down.transport, hal.clone(), storage, &settings, wants, patience).ok()
    ///         });
    ///         let Some(up) = up else {
    ///             disk.end(RequestError::Removed);
    ///             return Err("the disk was taken out, or does not answer");
    ///         };
    ///         let queue;
    ///         (control, queue) = up.split();
    ///         register(control.connect_interrupts(signals).map_err(|_| "the signals are another disk's")?);
    ///         disk.put_up(queue, control.interrupts()).map_err(|_| "there is a queue")?;
    ///         condition = control.condition(); // handlers were not there for what happened before
    ///     }
    /// }
    ///
    /// async fn write<H, B, L>(disk: &Disk<H, L>, to: Sector, mut page: B) -> Result<B, Failed<B>>
    /// where
    ///     H: Hal + 'static,
    ///     B: DmaBuffer,
    ///     L: Lock<Inside = Requests<'static, H, MappedBuffer<H, B>>>,
    /// {
    ///     loop {
    ///         match disk.write(to, page).await {
    ///             Err(Failed { error: RequestError::Reset, payload: Some(back) }) => page = back,
    ///             done => return done,
    ///         }
    ///     }
    /// }
    /// ```
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
            requests.pause = Pause::None;
            later.wake(requests.sit(Seat::Drainer, None));
        });
        Some(reclaimed.into_slots())
    }

    /// Goes on with a queue of the disk's next bring-up, or with the one that was [taken out](Shared::take_queue), and with the interrupts that the disk has now.
    ///
    /// # Errors
    /// - [`QueueInUse`]: there is a queue, or requests with tickets are in flight on this one. It comes back.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn put_up(
        &self,
        queue: RequestQueue<'s, H, P>,
        interrupts: Option<&Interrupts<'s>>,
    ) -> Result<(), QueueInUse<'s, H, P>> {
        self.visit(|requests, later| {
            if requests.queue.is_some() || queue.has_tickets_out() {
                return Err(QueueInUse { queue });
            }
            let signal = interrupts.and_then(|interrupts| interrupts.queue_signal(queue.index()));
            requests.shape = queue.shape;
            requests.queue = Some(queue);
            requests.pause = Pause::None;
            requests.trouble = None;
            // Whoever looked for the others did so on the queue before; on this one nobody has asked for an interrupt.
            requests.lead(None, later);
            requests.signal = signal;
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

//! Calls that go all the way to the target: blocking, as tasks, and for a kernel that is out of memory.
//!
//! Spec: §5.5.6 Device Operation.

use super::driver::{Balloon, BalloonError, Live, Progress};
use super::kernel::Pages;
use crate::hal::{BalloonPage, Hal, Lock, Patience};
use crate::lifecycle::Condition;
use crate::ring::Rearmed;
use crate::transport::Transport;
use crate::wire::balloon::{BalloonFeatures, queue};

/// How often whoever waits looks at once for more, where the device always has some: it may change its mind for ever.
pub(super) const LOOKS: u32 = 64;

impl<T: Transport, H: Hal, P: BalloonPage> Balloon<'_, T, H, P> {
    /// [Polls](Balloon::poll) until the balloon is at its target, or gets no nearer to it, and says which: never [`Progress::Working`].
    ///
    /// With [`Settings::notifications`](super::Settings::notifications) the device interrupts when it answers, for a patience that sleeps.
    ///
    /// # Errors
    /// See [`BalloonError`]. After [`TimedOut`](BalloonError::TimedOut) the next call takes it from there.
    pub fn reach_target_blocking(
        &mut self,
        pages: &mut impl Pages<Page = P>,
        mut patience: impl Patience,
    ) -> Result<Progress, BalloonError> {
        let mut wait = Wait::new(&mut patience);
        loop {
            match self.live.poll(pages)? {
                Progress::Working => wait.for_answer(&mut self.live)?,
                progress => return Ok(progress),
            }
        }
    }

    /// Takes at least so many frames out of the balloon, whatever its target is, for a kernel that is out of memory. Says how many went back: fewer, if the balloon has no more, or if the device did not answer in time. It does
    /// not grow again until the target changes, or [`resume`](Balloon::resume) is called.
    ///
    /// Work: a burst that is with the device comes first. Takes no memory.
    ///
    /// # Errors
    /// See [`BalloonError`]. Needs [`DEFLATE_ON_OOM`](BalloonFeatures::DEFLATE_ON_OOM). Nothing went back.
    ///
    /// Spec: §5.5.6.1 Driver Requirements: Device Operation.
    pub fn deflate_for_oom(
        &mut self,
        pages: &mut impl Pages<Page = P>,
        frames: u32,
        mut patience: impl Patience,
    ) -> Result<u32, BalloonError> {
        if !self.features().contains(BalloonFeatures::DEFLATE_ON_OOM) {
            return Err(BalloonError::Unsupported);
        }
        let live = &mut *self.live;
        live.paused_at = Some(live.control.target_frames()?);
        let mut came_back = 0;
        match live.deflate_at_least(pages, frames, &mut came_back, &mut patience) {
            Err(error) if came_back == 0 => Err(error),
            _ => Ok(came_back),
        }
    }

    /// [Polls](Balloon::poll) until the balloon is at its target, or gets no nearer to it, and says which. The kernel's allocator is locked for each step, and not in between.
    ///
    /// *Cancellation*: nothing is lost; the next call takes it from there.
    /// *Wakes*: by the device's interrupts, which are to be connected before. A change of the configuration counts as seen then: look at [`hint_command`](Balloon::hint_command) afterwards, too.
    ///
    /// # Errors
    /// See [`BalloonError`].
    ///
    /// ```
    /// # use virtio_guest::{hal::{BalloonPage, Hal, Lock}, lifecycle::Condition, transport::Transport};
    /// use virtio_guest::device::balloon::{Balloon, BalloonError, Pages};
    ///
    /// /// Follows the target, and answers questions, as long as the device lives.
    /// # #[allow(dead_code)]
    /// async fn follow<P: BalloonPage>(
    ///     balloon: &mut Balloon<'_, impl Transport, impl Hal, P>, allocator: &impl Lock<Inside: Pages<Page = P>>,
    /// ) -> Result<(), BalloonError> {
    ///     loop {
    ///         balloon.reach_target(allocator).await?;
    ///         if balloon.attention().await != Condition::Live {
    ///             return Ok(()); // it needs a reset, or is gone
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn reach_target<L: Lock<Inside: Pages<Page = P>>>(
        &mut self,
        pages: &L,
    ) -> Result<Progress, BalloonError> {
        loop {
            match pages.with(|pages| self.live.poll(pages))? {
                Progress::Working => {}
                progress => return Ok(progress),
            }
            match self.attention().await {
                Condition::Live => {}
                condition => return Err(BalloonError::NotLive(condition)),
            }
        }
    }

    /// Waits until there is something to do: an interrupt said that the configuration changed, or the device answered a burst, or wants statistics. Says how the device is. For ever, if no interrupts are connected.
    ///
    /// *Cancellation*: nothing is lost.
    /// *Wakes*: by the interrupts for the configuration and the queues. One call at a time.
    pub async fn attention(&mut self) -> Condition {
        let Live { control, inflate, deflate, statistics, books, .. } = &mut *self.live;
        // Without statistics another queue may have that index, and somebody else waits for it.
        let statsq = statistics.as_ref().map(|_| queue::STATSQ);
        let queues = [Some(queue::INFLATEQ), Some(queue::DEFLATEQ), statsq];
        let rearm = || super::driver::rearm(books.burst(), inflate, deflate, statistics.as_mut());
        control.half.attention(queues, rearm).await
    }
}

impl<T: Transport, H: Hal, P: BalloonPage> Live<'_, T, H, P> {
    fn deflate_at_least(
        &mut self,
        pages: &mut impl Pages<Page = P>,
        wanted: u32,
        came_back: &mut u32,
        patience: &mut dyn Patience,
    ) -> Result<(), BalloonError> {
        let mut wait = Wait::new(patience);
        loop {
            *came_back = came_back.saturating_add(self.take_answer(pages)?);
            if self.books.burst().is_none() {
                let missing = wanted.saturating_sub(*came_back);
                if self.shrink(|out, _| out < missing)? == Progress::AtTarget {
                    return Ok(());
                }
            }
            wait.for_answer(self)?;
        }
    }
}

/// A call's wait for answers to several bursts.
struct Wait<'p> {
    patience: &'p mut dyn Patience,
    is_over: bool,
    looks_left: u32,
}

impl<'p> Wait<'p> {
    fn new(patience: &'p mut dyn Patience) -> Self {
        Self { patience, is_over: false, looks_left: LOOKS }
    }

    /// Waits for a moment, unless there is something already; an error, if it waited long enough before. After the last wait there is one more look: a sleep may have ended with what was waited for.
    fn for_answer<T: Transport, H: Hal, P: BalloonPage>(
        &mut self,
        live: &mut Live<'_, T, H, P>,
    ) -> Result<(), BalloonError> {
        if self.is_over {
            return Err(BalloonError::TimedOut);
        }
        let is_there = live.notified && live.rearm() == Rearmed::MoreWaiting;
        if is_there && self.looks_left > 0 {
            self.looks_left -= 1;
        } else {
            (self.is_over, self.looks_left) = (!self.patience.keep_waiting(), LOOKS);
        }
        Ok(())
    }
}

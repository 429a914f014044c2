//! A balloon that is up: gives it what its device wants, a burst at a time.
//!
//! Spec: §5.5.6 Device Operation.
//!
//! ```text
//!            give                  used                  target below              used
//!   kernel ───────▶ being inflated ────▶ in the balloon ─────────────▶ being deflated ────▶ kernel
//!                   (one burst)                                        (one burst)   take_back
//! ```
//!
//! A page goes back only after the device acknowledged that, whether it insists on that (`MUST_TELL_HOST`) or not, and none is asked back that is not in the balloon.

use core::fmt;

use scopeguard::ScopeGuard;

use super::books::{Books, Burst, Way};
use super::bursts::{FrameQueue, SendError, frame_numbers};
use super::control::{Control, HintCommand};
use super::kernel::Pages;
use super::slots::QueueSlots;
use super::statistics::StatisticsQueue;
use crate::hal::{BalloonPage, Hal};
use crate::lifecycle::{Condition, ConfigError, Interrupts, SignalsInUse, SignalsRef};
use crate::raw::OutOfBounds;
use crate::ring::{Broken, QueueStatistics, Rearmed, RefusedReason};
use crate::transport::Transport;
use crate::wire::balloon::BalloonFeatures;

/// A balloon that is up. Dropping it resets the device, within the bound fixed at bring-up, and drops the pages that are in it; pages that the device may still have because it did not answer are leaked.
/// [`take_down`](Balloon::take_down) is the polite end, with which pages go back to the kernel.
pub struct Balloon<'s, T: Transport, H: Hal, P: BalloonPage> {
    pub(super) live: TornDown<Live<'s, T, H, P>>,
}

/// Something that is taken apart in order when it is dropped.
type TornDown<L> = ScopeGuard<L, fn(L)>;

/// All parts.
pub(super) struct Live<'s, T: Transport, H: Hal, P: BalloonPage> {
    pub(super) control: Control<'s, T>,
    pub(super) inflate: FrameQueue<'s, H>,
    pub(super) deflate: FrameQueue<'s, H>,
    pub(super) statistics: Option<StatisticsQueue<'s, H>>,
    /// What a queue for statistics would have its books in, if there is none.
    pub(super) unused: Option<QueueSlots<'s>>,
    pub(super) books: Books<'s, P>,
    /// The target at which the balloon is not to grow.
    pub(super) paused_at: Option<u32>,
    pub(super) notified: bool,
}

/// Where a balloon is on the way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has as many frames as its device wants, or as near to that as whole pages allow: it does not grow beyond the target, nor shrink below it. Among pages of several sizes only the next one counts, so another might have come nearer.
    AtTarget,
    /// A burst is with the device: again, when the device has answered.
    Working,
    /// The kernel gives no more pages. It is asked again with the next call.
    OutOfPages,
    /// There is no room for more pages in the storage that was lent.
    StorageFull,
    /// The kernel gave a page that its device cannot be told of: beyond 2³² frames, without a frame, or with more than a burst has ([`Settings::burst_frames`](super::Settings)). It went straight back.
    PageUnusable,
    /// It does not grow since pages were taken out because the kernel ran out of memory, until the target changes or [`resume`](Balloon::resume) is called.
    Paused,
}

/// Why a balloon does not do what it is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BalloonError {
    /// The feature was not agreed on that the call needs. The device was not asked.
    #[error("the call needs a feature that was not agreed on")]
    Unsupported,
    /// The device did not answer in time. Pages that it was told of are still on their way.
    #[error("the device did not answer in time")]
    TimedOut,
    /// The device needs a reset, or is gone: a task would wait for it for ever. Pages that it was told of are still on their way.
    #[error("the device does not answer any more: {0:?}")]
    NotLive(Condition),
    /// A queue does not take a burst. Its pages are where they were before.
    #[error("the queue does not take a burst: {0}")]
    Refused(RefusedReason),
    /// The device broke the protocol of a queue, or was taken down: only a reset gives its pages back.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The configuration space cannot be accessed.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl From<SendError> for BalloonError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Refused(reason) => Self::Refused(reason),
            SendError::Broken(broken) => Self::Broken(broken),
        }
    }
}

impl<'s, T: Transport, H: Hal, P: BalloonPage> Balloon<'s, T, H, P> {
    pub(super) fn of(live: Live<'s, T, H, P>) -> Self {
        Self { live: scopeguard::guard(live, Live::tear_down) }
    }

    /// The control half: condition, interrupts.
    pub fn control(&mut self) -> &mut Control<'s, T> {
        &mut self.live.control
    }

    /// What was agreed of the device's own features.
    pub fn features(&self) -> BalloonFeatures {
        self.live.control.features()
    }

    /// How the device is.
    ///
    /// Work: one register read.
    pub fn condition(&self) -> Condition {
        self.live.control.condition()
    }

    /// Connects the device's interrupts with these signals; see [`Control::connect_interrupts`].
    ///
    /// # Errors
    /// - [`SignalsInUse`]: another device uses these signals.
    pub fn connect_interrupts(
        &mut self,
        signals: impl Into<SignalsRef<'s>>,
    ) -> Result<&Interrupts<'s>, SignalsInUse> {
        self.live.control.connect_interrupts(signals)
    }

    /// How many frames of 4096 bytes the device wants in the balloon now.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn target_frames(&self) -> Result<u32, ConfigError> {
        self.live.control.target_frames()
    }

    /// What the device wants of hints now; see [`Control::hint_command`].
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn hint_command(&self) -> Result<HintCommand, ConfigError> {
        self.live.control.hint_command()
    }

    /// Frames that the balloon has: those whose inflation was acknowledged, and whose deflation was not.
    pub fn held_frames(&self) -> u32 {
        self.live.books.held_frames()
    }

    /// Frames that the device was told of, one way or the other, and has not acknowledged.
    pub fn unanswered_frames(&self) -> u32 {
        self.live.books.burst().map_or(0, |burst| burst.frames)
    }

    /// Takes a step: takes the device's answers, tells it how many frames there are now, gives it statistics if it wants some, and begins the next burst. To be called once after the start, after each interrupt, and as
    /// long as it says [`Progress::Working`].
    ///
    /// Ownership: pages of a burst that was acknowledged are in the balloon, or went back to `pages`.
    /// Work: one burst at most; never waits. Does not ask for an interrupt: [`rearm`](Balloon::rearm) does.
    ///
    /// # Errors
    /// See [`BalloonError`]; never [`TimedOut`](BalloonError::TimedOut) or [`NotLive`](BalloonError::NotLive).
    ///
    /// Spec: §5.5.6 Device Operation, §5.5.6.3 Memory Statistics.
    pub fn poll(&mut self, pages: &mut impl Pages<Page = P>) -> Result<Progress, BalloonError> {
        self.live.poll(pages)
    }

    /// Asks for an interrupt when the device answers a burst or wants statistics, and looks once more: what it has done already brings none. [`poll`](Balloon::poll), if more is waiting.
    pub fn rearm(&mut self) -> Rearmed {
        self.live.rearm()
    }

    /// What the two queues for frames have done: the one for those that go in, and the one for those that come out.
    pub fn queue_statistics(&self) -> [QueueStatistics; 2] {
        [self.live.inflate.statistics(), self.live.deflate.statistics()]
    }

    /// Lets the balloon grow again, after pages were taken out because the kernel ran out of memory.
    pub fn resume(&mut self) {
        self.live.paused_at = None;
    }
}

impl<T: Transport, H: Hal, P: BalloonPage> Live<'_, T, H, P> {
    /// See [`Balloon::poll`].
    pub(super) fn poll(&mut self, pages: &mut impl Pages<Page = P>) -> Result<Progress, BalloonError> {
        self.take_answer(pages)?;
        if let Some(statistics) = &mut self.statistics {
            statistics.answer(|| pages.statistics())?;
        }
        if self.books.burst().is_some() {
            return Ok(Progress::Working);
        }
        let target = self.control.target_frames()?;
        self.paused_at = self.paused_at.filter(|paused_at| *paused_at == target);
        let held = self.books.held_frames();
        if let Some(missing) = target.checked_sub(held).filter(|missing| *missing > 0) {
            return if self.paused_at.is_some() { Ok(Progress::Paused) } else { self.grow(missing, pages) };
        }
        let surplus = held.saturating_sub(target);
        self.shrink(|out, frames| out.checked_add(frames).is_some_and(|out| out <= surplus))
    }

    /// Takes the device's answer to the burst, if it has come, and says how many frames went back to the kernel. What the device knows of the frames in the balloon is so afterwards.
    pub(super) fn take_answer(&mut self, pages: &mut impl Pages<Page = P>) -> Result<u32, BalloonError> {
        let mut came_back = 0;
        self.take_back_strays(pages);
        if let Some(Burst { way, frames, .. }) = self.books.burst() {
            let (queue, deflated) = match way {
                Way::Inflating => (&mut self.inflate, 0),
                Way::Deflating => (&mut self.deflate, frames),
            };
            if queue.is_acknowledged()? {
                self.books.end_burst(|page| pages.take_back(page));
                came_back = deflated;
            }
        }
        // Also what could not be written before.
        self.control.write_actual(self.books.held_frames())?;
        Ok(came_back)
    }

    /// Gives the kernel pages back that are neither in the balloon nor on their way.
    fn take_back_strays(&mut self, pages: &mut impl Pages<Page = P>) {
        while let Some(page) = self.books.remove_stray() {
            pages.take_back(page);
        }
    }

    /// Gives the balloon a burst of pages that have `missing` frames at most.
    fn grow(&mut self, missing: u32, pages: &mut impl Pages<Page = P>) -> Result<Progress, BalloonError> {
        let (mut count, mut frames, mut last) = (0, 0_u32, 1);
        let most = self.inflate.frames_max().min(missing);
        // Pages are mostly of one size: none is asked for that would have to go back.
        let ended = loop {
            if most.saturating_sub(frames) < last {
                break Progress::AtTarget;
            }
            if self.books.room() == 0 {
                break Progress::StorageFull;
            }
            let Some(page) = pages.give() else { break Progress::OutOfPages };
            let burst_max = self.inflate.frames_max();
            let Some((first, size)) = frame_numbers(&page).filter(|(_, size)| u32::from(*size) <= burst_max)
            else {
                pages.take_back(page);
                break Progress::PageUnusable;
            };
            last = size.into();
            if most.saturating_sub(frames) < last {
                pages.take_back(page);
                break Progress::AtTarget;
            }
            // There is room for it in both, or it goes back.
            let refused = match self.inflate.write(frames, first, size) {
                Ok(()) => self.books.add(page).err(),
                Err(OutOfBounds) => Some(page),
            };
            if let Some(page) = refused {
                pages.take_back(page);
                break Progress::StorageFull;
            }
            (count, frames) = (count + 1, frames.saturating_add(last));
        };
        if count == 0 {
            return Ok(ended);
        }
        if let Err(error) = self.inflate.send(frames) {
            self.take_back_strays(pages);
            return Err(error.into());
        }
        self.books.begin_inflating(count, frames);
        Ok(Progress::Working)
    }

    /// Asks the device for a burst of pages, those that were given last, as long as `fits` says so: of how many frames there are before, and how many the next page has.
    pub(super) fn shrink(&mut self, fits: impl Fn(u32, u32) -> bool) -> Result<Progress, BalloonError> {
        let (mut count, mut frames) = (0, 0_u32);
        for page in self.books.top() {
            // It went in, so it has numbers.
            let Some((first, size)) = frame_numbers(page) else { break };
            let with_it = frames.saturating_add(size.into());
            if with_it > self.deflate.frames_max() || !fits(frames, size.into()) {
                break;
            }
            let written: Result<(), OutOfBounds> = self.deflate.write(frames, first, size);
            if written.is_err() {
                break;
            }
            (count, frames) = (count + 1, with_it);
        }
        if count == 0 {
            return Ok(Progress::AtTarget);
        }
        self.deflate.send(frames)?;
        self.books.begin_deflating(count, frames);
        Ok(Progress::Working)
    }

    /// See [`Balloon::rearm`].
    pub(super) fn rearm(&mut self) -> Rearmed {
        let Self { inflate, deflate, statistics, books, .. } = self;
        rearm(books.burst(), inflate, deflate, statistics.as_mut())
    }
}

/// Asks for an interrupt by each queue that has something from the driver.
pub(super) fn rearm<H: Hal>(
    burst: Option<Burst>,
    inflate: &mut FrameQueue<'_, H>,
    deflate: &mut FrameQueue<'_, H>,
    statistics: Option<&mut StatisticsQueue<'_, H>>,
) -> Rearmed {
    let burst = match burst.map(|burst| burst.way) {
        Some(Way::Inflating) => inflate.rearm(),
        Some(Way::Deflating) => deflate.rearm(),
        None => Rearmed::Quiet,
    };
    let statistics = statistics.map_or(Rearmed::Quiet, StatisticsQueue::rearm);
    if statistics == Rearmed::MoreWaiting { statistics } else { burst }
}

impl<T: Transport, H: Hal, P: BalloonPage> fmt::Debug for Balloon<'_, T, H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held_frames();
        f.debug_struct("Balloon").field("held_frames", &held).finish_non_exhaustive()
    }
}

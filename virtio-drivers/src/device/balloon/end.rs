//! The end of a balloon: polite, or dropped.
//!
//! Spec: §2.4 Device Reset. Only a reset that was seen to be complete gives memory and pages back.

use scopeguard::ScopeGuard;

use super::control::Control;
use super::driver::{Balloon, Live};
use super::places::Stack;
use super::slots::Slots;
use super::statistics::StatisticsQueue;
use crate::hal::{BalloonPage, Hal, Patience};
use crate::lifecycle::{self, HandlerStillRunning, ResetError};
use crate::raw::ConfirmedReset;
use crate::ring;
use crate::transport::Transport;

/// A balloon that was taken down.
#[derive(Debug)]
pub struct Down<'s, T, P> {
    /// The way to the device, for another bring-up.
    pub transport: T,
    /// The proof with which hints and reports give back what they have.
    pub reset: ConfirmedReset,
    /// Whether interrupt handlers are done with the device. If one is not, it may still read the interrupt status once.
    pub handlers: Result<(), HandlerStillRunning>,
    /// All pages that the balloon had, wherever they were: the kernel's again.
    pub pages: ReturnedPages<'s, P>,
}

/// Pages out of a balloon that was taken down, and the memory that it was lent. Pages that are not taken from here are dropped with it.
#[derive(Debug)]
#[must_use = "pages that are not taken are dropped"]
pub struct ReturnedPages<'s, P> {
    slots: Slots<'s, P>,
}

impl<'s, P> ReturnedPages<'s, P> {
    /// The memory, for another balloon. Pages that were not taken are dropped.
    pub fn into_slots(mut self) -> Slots<'s, P> {
        self.by_ref().for_each(drop);
        let Slots { pages, inflate, deflate, statistics } = &mut self.slots;
        let none = ring::Slots::none;
        Slots {
            pages: core::mem::replace(pages, Stack::none()),
            inflate: core::mem::replace(inflate, none()),
            deflate: core::mem::replace(deflate, none()),
            statistics: core::mem::replace(statistics, none()),
        }
    }
}

impl<P> Iterator for ReturnedPages<'_, P> {
    type Item = P;

    fn next(&mut self) -> Option<P> {
        self.slots.pages.pop()
    }
}

impl<P> Drop for ReturnedPages<'_, P> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// A balloon that was not taken down: why, and the driver, which has the pages.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct DownFailed<'s, T: Transport, H: Hal, P: BalloonPage> {
    /// Why.
    pub error: ResetError,
    /// The driver, to try again. The device was asked for a reset, and is told nothing else any more. Dropping it leaks memory and pages.
    pub balloon: Balloon<'s, T, H, P>,
}

impl<'s, T: Transport, H: Hal, P: BalloonPage> Balloon<'s, T, H, P> {
    /// Ends the device's life: resets it, waits until it is reset, and takes its interrupt objects back. Out of what comes out come all pages; hints and reports give back what they have with it.
    ///
    /// # Errors
    /// - [`DownFailed`]: the device does not answer, so it may still have its pages. The driver keeps them.
    #[allow(clippy::result_large_err, reason = "the driver itself comes back, once in its life")]
    pub fn take_down(self, patience: impl Patience) -> Result<Down<'s, T, P>, DownFailed<'s, T, H, P>> {
        let Live { control, mut inflate, mut deflate, mut statistics, unused, books, paused_at, notified } =
            ScopeGuard::into_inner(self.live);
        let Control { half, actual } = control;
        match half.take_down(patience) {
            Ok(lifecycle::Down { transport, reset, handlers }) => {
                // The queues are this device's, always.
                let none = ring::Slots::none;
                let slots = Slots {
                    pages: books.into_pages(),
                    inflate: inflate.reclaim(&reset).unwrap_or(none()),
                    deflate: deflate.reclaim(&reset).unwrap_or(none()),
                    statistics: statistics
                        .and_then(|queue| queue.reclaim(&reset))
                        .or(unused)
                        .unwrap_or(none()),
                };
                Ok(Down { transport, reset, handlers, pages: ReturnedPages { slots } })
            }
            Err(lifecycle::DownFailed { error, half }) => {
                inflate.retire();
                deflate.retire();
                statistics.iter_mut().for_each(StatisticsQueue::retire);
                let control = Control { half, actual };
                let live = Live { control, inflate, deflate, statistics, unused, books, paused_at, notified };
                Err(DownFailed { error, balloon: Self::of(live) })
            }
        }
    }
}

impl<T: Transport, H: Hal, P: BalloonPage> Live<'_, T, H, P> {
    /// The end of a driver that was dropped: as `take_down`, with the patience fixed at bring-up.
    pub(super) fn tear_down(self) {
        let Self { control, inflate, deflate, statistics, books, .. } = self;
        let Some(reset) = control.half.reset_within_drop_bound() else { return };
        let _ = (inflate.reclaim(&reset), deflate.reclaim(&reset));
        let _ = statistics.and_then(|queue| queue.reclaim(&reset));
        let mut pages = books.into_pages();
        while let Some(page) = pages.pop() {
            drop(page);
        }
    }
}

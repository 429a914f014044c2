//! Reports: blocks that are free for a while, so that their host can use the memory meanwhile.
//!
//! Spec: §5.5.6.7 Free Page Reporting. A block goes to the device and comes back: from then on the kernel may use it, and its host gives it memory again when it does.

use core::fmt;

use super::driver::Balloon;
use super::kernel::FreeBlocks;
use super::slots::ReportSlots;
use super::start::{StartError, Starting};
use super::waiting::LOOKS;
use crate::hal::{BalloonPage, Direction, DmaBuffer, Hal, Patience};
use crate::lifecycle::InstallFailed;
use crate::raw::{ConfirmedReset, MapRefused, MappedBuffer};
use crate::ring::{Broken, Chain, InstalledQueue, QueueSettings, QueueStatistics, Rearmed, Virtqueue};
use crate::transport::Transport;
use crate::wire::balloon::BalloonFeatures;

/// The queue for reports of a balloon that is up. `Send`, not `Sync`: one owner at a time. Of its interrupt the same is true as of that of [`Hints`](super::Hints).
///
/// Dropping it leaks its memory and the blocks that are with the device; [`reclaim`](Reports::reclaim) takes them back after a reset.
pub struct Reports<'s, H: Hal, B: DmaBuffer> {
    queue: Virtqueue<'s, H, MappedBuffer<H, B>>,
    hal: H,
    notified: bool,
}

/// A queue for reports whose balloon knows of it, and that may not be used yet: [`Balloon::activate_reports`] makes it usable.
#[must_use = "dropping it leaks its memory"]
pub struct IdleReports<'s, H: Hal, B: DmaBuffer> {
    queue: InstalledQueue<'s, H, MappedBuffer<H, B>>,
    hal: H,
    notified: bool,
}

/// A queue for reports that was not installed: why, and the storage that was lent.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct ReportsFailed<'s, H: Hal, B: DmaBuffer> {
    /// Why.
    pub error: StartError,
    /// The storage.
    pub slots: ReportSlots<'s, H, B>,
}

/// What became of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportProgress {
    /// Blocks that the device acknowledged with this call; the kernel has them again.
    pub acknowledged: u32,
    /// Blocks that are with the device.
    pub in_flight: u16,
    /// Whether the kernel had no more to lend.
    pub out_of_blocks: bool,
}

/// Why blocks were not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The device did not answer in time. Blocks that it was told of are still with it.
    #[error("the device did not answer in time")]
    TimedOut,
    /// A block could not be mapped for the device. It went straight back.
    #[error("a block could not be mapped for the device")]
    NotMapped,
    /// The device broke the protocol, now or earlier. Blocks that it has come back after a reset.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl<T: Transport> Starting<T> {
    /// Installs the queue for reports, with storage of its own.
    ///
    /// # Errors
    /// - [`ReportsFailed`]: the storage comes back. The balloon can be started without it.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a device's life")]
    pub fn install_reports<'s, H: Hal, B: DmaBuffer>(
        &mut self,
        hal: &H,
        slots: impl Into<ReportSlots<'s, H, B>>,
    ) -> Result<IdleReports<'s, H, B>, ReportsFailed<'s, H, B>> {
        let slots = slots.into();
        if !self.features().contains(BalloonFeatures::PAGE_REPORTING) || self.has_reports {
            return Err(ReportsFailed { error: StartError::NoSuchQueue, slots });
        }
        let size_max = self.settings.queue_size_max;
        let settings = QueueSettings { size_max, indirect_segments: 0, memory_bytes: 0 };
        let index = self.reports_index();
        match self.device.install_queue(index, hal, &settings, slots.0) {
            Ok(queue) => {
                self.has_reports = true;
                Ok(IdleReports { queue, hal: hal.clone(), notified: self.settings.notifications })
            }
            Err(InstallFailed { error, storage }) => {
                Err(ReportsFailed { error: error.into(), slots: ReportSlots(storage) })
            }
        }
    }
}

impl<T: Transport, H: Hal, P: BalloonPage> Balloon<'_, T, H, P> {
    /// Makes the queue for reports usable that was installed while the balloon came up. One of another balloon comes out of service.
    pub fn activate_reports<'q, B: DmaBuffer>(&self, idle: IdleReports<'q, H, B>) -> Reports<'q, H, B> {
        let IdleReports { queue, hal, notified } = idle;
        let mut queue = self.live.control.half.activate(queue);
        if !notified {
            queue.suppress_notifications();
        }
        Reports { queue, hal, notified }
    }
}

impl<'s, H: Hal, B: DmaBuffer> Reports<'s, H, B> {
    /// Takes a step: takes back what the device acknowledged, and reports as many blocks as the kernel lends and the queue takes.
    ///
    /// Ownership: blocks that were lent are with the device, those that it acknowledged go back to `blocks`.
    /// Work: as many blocks as the queue has descriptors, each way; never waits, notifies once. Does not ask for an interrupt: [`rearm`](Reports::rearm) does.
    ///
    /// # Errors
    /// See [`ReportError`]; never [`TimedOut`](ReportError::TimedOut).
    ///
    /// Spec: §5.5.6.7.1 Driver Requirements: Free Page Reporting.
    pub fn poll(&mut self, blocks: &mut impl FreeBlocks<Block = B>) -> Result<ReportProgress, ReportError> {
        let acknowledged = self.take_back(blocks)?;
        let mut not_mapped = false;
        let hal = &self.hal;
        let mut out_of_blocks = false;
        for _ in 0..self.queue.free_descriptors() {
            let Some(block) = blocks.lend() else {
                out_of_blocks = true;
                break;
            };
            match MappedBuffer::map(hal, block, Direction::DeviceWritable) {
                Ok(mapped) => {
                    if let Err(refused) = self.queue.make_available(Chain::default(), mapped) {
                        blocks.take_back(refused.payload.unmap());
                        break;
                    }
                }
                Err(MapRefused { buffer }) => {
                    blocks.take_back(buffer);
                    not_mapped = true;
                    break;
                }
            }
        }
        self.queue.publish();
        if let Some(broken) = self.queue.broken() {
            return Err(broken.into());
        }
        let in_flight = self.queue.in_flight();
        if not_mapped && in_flight == 0 && acknowledged == 0 {
            return Err(ReportError::NotMapped);
        }
        Ok(ReportProgress { acknowledged, in_flight, out_of_blocks })
    }

    fn take_back(&mut self, blocks: &mut impl FreeBlocks<Block = B>) -> Result<u32, Broken> {
        let mut acknowledged = 0;
        let limit = self.queue.size().into();
        self.queue.take_used_burst(limit, |used| {
            blocks.take_back(used.payload.unmap());
            acknowledged += 1;
        })?;
        Ok(acknowledged)
    }

    /// Reports blocks until the kernel lends no more and the device has acknowledged all of them; says how many. A kernel that lends the same ones again and again is not done before its patience ends.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn report_blocking(
        &mut self,
        blocks: &mut impl FreeBlocks<Block = B>,
        mut patience: impl Patience,
    ) -> Result<u32, ReportError> {
        let (mut acknowledged, mut is_over, mut looks_left) = (0_u32, false, LOOKS);
        loop {
            let progress = self.poll(blocks)?;
            acknowledged = acknowledged.saturating_add(progress.acknowledged);
            if progress.in_flight == 0 && progress.out_of_blocks {
                return Ok(acknowledged);
            }
            // After the last wait there is one more look: a sleep may have ended with what was waited for.
            if is_over {
                return Err(ReportError::TimedOut);
            }
            let more = self.notified && self.queue.rearm() == Rearmed::MoreWaiting;
            if (more || progress.acknowledged > 0) && looks_left > 0 {
                looks_left -= 1;
            } else {
                (is_over, looks_left) = (!patience.keep_waiting(), LOOKS);
            }
        }
    }

    /// Blocks that are with the device.
    pub fn in_flight(&self) -> u16 {
        self.queue.in_flight()
    }

    /// Asks for an interrupt when the device acknowledges a report, and looks once more: what it has acknowledged already brings none.
    pub fn rearm(&mut self) -> Rearmed {
        self.queue.rearm()
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.queue.index()
    }

    /// Why the queue is out of service, if it is.
    pub const fn broken(&self) -> Option<Broken> {
        self.queue.broken()
    }

    /// What the queue has done.
    pub fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
    }

    /// Takes the queue out of service after a confirmed reset of its balloon: its memory is freed, and its blocks go back to the kernel.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(
        self,
        reset: &ConfirmedReset,
        blocks: &mut impl FreeBlocks<Block = B>,
    ) -> Result<ReportSlots<'s, H, B>, Self> {
        let Self { queue, hal, notified } = self;
        match queue.reclaim(reset) {
            Ok(mut returned) => {
                returned.by_ref().for_each(|block| blocks.take_back(block.unmap()));
                Ok(ReportSlots(returned.into_slots()))
            }
            Err(queue) => Err(Self { queue, hal, notified }),
        }
    }
}

impl<'s, H: Hal, B: DmaBuffer> IdleReports<'s, H, B> {
    /// Takes the queue back after a reset of its device.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<ReportSlots<'s, H, B>, Self> {
        let Self { queue, hal, notified } = self;
        match queue.reclaim(reset) {
            Ok(returned) => Ok(ReportSlots(returned.into_slots())),
            Err(queue) => Err(Self { queue, hal, notified }),
        }
    }
}

impl<H: Hal, B: DmaBuffer> fmt::Debug for Reports<'_, H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").field("in_flight", &self.queue.in_flight()).finish_non_exhaustive()
    }
}

impl<H: Hal, B: DmaBuffer> fmt::Debug for IdleReports<'_, H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleReports").field("index", &self.queue.index()).finish_non_exhaustive()
    }
}

impl<H: Hal, B: DmaBuffer> fmt::Debug for ReportsFailed<'_, H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportsFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

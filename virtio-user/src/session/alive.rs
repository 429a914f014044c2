//! A device that is brought up again when its back-end went: what disks and cards have alike.
//!
//! What is different about them is how they are brought up, and what becomes of their queues.

use std::time::{Duration, Instant};

use virtio_guest::lifecycle::ResetError;
use virtio_guest::raw::ConfirmedReset;
use virtio_guest::ring::Rearmed;

use super::back_end::{BackEnd, end_of, keep_trying};
use super::trouble::{Away, Trouble};
use super::watch::{Watch, wait_for_any};
use crate::patience::Until;
use crate::{Link, SharedMemory, Vector};

/// How long a device that is dropped waits for its back-end to stop.
const DROP_LIMIT: Duration = Duration::from_secs(1);

/// A driver's control half.
pub(super) trait Driver: Sized {
    /// What the device is, for a person.
    const NAME: &'static str;

    /// Has the device, which was just brought up, use all of its queues.
    fn use_all(&mut self, _queues: usize, _patience: Until) -> Result<(), Trouble> {
        Ok(())
    }

    /// Resets the device. Unless that is confirmed the driver comes back.
    fn take_down(self, patience: Until) -> Result<ConfirmedReset, (ResetError, Self)>;
}

/// A queue of a disk, or a card's pair of them, and what was in it when a back-end went.
pub(super) trait Lane {
    /// Takes what a device has done that is to be reset.
    fn drain(&mut self);

    /// Takes everything back after a reset.
    fn take_down(&mut self, reset: &ConfirmedReset);

    /// Asks for an interrupt, and looks once more.
    fn rearm(&mut self) -> Rearmed;
}

/// What belongs to one back-end.
#[derive(Debug)]
pub(super) struct Device<D> {
    pub(super) control: D,
    pub(super) watch: Watch,
    pub(super) vectors: Vec<Vector>,
}

/// See the module's head. Dropping it resets the device.
#[derive(Debug)]
pub(super) struct Alive<D: Driver, L: Lane> {
    back_end: BackEnd,
    memory: SharedMemory,
    pub(super) lanes: Vec<L>,
    /// `None` while there is no back-end.
    pub(super) device: Option<Device<D>>,
    pub(super) restarts: u64,
}

impl<D: Driver, L: Lane> Alive<D, L> {
    /// A device that is not brought up yet.
    pub(super) const fn new(back_end: BackEnd, memory: SharedMemory, lanes: Vec<L>) -> Self {
        Self { back_end, memory, lanes, device: None, restarts: 0 }
    }

    /// Resets the device and brings it up, until that is done, it is no use, or the time is over.
    ///
    /// A device that came up only in part, and does not let itself be reset, is kept: its queues are its own until it does.
    pub(super) fn keep_trying(
        &mut self,
        limit: Duration,
        mut bring_up: impl FnMut(
            &BackEnd,
            &SharedMemory,
            &mut Vec<L>,
            Option<Instant>,
        ) -> Result<Device<D>, Trouble>,
    ) -> Result<&mut Device<D>, Away> {
        let device = keep_trying(limit, |end| {
            self.take_down(end)?;
            let mut device = bring_up(&self.back_end, &self.memory, &mut self.lanes, end)?;
            let used = device.control.use_all(self.lanes.len(), patience(end));
            let link = device.watch.link();
            let Some(trouble) = used.err().or_else(|| self.back_end.trouble(link)) else {
                link.end_by(None);
                return Ok(device);
            };
            self.device = Some(device);
            // If it is not stopped now, then before the next try.
            let _ = self.take_down(end);
            Err(trouble)
        })?;
        Ok(self.device.insert(device))
    }

    /// Resets the device, if there is one, and takes everything back.
    pub(super) fn take_down(&mut self, end: Option<Instant>) -> Result<(), Trouble> {
        let Some(Device { control, watch, vectors }) = self.device.take() else { return Ok(()) };
        self.lanes.iter_mut().for_each(Lane::drain);
        watch.link().end_by(end);
        match control.take_down(patience(end)) {
            Ok(reset) => {
                self.lanes.iter_mut().for_each(|lane| lane.take_down(&reset));
                Ok(())
            }
            Err((error, control)) => {
                self.device = Some(Device { control, watch, vectors });
                Err(error.into())
            }
        }
    }

    /// What to ask for the reason, when the back-end looks gone.
    pub(super) fn link(&self) -> Option<&Link> {
        self.device.as_ref().map(|device| device.watch.link())
    }

    /// The driver's control half.
    pub(super) fn control(&mut self) -> Option<&mut D> {
        self.device.as_mut().map(|device| &mut device.control)
    }

    /// Nothing came. Says whether that is because nobody is there.
    pub(super) fn is_down_after_all(&mut self) -> bool {
        self.device.as_mut().is_none_or(|device| device.watch.is_down_after_all())
    }

    /// Sleeps until something comes, the back-end goes, or the time is over.
    pub(super) fn wait(&mut self, limit: Duration) {
        let Some(device) = &mut self.device else { return };
        let is_quiet = self.lanes.iter_mut().all(|lane| lane.rearm() == Rearmed::Quiet);
        // Nobody is woken twice because the back-end went.
        if is_quiet && device.watch.link().is_up() {
            wait_for_any(&device.vectors, limit);
        }
        device.watch.look_at_once();
    }
}

impl<D: Driver, L: Lane> Drop for Alive<D, L> {
    fn drop(&mut self) {
        if let Err(trouble) = self.take_down(end_of(DROP_LIMIT)) {
            let name = D::NAME;
            log::error!(
                "a {name} was dropped, and {trouble}; memory that its back-end may still use is leaked"
            );
        }
    }
}

/// Patience until a try is to be over: for one look, if it is not cut short, since its messages have their answers by then.
fn patience(end: Option<Instant>) -> Until {
    Until::time(end.unwrap_or_else(Instant::now))
}

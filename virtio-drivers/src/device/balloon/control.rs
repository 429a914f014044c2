//! The control half of a balloon: what its device wants, its interrupts.
//!
//! Spec: §5.5.4 Device configuration layout.

use crate::device::half::control_half_calls;
use crate::lifecycle::{ConfigError, ControlHalf, QueueSignal};
use crate::transport::Transport;
use crate::wire::balloon::{BalloonFeatures, command, config};

/// A live balloon device without its queues. Dropping it resets the device.
#[derive(Debug)]
pub struct Control<'s, T: Transport> {
    pub(super) half: ControlHalf<'s, T, BalloonFeatures>,
    /// What the device was told last of the frames that are in the balloon.
    pub(super) actual: Option<u32>,
}

/// What a device wants of hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintCommand {
    /// No more until there is another round; what was hinted at is kept.
    Stop,
    /// No more; what was hinted at goes back to the kernel.
    Done,
    /// Hints of the round with this id.
    Round(u32),
}

impl HintCommand {
    pub(super) const fn of(id: u32) -> Self {
        match id {
            command::STOP => Self::Stop,
            command::DONE => Self::Done,
            id => Self::Round(id),
        }
    }
}

impl<'s, T: Transport> Control<'s, T> {
    control_half_calls!(half, BalloonFeatures);

    /// How many frames of 4096 bytes the device wants in the balloon now.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn target_frames(&self) -> Result<u32, ConfigError> {
        self.half.config().read(config::NUM_PAGES)
    }

    /// What the device wants of hints now; to be read once after each change of the configuration, and kept (see [`Hints::poll`](super::Hints::poll)). [`HintCommand::Done`] if [`FREE_PAGE_HINT`](BalloonFeatures::FREE_PAGE_HINT) was not agreed on.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn hint_command(&self) -> Result<HintCommand, ConfigError> {
        if self.features().contains(BalloonFeatures::FREE_PAGE_HINT) {
            Ok(HintCommand::of(self.half.config().read(config::FREE_PAGE_HINT_CMD_ID)?))
        } else {
            Ok(HintCommand::Done)
        }
    }

    /// Where tasks that wait for a queue leave their waker; `None` before interrupts are connected, or if there are none.
    pub fn queue_signal(&self, index: u16) -> Option<&'s QueueSignal> {
        self.half.queue_signal(index)
    }

    /// Tells the device how many frames are in the balloon, unless it knows.
    ///
    /// Spec: §5.5.6.1 — after each change; with one access of 4 bytes.
    pub(super) fn write_actual(&mut self, frames: u32) -> Result<(), ConfigError> {
        if self.actual != Some(frames) {
            self.half.write_config(config::ACTUAL, frames)?;
            self.actual = Some(frames);
        }
        Ok(())
    }
}

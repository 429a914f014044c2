//! The reset of one queue, and its installation anew.
//!
//! The device and its other queues go on meanwhile; the queue may have another size afterwards.
//!
//! Spec: §2.6.1 Virtqueue Reset; needs `RING_RESET`.
//!
//! ```text
//!   Virtqueue ── Running::reset_queue ──▶ ResetQueue { returned: payloads and storage, vacancy }
//!                                                                                        │
//!   Virtqueue ◀── Running::reinstall_queue ── settings, storage ◀────────────────────────┘
//! ```

use core::fmt;

use super::install::{InstallError, InstallFailed, install};
use super::ladder::Rung;
use super::running::Running;
use crate::hal::{Hal, Patience};
use crate::raw::{Payload, QueueReset, Session};
use crate::ring::{Broken, Frames, QueueSettings, Returned, Slots, Virtqueue};
use crate::transport::{QueueError, Transport};
use crate::wire::features::CommonFeatures;

/// A queue was reset: the device has forgotten it and its buffers.
#[derive(Debug)]
pub struct ResetQueue<'s, P> {
    /// What was in flight, each payload once; and the storage ([`Returned::into_slots`]).
    pub returned: Returned<'s, P>,
    /// The right to install a queue in its place.
    pub vacancy: Vacancy,
}

/// A place where a queue was, in one bring-up of one device.
#[derive(Debug)]
pub struct Vacancy {
    index: u16,
    session: Session,
}

/// Why a queue was not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueResetError {
    /// `RING_RESET` was not agreed on. The queue is as it was.
    #[error("the device does not reset single queues")]
    NotAgreed,
    /// The queue is another device's, or of an earlier bring-up. It is as it was.
    #[error("the queue belongs to another device")]
    OtherDevice,
    /// The device itself was asked for a reset and did not confirm it. The queue is out of service; reset the device again.
    #[error("the device is in the middle of a reset")]
    DeviceResetPending,
    /// The device did not confirm in time. The queue is out of service; ask again, or reset the device.
    #[error("the device did not confirm in time that the queue is reset")]
    TimedOut,
}

/// A queue that was not reset: why, and the queue.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct QueueResetFailed<'s, H: Hal, P> {
    /// Why.
    pub error: QueueResetError,
    /// The queue.
    pub queue: Virtqueue<'s, H, P>,
}

/// A queue that was not installed anew: why, and what it takes to try again.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct ReinstallFailed<'s, P> {
    /// Why.
    pub error: InstallError,
    /// The place, still vacant.
    pub vacancy: Vacancy,
    /// The storage.
    pub storage: Slots<'s, P>,
}

impl<P> fmt::Debug for ReinstallFailed<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReinstallFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<P> From<ReinstallFailed<'_, P>> for InstallError {
    fn from(failed: ReinstallFailed<'_, P>) -> Self {
        failed.error
    }
}

impl<T: Transport, D: Copy> Running<T, D> {
    /// Resets one queue, and waits until that is done. The queue is gone then, so nobody can notify the device of it.
    ///
    /// Ownership: buffers in flight come back, each once; the queue's memory is freed.
    ///
    /// # Errors
    /// See [`QueueResetError`]; the queue comes back.
    ///
    /// Spec: §2.6.1.1 Virtqueue Reset.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back")]
    pub fn reset_queue<'s, H: Hal, P: Payload>(
        &mut self,
        mut queue: Virtqueue<'s, H, P>,
        mut patience: impl Patience,
    ) -> Result<ResetQueue<'s, P>, QueueResetFailed<'s, H, P>> {
        let (index, session) = (queue.index(), self.rung.session);
        let refused = if !self.features().common.contains(CommonFeatures::RING_RESET) {
            Some(QueueResetError::NotAgreed)
        } else if !queue.belongs_to(session) {
            Some(QueueResetError::OtherDevice)
        } else if self.rung.reset_is_pending() {
            queue.retire();
            Some(QueueResetError::DeviceResetPending)
        } else {
            None
        };
        if let Some(error) = refused {
            return Err(QueueResetFailed { error, queue });
        }
        let transport = &mut self.rung.transport;
        if queue.broken() != Some(Broken::ResetPending) {
            transport.start_queue_reset(index);
            queue.retire();
        }
        while !transport.queue_reset_is_done(index) {
            if !patience.keep_waiting() {
                return Err(QueueResetFailed { error: QueueResetError::TimedOut, queue });
            }
        }
        match queue.reclaim_alone(QueueReset::of(session, index)) {
            Ok(returned) => {
                self.rung.queue_is_aside();
                Ok(ResetQueue { returned, vacancy: Vacancy { index, session } })
            }
            Err(queue) => Err(QueueResetFailed { error: QueueResetError::OtherDevice, queue }),
        }
    }

    /// Installs a queue where one was reset. It may be used at once.
    ///
    /// Work: allocates DMA memory, as the first installation did.
    ///
    /// # Errors
    /// - [`ReinstallFailed`]: vacancy and storage come back. A vacancy of another bring-up counts as an absent queue.
    ///
    /// Spec: §2.6.1.2 Virtqueue Re-enable.
    pub fn reinstall_queue<'s, H: Hal, P: Payload>(
        &mut self,
        vacancy: Vacancy,
        hal: &H,
        settings: &QueueSettings,
        storage: impl Into<Slots<'s, P>>,
    ) -> Result<Virtqueue<'s, H, P>, ReinstallFailed<'s, P>> {
        let (index, storage) = (vacancy.index, storage.into());
        if vacancy.session != self.rung.session {
            let error = InstallError::Queue { index, error: QueueError::Absent };
            return Err(ReinstallFailed { error, vacancy, storage });
        }
        if self.rung.reset_is_pending() {
            let error = InstallError::DeviceResetPending { index };
            return Err(ReinstallFailed { error, vacancy, storage });
        }
        let features = self.features().common;
        let rung: &mut Rung<T> = &mut self.rung;
        match install(rung, features, index, hal, (settings, Frames::Without), storage) {
            Ok(queue) => Ok(self.activate(queue)),
            Err(InstallFailed { error, storage }) => Err(ReinstallFailed { error, vacancy, storage }),
        }
    }
}

//! The top rung: a live device.
//!
//! Spec: §3.1.1 step 8, §2.1.2 (DEVICE_NEEDS_RESET), §2.4 Device Reset.

use scopeguard::ScopeGuard;

use super::condition::Condition;
use super::config::{self, Config, ConfigError};
use super::ladder::{Armed, ResetError, Rung};
use super::negotiate::NegotiatedFeatures;
use crate::hal::{Hal, Patience};
use crate::raw::{ConfirmedReset, Payload};
#[cfg(doc)]
use crate::ring::Broken;
use crate::ring::{InstalledQueue, Virtqueue};
use crate::transport::{InterruptCause, Transport};
use crate::wire::field::{Field, FieldValue};

/// A live device: its queues may be used. Dropping it resets the device, with the bound fixed at bring-up; queues are then lost, with their memory.
#[derive(Debug)]
pub struct Running<T: Transport, D> {
    pub(super) rung: Armed<T>,
    features: NegotiatedFeatures<D>,
}

/// A reset that was not confirmed: why, and the device, to try again.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ResetFailed<T: Transport, D> {
    /// Why.
    pub error: ResetError,
    /// The device; it may still use its queues' memory. All that is left to do with it is to ask, and to reset it again:
    /// what would tell it anything else is refused. Queues that are live already had better be left alone, too.
    pub device: Running<T, D>,
}

impl<T: Transport, D: Copy> Running<T, D> {
    pub(super) fn new(rung: Armed<T>, features: NegotiatedFeatures<D>) -> Self {
        let rung = scopeguard::guard(ScopeGuard::into_inner(rung), Rung::stop as fn(Rung<T>));
        Self { rung, features }
    }

    /// What was agreed.
    pub const fn features(&self) -> NegotiatedFeatures<D> {
        self.features
    }

    /// Makes an installed queue usable. One of another device, or of an earlier bring-up, comes out of service
    /// ([`Broken::OtherDevice`]), and so does any after a reset that was not confirmed ([`Broken::ResetPending`]).
    ///
    /// Spec: §3.1.1, step 8.
    pub fn activate<'s, H: Hal, P: Payload>(&self, queue: InstalledQueue<'s, H, P>) -> Virtqueue<'s, H, P> {
        self.give_out(queue.activate(self.rung.session))
    }

    /// A queue is used from here on, unless the device is in the middle of a reset.
    pub(super) fn give_out<'s, H: Hal, P: Payload>(
        &self,
        mut queue: Virtqueue<'s, H, P>,
    ) -> Virtqueue<'s, H, P> {
        if self.rung.reset_is_pending() && queue.broken().is_none() {
            queue.retire();
        }
        queue
    }

    /// The configuration space.
    pub fn config(&self) -> Config<'_, T> {
        Config::new(&self.rung.transport)
    }

    /// Writes a field of the configuration space.
    ///
    /// # Errors
    /// - [`ConfigError::Absent`]: the space ends before the field does.
    /// - [`ConfigError::DeviceResetPending`]: after a reset that was not confirmed.
    pub fn write_config<V: FieldValue>(&mut self, field: Field<V>, value: V) -> Result<(), ConfigError> {
        if self.rung.reset_is_pending() {
            return Err(ConfigError::DeviceResetPending);
        }
        config::write(&mut self.rung.transport, field, value)
    }

    /// Whether the device asks to be reset: it met an error that nothing else cures.
    pub fn needs_reset(&self) -> bool {
        self.condition() == Condition::NeedsReset
    }

    /// Whether the device is gone: its status reads all ones.
    pub fn is_removed(&self) -> bool {
        self.condition() == Condition::Removed
    }

    /// Asks why the device's line is raised, and quiets it. No cause if it is another device's doing, or vectors are used.
    pub fn acknowledge_interrupt(&self) -> InterruptCause {
        self.rung.transport.acknowledge_interrupt()
    }

    /// Ends the device's life: resets it, and waits until it is reset.
    ///
    /// The transport comes back for a new bring-up; the [`ConfirmedReset`] lets the queues of this one give back memory and payloads. Wherever they are, that is all
    /// that is left to do with them: a queue that is published after the reset would notify a device that does not know it any more.
    ///
    /// # Errors
    /// - [`ResetFailed`]: not confirmed in time.
    pub fn reset(mut self, mut patience: impl Patience) -> Result<(T, ConfirmedReset), ResetFailed<T, D>> {
        let rung: &mut Rung<T> = &mut self.rung;
        match rung.reset(&mut patience) {
            Ok(confirmed) => Ok((ScopeGuard::into_inner(self.rung).transport, confirmed)),
            Err(error) => Err(ResetFailed { error, device: self }),
        }
    }

    /// Resets the device as a drop would, and says whether that was confirmed: for drivers that tear down their queues when dropped.
    pub(crate) fn reset_within_drop_bound(self) -> Option<ConfirmedReset> {
        ScopeGuard::into_inner(self.rung).reset_within_drop_bound()
    }
}

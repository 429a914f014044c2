//! The rung between FEATURES_OK and DRIVER_OK: queues are installed.
//!
//! Spec: §3.1.1 step 7, §4.1.5.1.3 Virtqueue Configuration.

use scopeguard::ScopeGuard;

use super::config::{self, Config, ConfigError};
use super::install::{InstallError, InstallFailed, device_limits, install};
use super::ladder::{Armed, ResetError, Rung};
use super::negotiate::NegotiatedFeatures;
use super::running::Running;
use crate::hal::{Hal, Patience};
use crate::raw::{ConfirmedReset, Payload};
use crate::ring::{Frames, InstalledQueue, Layout, QueueSettings, Slots, queue_size};
use crate::transport::Transport;
use crate::wire::field::{Field, FieldValue};
use crate::wire::status::Status;

/// A device that agreed on features and waits for its queues.
///
/// Dropping it sets FAILED and resets the device; queues installed until then leak their memory, unless [`reset`](Installing::reset) is used instead.
#[derive(Debug)]
pub struct Installing<T: Transport, D> {
    rung: Armed<T>,
    features: NegotiatedFeatures<D>,
}

impl<T: Transport, D: Copy> Installing<T, D> {
    pub(super) const fn new(rung: Armed<T>, features: NegotiatedFeatures<D>) -> Self {
        Self { rung, features }
    }

    /// What was agreed.
    pub const fn features(&self) -> NegotiatedFeatures<D> {
        self.features
    }

    /// The configuration space.
    pub fn config(&self) -> Config<'_, T> {
        Config::new(&self.rung.transport)
    }

    /// Writes a field of the configuration space.
    ///
    /// # Errors
    /// - [`ConfigError::Absent`]: the space ends before the field does.
    pub fn write_config<V: FieldValue>(&mut self, field: Field<V>, value: V) -> Result<(), ConfigError> {
        config::write(&mut self.rung.transport, field, value)
    }

    /// The largest size that the device allows for a queue; 0 if it has no such queue.
    pub fn queue_size_max(&mut self, index: u16) -> u16 {
        self.rung.transport.queue_size_max(index)
    }

    /// The size that [`install_queue`](Installing::install_queue) would give a queue, with storage for `slots` descriptors.
    ///
    /// # Errors
    /// The one that it would give: there is no such queue, or none of a size that storage and settings allow.
    pub fn queue_size_for(
        &mut self,
        index: u16,
        settings: &QueueSettings,
        slots: usize,
    ) -> Result<u16, InstallError> {
        let limits = device_limits(&mut self.rung, index)?;
        let size = queue_size(Layout::of(self.features.common), &limits, settings, slots);
        size.ok_or(InstallError::NoStorage { index, size_max: limits.size_max })
    }

    pub(super) fn rung_mut(&mut self) -> &mut Rung<T> {
        &mut self.rung
    }

    /// Allocates a queue and tells the device where it is. It is used after [`start`](Installing::start).
    ///
    /// Its size is the largest within the device's limit, `settings` and `storage` (a power of two, unless `RING_PACKED` was agreed on). `storage` is a [`Storage`](crate::ring::Storage) lent for as
    /// long as the queue lives, or comes from the heap ([`Slots::allocate`]).
    ///
    /// # Errors
    /// - [`InstallFailed`]: the storage comes back. Other queues are not affected, and the bring-up may go on without this one.
    pub fn install_queue<'s, H: Hal, P: Payload>(
        &mut self,
        index: u16,
        hal: &H,
        settings: &QueueSettings,
        storage: impl Into<Slots<'s, P>>,
    ) -> Result<InstalledQueue<'s, H, P>, InstallFailed<'s, P>> {
        self.install_queue_with(index, hal, settings, Frames::Without, storage.into())
    }

    /// The same of a queue with frames for requests, perhaps.
    pub(crate) fn install_queue_with<'s, H: Hal, P: Payload>(
        &mut self,
        index: u16,
        hal: &H,
        settings: &QueueSettings,
        frames: Frames,
        storage: Slots<'s, P>,
    ) -> Result<InstalledQueue<'s, H, P>, InstallFailed<'s, P>> {
        let rung: &mut Rung<T> = &mut self.rung;
        install(rung, self.features.common, index, hal, (settings, frames), storage)
    }

    /// Tells the device that its driver is ready. From here on queues may be used: [`activate`](Running::activate) each.
    ///
    /// Spec: §3.1.1, step 8.
    pub fn start(mut self) -> Running<T, D> {
        self.rung.add_status(Status::DRIVER_OK);
        Running::new(self.rung, self.features)
    }

    /// Gives up as a drop would, and says whether the reset was confirmed: for drivers that want their storage back.
    pub(crate) fn give_up_within_drop_bound(self) -> Option<ConfirmedReset> {
        ScopeGuard::into_inner(self.rung).fail_within_drop_bound()
    }

    /// Gives up: resets the device, so that queues installed until now can give their memory back.
    ///
    /// # Errors
    /// - [`ResetError`]: the device does not answer; what it learned of stays lent to it.
    pub fn reset(mut self, mut patience: impl Patience) -> Result<ConfirmedReset, ResetError> {
        let rung: &mut Rung<T> = &mut self.rung;
        let reset = rung.reset(&mut patience)?;
        // It is down already: nothing is left for the drop to do.
        drop(ScopeGuard::into_inner(self.rung));
        Ok(reset)
    }
}

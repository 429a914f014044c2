//! A device is suspended, and goes on later, with all that it was told.
//!
//! Spec: §3.4 Device Suspend; needs `SUSPEND`. From the moment that a device is asked, until it says that it runs again, nothing may be made available, no notification
//! sent, and no configuration written. So queues are parked before, and in between there is no [`Running`] that could give one out, nor anything to write with:
//!
//! ```text
//!   Running          park: each queue
//!     │ suspend      SUSPEND written once ──── not confirmed ───▶ Suspending
//!     ▼                                                             │ wait
//!   Suspended ◀─────────────────────────────────────────────────────┘
//!     │ resume       DRIVER_OK written once ── not confirmed ───▶ Suspended, to wait on
//!     ▼
//!   Running          unpark: they are as they were
//! ```
//!
//! A device can be asked, read and reset on each of them; dropping any of them resets it.
//!
//! ```
//! use virtio_guest::hal::{Attempts, Hal};
//! use virtio_guest::lifecycle::Running;
//! use virtio_guest::raw::Tag;
//! use virtio_guest::ring::Virtqueue;
//! use virtio_guest::transport::Transport;
//!
//! # type AnyError = Box<dyn core::error::Error>;
//! # #[allow(dead_code)]
//! fn sleep<'s, T, H>(
//!     mut device: Running<T, ()>,
//!     queue: Virtqueue<'s, H, Tag<u32>>,
//!     power_down: impl FnOnce(),
//! ) -> Result<(Running<T, ()>, Virtqueue<'s, H, Tag<u32>>), AnyError>
//! where
//!     T: Transport + core::fmt::Debug + 'static,
//!     H: Hal,
//! {
//!     let parked = device.park(queue).map_err(|_| "another device's queue")?;
//!     let device = device.suspend(Attempts(100_000))?; // dropped with the error, it is reset
//!     power_down();
//!     let mut device = device.resume(Attempts(100_000))?;
//!     let queue = device.unpark(parked).map_err(|_| "another device's queue")?;
//!     Ok((device, queue))
//! }
//! ```

use super::config::Config;
use super::ladder::Rung;
use super::negotiate::NegotiatedFeatures;
use super::running::{ResetFailed, Running};
use crate::hal::Patience;
use crate::raw::ConfirmedReset;
use crate::transport::{InterruptCause, Transport};
use crate::wire::features::CommonFeatures;
use crate::wire::status::Status;

/// The bits that say whether a device runs or is suspended.
const SUSPENSION: Status = Status::SUSPEND.union(Status::DRIVER_OK);

/// Why a device was not asked to suspend itself. It was told nothing, and runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuspendRefused {
    /// `SUSPEND` was not agreed on.
    #[error("the device cannot be suspended")]
    NotAgreed,
    /// The device was asked for a reset and did not confirm it.
    #[error("the device is in the middle of a reset")]
    DeviceResetPending,
    /// Queues of this bring-up may be used: [park](Running::park) each before, one that was never activated too. One that was dropped counts until the device is reset.
    #[error("{queues} queues of the device are not parked")]
    QueuesInUse {
        /// How many.
        queues: usize,
    },
}

/// Why a device that was asked to suspend itself, or to resume, is not taken to have done so. It may still do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// The status does not show it in time.
    #[error("the device did not confirm in time (status {status:#04x})")]
    TimedOut {
        /// What it shows.
        status: u8,
    },
    /// The device met an error that only a reset cures: it failed, or had failed before.
    #[error("the device needs a reset")]
    NeedsReset,
    /// The status reads all ones: there is no device any more.
    #[error("the device is gone")]
    Removed,
}

/// A device that is not suspended: why, and the device.
#[derive(Debug, thiserror::Error)]
pub enum SuspendFailed<T: Transport, D> {
    /// It was told nothing.
    #[error("{error}")]
    Refused {
        /// Why.
        error: SuspendRefused,
        /// The device, as it was.
        device: Running<T, D>,
    },
    /// It was asked, and did not confirm.
    #[error(transparent)]
    NotConfirmed(SuspendNotConfirmed<T, D>),
}

/// A device that was asked to suspend itself and did not confirm it: why, and the device, to wait on.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SuspendNotConfirmed<T: Transport, D> {
    /// Why.
    pub error: Unconfirmed,
    /// The device: asked already, and not to be disturbed.
    pub device: Suspending<T, D>,
}

/// A device that was asked to resume and did not confirm it: why, and the device.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ResumeFailed<T: Transport, D> {
    /// Why.
    pub error: Unconfirmed,
    /// The device: asked already. [`Suspended::resume`] waits on.
    pub device: Suspended<T, D>,
}

/// A device that was asked to suspend itself. That cannot be taken back: it is to be waited for, or reset.
///
/// Dropping it resets the device, as with [`Running`].
#[derive(Debug)]
pub struct Suspending<T: Transport, D>(Running<T, D>);

/// A device that is suspended: it looks at no queue, notifies of nothing, and keeps what it was told.
///
/// Dropping it resets the device, as with [`Running`]. Nothing is to be written meanwhile, and nothing can be:
///
/// ```compile_fail,E0599
/// # use virtio_guest::{lifecycle::Suspended, transport::Transport, wire::field::Field};
/// fn write<T: Transport>(device: &mut Suspended<T, ()>) {
///     device.write_config(Field::<u16>::at(0), 1).unwrap();
/// }
/// ```
/// ```compile_fail,E0599
/// # use virtio_guest::{hal::Hal, lifecycle::Suspended, raw::Tag, ring::ParkedQueue, transport::Transport};
/// fn use_again<T: Transport, H: Hal>(device: &Suspended<T, ()>, queue: ParkedQueue<'static, H, Tag<u32>>) {
///     device.unpark(queue).unwrap();
/// }
/// ```
#[derive(Debug)]
pub struct Suspended<T: Transport, D>(Running<T, D>);

impl<T: Transport, D: Copy> Running<T, D> {
    /// Suspends the device, and waits until it says that it is. Its queues are to be parked before.
    ///
    /// Ownership: what is in flight stays so. A device is to use what it has begun with before it says that it is suspended, and need not begin with the rest.
    ///
    /// # Errors
    /// - [`SuspendFailed::Refused`]: nothing was written; the device runs on.
    /// - [`SuspendFailed::NotConfirmed`]: the device was asked.
    ///
    /// Spec: §3.4.1 Driver Requirements: Device Suspend.
    pub fn suspend(mut self, patience: impl Patience) -> Result<Suspended<T, D>, SuspendFailed<T, D>> {
        let queues = self.rung.queues_in_use();
        let refused = if self.rung.reset_is_pending() {
            Some(SuspendRefused::DeviceResetPending)
        } else if !self.features().common.contains(CommonFeatures::SUSPEND) {
            Some(SuspendRefused::NotAgreed)
        } else if queues > 0 {
            Some(SuspendRefused::QueuesInUse { queues })
        } else {
            None
        };
        if let Some(error) = refused {
            return Err(SuspendFailed::Refused { error, device: self });
        }
        self.rung.add_status(Status::SUSPEND);
        Suspending(self).wait(patience).map_err(SuspendFailed::NotConfirmed)
    }
}

impl<T: Transport, D: Copy> Suspending<T, D> {
    /// Waits until the device says that it is suspended; writes nothing.
    ///
    /// # Errors
    /// - [`SuspendNotConfirmed`]: still not.
    ///
    /// Spec: §3.4.1.
    pub fn wait(mut self, mut patience: impl Patience) -> Result<Suspended<T, D>, SuspendNotConfirmed<T, D>> {
        match wait_for(Status::SUSPEND, &self.0.rung.transport, &mut patience) {
            Ok(()) => {
                self.0.rung.forget(Status::DRIVER_OK);
                Ok(Suspended(self.0))
            }
            Err(error) => Err(SuspendNotConfirmed { error, device: self }),
        }
    }

    /// Ends the device's life, as [`Running::reset`] does.
    ///
    /// # Errors
    /// - [`ResetFailed`]: not confirmed in time.
    pub fn reset(self, patience: impl Patience) -> Result<(T, ConfirmedReset), ResetFailed<T, D>> {
        self.0.reset(patience)
    }

    /// Asks why the device's line is raised, and quiets it: a device tells of what it finished before it is suspended.
    pub fn acknowledge_interrupt(&self) -> InterruptCause {
        self.0.acknowledge_interrupt()
    }
}

impl<T: Transport, D: Copy> Suspended<T, D> {
    /// Has the device go on, and waits until it says that it runs. Queues are [unparked](Running::unpark) then.
    ///
    /// # Errors
    /// - [`ResumeFailed`]: the device was asked, and did not confirm. Another call waits on, and writes nothing.
    ///
    /// Spec: §3.4.1 Driver Requirements: Device Suspend.
    pub fn resume(mut self, mut patience: impl Patience) -> Result<Running<T, D>, ResumeFailed<T, D>> {
        let rung: &mut Rung<T> = &mut self.0.rung;
        // Written twice, it might ask a device that resumed in between to suspend itself again.
        if !rung.has_taken(Status::DRIVER_OK) {
            rung.add_status(Status::DRIVER_OK);
        }
        match wait_for(Status::DRIVER_OK, &rung.transport, &mut patience) {
            Ok(()) => {
                rung.forget(Status::SUSPEND);
                Ok(self.0)
            }
            Err(error) => Err(ResumeFailed { error, device: self }),
        }
    }

    /// Ends the device's life, as [`Running::reset`] does; parked queues give their memory and payloads back.
    ///
    /// # Errors
    /// - [`ResetFailed`]: not confirmed in time.
    pub fn reset(self, patience: impl Patience) -> Result<(T, ConfirmedReset), ResetFailed<T, D>> {
        self.0.reset(patience)
    }

    /// What was agreed.
    pub const fn features(&self) -> NegotiatedFeatures<D> {
        self.0.features()
    }

    /// The configuration space, to be read.
    pub fn config(&self) -> Config<'_, T> {
        self.0.config()
    }

    /// Whether the device asks to be reset: it met an error that nothing else cures.
    pub fn needs_reset(&self) -> bool {
        self.0.needs_reset()
    }

    /// Whether the device is gone: its status reads all ones.
    pub fn is_removed(&self) -> bool {
        self.0.is_removed()
    }

    /// Asks why the device's line is raised, and quiets it: what it told of before may still be waiting.
    pub fn acknowledge_interrupt(&self) -> InterruptCause {
        self.0.acknowledge_interrupt()
    }
}

/// Waits until of the two bits that say whether a device runs just this one is set.
fn wait_for(bit: Status, transport: &impl Transport, patience: &mut dyn Patience) -> Result<(), Unconfirmed> {
    loop {
        let status = transport.status();
        if status == Status::REMOVED {
            return Err(Unconfirmed::Removed);
        }
        if status.contains(Status::DEVICE_NEEDS_RESET) {
            return Err(Unconfirmed::NeedsReset);
        }
        if status.intersection(SUSPENSION) == bit {
            return Ok(());
        }
        if !patience.keep_waiting() {
            return Err(Unconfirmed::TimedOut { status: status.bits() });
        }
    }
}

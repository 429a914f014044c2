//! A disk is put to sleep with all that it was told, and goes on later.
//!
//! Spec: §3.4 Device Suspend; needs `SUSPEND`. The lifecycle's [`suspend`](crate::lifecycle::Running::suspend), for a disk's two halves. Where `SUSPEND` is not agreed on, a disk is taken
//! down instead, and brought up again ([`Shared::drain`](super::Shared::drain) has the sequence for tasks).
//!
//! ```text
//!   RequestQueue ── Control::park ──▶ ParkedRequestQueue      in flight stays in flight
//!   Control ── suspend ──▶ Suspended ── resume ──▶ Control    handlers keep their objects
//!      ╰─ not confirmed ─▶ Suspending ── wait ─╯
//! ```
//!
//! Dropping a disk in any of these states resets it.

use super::characteristics::Characteristics;
use super::control::{Control, DownFailed};
use super::shape::Shape;
use crate::hal::Patience;
use crate::lifecycle::{
    self, ControlHalf, Down, Interrupts, ResetFailed, Running, SuspendNotConfirmed, SuspendRefused,
    Unconfirmed,
};
use crate::raw::ConfirmedReset;
use crate::transport::Transport;
use crate::wire::block::BlockFeatures;

/// A disk that sleeps, or was asked to: the lifecycle's device `L`, and what a [`Control`] has beside it. Its interrupts stay connected.
///
/// Dropping it resets the disk, as with [`Control`]; queues are then lost, with their memory.
#[derive(Debug)]
pub struct Asleep<'s, L> {
    // Reset first, when this is dropped; then handlers find no cause any more.
    device: L,
    beside: Beside<'s>,
}

/// A disk that is suspended: it looks at no queue, and keeps what it was told.
pub type Suspended<'s, T> = Asleep<'s, lifecycle::Suspended<T, BlockFeatures>>;

/// A disk that was asked to suspend itself and did not confirm it. That cannot be taken back: it is to be waited for, or reset.
pub type Suspending<'s, T> = Asleep<'s, lifecycle::Suspending<T, BlockFeatures>>;

/// What a control half has beside its device.
#[derive(Debug)]
pub(super) struct Beside<'s> {
    interrupts: Option<Interrupts<'s>>,
    shape: Shape,
    characteristics: Characteristics,
}

/// A disk that is not suspended: why, and the disk.
#[derive(Debug, thiserror::Error)]
pub enum SuspendFailed<'s, T: Transport> {
    /// It was told nothing.
    #[error("{error}")]
    Refused {
        /// Why.
        error: SuspendRefused,
        /// The disk, as it was.
        control: Control<'s, T>,
    },
    /// It was asked, and did not confirm.
    #[error("{0}")]
    NotConfirmed(NotConfirmed<Suspending<'s, T>>),
}

/// A disk that was asked to suspend itself, or to resume, and did not confirm it: why, and the disk, to wait on.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotConfirmed<D> {
    /// Why.
    pub error: Unconfirmed,
    /// The disk: asked already, and not to be disturbed.
    pub disk: D,
}

impl<'s, T: Transport> Control<'s, T> {
    /// The device, and the rest.
    pub(super) fn take_apart(self) -> (Running<T, BlockFeatures>, Beside<'s>) {
        let Self { half, shape, characteristics } = self;
        let (device, interrupts) = half.into_parts();
        (device, Beside { interrupts, shape, characteristics })
    }

    /// Suspends the disk, and waits until it says that it is. Its queues are to be parked before, and those that were never activated, too.
    ///
    /// Ownership: requests in flight stay so. The disk finishes what it has begun with before it says that it is suspended, and need not begin with the rest.
    ///
    /// # Errors
    /// - [`SuspendFailed::Refused`]: nothing was written; the disk runs on.
    /// - [`SuspendFailed::NotConfirmed`]: the disk was asked.
    ///
    /// Spec: §3.4.1 Driver Requirements: Device Suspend.
    ///
    /// ```
    /// # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
    /// use virtio_guest::device::block::Block;
    ///
    /// # #[allow(dead_code)]
    /// fn sleep<T: Transport, H: Hal>(
    ///     disk: Block<'static, T, H>,
    ///     power_down: impl FnOnce(),
    /// ) -> Result<Block<'static, T, H>, String> {
    ///     let (mut control, queue) = disk.split();
    ///     let queue = control.park(queue).map_err(|_| "another disk's queue")?;
    ///     let disk = control.suspend(Attempts(100_000)).map_err(|failed| failed.to_string())?; // dropped with the error, it is reset
    ///     power_down();
    ///     let mut control = disk.resume(Attempts(100_000)).map_err(|failed| failed.to_string())?;
    ///     let queue = control.unpark(queue).map_err(|_| "another disk's queue")?;
    ///     Ok(Block::join(control, queue))
    /// }
    /// ```
    #[allow(clippy::result_large_err, reason = "the disk itself comes back")]
    pub fn suspend(self, patience: impl Patience) -> Result<Suspended<'s, T>, SuspendFailed<'s, T>> {
        let (device, beside) = self.take_apart();
        match device.suspend(patience) {
            Ok(device) => Ok(Asleep { device, beside }),
            Err(lifecycle::SuspendFailed::Refused { error, device }) => {
                Err(SuspendFailed::Refused { error, control: beside.around(device) })
            }
            Err(lifecycle::SuspendFailed::NotConfirmed(SuspendNotConfirmed { error, device })) => {
                Err(SuspendFailed::NotConfirmed(NotConfirmed { error, disk: Asleep { device, beside } }))
            }
        }
    }
}

impl<'s> Beside<'s> {
    /// The control half, with this device.
    fn around<T: Transport>(self, device: Running<T, BlockFeatures>) -> Control<'s, T> {
        let Self { interrupts, shape, characteristics } = self;
        Control { half: ControlHalf::from_parts(device, interrupts), shape, characteristics }
    }

    /// What is left after a reset, once the interrupts are closed; or the way back if there was no reset.
    #[allow(clippy::result_large_err, reason = "the disk itself comes back, once in its life")]
    pub(super) fn after<T: Transport>(
        self,
        reset: Result<(T, ConfirmedReset), ResetFailed<T, BlockFeatures>>,
        patience: impl Patience,
    ) -> Result<Down<T>, DownFailed<'s, T>> {
        let Self { interrupts, shape, characteristics } = self;
        lifecycle::settle(reset, interrupts, patience).map_err(|lifecycle::DownFailed { error, half }| {
            DownFailed { error, control: Control { half, shape, characteristics } }
        })
    }
}

impl<'s, L> Asleep<'s, L> {
    /// The device, to be asked: what was agreed on, whether it needs a reset or is gone, why it interrupts.
    pub const fn device(&self) -> &L {
        &self.device
    }

    /// The disk's size in sectors of 512 bytes, as last read.
    pub const fn capacity_sectors(&self) -> u64 {
        self.beside.shape.capacity_sectors
    }

    /// The disk's interrupts, if they are connected.
    pub const fn interrupts(&self) -> Option<&Interrupts<'s>> {
        self.beside.interrupts.as_ref()
    }
}

impl<'s, T: Transport> Suspending<'s, T> {
    /// Waits until the disk says that it is suspended; writes nothing.
    ///
    /// # Errors
    /// - [`NotConfirmed`]: still not.
    #[allow(clippy::result_large_err, reason = "the disk itself comes back")]
    pub fn wait(self, patience: impl Patience) -> Result<Suspended<'s, T>, NotConfirmed<Self>> {
        let Self { device, beside } = self;
        match device.wait(patience) {
            Ok(device) => Ok(Asleep { device, beside }),
            Err(SuspendNotConfirmed { error, device }) => {
                Err(NotConfirmed { error, disk: Self { device, beside } })
            }
        }
    }

    /// Ends the disk's life, as [`Control::take_down`] does.
    ///
    /// # Errors
    /// - [`DownFailed`]: the disk does not answer.
    #[allow(clippy::result_large_err, reason = "the disk itself comes back, once in its life")]
    pub fn take_down(self, mut patience: impl Patience) -> Result<Down<T>, DownFailed<'s, T>> {
        let reset = self.device.reset(|| patience.keep_waiting());
        self.beside.after(reset, patience)
    }
}

impl<'s, T: Transport> Suspended<'s, T> {
    /// Has the disk go on, and waits until it says that it runs. Queues are [unparked](Control::unpark) then.
    ///
    /// # Errors
    /// - [`NotConfirmed`]: the disk was asked, and did not confirm. Another call waits on, and writes nothing.
    ///
    /// Spec: §3.4.1 Driver Requirements: Device Suspend.
    #[allow(clippy::result_large_err, reason = "the disk itself comes back")]
    pub fn resume(self, patience: impl Patience) -> Result<Control<'s, T>, NotConfirmed<Self>> {
        let Self { device, beside } = self;
        match device.resume(patience) {
            Ok(device) => Ok(beside.around(device)),
            Err(lifecycle::ResumeFailed { error, device }) => {
                Err(NotConfirmed { error, disk: Self { device, beside } })
            }
        }
    }

    /// Ends the disk's life, as [`Control::take_down`] does; parked queues give back what they have.
    ///
    /// # Errors
    /// - [`DownFailed`]: the disk does not answer.
    #[allow(clippy::result_large_err, reason = "the disk itself comes back, once in its life")]
    pub fn take_down(self, mut patience: impl Patience) -> Result<Down<T>, DownFailed<'s, T>> {
        let reset = self.device.reset(|| patience.keep_waiting());
        self.beside.after(reset, patience)
    }
}

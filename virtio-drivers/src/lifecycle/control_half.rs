//! A live device and its connected interrupts: the control half of a driver.
//!
//! Spec: §3.1.1 step 8, §2.4 Device Reset. Drivers of this crate put beside it what they know of their device type; a driver of another type can do the same. The queues, wherever they are, read no register.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, lifecycle::{ControlHalf, Installing, Signals}, transport::Transport};
//! # use virtio_guest::wire::block::BlockFeatures as WatchdogFeatures;
//! # fn example<T: Transport>(device: Installing<T, WatchdogFeatures>) -> Result<(), Box<dyn core::error::Error>> {
//! static SIGNALS: Signals<1> = Signals::new();
//!
//! let mut watchdog = ControlHalf::new(device.start());
//! let interrupts = watchdog.connect_interrupts(&SIGNALS)?; // objects for handlers
//! // ... and at the end:
//! let down = watchdog.take_down(Attempts(100_000)).map_err(|failed| failed.error)?;
//! down.handlers?; // none is inside any more; queues give back what they have with `down.reset`
//! # Ok(()) }
//! ```

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use super::condition::Condition;
use super::config::{Config, ConfigError};
use super::interrupts::{HandlerStillRunning, Interrupts, QueueSignal, SignalsInUse, SignalsRef};
use super::ladder::ResetError;
use super::negotiate::NegotiatedFeatures;
use super::running::{ResetFailed, Running};
use super::vectors::VectorRouting;
use crate::hal::{Hal, Patience};
use crate::raw::{ConfirmedReset, Payload};
use crate::ring::{InstalledQueue, Rearmed, Virtqueue};
use crate::transport::{InterruptCause, InterruptLine, Transport};
use crate::wire::field::{Field, FieldValue};

/// A live device and its interrupts. Dropping it resets the device, within the bound fixed at bring-up; queues are then lost, with their memory.
#[derive(Debug)]
pub struct ControlHalf<'s, T: Transport, D> {
    // Reset first, when this is dropped; then handlers find no cause any more.
    device: Running<T, D>,
    interrupts: Option<Interrupts<'s>>,
}

/// A device that was taken down.
#[derive(Debug)]
pub struct Down<T> {
    /// The way to the device, for another bring-up.
    pub transport: T,
    /// The proof with which queues give back what they have.
    pub reset: ConfirmedReset,
    /// Whether interrupt handlers are done with the device. If one is not, it may still read the interrupt status once.
    pub handlers: Result<(), HandlerStillRunning>,
}

/// A device that was not taken down: why, and what is left of it, to try again.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct DownFailed<'s, T: Transport, D> {
    /// Why.
    pub error: ResetError,
    /// The device, which was asked for a reset.
    pub half: ControlHalf<'s, T, D>,
}

impl<'s, T: Transport, D: Copy> ControlHalf<'s, T, D> {
    /// Of a live device whose interrupts are not connected.
    pub const fn new(device: Running<T, D>) -> Self {
        Self { device, interrupts: None }
    }

    /// The device, and its interrupts if they are connected.
    pub fn into_parts(self) -> (Running<T, D>, Option<Interrupts<'s>>) {
        (self.device, self.interrupts)
    }

    /// Puts together what [`into_parts`](ControlHalf::into_parts) took apart.
    pub const fn from_parts(device: Running<T, D>, interrupts: Option<Interrupts<'s>>) -> Self {
        Self { device, interrupts }
    }

    /// The device, for what is not here: parking of queues, resets of one queue.
    pub const fn device(&mut self) -> &mut Running<T, D> {
        &mut self.device
    }

    /// What was agreed on.
    pub const fn features(&self) -> NegotiatedFeatures<D> {
        self.device.features()
    }

    /// The configuration space.
    pub fn config(&self) -> Config<'_, T> {
        self.device.config()
    }

    /// Writes a field of the configuration space.
    ///
    /// # Errors
    /// See [`Running::write_config`].
    pub fn write_config<V: FieldValue>(&mut self, field: Field<V>, value: V) -> Result<(), ConfigError> {
        self.device.write_config(field, value)
    }

    /// Makes an installed queue usable; see [`Running::activate`].
    pub fn activate<'q, H: Hal, P: Payload>(&self, queue: InstalledQueue<'q, H, P>) -> Virtqueue<'q, H, P> {
        self.device.activate(queue)
    }

    /// How the device's interrupt vectors were dealt out.
    pub fn vectors(&self) -> VectorRouting {
        self.device.vector_routing()
    }

    /// How the device is.
    ///
    /// Work: one register read.
    pub fn condition(&self) -> Condition {
        self.device.condition()
    }

    /// Connects the device's interrupts with these signals: the vectors that were dealt out, else its line, which it is allowed to use from now on. Gives the objects for handlers. Nothing changes if they are
    /// connected with these signals already.
    ///
    /// What happens before handlers have their objects wakes nobody, and is told to nobody: look once at everything afterwards.
    ///
    /// # Errors
    /// - [`SignalsInUse`]: another device uses these signals. Connections made before are kept.
    pub fn connect_interrupts(
        &mut self,
        signals: impl Into<SignalsRef<'s>>,
    ) -> Result<&Interrupts<'s>, SignalsInUse> {
        let signals = signals.into();
        let before = self.interrupts.take_if(|interrupts| interrupts.are_told_by(signals));
        let interrupts = match before {
            Some(interrupts) => interrupts,
            None => self.device.interrupts(signals)?,
        };
        Ok(self.interrupts.insert(interrupts))
    }

    /// The device's interrupts, once they are connected.
    pub const fn interrupts(&self) -> Option<&Interrupts<'s>> {
        self.interrupts.as_ref()
    }

    /// Where those who wait for a queue leave their waker: see [`Interrupts::queue_signal`]. `None` if no interrupts are connected, too.
    pub fn queue_signal(&self, index: u16) -> Option<&'s QueueSignal> {
        self.interrupts.as_ref()?.queue_signal(index)
    }

    /// Waits until an interrupt says that the configuration changed, then tells how the device is. For ever, if no interrupts are connected.
    ///
    /// *Cancellation*: nothing is lost; the next call tells of the same change.
    /// *Wakes*: by the interrupt for the configuration. One call at a time.
    pub async fn configuration_change(&mut self) -> Condition {
        poll_fn(|context| {
            let interrupts = self.interrupts.as_mut();
            let changed =
                interrupts.is_some_and(|interrupts| interrupts.configuration_changed(Some(context.waker())));
            if changed { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.condition()
    }

    /// Waits until an interrupt says that the configuration changed, or `rearm`, which asks for interrupts of these queues and looks once more, finds that more is waiting. Then tells how the device is.
    ///
    /// *Cancellation*: nothing is lost.
    pub(crate) async fn attention<const QUEUES: usize>(
        &mut self,
        queues: [Option<u16>; QUEUES],
        mut rearm: impl FnMut() -> Rearmed,
    ) -> Condition {
        let signals = queues.map(|index| self.queue_signal(index?));
        {
            let mut change = pin!(self.configuration_change());
            poll_fn(|context| {
                if change.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                // Before the last look, so that nothing comes in between unnoticed.
                for signal in signals.into_iter().flatten() {
                    drop(signal.replace(Some(context.waker())));
                }
                if rearm() == Rearmed::MoreWaiting { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        self.condition()
    }

    /// How the device is, if an interrupt said that the configuration changed since this was last asked: for those who have no tasks.
    pub fn take_configuration_change(&mut self) -> Option<Condition> {
        let changed = self.interrupts.as_mut()?.configuration_changed(None);
        changed.then(|| self.condition())
    }

    /// Allows the device to use its interrupt line, and gives what a handler of that line needs. `None` if vectors are used, or there is no line.
    ///
    /// Who knows beforehand that there will be no vectors asks the transport, before the device is started.
    pub fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        self.device.use_interrupt_line()
    }

    /// Asks why the device's line is raised, and quiets it: for kernels whose devices share one, and have neither [`Interrupts`] nor an [`InterruptLine`] for it. No cause if it is another
    /// device's doing, or vectors are used.
    pub fn acknowledge_interrupt(&self) -> InterruptCause {
        self.device.acknowledge_interrupt()
    }

    /// Ends the device's life: resets it, waits until it is reset, and takes its interrupt objects back. With what comes out each queue gives back what it has, and the device can be brought up again.
    ///
    /// # Errors
    /// - [`DownFailed`]: the device does not answer. It may still use its queues' memory, and is told nothing more; its interrupts still have their objects.
    #[allow(clippy::result_large_err, reason = "the device itself comes back, once in its life")]
    pub fn take_down(self, mut patience: impl Patience) -> Result<Down<T>, DownFailed<'s, T, D>> {
        let Self { device, interrupts } = self;
        let reset = device.reset(|| patience.keep_waiting());
        settle(reset, interrupts, patience)
    }

    /// The end of a driver that was dropped: as [`take_down`](ControlHalf::take_down), with the patience fixed at bring-up, and without waiting for handlers.
    pub(crate) fn reset_within_drop_bound(self) -> Option<ConfirmedReset> {
        // Handlers find no cause after the reset.
        let Self { device, interrupts: _after } = self;
        device.reset_within_drop_bound()
    }
}

/// What is left after a reset, once the interrupts are closed; or the way back if there was no reset.
#[allow(clippy::result_large_err, reason = "the device itself comes back, once in its life")]
pub(crate) fn settle<T: Transport, D: Copy>(
    reset: Result<(T, ConfirmedReset), ResetFailed<T, D>>,
    interrupts: Option<Interrupts<'_>>,
    patience: impl Patience,
) -> Result<Down<T>, DownFailed<'_, T, D>> {
    match reset {
        Ok((transport, reset)) => {
            let handlers = interrupts.map_or(Ok(()), |interrupts| interrupts.close(patience));
            Ok(Down { transport, reset, handlers })
        }
        Err(ResetFailed { error, device }) => {
            Err(DownFailed { error, half: ControlHalf::from_parts(device, interrupts) })
        }
    }
}

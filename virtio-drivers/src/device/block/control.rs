//! The control half of a disk: what it says of itself, its interrupts, its end.
//!
//! Spec: §5.2.4 Device configuration layout, §2.4 Device Reset. Holds the transport; the data path is in the [`RequestQueue`]s, wherever those are.

use core::future::poll_fn;
use core::task::Poll;

use super::characteristics::{CacheMode, Characteristics, Geometry, Topology, refresh};
use super::queue::{IdleQueue, RequestQueue};
use super::shape::Shape;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{
    Condition, ConfigError, HandlerStillRunning, Interrupts, ResetError, Running, SignalsInUse, SignalsRef,
    VectorRouting,
};
use crate::raw::{ConfirmedReset, Payload};
use crate::transport::{InterruptCause, InterruptLine, Transport};
use crate::wire::block::{BlockFeatures, config};

/// A live disk without its queues. Dropping it resets the disk, within the bound fixed at bring-up; queues are then lost, with their memory, and tasks that share one wait for ever
/// ([`Shared::end`](super::Shared::end) tells them).
#[derive(Debug)]
pub struct Control<'s, T: Transport> {
    // Reset first, when this is dropped; then handlers find no cause any more.
    pub(super) device: Running<T, BlockFeatures>,
    pub(super) interrupts: Option<Interrupts<'s>>,
    pub(super) shape: Shape,
    pub(super) characteristics: Characteristics,
}

/// A disk that was taken down.
#[derive(Debug)]
pub struct Down<T> {
    /// The way to the device, for another bring-up.
    pub transport: T,
    /// The proof with which queues give back what they have.
    pub reset: ConfirmedReset,
    /// Whether interrupt handlers are done with the device. If one is not, it may still read the interrupt status once.
    pub handlers: Result<(), HandlerStillRunning>,
}

/// A disk that was not taken down: why, and what is left of it, to try again.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct DownFailed<'s, T: Transport> {
    /// Why.
    pub error: ResetError,
    /// The disk, which was asked for a reset.
    pub control: Control<'s, T>,
}

impl<'s, T: Transport> Control<'s, T> {
    /// The disk's size in sectors of 512 bytes, as last read.
    pub const fn capacity_sectors(&self) -> u64 {
        self.shape.capacity_sectors
    }

    /// What request queues have to know of the disk, as last read.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Reads again what may change while the disk runs, its size above all: it says so by an interrupt. For each queue: [`RequestQueue::set_shape`], [`Shared::set_shape`](super::Shared::set_shape).
    ///
    /// # Errors
    /// See [`ConfigError`]; what was known before still counts.
    pub fn refresh_shape(&mut self) -> Result<Shape, ConfigError> {
        refresh(&self.device.config(), self.features(), &mut self.shape)?;
        Ok(self.shape)
    }

    /// The disk's block size in bytes, if it says one that makes sense (a power of two from 512 on). Positions count 512 bytes all the same; but a device may
    /// answer requests that are no multiple of this with [`RequestError::Device`](super::RequestError::Device), as QEMU does.
    pub const fn block_bytes(&self) -> Option<u32> {
        self.characteristics.block_bytes
    }

    /// Cylinders, heads and sectors, if the disk says them.
    pub const fn geometry(&self) -> Option<Geometry> {
        self.characteristics.geometry
    }

    /// Which transfers suit the disk, if it says so.
    pub const fn topology(&self) -> Option<Topology> {
        self.characteristics.topology
    }

    /// What the disk's cache does. A disk that cannot be asked (no [`CONFIG_WCE`](BlockFeatures::CONFIG_WCE)) is taken for one that keeps what is written if it can be flushed, else for one that writes it through.
    ///
    /// # Errors
    /// See [`ConfigError`].
    ///
    /// Spec: §5.2.5.1 Driver Requirements: Device Initialization.
    pub fn cache_mode(&self) -> Result<CacheMode, ConfigError> {
        let is_write_back = if self.features().contains(BlockFeatures::CONFIG_WCE) {
            self.device.config().read(config::WRITEBACK)? != 0
        } else {
            self.shape.flush
        };
        Ok(if is_write_back { CacheMode::WriteBack } else { CacheMode::WriteThrough })
    }

    /// Has the disk's cache keep what is written, or write it through; says what it does now. A disk without [`CONFIG_WCE`](BlockFeatures::CONFIG_WCE) goes on as before.
    ///
    /// What was written until now is safe from a power failure only after another flush, and of a write that is in flight meanwhile nobody knows.
    ///
    /// # Errors
    /// See [`ConfigError`].
    ///
    /// Spec: §5.2.6.2 Driver Requirements: Device Operation.
    pub fn set_cache_mode(&mut self, mode: CacheMode) -> Result<CacheMode, ConfigError> {
        if self.features().contains(BlockFeatures::CONFIG_WCE) {
            self.device.write_config(config::WRITEBACK, u8::from(mode == CacheMode::WriteBack))?;
        }
        self.cache_mode()
    }

    /// What was agreed of the device's own features.
    pub fn features(&self) -> BlockFeatures {
        self.device.features().device
    }

    /// How the device's interrupt vectors were dealt out.
    pub fn vectors(&self) -> VectorRouting {
        self.device.vector_routing()
    }

    /// How the disk is.
    ///
    /// Work: one register read.
    pub fn condition(&self) -> Condition {
        self.device.condition()
    }

    /// Makes a queue usable that was installed while the disk came up. One of another disk comes out of service.
    pub fn activate<'q, H: Hal, P: Payload>(&self, queue: IdleQueue<'q, H, P>) -> RequestQueue<'q, H, P> {
        let IdleQueue { queue, slots, limits, shape, notified } = queue;
        let mut queue = self.device.activate(queue);
        if !notified {
            queue.suppress_notifications();
        }
        RequestQueue { queue, slots, limits, shape, calls: 0, tickets: 0, tickets_out: 0, notified }
    }

    /// Connects the disk's interrupts with these signals: the vectors that were dealt out, else its line, which it is allowed to use from now on. Gives the objects for handlers. Nothing changes if they are
    /// connected with these signals already; with others, tasks that share a queue are not woken any more.
    ///
    /// What happens before handlers have their objects wakes nobody, and is told to nobody: ask for the [`condition`](Control::condition) and [the shape](Control::refresh_shape) once afterwards. Tasks are to share
    /// their queue only then.
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

    /// The disk's interrupts, once they are connected.
    pub const fn interrupts(&self) -> Option<&Interrupts<'s>> {
        self.interrupts.as_ref()
    }

    /// Waits until an interrupt says that the configuration changed, then tells how the disk is. For ever, if no interrupts are connected.
    ///
    /// *Cancellation*: nothing is lost; the next call tells of the same change.
    /// *Wakes*: by the interrupt for the configuration. One call at a time.
    ///
    /// A disk that is live has another size perhaps: [`refresh_shape`](Control::refresh_shape).
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

    /// How the disk is, if an interrupt said that the configuration changed since this was last asked: for those who have no tasks.
    pub fn take_configuration_change(&mut self) -> Option<Condition> {
        let changed = self.interrupts.as_mut()?.configuration_changed(None);
        changed.then(|| self.condition())
    }

    /// Allows the disk to use its interrupt line, and gives what a handler of that line needs. `None` if vectors are used, or there is no line.
    ///
    /// Who knows beforehand that there will be no vectors asks the transport, before the disk is started.
    pub fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        self.device.use_interrupt_line()
    }

    /// Asks why the device's line is raised, and quiets it: for kernels whose devices share one, and have neither [`Interrupts`] nor an [`InterruptLine`] for it. No cause if it is another
    /// device's doing, or vectors are used.
    pub fn acknowledge_interrupt(&self) -> InterruptCause {
        self.device.acknowledge_interrupt()
    }

    /// Ends the disk's life: resets it, waits until it is reset, and takes its interrupt objects back. With what comes out each queue gives back what it has
    /// ([`RequestQueue::reclaim`]), and the disk can be brought up again. Queues that others have are not to be used from here on: [`Shared::pause`](super::Shared::pause) sees to tasks.
    ///
    /// # Errors
    /// - [`DownFailed`]: the disk does not answer. It may still use its queues' memory, and is told nothing more; its interrupts still have their objects.
    #[allow(clippy::result_large_err, reason = "the disk itself comes back, once in its life")]
    pub fn take_down(self, mut patience: impl Patience) -> Result<Down<T>, DownFailed<'s, T>> {
        let (device, beside) = self.take_apart();
        let reset = device.reset(|| patience.keep_waiting());
        beside.after(reset, patience)
    }
}

//! The control half of a disk: what it says of itself, its interrupts, its end.
//!
//! Spec: §5.2.4 Device configuration layout, §2.4 Device Reset. Holds the transport; the data path is in the [`RequestQueue`]s, wherever those are.

use super::characteristics::{CacheMode, Characteristics, Geometry, Topology, refresh};
use super::queue::{IdleQueue, RequestQueue};
use super::shape::Shape;
use crate::device::half::control_half_calls;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{self, ConfigError, ControlHalf, Down, ResetError};
use crate::raw::Payload;
use crate::transport::Transport;
use crate::wire::block::{BlockFeatures, config};

/// A live disk without its queues. Dropping it resets the disk, within the bound fixed at bring-up; queues are then lost, with their memory, and tasks that share one wait for ever
/// ([`Shared::end`](super::Shared::end) tells them).
#[derive(Debug)]
pub struct Control<'s, T: Transport> {
    pub(super) half: ControlHalf<'s, T, BlockFeatures>,
    pub(super) shape: Shape,
    pub(super) characteristics: Characteristics,
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
    control_half_calls!(half, BlockFeatures);

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
        refresh(&self.half.config(), self.features(), &mut self.shape)?;
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
            self.half.config().read(config::WRITEBACK)? != 0
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
            self.half.write_config(config::WRITEBACK, u8::from(mode == CacheMode::WriteBack))?;
        }
        self.cache_mode()
    }

    /// Makes a queue usable that was installed while the disk came up. One of another disk comes out of service.
    pub fn activate<'q, H: Hal, P: Payload>(&self, queue: IdleQueue<'q, H, P>) -> RequestQueue<'q, H, P> {
        let IdleQueue { queue, slots, limits, shape, notified } = queue;
        let mut queue = self.half.activate(queue);
        if !notified {
            queue.suppress_notifications();
        }
        RequestQueue { queue, slots, limits, shape, calls: 0, tickets: 0, calls_out: 0, notified }
    }

    /// Ends the disk's life: resets it, waits until it is reset, and takes its interrupt objects back. With what comes out each queue gives back what it has
    /// ([`RequestQueue::reclaim`]), and the disk can be brought up again. Queues that others have are not to be used from here on: [`Shared::pause`](super::Shared::pause) sees to tasks.
    ///
    /// # Errors
    /// - [`DownFailed`]: the disk does not answer. It may still use its queues' memory, and is told nothing more; its interrupts still have their objects.
    #[allow(clippy::result_large_err, reason = "the disk itself comes back, once in its life")]
    pub fn take_down(self, patience: impl Patience) -> Result<Down<T>, DownFailed<'s, T>> {
        let Self { half, shape, characteristics } = self;
        half.take_down(patience).map_err(|lifecycle::DownFailed { error, half }| DownFailed {
            error,
            control: Self { half, shape, characteristics },
        })
    }
}

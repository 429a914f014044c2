//! The driver: what the disk says of itself, blocking calls.
//!
//! Spec: §5.2.6 Device Operation.

use core::fmt;

use scopeguard::ScopeGuard;

use super::limits::Limits;
use super::report::{ActivePaths, DeviceId};
use super::request::{Request, RequestError, Sector, check_range};
use super::slots::RequestSlots;
use super::transfer::{Call, Data};
use crate::hal::{Hal, Patience};
use crate::lifecycle::{ConfigError, Running};
use crate::raw::Tag;
use crate::ring::{QueueStatistics, Virtqueue};
use crate::transport::{InterruptCause, InterruptLine, Transport};
use crate::wire::block::{BlockFeatures, DEVICE_ID_BYTES, config, request};
use crate::wire::features::CommonFeatures;

/// A disk that is up. Dropping it resets the device, within the bound fixed at bring-up, and gives all memory back; memory that the device may still use
/// because it did not answer is leaked. [`close`](Block::close) is the polite end.
pub struct Block<'s, T: Transport, H: Hal> {
    pub(super) live: TornDown<Live<'s, T, H>>,
}

/// Something that is taken apart in order when it is dropped.
type TornDown<L> = ScopeGuard<L, fn(L)>;

/// A running device with its queue and its books.
pub(super) struct Live<'s, T: Transport, H: Hal> {
    pub(super) device: Running<T, BlockFeatures>,
    pub(super) queue: Virtqueue<'s, H, Tag<Request>>,
    pub(super) slots: RequestSlots<'s>,
    pub(super) limits: Limits,
    pub(super) calls: u64,
    pub(super) capacity_sectors: u64,
    pub(super) block_bytes: Option<u32>,
    /// Whether calls that wait are woken.
    pub(super) notified: bool,
}

impl<T: Transport, H: Hal> Block<'_, T, H> {
    /// The disk's size in sectors of 512 bytes, as last read.
    pub fn capacity_sectors(&self) -> u64 {
        self.live.capacity_sectors
    }

    /// Reads the disk's size again, in sectors of 512 bytes: disks can be resized while they run.
    ///
    /// # Errors
    /// See [`ConfigError`]; the size known before still counts.
    pub fn refresh_capacity_sectors(&mut self) -> Result<u64, ConfigError> {
        self.live.capacity_sectors = self.live.device.config().read(config::CAPACITY)?;
        Ok(self.live.capacity_sectors)
    }

    /// The disk's block size in bytes, if it says one that makes sense (a power of two from 512 on). Positions count 512 bytes all the same; but a device may
    /// answer requests that are no multiple of this with [`RequestError::Device`], as QEMU does.
    pub fn block_bytes(&self) -> Option<u32> {
        self.live.block_bytes
    }

    /// Whether the disk can only be read.
    pub fn is_read_only(&self) -> bool {
        self.features().contains(BlockFeatures::RO)
    }

    /// Which paths are active.
    pub fn active_paths(&self) -> ActivePaths {
        let Live { device, queue, slots, limits, .. } = &*self.live;
        let common = device.features().common;
        ActivePaths {
            queue_size: queue.size(),
            requests: slots.count(),
            request_bytes: limits.request_bytes,
            ring: queue.active_path(),
            vectors: device.vector_routing(),
            access_platform: common.contains(CommonFeatures::ACCESS_PLATFORM),
            features: device.features().device,
        }
    }

    /// Allows the disk to use its interrupt line, and gives what a handler of that line needs. `None` if vectors are used, or there is no line.
    ///
    /// Who knows beforehand that there will be no vectors asks the transport, before the disk is started.
    pub fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        self.live.device.use_interrupt_line()
    }

    /// What the request queue has done since the disk was started.
    pub fn statistics(&self) -> QueueStatistics {
        self.live.queue.statistics()
    }

    /// Reads whole sectors.
    ///
    /// Work: waits within `patience`; copies each byte once.
    /// Units: `into` is a multiple of 512 bytes.
    ///
    /// # Errors
    /// See [`RequestError`]. `into` may then hold some of the sectors.
    pub fn read_blocking(
        &mut self,
        from: Sector,
        into: &mut [u8],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.read_vectored_blocking(from, &mut [into], patience)
    }

    /// Reads whole sectors into several pieces, one after the other. Only their total is a multiple of 512 bytes.
    ///
    /// # Errors
    /// See [`RequestError`]. The pieces may then hold some of the sectors.
    pub fn read_vectored_blocking(
        &mut self,
        from: Sector,
        into: &mut [&mut [u8]],
        mut patience: impl Patience,
    ) -> Result<(), RequestError> {
        let data = Data::FromDevice(into);
        check_range(from, data.bytes(), self.live.capacity_sectors)?;
        self.live.run(Call { request_type: request::IN, sector: from.0, data }, &mut patience)
    }

    /// Writes whole sectors. They are safe from a power failure only after [`flush_blocking`](Block::flush_blocking).
    ///
    /// Work: waits within `patience`; copies each byte once.
    /// Units: `from` is a multiple of 512 bytes.
    ///
    /// # Errors
    /// See [`RequestError`]. Some of the sectors may then be written.
    pub fn write_blocking(
        &mut self,
        to: Sector,
        from: &[u8],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.write_vectored_blocking(to, &[from], patience)
    }

    /// Writes whole sectors from several pieces, one after the other. Only their total is a multiple of 512 bytes.
    ///
    /// # Errors
    /// See [`RequestError`]. Some of the sectors may then be written.
    pub fn write_vectored_blocking(
        &mut self,
        to: Sector,
        from: &[&[u8]],
        mut patience: impl Patience,
    ) -> Result<(), RequestError> {
        let data = Data::ToDevice(from);
        if self.is_read_only() {
            return Err(RequestError::ReadOnly);
        }
        check_range(to, data.bytes(), self.live.capacity_sectors)?;
        self.live.run(Call { request_type: request::OUT, sector: to.0, data }, &mut patience)
    }

    /// Makes everything written until now safe from a power failure.
    ///
    /// A disk that does not offer the command has no cache to be flushed, and is not asked.
    ///
    /// # Errors
    /// See [`RequestError`].
    ///
    /// Spec: §5.2.6.2 Driver Requirements: Device Operation.
    pub fn flush_blocking(&mut self, mut patience: impl Patience) -> Result<(), RequestError> {
        if !self.features().contains(BlockFeatures::FLUSH) {
            return Ok(());
        }
        self.live.run(Call { request_type: request::FLUSH, sector: 0, data: Data::None }, &mut patience)
    }

    /// Asks the disk for its id string.
    ///
    /// # Errors
    /// See [`RequestError`]; [`Unsupported`](RequestError::Unsupported) where the disk has none.
    pub fn device_id_blocking(&mut self, mut patience: impl Patience) -> Result<DeviceId, RequestError> {
        let mut id = [0; DEVICE_ID_BYTES];
        let call = Call { request_type: request::GET_ID, sector: 0, data: Data::FromDevice(&mut [&mut id]) };
        self.live.run(call, &mut patience)?;
        Ok(DeviceId::new(id))
    }

    /// Asks why the device's line is raised, and quiets it: for kernels whose devices share one, and have no [`InterruptLine`] for it. No cause if it is another device's
    /// doing, or vectors are used.
    pub fn acknowledge_interrupt(&self) -> InterruptCause {
        self.live.device.acknowledge_interrupt()
    }

    fn features(&self) -> BlockFeatures {
        self.live.device.features().device
    }
}

impl<T: Transport, H: Hal> fmt::Debug for Block<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("capacity_sectors", &self.capacity_sectors()).finish_non_exhaustive()
    }
}

//! The driver: bring-up, what the disk says of itself, blocking calls, the end.
//!
//! Spec: §5.2.5 Device Initialization, §5.2.6 Device Operation.

use core::fmt;

use scopeguard::ScopeGuard;

use super::limits::{Limits, Settings};
use super::report::{ActivePaths, DeviceId};
use super::request::{Request, RequestError, Sector, check_range};
use super::slots::{RequestSlots, Slots};
use super::transfer::{Call, Data};
use crate::hal::{Hal, Patience};
use crate::lifecycle::{ConfigError, InstallError, NegotiateError, Negotiating, ResetError, Running, Wants};
use crate::raw::Tag;
use crate::ring::{QueueSettings, QueueStatistics, Virtqueue};
use crate::transport::{InterruptCause, QueueError, Transport};
use crate::wire::block::{BlockFeatures, DEVICE_ID_BYTES, SECTOR_BYTES, config, request};
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;

/// The request queue.
const REQUEST_QUEUE: u16 = 0;

/// What a driver has to know about its disk, whatever its caller wants.
const NEEDED: BlockFeatures = BlockFeatures::SIZE_MAX.union(BlockFeatures::SEG_MAX).union(BlockFeatures::RO);

/// What this driver handles, and asks for unless told otherwise.
pub const HANDLED: BlockFeatures = NEEDED.union(BlockFeatures::BLK_SIZE).union(BlockFeatures::FLUSH);

/// A disk could not be brought up. The device was reset, if it is one that this driver may touch, and lets itself be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The device is of another type.
    #[error("device type {0:?} is no block device")]
    NotABlockDevice(DeviceType),
    /// It does not answer a reset.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// No agreement on features.
    #[error(transparent)]
    Negotiate(#[from] NegotiateError),
    /// Its configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its request queue cannot be installed.
    #[error(transparent)]
    Queue(#[from] InstallError),
    /// Its limits, or the queue's size, do not allow even one sector per request (three descriptors are the least).
    #[error("the device's limits or a queue of {queue_size} descriptors do not allow one sector per request")]
    LimitsTooSmall {
        /// Descriptors that the queue could have.
        queue_size: u16,
    },
}

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
}

impl<'s, T: Transport, H: Hal> Block<'s, T, H> {
    /// Brings a disk up, with default [`Settings`].
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        transport: T,
        hal: H,
        storage: impl Into<Slots<'s>>,
        patience: impl Patience,
    ) -> Result<Self, StartError> {
        Self::start_with(transport, hal, storage, &Settings::default(), Wants::features(HANDLED), patience)
    }

    /// Brings a disk up, with settings and features of the caller's choice.
    ///
    /// Features in `wants` that this driver does not handle ([`HANDLED`]) are not accepted; the limits of the device, and that it is read-only, are always asked for.
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// Spec: §3.1.1, §5.2.5.
    #[expect(clippy::needless_pass_by_value, reason = "each driver owns a value of its DMA domain")]
    pub fn start_with(
        transport: T,
        hal: H,
        storage: impl Into<Slots<'s>>,
        settings: &Settings,
        wants: Wants<BlockFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartError> {
        let device_type = transport.device_type();
        if device_type != DeviceType::BLOCK {
            return Err(StartError::NotABlockDevice(device_type));
        }
        let mut device = Negotiating::begin(transport, patience)?
            .with_drop_attempts(settings.drop_attempts)
            .negotiate(wants.within(HANDLED).with(NEEDED))?;
        let features = device.features();
        let indirect = features.common.contains(CommonFeatures::INDIRECT_DESC);
        let (capacity_sectors, size_max, seg_max, block_bytes) = device.config().read_together(|fields| {
            let if_agreed =
                |feature, field| features.device.contains(feature).then(|| fields.get(field)).transpose();
            let capacity = fields.get(config::CAPACITY)?;
            let size_max = if_agreed(BlockFeatures::SIZE_MAX, config::SIZE_MAX)?;
            let seg_max = if_agreed(BlockFeatures::SEG_MAX, config::SEG_MAX)?;
            Ok((capacity, size_max, seg_max, if_agreed(BlockFeatures::BLK_SIZE, config::BLK_SIZE)?))
        })?;

        let mut queue_settings =
            QueueSettings { size_max: settings.queue_size_max, indirect_segments: 0, memory_bytes: 0 };
        let Slots { ring, free } = storage.into();
        let queue_size = device.queue_size_for(REQUEST_QUEUE, &queue_settings, free.len());
        if queue_size == 0 {
            let index = REQUEST_QUEUE;
            return Err(InstallError::Queue { index, error: QueueError::Absent }.into());
        }
        let limits = Limits::new(settings, size_max, seg_max, queue_size)
            .ok_or(StartError::LimitsTooSmall { queue_size })?;
        let slots = RequestSlots::new(free, queue_size, indirect, &limits);
        queue_settings.indirect_segments = limits.segments;
        queue_settings.memory_bytes = slots.memory_bytes();
        let queue = device.install_queue(REQUEST_QUEUE, &hal, &queue_settings, ring)?;
        if queue.size() != queue_size {
            // The device changed its mind between two reads; what was computed from the first no longer fits.
            return Err(StartError::LimitsTooSmall { queue_size: queue.size() });
        }

        let block_bytes =
            block_bytes.filter(|bytes| bytes.is_power_of_two() && *bytes as usize >= SECTOR_BYTES);
        let device = device.start();
        let mut queue = device.activate(queue);
        queue.suppress_notifications();
        let live = Live { device, queue, slots, limits, calls: 0, capacity_sectors, block_bytes };
        Ok(Self { live: scopeguard::guard(live, Live::tear_down) })
    }

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
            access_platform: common.contains(CommonFeatures::ACCESS_PLATFORM),
            features: device.features().device,
        }
    }

    /// What the request queue has done since bring-up.
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

    /// Asks why the device interrupted, and quiets it: for kernels whose devices share an interrupt line. This driver polls, and needs no interrupt.
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

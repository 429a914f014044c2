//! Bring-up: from a transport to a disk, or back to a device that is reset.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, §5.2.5 Device Initialization.
//!
//! ```text
//!   Agreed::reach      type, features, configuration, limits       touches no storage
//!   Agreed::install    the request queue, DRIVER_OK                storage comes back if it fails
//! ```

use core::fmt;

use super::driver::{Block, Live};
use super::limits::{Limits, Settings};
use super::slots::{RequestSlots, Slots};
use crate::hal::{Hal, Patience};
use crate::lifecycle::{
    ConfigError, InstallError, InstallFailed, Installing, NegotiateError, Negotiating, ResetError, Wants,
};
use crate::ring::{self, QueueSettings, Returned};
use crate::transport::Transport;
use crate::wire::block::{BlockFeatures, SECTOR_BYTES, config};
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;

/// The request queue.
const REQUEST_QUEUE: u16 = 0;

/// What a driver has to know about its disk, whatever its caller wants.
const NEEDED: BlockFeatures = BlockFeatures::SIZE_MAX.union(BlockFeatures::SEG_MAX).union(BlockFeatures::RO);

/// What this driver handles, and asks for unless told otherwise.
pub const HANDLED: BlockFeatures = NEEDED.union(BlockFeatures::BLK_SIZE).union(BlockFeatures::FLUSH);

/// Why a disk could not be brought up. The device was reset, if it is one that this driver may touch, and lets itself be
/// reset.
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

/// A disk that was not brought up: why, and the storage that was lent.
///
/// Those who have no other use for the storage write `.map_err(StartError::from)?`.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct StartFailed<'s> {
    /// Why.
    pub error: StartError,
    /// The storage, for another try. It has no room any more if the device knows of its queue and does not let itself be
    /// reset.
    pub storage: Slots<'s>,
}

impl fmt::Debug for StartFailed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl From<StartFailed<'_>> for StartError {
    fn from(failed: StartFailed<'_>) -> Self {
        failed.error
    }
}

impl<'s, T: Transport, H: Hal> Block<'s, T, H> {
    /// Brings a disk up, with default [`Settings`].
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back. To keep the transport, too, pass `&mut transport`.
    pub fn start(
        transport: T,
        hal: H,
        storage: impl Into<Slots<'s>>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s>> {
        Self::start_with(transport, hal, storage, &Settings::default(), Wants::features(HANDLED), patience)
    }

    /// Brings a disk up, with settings and features of the caller's choice.
    ///
    /// Features in `wants` that this driver does not handle ([`HANDLED`]) are not accepted; the limits of the device, and
    /// that it is read-only, are always asked for.
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back.
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
    ) -> Result<Self, StartFailed<'s>> {
        let storage = storage.into();
        match Agreed::reach(transport, settings, wants, patience, storage.free.len()) {
            Ok(agreed) => agreed.install(&hal, storage),
            Err(error) => Err(StartFailed { error, storage }),
        }
    }
}

/// A disk that agreed on features and said what it is.
struct Agreed<T: Transport> {
    device: Installing<T, BlockFeatures>,
    queue_size: u16,
    limits: Limits,
    capacity_sectors: u64,
    block_bytes: Option<u32>,
    notified: bool,
}

impl<T: Transport> Agreed<T> {
    /// Agrees on features and limits, given storage of so many slots.
    fn reach(
        transport: T,
        settings: &Settings,
        wants: Wants<BlockFeatures>,
        patience: impl Patience,
        slots: usize,
    ) -> Result<Self, StartError> {
        let device_type = transport.device_type();
        if device_type != DeviceType::BLOCK {
            return Err(StartError::NotABlockDevice(device_type));
        }
        let mut device = Negotiating::begin(transport, patience)?
            .with_drop_attempts(settings.drop_attempts)
            .negotiate(wants.within(HANDLED).with(NEEDED))?;
        let agreed = device.features().device;
        let (capacity_sectors, size_max, seg_max, block_bytes) = device.config().read_together(|fields| {
            let if_agreed = |feature, field| agreed.contains(feature).then(|| fields.get(field)).transpose();
            let capacity = fields.get(config::CAPACITY)?;
            let size_max = if_agreed(BlockFeatures::SIZE_MAX, config::SIZE_MAX)?;
            let seg_max = if_agreed(BlockFeatures::SEG_MAX, config::SEG_MAX)?;
            Ok((capacity, size_max, seg_max, if_agreed(BlockFeatures::BLK_SIZE, config::BLK_SIZE)?))
        })?;
        let block_bytes =
            block_bytes.filter(|bytes| bytes.is_power_of_two() && *bytes as usize >= SECTOR_BYTES);

        let sizes =
            QueueSettings { size_max: settings.queue_size_max, indirect_segments: 0, memory_bytes: 0 };
        let queue_size = device.queue_size_for(REQUEST_QUEUE, &sizes, slots)?;
        let limits = Limits::new(settings, size_max, seg_max, queue_size)
            .ok_or(StartError::LimitsTooSmall { queue_size })?;
        let notified = settings.notifications;
        if notified {
            device.route_vectors(REQUEST_QUEUE + 1);
        }
        Ok(Self { device, queue_size, limits, capacity_sectors, block_bytes, notified })
    }

    /// Installs the request queue, and tells the device that its driver is ready.
    fn install<'s, H: Hal>(self, hal: &H, storage: Slots<'s>) -> Result<Block<'s, T, H>, StartFailed<'s>> {
        let Self { mut device, queue_size, limits, capacity_sectors, block_bytes, notified } = self;
        let Slots { ring, free } = storage;
        let indirect = device.features().common.contains(CommonFeatures::INDIRECT_DESC);
        let slots = RequestSlots::new(free, queue_size, indirect, &limits);
        let settings = QueueSettings {
            size_max: queue_size,
            indirect_segments: limits.segments,
            memory_bytes: slots.memory_bytes(),
        };
        let queue = match device.install_queue(REQUEST_QUEUE, hal, &settings, ring) {
            Ok(queue) => queue,
            Err(InstallFailed { error, storage: ring }) => {
                let storage = Slots { ring, free: slots.into_free() };
                return Err(StartFailed { error: error.into(), storage });
            }
        };
        if queue.size() != queue_size {
            // The device changed its mind between two reads; what was computed from the first no longer fits.
            let error = StartError::LimitsTooSmall { queue_size: queue.size() };
            let reset = device.give_up_within_drop_bound();
            let returned = reset.and_then(|reset| queue.reclaim(&reset).ok());
            let ring = returned.map_or_else(ring::Slots::none, Returned::into_slots);
            return Err(StartFailed { error, storage: Slots { ring, free: slots.into_free() } });
        }

        let device = device.start();
        let mut queue = device.activate(queue);
        if !notified {
            queue.suppress_notifications();
        }
        let live = Live { device, queue, slots, limits, calls: 0, capacity_sectors, block_bytes, notified };
        Ok(Block { live: scopeguard::guard(live, Live::tear_down) })
    }
}

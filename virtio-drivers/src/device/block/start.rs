//! Bring-up: from a transport to a disk, or back to a device that is reset.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, §5.2.5 Device Initialization.
//!
//! ```text
//!   Starting::begin            type, features, configuration, limits, vectors      touches no storage
//!   Starting::install_queue    a request queue, as often as wanted                 storage comes back if it fails
//!   Starting::start            DRIVER_OK: Control; activate each queue
//! ```
//!
//! [`Block::start`] does all of it for a disk with one queue. Several queues, each for a processor of its own:
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, lifecycle::Wants, transport::Transport};
//! # type Queue<H> = virtio_guest::device::block::RequestQueue<'static, H>;
//! use virtio_guest::device::block::{Control, HANDLED, Settings, Starting, Storage};
//!
//! # fn example<T: Transport, H: Hal>(transport: T, hal: &H, storage: [&'static mut Storage<64>; 2])
//! #     -> Result<(Control<'static, T>, Vec<Queue<H>>), Box<dyn core::error::Error>> {
//! let settings = Settings { queues_max: 2, ..Settings::default() };
//! let mut disk = Starting::begin(transport, &settings, Wants::features(HANDLED), Attempts(100_000))?;
//! let mut installed = Vec::new();
//! for storage in storage.into_iter().take(disk.queues().into()) {
//!     installed.push(disk.install_queue(hal, storage).map_err(|failed| failed.error)?);
//! }
//! let control = disk.start();
//! let queues = installed.into_iter().map(|queue| control.activate(queue)).collect();
//! Ok((control, queues)) // each queue may go to its processor
//! # }
//! ```

use core::fmt;

use super::characteristics::{Description, may_be_host_managed};
use super::control::Control;
use super::driver::{Block, Live};
use super::limits::{Limits, Settings};
use super::queue::IdleQueue;
use super::slots::{RequestSlots, Slots};
use crate::hal::{Hal, Patience};
use crate::lifecycle::{
    ConfigError, ControlHalf, InstallError, InstallFailed, Installing, NegotiateError, Negotiating,
    ResetError, Wants,
};
use crate::raw::{ConfirmedReset, Payload, Tag};
use crate::ring::{Frames, QueueSettings};
use crate::transport::{Interface, Transport};
use crate::wire::block::BlockFeatures;
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;

/// What a driver has to know about its disk, whatever its caller wants.
const NEEDED: BlockFeatures = BlockFeatures::SIZE_MAX.union(BlockFeatures::SEG_MAX).union(BlockFeatures::RO);

/// What this driver handles, and asks for unless told otherwise: everything that there is.
///
/// Without [`FLUSH`](BlockFeatures::FLUSH) and [`CONFIG_WCE`](BlockFeatures::CONFIG_WCE) a disk that offers to be flushed writes its cache through instead (§5.2.6.2). A disk whose zones have to be written in order is not asked
/// for [`DISCARD`](BlockFeatures::DISCARD).
pub const HANDLED: BlockFeatures = BlockFeatures::all();

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
    /// All queues are installed that the device and the settings allow.
    #[error("there are {queues} request queues, and all are installed")]
    NoMoreQueues {
        /// How many.
        queues: u16,
    },
}

/// A disk that was not brought up: why, and the storage that was lent.
///
/// Those who have no other use for the storage write `.map_err(StartError::from)?`.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct StartFailed<'s, P = Tag<()>> {
    /// Why.
    pub error: StartError,
    /// The storage, for another try. It has no room any more if the device knows of its queue and does not let itself be
    /// reset.
    pub storage: Slots<'s, P>,
}

impl<P> fmt::Debug for StartFailed<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<P> From<StartFailed<'_, P>> for StartError {
    fn from(failed: StartFailed<'_, P>) -> Self {
        failed.error
    }
}

impl<'s, T: Transport, H: Hal, P: Payload> Block<'s, T, H, P> {
    /// Brings a disk up, with default [`Settings`].
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back. To keep the transport, too, pass `&mut transport`.
    pub fn start(
        transport: T,
        hal: H,
        storage: impl Into<Slots<'s, P>>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s, P>> {
        Self::start_with(transport, hal, storage, &Settings::default(), Wants::features(HANDLED), patience)
    }

    /// Brings a disk up, with settings and features of the caller's choice, and one request queue.
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
        storage: impl Into<Slots<'s, P>>,
        settings: &Settings,
        wants: Wants<BlockFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s, P>> {
        let storage = storage.into();
        let settings = Settings { queues_max: 1, ..*settings };
        let mut starting = match Starting::begin(transport, &settings, wants, patience) {
            Ok(starting) => starting,
            Err(error) => return Err(StartFailed { error, storage }),
        };
        let (queue, verdict) = starting.install(&hal, storage)?;
        if let Err(error) = verdict {
            let reset = starting.device.give_up_within_drop_bound();
            let storage = match reset {
                Some(reset) => queue.reclaim(&reset).unwrap_or_else(IdleQueue::into_empty_slots),
                None => queue.into_empty_slots(),
            };
            return Err(StartFailed { error, storage });
        }
        let control = starting.start();
        let queue = control.activate(queue);
        Ok(Self::from_live(Live { control, queue }))
    }
}

/// A disk on its way up: it agreed on features and said what it is, and waits for its queues.
///
/// Dropping it resets the disk; queues installed until then leak their memory, unless [`give_up`](Starting::give_up) is used instead.
#[derive(Debug)]
pub struct Starting<T: Transport> {
    device: Installing<T, BlockFeatures>,
    settings: Settings,
    description: Description,
    queues: u16,
    installed: u16,
}

/// A queue that was installed, and whether it is what was wanted.
type Installed<'s, H, P> = (IdleQueue<'s, H, P>, Result<(), StartError>);

impl<T: Transport> Starting<T> {
    /// Agrees on features, reads what the disk says of itself, and deals out its interrupt vectors, if [`Settings::notifications`] are wanted.
    ///
    /// # Errors
    /// See [`StartError`]. To keep the transport, pass `&mut transport`.
    pub fn begin(
        transport: T,
        settings: &Settings,
        wants: Wants<BlockFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartError> {
        let (device_type, interface) = (transport.device_type(), transport.interface());
        if device_type != DeviceType::BLOCK {
            return Err(StartError::NotABlockDevice(device_type));
        }
        let device = Negotiating::begin(transport, patience)?.with_drop_attempts(settings.drop_attempts);
        let mut handled = HANDLED;
        if interface == Interface::Legacy {
            // Zones are for devices that confirm their features (§5.2.5.2).
            handled.remove(BlockFeatures::ZONED);
        }
        let offered = BlockFeatures::from_bits_truncate(device.offered().bits());
        if handled.intersection(offered).contains(BlockFeatures::ZONED)
            && may_be_host_managed(&device.config())
        {
            handled.remove(BlockFeatures::DISCARD);
        }
        let mut device = device.negotiate(wants.within(handled).with(NEEDED))?;
        let description = Description::read(&device.config(), device.features())?;
        // Neither side can mean that there is none.
        let queues = description.queues.min(settings.queues_max).max(1);
        if settings.notifications {
            device.route_vectors(queues);
        }
        Ok(Self { device, settings: *settings, description, queues, installed: 0 })
    }

    /// How many request queues can be installed: as many as the device has and the settings allow.
    pub const fn queues(&self) -> u16 {
        self.queues
    }

    /// Installs the next request queue, with storage of its own.
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back. The disk can be started with the queues that it has, if there are any.
    pub fn install_queue<'s, H: Hal, P: Payload>(
        &mut self,
        hal: &H,
        storage: impl Into<Slots<'s, P>>,
    ) -> Result<IdleQueue<'s, H, P>, StartFailed<'s, P>> {
        let (queue, verdict) = self.install(hal, storage.into())?;
        match verdict {
            Ok(()) => Ok(queue),
            Err(error) => Err(StartFailed { error, storage: queue.into_empty_slots() }),
        }
    }

    fn install<'s, H: Hal, P: Payload>(
        &mut self,
        hal: &H,
        storage: Slots<'s, P>,
    ) -> Result<Installed<'s, H, P>, StartFailed<'s, P>> {
        let Self { settings, description, queues, installed: index, .. } = *self;
        let Description { shape, characteristics, size_max, seg_max, .. } = description;
        let refused = |error, storage| Err(StartFailed { error, storage });
        if index >= queues {
            return refused(StartError::NoMoreQueues { queues }, storage);
        }
        let sizes =
            QueueSettings { size_max: settings.queue_size_max, indirect_segments: 0, memory_bytes: 0 };
        let queue_size = match self.device.queue_size_for(index, &sizes, storage.len()) {
            Ok(size) => size,
            Err(error) => return refused(error.into(), storage),
        };
        let granularity = shape.zoned.map_or(0, |zoned| zoned.write_granularity);
        let block_bytes = characteristics.block_bytes.unwrap_or(0).max(granularity);
        let Some(limits) = Limits::new(&settings, size_max, seg_max, queue_size, block_bytes) else {
            return refused(StartError::LimitsTooSmall { queue_size }, storage);
        };
        let Slots { ring, free, parked } = storage;
        let common = self.device.features().common;
        let indirect = common.contains(CommonFeatures::INDIRECT_DESC);
        let in_order = common.contains(CommonFeatures::IN_ORDER);
        let slots = RequestSlots::new(free, parked, queue_size, indirect, &limits);
        let queue_settings = QueueSettings {
            size_max: queue_size,
            indirect_segments: limits.segments,
            memory_bytes: slots.memory_bytes(),
        };
        let (frames, limits) = if indirect && !in_order && shape.zoned.is_none() {
            (Frames::With, limits.with_frames())
        } else {
            (Frames::Without, limits)
        };
        match self.device.install_queue_with(index, hal, &queue_settings, frames, ring) {
            Ok(queue) => {
                self.installed += 1;
                let size = queue.size();
                // Else the device changed its mind between two reads, and what was computed from the first no longer fits.
                let is_wanted = size == queue_size;
                let verdict = is_wanted.then_some(()).ok_or(StartError::LimitsTooSmall { queue_size: size });
                let queue = IdleQueue { queue, slots, limits, shape, notified: settings.notifications };
                Ok((queue, verdict))
            }
            Err(InstallFailed { error, storage: ring }) => refused(error.into(), slots.into_slots(ring)),
        }
    }

    /// Tells the disk that its driver is ready. Queues may be used from here on: [`Control::activate`] each.
    pub fn start<'s>(self) -> Control<'s, T> {
        let Self { device, description: Description { shape, characteristics, .. }, .. } = self;
        Control { half: ControlHalf::new(device.start()), shape, characteristics }
    }

    /// Gives up: resets the disk, so that queues installed until now can give their memory back ([`IdleQueue::reclaim`]).
    ///
    /// # Errors
    /// - [`ResetError`]: the disk does not answer; what it learned of stays lent to it.
    pub fn give_up(self, patience: impl Patience) -> Result<ConfirmedReset, ResetError> {
        self.device.reset(patience)
    }
}

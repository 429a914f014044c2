//! A disk with one queue, in one piece: control half, request queue, blocking calls.
//!
//! Spec: §5.2.6 Device Operation.

use core::fmt;

use scopeguard::ScopeGuard;

use super::command::{SectorRange, Unmap, ZoneAction};
use super::control::Control;
use super::queue::RequestQueue;
use super::report::{ActivePaths, DeviceId, Lifetime};
use super::request::{RequestError, Sector};
use super::zones::Zone;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{Condition, ConfigError, Interrupts, SignalsInUse, SignalsRef};
use crate::raw::{Payload, Tag};
use crate::ring::QueueStatistics;
use crate::transport::{InterruptCause, InterruptLine, Transport};
use crate::wire::block::BlockFeatures;
use crate::wire::features::CommonFeatures;

/// A disk that is up. Dropping it resets the device, within the bound fixed at bring-up, and gives all memory back; memory that the device may still use
/// because it did not answer is leaked. [`close`](Block::close) is the polite end.
///
/// Calls that borrow are here; requests that own their buffers go through [`queue`](Block::queue). [`split`](Block::split) takes the two halves apart.
pub struct Block<'s, T: Transport, H: Hal, P: Payload = Tag<()>> {
    pub(super) live: TornDown<Live<'s, T, H, P>>,
}

/// Something that is taken apart in order when it is dropped.
type TornDown<L> = ScopeGuard<L, fn(L)>;

/// The two halves.
pub(super) struct Live<'s, T: Transport, H: Hal, P: Payload> {
    pub(super) control: Control<'s, T>,
    pub(super) queue: RequestQueue<'s, H, P>,
}

impl<'s, T: Transport, H: Hal, P: Payload> Block<'s, T, H, P> {
    pub(super) fn from_live(live: Live<'s, T, H, P>) -> Self {
        Self { live: scopeguard::guard(live, Live::tear_down) }
    }

    /// Takes control half and request queue apart, each for an owner of its own.
    pub fn split(self) -> (Control<'s, T>, RequestQueue<'s, H, P>) {
        let Live { control, queue } = ScopeGuard::into_inner(self.live);
        (control, queue)
    }

    /// Puts two halves together again. Those of two disks answer no calls any better than before, and their memory is leaked.
    pub fn join(control: Control<'s, T>, queue: RequestQueue<'s, H, P>) -> Self {
        Self::from_live(Live { control, queue })
    }

    /// The request queue: for requests that own their buffers.
    pub fn queue(&mut self) -> &mut RequestQueue<'s, H, P> {
        &mut self.live.queue
    }

    /// The control half.
    pub fn control(&mut self) -> &mut Control<'s, T> {
        &mut self.live.control
    }

    /// The disk's size in sectors of 512 bytes, as last read.
    pub fn capacity_sectors(&self) -> u64 {
        self.live.control.capacity_sectors()
    }

    /// Reads the disk's size again, in sectors of 512 bytes: disks can be resized while they run.
    ///
    /// # Errors
    /// See [`ConfigError`]; the size known before still counts.
    pub fn refresh_capacity_sectors(&mut self) -> Result<u64, ConfigError> {
        let shape = self.live.control.refresh_shape()?;
        self.live.queue.set_shape(shape);
        Ok(shape.capacity_sectors)
    }

    /// The disk's block size in bytes; see [`Control::block_bytes`].
    pub fn block_bytes(&self) -> Option<u32> {
        self.live.control.block_bytes()
    }

    /// Whether the disk can only be read.
    pub fn is_read_only(&self) -> bool {
        self.live.control.features().contains(BlockFeatures::RO)
    }

    /// Which paths are active.
    pub fn active_paths(&self) -> ActivePaths {
        let Live { control, queue } = &*self.live;
        let features = control.half.features();
        ActivePaths {
            queue_size: queue.queue.size(),
            requests: queue.requests(),
            request_bytes: queue.limits.request_bytes,
            ring: queue.active_path(),
            vectors: control.vectors(),
            access_platform: features.common.contains(CommonFeatures::ACCESS_PLATFORM),
            features: features.device,
        }
    }

    /// Connects the disk's interrupts with these signals; see [`Control::connect_interrupts`].
    ///
    /// # Errors
    /// - [`SignalsInUse`]: another device uses these signals.
    pub fn connect_interrupts(
        &mut self,
        signals: impl Into<SignalsRef<'s>>,
    ) -> Result<&Interrupts<'s>, SignalsInUse> {
        self.live.control.connect_interrupts(signals)
    }

    /// Allows the disk to use its interrupt line; see [`Control::use_interrupt_line`].
    pub fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
        self.live.control.use_interrupt_line()
    }

    /// Asks why the device's line is raised, and quiets it; see [`Control::acknowledge_interrupt`].
    pub fn acknowledge_interrupt(&self) -> InterruptCause {
        self.live.control.acknowledge_interrupt()
    }

    /// What the request queue has done since the disk was started.
    pub fn statistics(&self) -> QueueStatistics {
        self.live.queue.statistics()
    }

    /// Reads whole sectors; see [`RequestQueue::read_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`]. `into` may then hold some of the sectors.
    pub fn read_blocking(
        &mut self,
        from: Sector,
        into: &mut [u8],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.call(|queue| queue.read_blocking(from, into, patience))
    }

    /// Reads whole sectors into several pieces, one after the other; see [`RequestQueue::read_vectored_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`]. The pieces may then hold some of the sectors.
    pub fn read_vectored_blocking(
        &mut self,
        from: Sector,
        into: &mut [&mut [u8]],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.call(|queue| queue.read_vectored_blocking(from, into, patience))
    }

    /// Writes whole sectors; see [`RequestQueue::write_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`]. Some of the sectors may then be written.
    pub fn write_blocking(
        &mut self,
        to: Sector,
        from: &[u8],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.call(|queue| queue.write_blocking(to, from, patience))
    }

    /// Writes whole sectors from several pieces, one after the other; see [`RequestQueue::write_vectored_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`]. Some of the sectors may then be written.
    pub fn write_vectored_blocking(
        &mut self,
        to: Sector,
        from: &[&[u8]],
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.call(|queue| queue.write_vectored_blocking(to, from, patience))
    }

    /// Makes everything written until now safe from a power failure; see [`RequestQueue::flush_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn flush_blocking(&mut self, patience: impl Patience) -> Result<(), RequestError> {
        self.call(|queue| queue.flush_blocking(patience))
    }

    /// Says that nobody needs what is in a range any more; see [`RequestQueue::discard_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn discard_blocking(
        &mut self,
        range: SectorRange,
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.call(|queue| queue.discard_blocking(range, patience))
    }

    /// Makes a range read as zeros; see [`RequestQueue::write_zeroes_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn write_zeroes_blocking(
        &mut self,
        range: SectorRange,
        unmap: Unmap,
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.call(|queue| queue.write_zeroes_blocking(range, unmap, patience))
    }

    /// Erases a range for good; see [`RequestQueue::secure_erase_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn secure_erase_blocking(
        &mut self,
        range: SectorRange,
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.call(|queue| queue.secure_erase_blocking(range, patience))
    }

    /// Asks the disk how worn it is; see [`RequestQueue::lifetime_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn lifetime_blocking(&mut self, patience: impl Patience) -> Result<Lifetime, RequestError> {
        self.call(|queue| queue.lifetime_blocking(patience))
    }

    /// Reads what zones there are; see [`RequestQueue::report_zones_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn report_zones_blocking(
        &mut self,
        from: Sector,
        into: &mut [Zone],
        patience: impl Patience,
    ) -> Result<usize, RequestError> {
        self.call(|queue| queue.report_zones_blocking(from, into, patience))
    }

    /// Does something with a whole zone; see [`RequestQueue::zone_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn zone_blocking(
        &mut self,
        action: ZoneAction,
        zone: Sector,
        patience: impl Patience,
    ) -> Result<(), RequestError> {
        self.call(|queue| queue.zone_blocking(action, zone, patience))
    }

    /// Resets all zones; see [`RequestQueue::reset_all_zones_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn reset_all_zones_blocking(&mut self, patience: impl Patience) -> Result<(), RequestError> {
        self.call(|queue| queue.reset_all_zones_blocking(patience))
    }

    /// Writes at a zone's write pointer; see [`RequestQueue::append_blocking`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn append_blocking(
        &mut self,
        zone: Sector,
        from: &[u8],
        patience: impl Patience,
    ) -> Result<Sector, RequestError> {
        self.call(|queue| queue.append_blocking(zone, from, patience))
    }

    /// Asks the disk for its id string.
    ///
    /// # Errors
    /// See [`RequestError`]; [`Unsupported`](RequestError::Unsupported) where the disk has none.
    pub fn device_id_blocking(&mut self, patience: impl Patience) -> Result<DeviceId, RequestError> {
        self.call(|queue| queue.device_id_blocking(patience))
    }

    /// Runs a call. If it got nowhere, the device may have said why.
    fn call<R>(
        &mut self,
        act: impl FnOnce(&mut RequestQueue<'s, H, P>) -> Result<R, RequestError>,
    ) -> Result<R, RequestError> {
        let Live { control, queue } = &mut *self.live;
        act(queue).map_err(|error| match error {
            RequestError::TimedOut => match control.condition() {
                Condition::Live => RequestError::TimedOut,
                Condition::NeedsReset | Condition::Lost => RequestError::NeedsReset,
                Condition::Removed => RequestError::Removed,
            },
            error => error,
        })
    }
}

impl<T: Transport, H: Hal, P: Payload> fmt::Debug for Block<'_, T, H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("capacity_sectors", &self.capacity_sectors()).finish_non_exhaustive()
    }
}

//! How a queue is allocated, and its device told of it.
//!
//! While the device comes up, and again after a reset of the queue alone.
//!
//! Spec: §3.1.1 step 7, §4.1.5.1.3 Virtqueue Configuration, §2.6.1.2 Virtqueue Re-enable.

use core::fmt;

use super::ladder::Rung;
use crate::hal::Hal;
use crate::raw::{AreaPlacement, Payload};
use crate::ring::{
    DeviceLimits, Frames, InstalledQueue, PrepareError, PrepareFailed, PreparedQueue, QueueSettings, Slots,
};
use crate::transport::{QueueError, QueueSetup, Transport, VectorRefused};
use crate::wire::features::CommonFeatures;

/// A queue could not be installed. The device does not know of it; nothing is left allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The device has no such queue, or it would not be told where it is.
    #[error("queue {index}: {error}")]
    Queue {
        /// Which one.
        index: u16,
        /// Why.
        error: QueueError,
    },
    /// The device was asked for a reset and did not confirm it.
    #[error("queue {index}: the device is in the middle of a reset")]
    DeviceResetPending {
        /// Which one.
        index: u16,
    },
    /// The transport asks for an alignment that cannot be.
    #[error("queue {index}: no areas can be placed as the transport asks: {placement:?}")]
    BadPlacement {
        /// Which one.
        index: u16,
        /// What the transport asks for.
        placement: AreaPlacement,
    },
    /// The kernel's addresses are an IOMMU's ([`Hal::addresses_are_physical`]), and `ACCESS_PLATFORM` was not agreed on: the device would take them for physical ones.
    #[error("queue {index}: the device takes all addresses for physical ones, and those of its Hal are not")]
    NotPhysical {
        /// Which one.
        index: u16,
    },
    /// The kernel has no DMA memory for it.
    #[error("queue {index}: no DMA memory")]
    NoMemory {
        /// Which one.
        index: u16,
    },
    /// The storage or the settings allow no descriptor at all, or fewer than a device has that is not told a size ([`Transport::queue_size_is_fixed`]).
    #[error(
        "queue {index}: the storage or the settings do not allow a size that the device can have ({size_max} at most)"
    )]
    NoStorage {
        /// Which one.
        index: u16,
        /// The device's largest size, and perhaps its only one.
        size_max: u16,
    },
    /// The device refuses the interrupt vector that the routing has for the queue, though it took it before.
    #[error("queue {index}: the device refuses the interrupt vector that the routing has for it")]
    VectorRefused {
        /// Which one.
        index: u16,
    },
}

/// A queue that was not installed: why, and the storage that was meant for it.
///
/// Those who have no other use for the storage write `.map_err(InstallError::from)?`.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct InstallFailed<'s, P> {
    /// Why.
    pub error: InstallError,
    /// The storage, for another try.
    pub storage: Slots<'s, P>,
}

impl<P> fmt::Debug for InstallFailed<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstallFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<P> From<InstallFailed<'_, P>> for InstallError {
    fn from(failed: InstallFailed<'_, P>) -> Self {
        failed.error
    }
}

/// What device and transport say of a queue, if there is one.
pub(super) fn device_limits<T: Transport>(
    rung: &mut Rung<T>,
    index: u16,
) -> Result<DeviceLimits, InstallError> {
    let transport = &mut rung.transport;
    let size_max = transport.queue_size_max(index);
    if size_max == 0 {
        return Err(InstallError::Queue { index, error: QueueError::Absent });
    }
    let placement = transport.area_placement();
    if placement.used_ring_align().is_none() {
        return Err(InstallError::BadPlacement { index, placement });
    }
    Ok(DeviceLimits { size_max, size_is_fixed: transport.queue_size_is_fixed(), placement })
}

/// Allocates a queue and tells the device where it is.
pub(super) fn install<'s, T: Transport, H: Hal, P: Payload>(
    rung: &mut Rung<T>,
    features: CommonFeatures,
    index: u16,
    hal: &H,
    (settings, frames): (&QueueSettings, Frames),
    storage: Slots<'s, P>,
) -> Result<InstalledQueue<'s, H, P>, InstallFailed<'s, P>> {
    let limits = match device_limits(rung, index) {
        Ok(limits) => limits,
        Err(error) => return Err(InstallFailed { error, storage }),
    };
    if !features.contains(CommonFeatures::ACCESS_PLATFORM) && !hal.addresses_are_physical() {
        return Err(InstallFailed { error: InstallError::NotPhysical { index }, storage });
    }
    let prepared = match PreparedQueue::allocate(hal, features, limits, settings, frames, storage) {
        Ok(prepared) => prepared,
        Err(PrepareFailed { error, slots: storage }) => {
            let error = match error {
                PrepareError::Dma => InstallError::NoMemory { index },
                PrepareError::Size => InstallError::NoStorage { index, size_max: limits.size_max },
            };
            return Err(InstallFailed { error, storage });
        }
    };
    let setup = QueueSetup { size: prepared.size(), addresses: prepared.addresses(), features };
    if let Some(vector) = rung.routing.queue_vector_among(index, rung.routed_queues)
        && let Err(VectorRefused) = rung.transport.set_queue_vector(index, vector)
    {
        let storage = prepared.into_slots();
        return Err(InstallFailed { error: InstallError::VectorRefused { index }, storage });
    }
    match rung.transport.set_up_queue(index, &setup) {
        Ok(doorbell) => {
            rung.queue_is_in_use();
            Ok(prepared.install(rung.session, index, doorbell))
        }
        Err(error) => {
            let error = InstallError::Queue { index, error };
            Err(InstallFailed { error, storage: prepared.into_slots() })
        }
    }
}

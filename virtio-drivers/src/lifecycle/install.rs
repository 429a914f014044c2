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
    DeviceLimits, InstalledQueue, PrepareError, PrepareFailed, PreparedQueue, QueueSettings, Slots,
};
use crate::transport::{QueueError, QueueSetup, Transport};
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
    /// The kernel has no DMA memory for it.
    #[error("queue {index}: no DMA memory")]
    NoMemory {
        /// Which one.
        index: u16,
    },
    /// The storage or the settings allow no descriptor at all.
    #[error("queue {index}: the storage or the settings allow no descriptor")]
    NoStorage {
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

/// Allocates a queue and tells the device where it is.
pub(super) fn install<'s, T: Transport, H: Hal, P: Payload>(
    rung: &mut Rung<T>,
    features: CommonFeatures,
    index: u16,
    hal: &H,
    settings: &QueueSettings,
    storage: Slots<'s, P>,
) -> Result<InstalledQueue<'s, H, P>, InstallFailed<'s, P>> {
    let size_max = rung.transport.queue_size_max(index);
    if size_max == 0 {
        let error = InstallError::Queue { index, error: QueueError::Absent };
        return Err(InstallFailed { error, storage });
    }
    let placement = rung.transport.area_placement();
    if placement.used_ring_align().is_none() {
        return Err(InstallFailed { error: InstallError::BadPlacement { index, placement }, storage });
    }
    let limits = DeviceLimits { size_max, placement };
    let prepared = match PreparedQueue::allocate(hal, features, limits, settings, storage) {
        Ok(prepared) => prepared,
        Err(PrepareFailed { error, slots: storage }) => {
            let error = match error {
                PrepareError::Dma => InstallError::NoMemory { index },
                PrepareError::Size => InstallError::NoStorage { index },
            };
            return Err(InstallFailed { error, storage });
        }
    };
    let setup = QueueSetup { size: prepared.size(), addresses: prepared.addresses(), features };
    match rung.transport.set_up_queue(index, &setup) {
        Ok(doorbell) => Ok(prepared.install(rung.session, index, doorbell)),
        Err(error) => {
            let error = InstallError::Queue { index, error };
            Err(InstallFailed { error, storage: prepared.into_slots() })
        }
    }
}

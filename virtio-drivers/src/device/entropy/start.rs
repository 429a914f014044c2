//! Bring-up: from a transport to a device that gives random bytes, or back to one that is reset.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, §5.4.5 Device Initialization.

use super::driver::{Control, Entropy};
use super::requests::Requests;
use crate::hal::{Attempts, Hal, Patience};
use crate::lifecycle::{
    ControlHalf, InstallError, InstallFailed, NegotiateError, Negotiating, ResetError, Wants,
};
use crate::raw::Tag;
use crate::ring::{self, QueueSettings};
use crate::transport::Transport;
use crate::wire::device_type::DeviceType;
use crate::wire::entropy::REQUESTQ;

/// What a kernel may choose about an entropy device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most bytes of a request, at least one. Whoever wants more gets them with several requests.
    pub buffer_bytes: u32,
    /// Whether the device is to interrupt when bytes come. Without, its queue is looked at, and no vector is used.
    pub notifications: bool,
    /// How often a drop looks at the status of the device that it resets, before it leaks what the device may still use.
    pub drop_attempts: Attempts,
}

impl Default for Settings {
    /// 256 bytes, no notifications, 100,000 attempts.
    fn default() -> Self {
        Self { buffer_bytes: 256, notifications: false, drop_attempts: Attempts(100_000) }
    }
}

/// Why an entropy device could not be brought up. The device was reset, if it is one that this driver may touch, and lets itself be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The device is of another type.
    #[error("device type {0:?} is no entropy device")]
    NotAnEntropyDevice(DeviceType),
    /// It does not answer a reset.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// No agreement on features.
    #[error(transparent)]
    Negotiate(#[from] NegotiateError),
    /// Its queue cannot be installed.
    #[error(transparent)]
    Queue(#[from] InstallError),
}

/// An entropy device that was not brought up: why, and the storage that was lent.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct StartFailed<'s> {
    /// Why.
    pub error: StartError,
    /// The storage.
    pub slots: Slots<'s>,
}

impl From<StartFailed<'_>> for StartError {
    fn from(failed: StartFailed<'_>) -> Self {
        failed.error
    }
}

/// What the driver keeps in memory of its own: lent by the caller for as long as the driver lives.
///
/// One request is in flight at a time, so one descriptor is enough; but devices behind the legacy interface of PCI choose themselves how many there are (QEMU's have 8).
#[derive(Debug, Default)]
pub struct Storage<const N: usize = 8>(ring::Storage<Tag<()>, N>);

impl<const N: usize> Storage<N> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self(ring::Storage::new())
    }
}

/// Where the driver keeps its own memory: a lent [`Storage`], or what an earlier driver gave back.
#[derive(Debug)]
pub struct Slots<'s>(pub(super) ring::Slots<'s, Tag<()>>);

impl<'s, const N: usize> From<&'s mut Storage<N>> for Slots<'s> {
    fn from(Storage(storage): &'s mut Storage<N>) -> Self {
        Self(storage.into())
    }
}

#[cfg(feature = "alloc")]
impl Slots<'_> {
    /// For so many descriptors, from the heap; see [`Storage`].
    pub fn allocate(descriptors: u16) -> Self {
        Self(ring::Slots::allocate(descriptors))
    }
}

impl Slots<'_> {
    /// Room for nothing.
    pub(super) const fn none() -> Self {
        Self(ring::Slots::none())
    }
}

impl<'s, T: Transport, H: Hal> Entropy<'s, T, H> {
    /// Brings an entropy device up, with default [`Settings`].
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back. To keep the transport, too, pass `&mut transport`.
    pub fn start(
        transport: T,
        hal: H,
        storage: impl Into<Slots<'s>>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s>> {
        Self::start_with(transport, hal, storage, &Settings::default(), patience)
    }

    /// Brings an entropy device up, with settings of the caller's choice. The device is not asked for anything yet.
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back.
    ///
    /// Spec: §3.1.1, §5.4.5.
    #[expect(clippy::needless_pass_by_value, reason = "each driver owns a value of its DMA domain")]
    pub fn start_with(
        transport: T,
        hal: H,
        storage: impl Into<Slots<'s>>,
        settings: &Settings,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s>> {
        let slots = storage.into();
        let device_type = transport.device_type();
        if device_type != DeviceType::ENTROPY {
            return Err(StartFailed { error: StartError::NotAnEntropyDevice(device_type), slots });
        }
        let device = Negotiating::begin(transport, patience).map_err(StartError::from).and_then(|device| {
            Ok(device.with_drop_attempts(settings.drop_attempts).negotiate(Wants::none())?)
        });
        let mut device = match device {
            Ok(device) => device,
            Err(error) => return Err(StartFailed { error, slots }),
        };
        if settings.notifications {
            device.route_vectors(1);
        }
        let bytes = settings.buffer_bytes.max(1);
        let queue_settings = QueueSettings {
            size_max: u16::MAX,
            indirect_segments: 0,
            memory_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        match device.install_queue(REQUESTQ, &hal, &queue_settings, slots.0) {
            Ok(queue) => {
                let half = ControlHalf::new(device.start());
                let requests = Requests::new(half.activate(queue), bytes, settings.notifications);
                Ok(Self::of(Control { half }, requests))
            }
            Err(InstallFailed { error, storage }) => {
                Err(StartFailed { error: error.into(), slots: Slots(storage) })
            }
        }
    }
}

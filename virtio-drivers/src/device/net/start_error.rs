//! Why a card, or a part of it, could not be brought up; and what comes back then.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization.

use core::fmt;

use super::commands::ControlSlots;
use super::frame::FrameSupply;
use super::pair::PairSlots;
use crate::hal::Hal;
use crate::lifecycle::{ConfigError, InstallError, NegotiateError, ResetError};
use crate::wire::device_type::DeviceType;

/// Why a card could not be brought up. The device was reset, if it is one that this driver may touch, and lets itself be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The device is of another type.
    #[error("device type {0:?} is no network device")]
    NotANetworkDevice(DeviceType),
    /// It does not answer a reset.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// No agreement on features.
    #[error(transparent)]
    Negotiate(#[from] NegotiateError),
    /// Its configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A queue cannot be installed.
    #[error(transparent)]
    Queue(#[from] InstallError),
    /// A frame takes more buffers of the pool than the receive queue has descriptors, or than the pool has: buffers have to be longer, or queue and pool larger, or frames shorter (without segmentation offloads, or with `MRG_RXBUF`).
    #[error("a frame takes {buffers} buffers, which are more than there can be")]
    BuffersTooSmall {
        /// How many.
        buffers: u16,
    },
    /// The device does not reach the buffers of the pool: they are of another DMA domain.
    #[error("the pool's buffers are of another DMA domain")]
    OtherDomain,
    /// All pairs are installed that the device and the settings allow.
    #[error("there are {pairs} pairs of queues, and all are installed")]
    NoMorePairs {
        /// How many.
        pairs: u16,
    },
    /// The card has no control queue, or it is installed.
    #[error("there is no control queue, or it is installed")]
    NoControlQueue,
}

/// A pair that was not installed: why, and what was handed in.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct PairFailed<'s, H: Hal> {
    /// Why.
    pub error: StartError,
    /// The storage. It has no room any more for a receive queue that the device knows of, because it was the transmit queue that could not be installed.
    pub slots: PairSlots<'s, H>,
    /// The supply.
    pub supply: FrameSupply<'s, H>,
}

impl<H: Hal> fmt::Debug for PairFailed<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<H: Hal> From<PairFailed<'_, H>> for StartError {
    fn from(failed: PairFailed<'_, H>) -> Self {
        failed.error
    }
}

/// A control queue that was not installed: why, and the storage that was lent.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ControlFailed<'s> {
    /// Why.
    pub error: StartError,
    /// The storage.
    pub slots: ControlSlots<'s>,
}

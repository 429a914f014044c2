//! Why there is no connection to a back-end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use virtio_guest::wire::device_type::DeviceType;

use crate::protocol::Fault;

/// Why there is no connection to a back-end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// There is no such file.
    #[error("{0}: there is no such socket; is the back-end started, and this its path?")]
    NoSocket(PathBuf),
    /// The file is something else.
    #[error("{0}: this is no socket")]
    NotASocket(PathBuf),
    /// Nobody listens there.
    #[error("{0}: nobody listens there; has the back-end ended, or is it itself the socket's client?")]
    NobodyListens(PathBuf),
    /// The path is longer than a socket's can be.
    #[error("{0}: the path is longer than a socket's can be (107 bytes)")]
    PathTooLong(PathBuf),
    /// Somebody listens there, and does not accept.
    #[error("{path}: the back-end did not accept the connection within {limit:?}")]
    NotAccepted {
        /// Where.
        path: PathBuf,
        /// How long was waited.
        limit: Duration,
    },
    /// A socket that is to be made is there already, or another file.
    #[error("{0}: somebody listens there already, or it is no socket; choose another path, or remove it")]
    InUse(PathBuf),
    /// Nobody came.
    #[error("{path}: no back-end connected within {limit:?}")]
    NobodyCame {
        /// Where.
        path: PathBuf,
        /// How long was waited.
        limit: Duration,
    },
    /// The socket cannot be used.
    #[error("{path}: {error}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        error: Errno,
    },
    /// A step of the protocol failed.
    #[error("{path}: {fault}")]
    Protocol {
        /// Where.
        path: PathBuf,
        /// Which step, and what the back-end did.
        fault: Fault,
    },
    /// The back-end plays another kind of device, by all appearances.
    #[error("{path}: a device of type {} was asked for, and this is {looks_like}", asked_for.0)]
    OtherDeviceType {
        /// Where.
        path: PathBuf,
        /// What was asked for.
        asked_for: DeviceType,
        /// What it looks like.
        looks_like: &'static str,
    },
    /// The back-end follows no version of the specification.
    #[error("{0}: the back-end does not offer VERSION_1")]
    Legacy(PathBuf),
    /// There is a connection, and its back-end is there.
    #[error("{0}: the back-end is still connected")]
    StillConnected(PathBuf),
    /// The driver has not reset the device yet: there may be memory that it still counts as the device's.
    #[error("the device was not reset: end its driver first")]
    NotReset,
}

/// Why a back-end is none that can be driven.
#[derive(Debug)]
pub(super) enum Refusal {
    Fault(Fault),
    OtherDeviceType(&'static str),
    Legacy,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Refusal {
    /// The same, with what was asked for.
    pub(super) fn at(self, path: &Path, asked_for: DeviceType) -> ConnectError {
        let path = path.into();
        match self {
            Self::Fault(fault) => ConnectError::Protocol { path, fault },
            Self::OtherDeviceType(looks_like) => {
                ConnectError::OtherDeviceType { path, asked_for, looks_like }
            }
            Self::Legacy => ConnectError::Legacy(path),
        }
    }
}

//! Where a back-end is found: a socket that it listens at, or one that it connects to.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use super::connect_error::ConnectError;
use super::listener::Listener;
use super::settings::Settings;

/// Where a back-end is found, now and after it was started again.
#[derive(Debug)]
pub(crate) enum Place {
    /// It listens there.
    Path(PathBuf),
    /// It connects to this one.
    Listener(Listener),
}

impl Place {
    /// The socket's path.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Listener(listener) => listener.path(),
        }
    }

    /// A connection to whoever is there. This does not wait longer than until `end`, if there is such a time.
    pub(super) fn open(&self, settings: &Settings, end: Option<Instant>) -> Result<OwnedFd, ConnectError> {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let shorter = |limit: Duration| left.map_or(limit, |left| left.min(limit));
        match self {
            // No time at all would be for ever.
            Self::Path(path) => connect(path, shorter(settings.answer_limit).max(Duration::from_millis(1))),
            Self::Listener(listener) => listener.next(shorter(settings.accept_limit)),
        }
    }
}

/// A socket's address.
pub(super) fn address(path: &Path) -> Result<SocketAddrUnix, ConnectError> {
    SocketAddrUnix::new(path).map_err(|error| match error {
        Errno::NAMETOOLONG => ConnectError::PathTooLong(path.into()),
        error => ConnectError::Socket { path: path.into(), error },
    })
}

/// A stream socket that nobody is connected to.
pub(super) fn stream(path: &Path) -> Result<OwnedFd, ConnectError> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|error| ConnectError::Socket { path: path.into(), error })
}

fn connect(path: &Path, limit: Duration) -> Result<OwnedFd, ConnectError> {
    let address = address(path)?;
    let socket = stream(path)?;
    let system = |error| ConnectError::Socket { path: path.into(), error };
    // Who listens and never accepts has a queue that is full some time.
    set_socket_timeout(&socket, Timeout::Send, Some(limit)).map_err(system)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok(socket),
        Err(Errno::NOENT) => Err(ConnectError::NoSocket(path.into())),
        Err(Errno::CONNREFUSED) if is_socket(path) => Err(ConnectError::NobodyListens(path.into())),
        Err(Errno::CONNREFUSED) => Err(ConnectError::NotASocket(path.into())),
        Err(Errno::AGAIN) => Err(ConnectError::NotAccepted { path: path.into(), limit }),
        Err(error) => Err(system(error)),
    }
}

/// Whether there is a socket of that name.
pub(super) fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

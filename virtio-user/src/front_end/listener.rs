//! A socket that back-ends connect to.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use virtio_guest::wire::device_type::DeviceType;

use super::connect_error::ConnectError;
use super::place::{Place, address, is_socket, stream};
use super::settings::Settings;
use super::vhost_user::VhostUser;
use crate::memory::SharedMemory;
use crate::patience::deadline;

/// Back-ends that may wait until they are accepted.
const WAITING_MAX: i32 = 16;

/// A socket that back-ends connect to, where they are the socket's client (as Open vSwitch's `dpdkvhostuserclient`). Clones are the same socket; its file goes with the last of them, and of the
/// devices that came through it, unless another file is in its place by then.
#[derive(Clone, Debug)]
pub struct Listener(Arc<Listening>);

#[derive(Debug)]
struct Listening {
    socket: OwnedFd,
    path: PathBuf,
    file: Option<FileId>,
}

/// Which file it is, whatever its name: device and inode number.
type FileId = (u64, u64);

impl Listener {
    /// Makes a socket at `path`. One that a process left behind which is no more is replaced.
    ///
    /// # Errors
    /// - [`ConnectError::InUse`]: there is a file of that name, which is no socket, or at which somebody listens.
    /// - [`ConnectError::PathTooLong`], [`ConnectError::Socket`]: no socket can be made there.
    pub fn bind(path: impl AsRef<Path>) -> Result<Self, ConnectError> {
        let path = path.as_ref();
        let address = address(path)?;
        let system = |error| ConnectError::Socket { path: path.into(), error };
        let socket = never_waiting(path)?;
        match rustix::net::bind(&socket, &address) {
            Ok(()) => {}
            Err(Errno::ADDRINUSE) => {
                let is_left_behind = is_socket(path)
                    && rustix::net::connect(never_waiting(path)?, &address) == Err(Errno::CONNREFUSED);
                if !is_left_behind {
                    return Err(ConnectError::InUse(path.into()));
                }
                fs::remove_file(path).map_err(|error| system(error_number(&error)))?;
                rustix::net::bind(&socket, &address).map_err(system)?;
            }
            Err(error) => return Err(system(error)),
        }
        rustix::net::listen(&socket, WAITING_MAX).map_err(system)?;
        Ok(Self(Arc::new(Listening { socket, path: path.into(), file: file_at(path) })))
    }

    /// Waits until a back-end connects, at most for [`Settings::accept_limit`], and asks it what it can.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn accept(
        &self,
        device_type: DeviceType,
        memory: &SharedMemory,
        settings: &Settings,
    ) -> Result<VhostUser, ConnectError> {
        VhostUser::begin(Place::Listener(self.clone()), device_type, memory, settings, None)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The next connection.
    pub(super) fn next(&self, limit: Duration) -> Result<OwnedFd, ConnectError> {
        let Listening { socket, path, .. } = &*self.0;
        let deadline = deadline(limit);
        loop {
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
            match poll(&mut [PollFd::new(socket, PollFlags::IN)], left.as_ref()) {
                Ok(0) => return Err(ConnectError::NobodyCame { path: path.clone(), limit }),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(ConnectError::Socket { path: path.clone(), error }),
            }
            match rustix::net::accept_with(socket, SocketFlags::CLOEXEC) {
                // It had enough of waiting, or went to another clone of this socket.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::WOULDBLOCK) => {}
                accepted => {
                    return accepted.map_err(|error| ConnectError::Socket { path: path.clone(), error });
                }
            }
        }
    }
}

/// Which file has this path now.
fn file_at(path: &Path) -> Option<FileId> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// A socket on which no call waits.
fn never_waiting(path: &Path) -> Result<OwnedFd, ConnectError> {
    let socket = stream(path)?;
    rustix::io::ioctl_fionbio(&socket, true)
        .map_err(|error| ConnectError::Socket { path: path.into(), error })?;
    Ok(socket)
}

fn error_number(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Somebody else may have removed it, and put another one there: no other file has its number as long as the socket is open.
        if self.file.is_some() && self.file == file_at(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

//! Where the back-end is, and how long to wait for it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use virtio_guest::wire::device_type::DeviceType;

use super::trouble::{Away, Trouble};
use crate::patience::deadline;
use crate::{ConnectError, Link, Listener, Settings, SharedMemory, VhostUser};

/// How long it takes until another try.
const PAUSE: Duration = Duration::from_millis(5);

/// Where a back-end is.
#[derive(Debug)]
pub enum BackEnd {
    /// It listens at this path.
    Path(PathBuf),
    /// It connects to this socket.
    Listener(Listener),
}

impl From<&Path> for BackEnd {
    fn from(path: &Path) -> Self {
        Self::Path(path.into())
    }
}

impl From<Listener> for BackEnd {
    fn from(listener: Listener) -> Self {
        Self::Listener(listener)
    }
}

/// How long to wait for a back-end: until when another try begins. A try itself takes as long as the back-end may take for its answers ([`Settings::answer_limit`] each).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// At first: it may not be started yet. Zero is one try.
    pub connect_within: Duration,
    /// When it went: another one may come.
    pub return_within: Duration,
}

impl Default for Wait {
    /// One try, then ten seconds each time.
    fn default() -> Self {
        Self { connect_within: Duration::ZERO, return_within: Duration::from_secs(10) }
    }
}

impl BackEnd {
    /// Connects once. A listener waits until `end` for somebody to come.
    pub(super) fn connect(
        &self,
        device_type: DeviceType,
        memory: &SharedMemory,
        settings: &Settings,
        end: Instant,
    ) -> Result<VhostUser, ConnectError> {
        match self {
            Self::Path(path) => VhostUser::connect(path, device_type, memory, settings),
            Self::Listener(listener) => {
                let accept_limit = end.saturating_duration_since(Instant::now());
                listener.accept(device_type, memory, &Settings { accept_limit, ..settings.clone() })
            }
        }
    }
}

impl BackEnd {
    /// What went wrong in a bring-up that its driver was not told of: it only sees that the device needs a reset.
    pub(super) fn trouble(&self, link: &Link) -> Option<Trouble> {
        let path = match self {
            Self::Path(path) => path,
            Self::Listener(listener) => listener.path(),
        };
        let fault = link.fault()?;
        Some(ConnectError::Protocol { path: path.into(), fault }.into())
    }
}

/// Tries until it works, it is no use, or the time is over.
pub(super) fn keep_trying<R>(
    limit: Duration,
    mut attempt: impl FnMut(Instant) -> Result<R, Trouble>,
) -> Result<R, Away> {
    let start = Instant::now();
    let end = deadline(limit);
    loop {
        let trouble = match attempt(end) {
            Ok(result) => return Ok(result),
            Err(trouble) => trouble,
        };
        if !trouble.may_pass() || Instant::now() + PAUSE > end {
            return Err(Away { waited: start.elapsed(), trouble });
        }
        thread::sleep(PAUSE);
    }
}

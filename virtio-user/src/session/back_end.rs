//! Where the back-end is, and how long to wait for it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use virtio_guest::wire::device_type::DeviceType;

use super::trouble::{Away, Trouble};
use crate::front_end::Place;
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

/// How long to wait for a back-end, until it is there and has answered everything that it is asked; and a second more at most, if it stops answering, for it to hang up.
///
/// Zero is one try, which takes as long as the back-end may take for its answers ([`Settings::answer_limit`] each).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// At first: it may not be started yet.
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
    /// Connects once, and asks nothing that is not answered by `end`. A listener waits as long for somebody to come.
    pub(super) fn connect(
        &self,
        device_type: DeviceType,
        memory: &SharedMemory,
        settings: &Settings,
        end: Option<Instant>,
    ) -> Result<VhostUser, ConnectError> {
        match self {
            Self::Path(path) => {
                VhostUser::begin(Place::Path(path.clone()), device_type, memory, settings, end)
            }
            Self::Listener(listener) => {
                let accept_limit = if end.is_some() { Duration::MAX } else { Duration::ZERO };
                let settings = Settings { accept_limit, ..settings.clone() };
                VhostUser::begin(Place::Listener(listener.clone()), device_type, memory, &settings, end)
            }
        }
    }

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

/// When a try is to be over that may take so long. Without any time it is not cut short.
pub(super) fn end_of(limit: Duration) -> Option<Instant> {
    (!limit.is_zero()).then(|| deadline(limit))
}

/// Tries until it works, it is no use, or the time is over.
pub(super) fn keep_trying<R>(
    limit: Duration,
    mut attempt: impl FnMut(Option<Instant>) -> Result<R, Trouble>,
) -> Result<R, Away> {
    let (start, end) = (Instant::now(), end_of(limit));
    loop {
        let trouble = match attempt(end) {
            Ok(result) => return Ok(result),
            Err(trouble) => trouble,
        };
        if !trouble.may_pass() || end.is_none_or(|end| Instant::now() + PAUSE > end) {
            return Err(Away { waited: start.elapsed(), trouble });
        }
        thread::sleep(PAUSE);
    }
}

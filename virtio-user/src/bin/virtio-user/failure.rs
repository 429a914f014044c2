//! What stood in the way, and what to do next.

use std::fmt::Display;
use std::io;
use std::path::Path;

use virtio_guest::device::{block, net};
use virtio_guest::wire::device_type::DeviceType;
use virtio_user::ConnectError;
use virtio_user::memory::MemoryError;
use virtio_user::protocol::Cause;
use virtio_user::session::{Away, Trouble};

/// Why the work was not done.
#[derive(Debug)]
pub struct Failure {
    /// What stood in the way.
    pub what: String,
    /// What to do next, if there is something.
    pub next: Option<String>,
}

impl Failure {
    /// Something that is told in these words.
    pub fn new(what: impl Display) -> Self {
        Self { what: what.to_string(), next: None }
    }

    /// The same, and what to do next.
    pub fn with(what: impl Display, next: impl Into<String>) -> Self {
        Self { what: what.to_string(), next: Some(next.into()) }
    }

    /// A file that could not be used.
    pub fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(format_args!("{}: {error}", path.display()))
    }
}

impl From<MemoryError> for Failure {
    fn from(error: MemoryError) -> Self {
        Self::new(error)
    }
}

impl From<Away> for Failure {
    fn from(away: Away) -> Self {
        Self { next: next(&away.trouble), what: away.to_string() }
    }
}

/// What to do about it.
fn next(trouble: &Trouble) -> Option<String> {
    let next = match trouble {
        Trouble::Connect(error) => return after_connecting(error),
        Trouble::Disk(block::StartError::Negotiate(_)) | Trouble::Card(net::StartError::Negotiate(_)) => {
            "let the back-end offer what is missing"
        }
        Trouble::Queues { .. } => "ask for fewer with --queues, or let the back-end have more",
        Trouble::Pairs(_) => "ask for one with --queues 1",
        Trouble::NotReset(_) | Trouble::NoSupply => {
            "end the back-end, for it does not answer, and start it again"
        }
        Trouble::Broken(_) => "look into what the back-end says: it does what no device may do",
        _ => return None,
    };
    Some(next.into())
}

fn after_connecting(error: &ConnectError) -> Option<String> {
    let next = match error {
        ConnectError::NoSocket(_) => {
            "start the back-end first, or wait for it with --wait-for-back-end SECONDS; if it connects to us, give --listen"
        }
        ConnectError::NotASocket(_) => "give the path of the back-end's socket",
        ConnectError::NobodyListens(_) => {
            "start the back-end again, or wait for it with --wait-for-back-end SECONDS; if it connects to us, give --listen"
        }
        ConnectError::NobodyCame { .. } => "start the back-end as the socket's client, or leave out --listen",
        ConnectError::OtherDeviceType { asked_for, .. } if *asked_for == DeviceType::BLOCK => {
            "use `virtio-user net` for a card"
        }
        ConnectError::OtherDeviceType { .. } => "use `virtio-user blk` for a disk",
        ConnectError::Protocol { fault, .. } if fault.cause == Cause::HungUp => {
            "see what the back-end says: it may have ended, or serve somebody else"
        }
        ConnectError::Protocol { .. } => "see what the back-end says about that step",
        _ => return None,
    };
    Some(next.into())
}

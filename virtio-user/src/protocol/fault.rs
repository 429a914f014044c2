//! What went wrong between us and the back-end, and in which step.
//!
//! A fault is small and can be copied: it is kept beside the connection for whoever asks later why the device looks gone ([`Link::fault`](crate::Link::fault)).

use std::fmt;
use std::time::Duration;

use rustix::io::Errno;

use super::message::Request;

/// A step of the protocol: one message, by the protocol's own name, and its queue if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The message, as the protocol's description calls it.
    pub name: &'static str,
    /// The queue that it is about.
    pub queue: Option<u16>,
}

impl Step {
    /// Between two messages: nothing was asked.
    pub const BETWEEN: Self = Self { name: "between two messages", queue: None };
    /// A message that the back-end sent by itself, on its own channel.
    pub const REQUEST_OF_BACK_END: Self = Self { name: "request of the back-end", queue: None };

    pub(super) const fn of(request: Request, queue: Option<u16>) -> Self {
        Self { name: request.name(), queue }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.queue {
            Some(queue) => write!(f, "{} of queue {queue}", self.name),
            None => f.write_str(self.name),
        }
    }
}

/// What the back-end did, or did not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// It closed the socket, or its process ended.
    #[error("the back-end hung up")]
    HungUp,
    /// It did not answer, or not wholly.
    #[error("the back-end did not answer within {0:?}")]
    NoAnswer(Duration),
    /// It did not read what was sent to it.
    #[error("the back-end did not read the message within {0:?}")]
    NotRead(Duration),
    /// It answered another message.
    #[error("the back-end answered message {0}, which it was not asked")]
    OtherMessage(u32),
    /// It sent something while nothing was asked.
    #[error("the back-end sent something that nobody asked for")]
    Unasked,
    /// What came is no answer, or none of version 1 of the protocol.
    #[error("the back-end sent the flags {0:#x}, which are not those of such a message")]
    Flags(u32),
    /// Its answer has a length that it cannot have.
    #[error("the back-end sent {bytes} bytes, where there can be {possible}")]
    Size {
        /// Bytes behind the header that it announced.
        bytes: u32,
        /// Bytes that there can be.
        possible: u32,
    },
    /// It sent file descriptors, which nobody asked it for.
    #[error("the back-end sent file descriptors, which nobody asked it for")]
    FileDescriptors,
    /// It did not do what it was asked for, and said so.
    #[error("the back-end refused (it said {0:#x})")]
    Refused(u64),
    /// Its answer makes no sense.
    #[error("the back-end's answer makes no sense: {0}")]
    Senseless(&'static str),
    /// The system call failed.
    #[error("{0}")]
    System(Errno),
}

impl From<Errno> for Cause {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET => Self::HungUp,
            other => Self::System(other),
        }
    }
}

/// What went wrong at the protocol, and in which step. After it the connection is of no use: nobody can know where the next message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {cause}")]
pub struct Fault {
    /// In which step.
    pub step: Step,
    /// What the back-end did.
    pub cause: Cause,
}

//! What becomes of a request that owns its buffer: a ticket, then a completion.
//!
//! Spec: §5.2.6 Device Operation.

use core::fmt;

use super::report::{DeviceId, Lifetime};
use super::request::{RequestError, Sector};

/// Which request this is. Unlike every other one of the same queue (2³² of them, then numbers come again).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) slot: u16,
    pub(super) serial: u32,
}

impl Ticket {
    /// Its place among the requests that can be in flight together: below [`RequestQueue::requests`](super::RequestQueue::requests), and no other request's until this one's
    /// completion was taken. So whoever keeps something for each request needs an array.
    pub const fn index(self) -> usize {
        self.slot as usize
    }
}

/// A request that the device is done with.
pub struct Completion<P> {
    /// Which one.
    pub ticket: Ticket,
    /// What was handed in with it. `None` for a request that carries nothing.
    pub payload: Option<P>,
    /// What the device answered besides, if the request was answered with something.
    pub answer: Option<Answer>,
    /// What became of it. A read that succeeded has filled all of the payload.
    pub result: Result<(), RequestError>,
}

/// What a device answers, apart from what is written into the buffer of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The disk's id string.
    DeviceId(DeviceId),
    /// How worn it is.
    Lifetime(Lifetime),
    /// Where an append was written: its first sector.
    Appended(Sector),
    /// How many bytes of the buffer a report of zones takes: see [`Shape::zones_in`](super::Shape::zones_in).
    Report(usize),
}

/// A request that was not sent, or did not succeed: why, and what was handed in with it.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct Failed<P> {
    /// Why.
    pub error: RequestError,
    /// What was handed in. `None` if the request carried nothing, or the queue still has it: then it comes back with the reset of the device.
    pub payload: Option<P>,
}

impl<P> From<Failed<P>> for RequestError {
    fn from(failed: Failed<P>) -> Self {
        failed.error
    }
}

// What is carried is the kernel's, and need not be printable.
impl<P> fmt::Debug for Completion<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, answer, result, .. } = self;
        let mut fields = f.debug_struct("Completion");
        fields.field("ticket", ticket).field("answer", answer).field("result", result).finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for Failed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed").field("error", &self.error).finish_non_exhaustive()
    }
}

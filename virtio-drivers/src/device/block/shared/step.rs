//! How far a request of a task's is, where its task waits, and what becomes of it.
//!
//! Spec: §5.2.6 Device Operation. The states are drawn in `requests`.

use super::super::command::{Command, SectorRange};
use super::super::completion::{Answer, Failed};

/// What may go out at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Everything.
    None,
    /// The next parts of what is in flight.
    NoRequests,
    /// Nothing, for the device may be reset meanwhile.
    Nothing,
}

/// Where somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// For a request in flight.
    Entry(usize),
    /// For a place.
    Room(u64),
    /// For something else.
    Seat(Seat),
}

/// Who waits for something else than a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// Until nothing is in flight.
    Drainer,
    /// For ever: it looks for all.
    Runner,
}

/// A request that a task wants.
#[derive(Debug)]
pub(super) struct Order<P> {
    pub(super) command: Command,
    /// What it is about, if that is a range.
    pub(super) range: Option<SectorRange>,
    pub(super) payload: Option<P>,
}

/// How far a task's request is.
#[derive(Debug)]
pub(super) enum Step<P> {
    Wanted(Order<P>),
    Waiting(u64, Order<P>),
    InFlight(usize),
    Over,
}

impl<P> Step<P> {
    /// Where its task waits.
    pub(super) const fn place(&self) -> Option<Place> {
        match self {
            Self::InFlight(index) => Some(Place::Entry(*index)),
            Self::Waiting(number, _) => Some(Place::Room(*number)),
            Self::Wanted(_) | Self::Over => None,
        }
    }
}

/// A request that succeeded.
#[derive(Debug)]
pub(super) struct Done<P> {
    pub(super) payload: Option<P>,
    pub(super) answer: Option<Answer>,
}

/// What becomes of a request.
pub(super) type Outcome<P> = Result<Done<P>, Failed<P>>;

//! Why there is no back-end to go on with.

use std::fmt;
use std::time::Duration;

use virtio_guest::device::{block, net};
use virtio_guest::lifecycle::ResetError;
use virtio_guest::ring::Broken;

use crate::ConnectError;

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// There is no connection to a back-end.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It is no disk that can be brought up.
    #[error("the disk did not start: {0}")]
    Disk(#[from] block::StartError),
    /// It is no card that can be brought up.
    #[error("the card did not start: {0}")]
    Card(#[from] net::StartError),
    /// It is not the device that it was: with so many queues (of a card: pairs) less.
    #[error("the back-end has {there} queues, and {wanted} are needed")]
    Queues {
        /// How many it has.
        there: u16,
        /// How many there are to be.
        wanted: u16,
    },
    /// The card was not told how many pairs of queues there are.
    #[error("the card does not take its number of queues: {0}")]
    Pairs(net::ControlError),
    /// The back-end does not answer, and has not gone either: it may still use what was in flight.
    #[error("the back-end was not stopped: {0}")]
    NotReset(#[from] ResetError),
    /// The back-end broke the rules of the rings. [`Disk::restart`](super::Disk::restart) and [`Card::restart`](super::Card::restart) try again with it.
    #[error("the back-end broke the protocol: {0}")]
    Broken(#[from] Broken),
    /// What a pair of queues was made of is lost: an earlier back-end would not let go of it. So it is for good. It happens when a back-end that has some pairs of several neither answers for the next one until the try is over, nor hangs up for a second more.
    #[error("frames are lost to a back-end that would not be stopped")]
    NoSupply,
}

impl Trouble {
    /// Whether another back-end may come with which it is otherwise.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Connect(error) => !matches!(
                error,
                ConnectError::NotASocket(_)
                    | ConnectError::PathTooLong(_)
                    | ConnectError::OtherDeviceType { .. }
                    | ConnectError::Legacy(_)
            ),
            Self::Broken(_) | Self::NoSupply => false,
            _ => true,
        }
    }
}

/// There is no back-end: how long it was waited for, and what stood in the way last. What is in flight is kept for the next one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{trouble}{}", Waited(*.waited))]
pub struct Away {
    /// How long.
    pub waited: Duration,
    /// What stood in the way.
    pub trouble: Trouble,
}

/// What is said of a wait, if there was one.
struct Waited(Duration);

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0..100 => Ok(()),
            _ => write!(f, " (after {:.1} s of waiting for a back-end)", self.0.as_secs_f64()),
        }
    }
}

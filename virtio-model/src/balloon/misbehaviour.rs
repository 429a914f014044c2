//! The lies that a balloon can tell.
//!
//! All are off by default; [`Balloon::misbehave`](super::Balloon::misbehave) switches them on. What makes no sense in the configuration is said with
//! [`Balloon::set_target`](super::Balloon::set_target) and [`Balloon::set_hint_command`](super::Balloon::set_hint_command), and lies about the ring itself are
//! told through [`Balloon::with_queue`](super::Balloon::with_queue).

use super::queues::BalloonQueue;
use crate::block::WrittenLen;

/// What the balloon does wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BalloonMisbehaviour {
    /// The length in used elements.
    pub written: WrittenLen,
    /// The id in used elements.
    pub used_id: Option<u32>,
    /// The queue that the two are about, if not all.
    pub only: Option<BalloonQueue>,
    /// Statistics are given back as soon as they are there, without end.
    pub floods_statistics: bool,
}

impl BalloonMisbehaviour {
    /// The length to tell, and the id.
    pub(super) fn of(&self, queue: BalloonQueue) -> (u32, Option<u32>) {
        if self.only.is_some_and(|only| only != queue) {
            return (0, None);
        }
        (self.written.apply(0), self.used_id)
    }
}

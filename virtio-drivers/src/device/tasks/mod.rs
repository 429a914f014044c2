//! What asynchronous drivers have in common: who waits for a place, and what is done after the lock.
//!
//! Spec: §2.6 Virtqueues. Knows neither queues nor requests.

mod later;
mod room;

pub(super) use later::Later;
pub(super) use room::{Guest, Room};

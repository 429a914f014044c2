//! Virtqueues: hand descriptor chains to a device, take them back when it has used them.
//!
//! Spec: §2.6 Virtqueues, §2.7 Split Virtqueues. This floor knows neither transports nor devices: a queue is ring memory and a
//! doorbell. [`lifecycle`](crate::lifecycle) installs queues; drivers use them like this:
//!
//! ```text
//!   make_available(chain, context)   write descriptors; the device does not see them yet      ┐ as often
//!   make_available(chain, context)                                                            ┘ as fits
//!   publish()                        one index store, one full fence, at most one notification
//!   take_used()                      the context comes back, with the bytes the device wrote
//!   rearm()                          ask for notifications again, and look once more
//! ```
//!
//! What a device writes into the rings is read once and checked against private books (`slots`); a device that breaks the protocol
//! makes the queue [`Broken`], which only a reset cures.

mod chain;
mod installed;
mod prepared;
mod queue;
mod slots;
mod split;
mod suppress;

pub use chain::{Chain, Portion, RefusedChain, RefusedReason};
pub use installed::InstalledQueue;
pub use prepared::QueueSettings;
pub(crate) use prepared::{PrepareError, PreparedQueue, queue_size};
pub use queue::{Broken, QueueStatistics, Rearmed, Returned, Used, Virtqueue};
pub use slots::{Slots, Storage};

//! Virtqueues: hand descriptor chains to a device, take them back when it has used them.
//!
//! Spec: §2.6 Virtqueues, §2.7 Split Virtqueues, §2.8 Packed Virtqueues. This floor knows neither transports nor devices: a queue is ring memory and a
//! doorbell. [`lifecycle`](crate::lifecycle) installs queues; drivers use them like this:
//!
//! ```text
//!   make_available(chain, context)   write descriptors; the device does not see them yet; as often as fits (fastest: make_available_burst)
//!   publish()                        one store that shows them all, one full fence, at most one notification
//!   take_used()                      the context comes back, and how many bytes the device wrote (or take_used_burst)
//!   rearm()                          ask for notifications again, and look once more (or rearm_delayed)
//! ```
//!
//! Whether the queue is split or packed was agreed on when it was made, and nobody needs to know; [`Virtqueue::active_path`] tells.
//!
//! What a device writes into the rings is read once and checked against private books (`books`); a device that breaks the protocol
//! makes the queue [`Broken`], which only a reset cures.

#![forbid(unsafe_code)]
#![allow(
    clippy::inline_always,
    reason = "at the place of a call most of a chain is constant, and then most of the work is done by the compiler"
)]

mod active;
mod books;
mod broken;
mod chain;
mod completion;
mod framed;
mod in_order;
mod installed;
mod layout;
mod packed;
mod parked;
mod position;
mod prepared;
mod queue;
mod returned;
mod service;
mod singles;
mod slots;
mod split;
mod supply;
mod suppress;
mod used;

pub use active::{ActivePath, QueueStatistics};
pub use broken::Broken;
pub use chain::{Chain, Portion, RefusedBurst, RefusedChain, RefusedReason};
pub use completion::Used;
pub(crate) use completion::UsedSink;
pub(crate) use framed::{FrameAnswer, Framed, FramedTaker};
pub use installed::InstalledQueue;
pub use layout::Layout;
pub use parked::ParkedQueue;
pub use prepared::QueueSettings;
pub(crate) use prepared::{DeviceLimits, Frames, PrepareError, PrepareFailed, PreparedQueue, queue_size};
pub use queue::{Rearmed, Virtqueue};
pub use returned::Returned;
pub(crate) use singles::SingleSource;
pub(crate) use slots::Place;
pub use slots::{Slots, Storage};

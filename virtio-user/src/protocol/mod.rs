//! The vhost-user protocol: its messages, the socket, and what can go wrong.
//!
//! Written from the protocol's description in QEMU's documentation ("Vhost-user Protocol"). Nothing here knows what a driver is: [`front_end`](crate::front_end) says what is sent when.
//!
//! ```text
//!   Connection   a message and its answer; requests of the back-end meanwhile     deadlines
//!   Socket       bytes and file descriptors                                       never waits
//!   message      layouts, numbers, names
//! ```
//!
//! What comes from a back-end is judged before anything is done with it: who sent the wrong kind, version, length, or a file descriptor, is not listened to any more.

mod connection;
mod fault;
mod features;
mod message;
mod requests;
mod socket;

pub(crate) use connection::Connection;
pub use fault::{Cause, Fault, Step};
pub use features::ProtocolFeatures;
pub(crate) use features::{LOG_ALL, PROTOCOL_FEATURES};
pub(crate) use message::{QueueAddresses, Request};
pub(crate) use socket::Socket;

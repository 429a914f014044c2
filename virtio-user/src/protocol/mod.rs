//! The vhost-user protocol: its messages, the socket, and what can go wrong.
//!
//! Written from the protocol's description in QEMU's documentation ("Vhost-user Protocol"). Nothing here knows what a driver is: [`front_end`](crate::front_end) says what is sent when.

mod fault;

pub use fault::{Cause, Fault, Step};

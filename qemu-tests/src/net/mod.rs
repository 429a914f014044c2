//! Network cards: what QEMU is told of them, and what is at the other end of the cable.
//!
//! ```text
//!   NetDevice      the card: features that it offers, queues, MTU              -device virtio-net-…
//!   Network        where its cable goes                                        -netdev …
//!     ├─ User          a network inside of QEMU, with a port of the host's
//!     ├─ Datagrams     another machine's card, or Stream: one frame after the other
//!     ├─ Tap           a port of a bridge in a Namespace, with offloads and several queues
//!     │                  └─ Port    another port of the same bridge, in the test's own hands
//!     └─ VhostUser     a port of a process that works in the guest's memory       crate::backend
//! ```
//!
//! Namespaces and taps need root.

mod capture;
mod device;
mod namespace;
mod network;
mod port;

pub use capture::{Capture, captured};
pub use device::NetDevice;
pub use namespace::Namespace;
pub use network::{Cable, Network, free_port};
pub use port::{FrameHeader, Port};

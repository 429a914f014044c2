//! The drivers of `virtio-guest` in an ordinary process, at any vhost-user back-end.
//!
//! A back-end is a process that plays a device in another's memory: a switch (DPDK, Open vSwitch), `qemu-storage-daemon`, `virtiofsd`, rust-vmm's `vhost-device-*`. Here its other end
//! is no machine but a Linux process: the drivers are the same, unchanged, and run under `cargo test`, debuggers and sanitizers, without a boot.
//!
//! # Map
//!
//! ```text
//!   who                what it is                                                     where
//!   [`front_end`]      the control path: `VhostUser`, a `Transport`                   a Unix socket
//!   [`memory`]         the memory that both sides use: `SharedMemory`, its `Hal`      a memfd
//!   [`protocol`]       messages, the socket they go through, and what can go wrong
//!   [`session`]        disks and cards that survive their back-end
//!   `tokio`            interrupts for tasks of that runtime: a feature
//! ```
//!
//! Nothing in the shared memory is ever behind a Rust reference, since the back-end may write there at any time, even one that was asked to stop. So a back-end that lies, dies or does
//! not listen can spoil data, as a disk can, and never this process's own memory. One that wants to can also keep a thread waiting that notifies it, or that reads its interrupts: both sides share the eventfds, and how they behave.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

pub mod front_end;
pub mod memory;
mod patience;
pub mod protocol;
pub mod session;
#[cfg(feature = "tokio")]
#[allow(unsafe_code, reason = "a file that is waited for stays open")]
pub mod tokio;

pub use front_end::{ConnectError, Link, Listener, Settings, Vector, VhostUser};
pub use memory::SharedMemory;
pub use patience::{Until, within};
pub use protocol::Fault;

// What the front page shows of all crates, and the guide's page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/src/virtio-user.md")]
mod guide {}

//! Back-ends that serve network cards from a process of their own, in the guest's memory (vhost-user).
//!
//! ```text
//!   guest      the driver: frames, rings                    in memory that all three share
//!   QEMU       the front-end: registers, features, link     ─── control path: a socket, Network::VhostUser
//!   back-end   takes and fills the rings' buffers           ─── data path: the rings, with eventfds for notifications
//!     ├─ Testpmd       DPDK's test program: hands frames from one port to the other, or back
//!     └─ OpenVSwitch   a switch with DPDK: a bridge between guests
//! ```
//!
//! Both look at the rings all the time, so each takes a processor for itself. Only one is there at a time in a test program: the next test's waits until it is dropped.

mod open_vswitch;
mod process;
mod testpmd;

pub use open_vswitch::OpenVSwitch;
pub use testpmd::{Counters, Forwarding, Testpmd, TestpmdSettings};

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other back-end is there.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The processors that this process may use, as Linux writes them: `0-3,8`.
fn processors() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says how this process is");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.expect("and where it runs").trim().into()
}

//! How a device is, by what its status says.
//!
//! Spec: §2.1 Device Status Field, §2.1.2 (DEVICE_NEEDS_RESET). Asked after an interrupt for the configuration, or when a wait got nowhere; one register read.

use super::running::Running;
use crate::transport::Transport;
use crate::wire::status::Status;

/// How a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Live.
    Live,
    /// It met an error that nothing but a reset cures. What is in flight may never come back.
    NeedsReset,
    /// It is gone: its status reads all ones.
    Removed,
    /// It has no driver, it says, though nobody here took it down: it was reset behind its driver's back, or is gone without a trace.
    Lost,
}

impl<T: Transport, D: Copy> Running<T, D> {
    /// How the device is.
    pub fn condition(&self) -> Condition {
        let status = self.rung.transport.status();
        if status == Status::REMOVED {
            Condition::Removed
        } else if status.contains(Status::DEVICE_NEEDS_RESET) {
            Condition::NeedsReset
        } else if status.contains(Status::DRIVER_OK) {
            Condition::Live
        } else {
            Condition::Lost
        }
    }
}

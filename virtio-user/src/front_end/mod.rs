//! The front-end: the driver's side of a vhost-user socket, as a transport for drivers.

mod connect_error;
mod link;
mod settings;

use std::path::Path;

use virtio_guest::wire::device_type::DeviceType;

pub use connect_error::ConnectError;
pub use link::Link;
pub use settings::Settings;

use crate::memory::SharedMemory;

/// A device that a vhost-user back-end plays: a [`Transport`](virtio_guest::transport::Transport) for any driver.
#[derive(Debug)]
pub struct VhostUser {
    link: Link,
}

impl VhostUser {
    /// Connects to the back-end that listens at `path`, and asks it what it can.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(
        path: impl AsRef<Path>,
        device_type: DeviceType,
        memory: &SharedMemory,
        settings: &Settings,
    ) -> Result<Self, ConnectError> {
        let _ = (device_type, memory, settings);
        Err(ConnectError::NoSocket(path.as_ref().into()))
    }

    /// Connects anew, after the back-end went and the driver has reset the device.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn reconnect(&mut self) -> Result<(), ConnectError> {
        Err(ConnectError::NotReset)
    }

    /// Whether the back-end is there, and if not, why: to be kept beside a driver that has the transport.
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// A file that says when an interrupt came, if there is such a vector.
    pub fn vector(&self, vector: u16) -> Option<Vector> {
        let _ = vector;
        None
    }
}

/// A socket that back-ends connect to, where they are the socket's client (as Open vSwitch's `dpdkvhostuserclient`).
#[derive(Debug)]
pub struct Listener {}

/// An interrupt vector: 0 for changes of the configuration, 1 + n for queue n.
#[derive(Debug)]
pub struct Vector {}

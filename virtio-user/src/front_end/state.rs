//! The connection, and what is known of its back-end: shared by the transport, its links, and its vectors.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::io::Errno;
use virtio_guest::wire::device_type::DeviceType;

use super::config;
use super::vectors::{Files, Signal};
use crate::protocol::{Cause, Connection, Fault, Step};

/// What transport, links and vectors of one device share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Becomes readable when the configuration may have changed, or the back-end is gone.
    pub(super) config_file: OwnedFd,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct State {
    device_type: DeviceType,
    /// `None` once the back-end has hung up: it has the memory no more.
    connection: Option<Connection>,
    fault: Option<Fault>,
    /// The back-end's configuration space, as it was read last.
    pub(super) config: Vec<u8>,
    /// How often that may have changed.
    pub(super) generation: u32,
    pub(super) files: Files,
}

impl Shared {
    /// A device that nobody plays yet.
    pub(super) fn new(device_type: DeviceType) -> Result<Arc<Self>, Errno> {
        let (files, config_file) = Files::new()?;
        let state =
            State { device_type, connection: None, fault: None, config: Vec::new(), generation: 0, files };
        Ok(Arc::new(Self { state: Mutex::new(state), config_file }))
    }

    /// The state, for a moment, or as long as a message and its answer take.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in it is half done where something can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the file say that the configuration may have changed watch a connection.
    pub(super) fn watch(&self, connection: &Connection) -> Result<(), Errno> {
        Signal::watch(&self.config_file, connection.socket().as_fd(), connection.requests())
    }
}

impl State {
    /// The back-end is there, and said this of its configuration.
    pub(super) fn begin(&mut self, connection: Connection, config: Vec<u8>) {
        self.connection = Some(connection);
        self.config = config;
        self.fault = None;
        self.generation = self.generation.wrapping_add(1);
    }

    /// Nobody is listened to any more, though somebody may still be there.
    pub(super) fn close(&mut self) {
        self.connection = None;
    }

    /// No wait for the back-end goes beyond this time from now on, if there is one.
    pub(super) const fn end_by(&mut self, end: Option<Instant>) {
        if let Some(connection) = &mut self.connection {
            connection.end_by(end);
        }
    }

    /// What went wrong first.
    pub(super) const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether the back-end is there and listened to.
    pub(super) fn is_up(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.is_over())
    }

    /// Whether the back-end has hung up. Until then it has the memory that it was told of, whether it is listened to or not.
    pub(super) const fn is_hung_up(&self) -> bool {
        self.connection.is_none()
    }

    /// Looks whether the back-end is there. To be called while nothing is asked of it.
    pub(super) fn look(&mut self) {
        let mut looked = self.connection.as_mut().map(Connection::has_hung_up);
        if let Some(Err(fault)) = looked {
            self.note(fault);
            // It knows that nobody listens any more, and may have hung up at once.
            looked = self.connection.as_mut().map(Connection::has_hung_up);
        }
        if looked == Some(Ok(true)) {
            self.connection = None;
            self.note(Fault { step: Step::BETWEEN, cause: Cause::HungUp });
        }
    }

    /// Speaks to the back-end. What goes wrong is kept.
    pub(super) fn with<R>(
        &mut self,
        act: impl FnOnce(&mut Connection) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let Some(connection) = &mut self.connection else {
            return Err(self.fault.unwrap_or(Fault { step: Step::BETWEEN, cause: Cause::HungUp }));
        };
        let done = act(connection);
        if connection.config_change_is_pending() {
            // It was read while an answer was waited for: its channel does not tell of it any more.
            self.files.signal_config();
        }
        if let Err(fault) = done {
            self.note(fault);
            self.look();
        }
        done
    }

    /// Keeps what went wrong, if it is the first thing, and wakes whoever waits for a device that is gone.
    pub(super) fn note(&mut self, fault: Fault) {
        if self.fault.is_none() {
            log::debug!("vhost-user back-end of device type {}: {fault}", self.device_type.0);
        }
        self.fault.get_or_insert(fault);
        if !self.is_up() {
            self.generation = self.generation.wrapping_add(1);
            self.files.signal_all();
        }
    }

    /// Whether the back-end said that its configuration changed, and that was not read yet.
    pub(super) fn config_change_is_pending(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::config_change_is_pending)
    }

    /// Whether the back-end said so much at once that some of it was not read yet.
    pub(super) fn has_more_requests(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::has_more_requests)
    }

    /// Looks whether the back-end is there, and whether it said that its configuration changed; then that is read anew.
    pub(super) fn refresh(&mut self) {
        self.look();
        if !self.is_up() {
            return;
        }
        let device_type = self.device_type;
        let fresh = self.with(|connection| {
            let changed = connection.config_changed()?;
            changed.then(|| config::fetch(connection, device_type)).transpose()
        });
        if let Ok(Some(config)) = fresh {
            self.config = config;
            self.generation = self.generation.wrapping_add(1);
        }
    }
}

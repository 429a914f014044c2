//! A device that a back-end plays: how it is found, and found again.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::net::NetFeatures;
use virtio_guest::wire::status::Status;

use super::connect_error::ConnectError;
use super::control_bell::ControlBell;
use super::doorbell::Bell;
use super::handshake::{self, Offer};
use super::link::Link;
use super::place::Place;
use super::settings::Settings;
use super::state::Shared;
use super::vectors::Vector;
use crate::memory::SharedMemory;
use crate::protocol::{Connection, Socket};

/// A device that a vhost-user back-end plays: a [`Transport`](virtio_guest::transport::Transport) for any driver.
///
/// Give a driver `&mut` of it to have it back afterwards, and to connect anew when the back-end was started again:
///
/// ```no_run
/// use virtio_guest::wire::device_type::DeviceType;
/// use virtio_user::memory::{MemorySettings, SharedMemory};
/// use virtio_user::{Settings, VhostUser};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let memory = SharedMemory::new(&MemorySettings::default())?;
/// let mut disk = VhostUser::connect("/run/disk.sock", DeviceType::BLOCK, &memory, &Settings::default())?;
/// let link = disk.link();
/// // … Block::start(&mut disk, memory.hal(), …) … and when it fails:
/// if let Some(fault) = link.fault() {
///     eprintln!("{fault}");
///     disk.reconnect()?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VhostUser {
    pub(super) shared: Arc<Shared>,
    place: Place,
    pub(super) device_type: DeviceType,
    pub(super) memory: SharedMemory,
    pub(super) settings: Settings,
    pub(super) offer: Offer,
    /// The device status, as the driver wrote it and the back-end lets it be.
    pub(super) told: Status,
    /// What the driver accepts.
    pub(super) accepted: u128,
    pub(super) queues: Vec<InstalledQueue>,
    /// The control queue, which the back-end is not told of.
    pub(super) commands: Option<&'static ControlBell>,
    /// Which vector each queue is to have: queue, vector.
    pub(super) routes: Vec<(u16, u16)>,
    pub(super) reset: Reset,
}

/// A queue that the back-end was told of.
#[derive(Debug)]
pub(super) struct InstalledQueue {
    pub index: u16,
    pub bell: &'static Bell,
    /// Whether the back-end said that it stopped it.
    pub is_stopped: bool,
}

/// What became of the last reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    /// The back-end stopped, or is gone.
    Done,
    /// The back-end did not say that it stopped; it has until it hangs up.
    UntilHangUp,
    /// There was nothing to be reset, and no back-end to begin with.
    NobodyThere,
}

impl VhostUser {
    /// Connects to the back-end that listens at `path`, and asks it what it can.
    ///
    /// Work: waits at most [`Settings::answer_limit`] for each of about ten answers.
    ///
    /// # Errors
    /// - [`ConnectError`]: what is wrong with the socket, which step the back-end failed and how, or what it seems to be instead. Nothing is left open.
    pub fn connect(
        path: impl AsRef<Path>,
        device_type: DeviceType,
        memory: &SharedMemory,
        settings: &Settings,
    ) -> Result<Self, ConnectError> {
        Self::begin(Place::Path(path.as_ref().into()), device_type, memory, settings, None)
    }

    /// Connects to the back-end that is at this place. No wait goes beyond `end`, if there is one, until the link is told otherwise.
    pub(crate) fn begin(
        place: Place,
        device_type: DeviceType,
        memory: &SharedMemory,
        settings: &Settings,
        end: Option<Instant>,
    ) -> Result<Self, ConnectError> {
        let system = |error| ConnectError::Socket { path: place.path().into(), error };
        let shared = Shared::new(device_type).map_err(system)?;
        let offer = meet(&shared, &place, device_type, settings, end)?;
        Ok(Self {
            shared,
            place,
            device_type,
            memory: memory.clone(),
            settings: settings.clone(),
            offer,
            told: Status::empty(),
            accepted: 0,
            queues: Vec::new(),
            commands: None,
            routes: Vec::new(),
            reset: Reset::Done,
        })
    }

    /// Connects anew, where the device was found before: after the back-end went, and the driver has reset the device. Links and vectors stay as they are.
    ///
    /// # Errors
    /// - [`ConnectError::NotReset`]: the driver has not reset the device, or its back-end did not say that it stopped and has not hung up either.
    /// - [`ConnectError::StillConnected`]: the back-end is there.
    /// - Others as [`connect`](VhostUser::connect)'s; it can be tried again.
    pub fn reconnect(&mut self) -> Result<(), ConnectError> {
        let (is_up, is_hung_up) = {
            let mut state = self.shared.lock();
            state.look();
            (state.is_up(), state.is_hung_up())
        };
        if !self.told.is_empty() || (self.reset == Reset::UntilHangUp && !is_hung_up) {
            return Err(ConnectError::NotReset);
        }
        if is_up {
            return Err(ConnectError::StillConnected(self.place.path().into()));
        }
        self.shared.lock().close();
        self.forget_queues();
        self.offer = meet(&self.shared, &self.place, self.device_type, &self.settings, None)?;
        self.reset = Reset::Done;
        Ok(())
    }

    /// Whether the back-end is there, and if not, why: to be kept beside a driver that has the transport.
    pub fn link(&self) -> Link {
        Link::new(self.shared.clone())
    }

    /// A file that says when an interrupt came; `None` if there is no such vector, or no file to be had.
    pub fn vector(&self, vector: u16) -> Option<Vector> {
        if vector >= self.vector_count() {
            return None;
        }
        Vector::new(&self.shared, vector).ok()
    }

    /// Whether these features are a card's, and have one.
    pub(super) fn has_agreed(&self, features: u128, feature: NetFeatures) -> bool {
        self.device_type == DeviceType::NETWORK && features & feature.bits() != 0
    }

    /// How many vectors there are: one for the configuration, and one for each queue.
    pub(super) fn vector_count(&self) -> u16 {
        let control = u16::from(self.has_agreed(self.offer.features, NetFeatures::CTRL_VQ));
        let queues = self.offer.queues.saturating_add(control);
        if self.settings.interrupts { queues.saturating_add(1) } else { 0 }
    }

    /// The back-end has no queues any more. The bells of those that it stopped go to others.
    pub(super) fn forget_queues(&mut self) {
        for queue in self.queues.drain(..) {
            if queue.is_stopped {
                queue.bell.rest();
            } else {
                queue.bell.keep_back();
            }
        }
        self.end_commands();
        self.routes.clear();
    }

    /// The control queue is not served any more.
    pub(super) fn end_commands(&mut self) {
        if let Some(commands) = self.commands.take() {
            commands.rest();
        }
    }
}

impl Drop for VhostUser {
    fn drop(&mut self) {
        // The back-end sees that nobody is there any more, though there may be links and vectors.
        self.shared.lock().close();
        self.forget_queues();
    }
}

/// Connects to a back-end, and asks it what it can.
fn meet(
    shared: &Shared,
    place: &Place,
    device_type: DeviceType,
    settings: &Settings,
    end: Option<Instant>,
) -> Result<Offer, ConnectError> {
    let socket = place.open(settings, end)?;
    let mut connection = Connection::new(Socket::new(socket), settings.answer_limit);
    connection.end_by(end);
    let offer = handshake::ask(&mut connection, device_type, settings)
        .map_err(|refusal| refusal.at(place.path(), device_type))?;
    let system = |error: Errno| ConnectError::Socket { path: place.path().into(), error };
    shared.watch(&connection).map_err(system)?;
    shared.lock().begin(connection, offer.config.clone());
    Ok(offer)
}

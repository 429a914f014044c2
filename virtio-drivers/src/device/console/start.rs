//! Bring-up: from a transport to a console, or back to a device that is reset.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, §5.3.5 Device Initialization.
//!
//! ```text
//!   Starting::begin              type, features, configuration, vectors       touches no storage
//!   Starting::install_port       the queues of port 0, then of port 1, …      storage comes back if it fails
//!   Starting::install_control    the control queues, if there are some
//!   Starting::start              DRIVER_OK, DEVICE_READY: Control; activate each port
//! ```
//!
//! [`Console::start`](super::Console::start) does all of it for a console with one port. Several ports:
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, lifecycle::Wants, transport::Transport};
//! use virtio_guest::device::console::{Control, ControlSlots, HANDLED, ReceiveQueue, Settings, Slots, Starting, TransmitQueue};
//!
//! # type Queues<H> = (ReceiveQueue<'static, H>, TransmitQueue<'static, H>);
//! # fn example<T: Transport, H: Hal>(transport: T, hal: &H) -> Result<(Control<'static, T, H>, Vec<Queues<H>>), Box<dyn core::error::Error>> {
//! let settings = Settings { ports_max: 8, ..Settings::default() };
//! let mut console = Starting::begin(transport, &settings, Wants::features(HANDLED), Attempts(100_000))?;
//! let mut installed = Vec::new();
//! for _ in 0..console.ports() {
//!     installed.push(console.install_port(hal, Slots::allocate(128)).map_err(|failed| failed.error)?);
//! }
//! console.install_control(hal, ControlSlots::allocate(32, console.ports())).map_err(|failed| failed.error)?;
//! let control = console.start().map_err(|failed| failed.to_string())?;
//! let ports = installed.into_iter().map(|port| control.activate(port)).collect();
//! Ok((control, ports)) // which of them there are is told by events
//! # }
//! ```

use core::fmt;

use super::buffers::{FreeBuffers, Places};
use super::control::Control;
use super::emergency;
use super::messages::{Messages, incoming_places, outgoing_places};
use super::port::IdlePort;
use super::ports::Ports;
use super::settings::Settings;
use super::slots::{Buffer, ControlSlots, PortSlots, Slots};
use super::table::Table;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{
    ConfigError, ControlHalf, InstallError, InstallFailed, Installing, NegotiateError, Negotiating,
    ResetError, Wants,
};
use crate::raw::ConfirmedReset;
use crate::ring::{self, InstalledQueue, QueueSettings, Returned};
use crate::transport::Transport;
use crate::wire::console::{
    CONTROL_RECEIVE_QUEUE, CONTROL_TRANSMIT_QUEUE, ConsoleFeatures, PORTS_MAX, config, receive_queue,
};
use crate::wire::device_type::DeviceType;

/// What this driver handles: everything that there is.
pub const HANDLED: ConsoleFeatures = ConsoleFeatures::all();

/// Why a console could not be brought up. The device was reset, if it is one that this driver may touch, and lets itself be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The device is of another type.
    #[error("device type {0:?} is no console")]
    NotAConsole(DeviceType),
    /// It does not answer a reset.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// No agreement on features.
    #[error(transparent)]
    Negotiate(#[from] NegotiateError),
    /// Its configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A queue cannot be installed.
    #[error(transparent)]
    Queue(#[from] InstallError),
    /// All ports are installed that the device and the settings allow.
    #[error("there are {ports} ports, and all are installed")]
    NoMorePorts {
        /// How many.
        ports: u16,
    },
    /// The console has no control queues, or they are installed.
    #[error("there are no control queues, or they are installed")]
    NoControlQueues,
}

/// A port that was not installed: why, and the storage that was lent.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct PortFailed<'s> {
    /// Why.
    pub error: StartError,
    /// The storage. It has no room any more for a receive queue that the device knows of, because it was the transmit queue that could not be installed.
    pub slots: Slots<'s>,
}

/// Control queues that were not installed: why, and the storage that was lent.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ControlFailed<'s> {
    /// Why.
    pub error: StartError,
    /// The storage. It has no room any more for a receive queue that the device knows of, because it was the transmit queue that could not be installed.
    pub slots: ControlSlots<'s>,
}

impl From<PortFailed<'_>> for StartError {
    fn from(failed: PortFailed<'_>) -> Self {
        failed.error
    }
}

impl From<ControlFailed<'_>> for StartError {
    fn from(failed: ControlFailed<'_>) -> Self {
        failed.error
    }
}

/// A console that was not started: it agreed to have several ports, and has no control queues to be told of them.
#[derive(Debug, thiserror::Error)]
#[error("the control queues are not installed")]
pub struct NotStarted<'s, T: Transport, H: Hal> {
    /// As it was: install them, or give up.
    pub starting: Starting<'s, T, H>,
}

/// A console on its way up: it agreed on features, and waits for its queues.
///
/// Dropping it resets the device; queues installed until then leak their memory, unless [`give_up`](Starting::give_up) is used instead.
///
/// If the second of two queues cannot be installed, the device knows of the first: that is kept here, and with the live console later, until a reset.
pub struct Starting<'s, T: Transport, H: Hal> {
    device: Installing<T, ConsoleFeatures>,
    settings: Settings,
    offers_emergency_write: bool,
    /// Ports that the device can have,
    ports_max: u32,
    /// those of them that can be installed,
    ports: u16,
    /// and those that are.
    installed: u16,
    unpaired: Unpaired<'s, H>,
    control: Option<InstalledControl<'s, H>>,
}

/// Receive queues that have no transmit queue: a port's, and the control queues'. Of no use, but the device knows of them.
pub(super) type Unpaired<'s, H> = [Option<InstalledQueue<'s, H, Buffer>>; 2];

/// Takes back what they have, after a reset: the storage of the port's.
pub(super) fn reclaim_unpaired<'s, H: Hal>(
    unpaired: Unpaired<'s, H>,
    reset: &ConfirmedReset,
) -> Option<ring::Slots<'s, Buffer>> {
    let [port, _] = unpaired.map(|queue| queue?.reclaim(reset).ok().map(Returned::into_slots));
    port
}

/// The control queues, and where ports are kept.
struct InstalledControl<'s, H: Hal> {
    receive: InstalledQueue<'s, H, Buffer>,
    transmit: InstalledQueue<'s, H, Buffer>,
    ports: PortSlots<'s>,
}

impl<H: Hal> InstalledControl<'_, H> {
    /// The end of a bring-up that was given up.
    fn reclaim(self, reset: &ConfirmedReset) {
        drop((self.receive.reclaim(reset), self.transmit.reclaim(reset)));
    }
}

/// A queue and the places of its buffers; or why there is none, and the storage.
type InstalledBuffers<'s, H> =
    Result<(InstalledQueue<'s, H, Buffer>, Places), (StartError, ring::Slots<'s, Buffer>)>;

impl<'s, T: Transport, H: Hal> Starting<'s, T, H> {
    /// Agrees on features, asks how many ports there can be, and deals out the device's interrupt vectors, if [`Settings::notifications`] are wanted.
    ///
    /// # Errors
    /// See [`StartError`]. To keep the transport, pass `&mut transport`.
    pub fn begin(
        transport: T,
        settings: &Settings,
        wants: Wants<ConsoleFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartError> {
        let device_type = transport.device_type();
        if device_type != DeviceType::CONSOLE {
            return Err(StartError::NotAConsole(device_type));
        }
        let device = Negotiating::begin(transport, patience)?.with_drop_attempts(settings.drop_attempts);
        let offers_emergency_write = emergency::offers(device.offered().bits());
        let mut device = device.negotiate(wants.within(HANDLED))?;
        let has_control = device.features().device.contains(ConsoleFeatures::MULTIPORT);
        let ports_max = if has_control { device.config().read(config::MAX_NR_PORTS)?.max(1) } else { 1 };
        let ports = u16::try_from(ports_max).unwrap_or(u16::MAX).min(settings.ports_max).clamp(1, PORTS_MAX);
        if settings.notifications {
            let of_control = if has_control { 2 } else { 0 };
            device.route_vectors(ports.saturating_mul(2).saturating_add(of_control));
        }
        let settings = *settings;
        Ok(Self {
            device,
            settings,
            offers_emergency_write,
            ports_max,
            ports,
            installed: 0,
            unpaired: [None, None],
            control: None,
        })
    }

    /// How many ports can be installed: as many as the device can have and the settings allow.
    pub const fn ports(&self) -> u16 {
        self.ports
    }

    /// What was agreed of the device's own features.
    pub fn features(&self) -> ConsoleFeatures {
        self.device.features().device
    }

    /// Installs the queues of the next port, with storage of their own: of port 0 first, which there always is. Whether the device has others, and when, it says later; those that are not installed by then cannot be used.
    ///
    /// # Errors
    /// - [`PortFailed`]: the storage comes back, but for that of a receive queue that is kept until a reset, after which no port can be installed any more. The console can be started with the ports that it has, if there are any.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a console's life")]
    pub fn install_port(
        &mut self,
        hal: &H,
        slots: impl Into<Slots<'s>>,
    ) -> Result<IdlePort<'s, H>, PortFailed<'s>> {
        let Slots { receive, transmit } = slots.into();
        let ports = self.ports;
        let [port, _] = &self.unpaired;
        let is_over = self.installed >= ports || port.is_some();
        let index = receive_queue(self.installed).filter(|_| !is_over);
        let Some(index) = index else {
            let error = StartError::NoMorePorts { ports };
            return Err(PortFailed { error, slots: Slots { receive, transmit } });
        };
        let Settings { receive_buffers, transmit_buffers, buffer_bytes, notifications, .. } = self.settings;
        let receive_places = |size| Places::new(receive_buffers, buffer_bytes, size);
        let (receive, receive_places) = match self.install(index, hal, receive_places, receive) {
            Ok(installed) => installed,
            Err((error, receive)) => {
                return Err(PortFailed { error, slots: Slots { receive, transmit } });
            }
        };
        let transmit_places = |size| Places::new(transmit_buffers.min(FreeBuffers::MAX), buffer_bytes, size);
        match self.install(index.saturating_add(1), hal, transmit_places, transmit) {
            Ok((transmit, transmit_places)) => {
                self.installed = self.installed.saturating_add(1);
                let notified = notifications;
                Ok(IdlePort { receive, transmit, receive_places, transmit_places, notified })
            }
            Err((error, transmit)) => {
                // The device knows of the receive queue: its memory stays lent until a reset.
                let [port, _] = &mut self.unpaired;
                *port = Some(receive);
                Err(PortFailed { error, slots: Slots { transmit, ..Slots::none() } })
            }
        }
    }

    /// Installs the control queues, without which the device says nothing of its ports. To be done wherever `MULTIPORT` was agreed on: such a device waits for its driver's word on them.
    ///
    /// # Errors
    /// - [`ControlFailed`]: the storage comes back, but for that of a receive queue that is kept until a reset.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a console's life")]
    pub fn install_control(
        &mut self,
        hal: &H,
        slots: impl Into<ControlSlots<'s>>,
    ) -> Result<(), ControlFailed<'s>> {
        let ControlSlots { queues: Slots { receive, transmit }, ports } = slots.into();
        let failed = |error, receive, transmit, ports| {
            let queues = Slots { receive, transmit };
            Err(ControlFailed { error, slots: ControlSlots { queues, ports } })
        };
        let [_, unpaired] = &self.unpaired;
        let is_over = self.control.is_some() || unpaired.is_some();
        if !self.features().contains(ConsoleFeatures::MULTIPORT) || is_over {
            return failed(StartError::NoControlQueues, receive, transmit, ports);
        }
        let (receive, _) = match self.install(CONTROL_RECEIVE_QUEUE, hal, incoming_places, receive) {
            Ok(installed) => installed,
            Err((error, receive)) => return failed(error, receive, transmit, ports),
        };
        match self.install(CONTROL_TRANSMIT_QUEUE, hal, outgoing_places, transmit) {
            Ok((transmit, _)) => {
                self.control = Some(InstalledControl { receive, transmit, ports });
                Ok(())
            }
            Err((error, transmit)) => {
                // As above.
                let [_, control] = &mut self.unpaired;
                *control = Some(receive);
                failed(error, Slots::none().receive, transmit, ports)
            }
        }
    }

    /// A queue with buffers at the places that suit its size.
    fn install(
        &mut self,
        index: u16,
        hal: &H,
        places: impl FnOnce(u16) -> Places,
        slots: ring::Slots<'s, Buffer>,
    ) -> InstalledBuffers<'s, H> {
        let settings =
            QueueSettings { size_max: self.settings.queue_size_max, indirect_segments: 0, memory_bytes: 0 };
        let places = match self.device.queue_size_for(index, &settings, slots.len()) {
            Ok(size) => places(size),
            Err(error) => return Err((error.into(), slots)),
        };
        let settings = QueueSettings { memory_bytes: places.memory_bytes(), ..settings };
        match self.device.install_queue(index, hal, &settings, slots) {
            Ok(queue) => Ok((queue, places)),
            Err(InstallFailed { error, storage }) => Err((error.into(), storage)),
        }
    }

    /// Tells the device that its driver is ready, and through the control queues, that it is ready for ports. Queues may be used from here on: [`Control::activate`] those of each port.
    ///
    /// # Errors
    /// - [`NotStarted`]: `MULTIPORT` was agreed on, and the control queues are not installed. The device was told nothing.
    ///
    /// Spec: §5.3.6.2.2 Driver Requirements: Multiport Device Operation.
    #[allow(clippy::result_large_err, reason = "the device itself comes back, once in its life")]
    pub fn start(self) -> Result<Control<'s, T, H>, NotStarted<'s, T, H>> {
        if self.features().contains(ConsoleFeatures::MULTIPORT) && self.control.is_none() {
            return Err(NotStarted { starting: self });
        }
        Ok(self.go_live())
    }

    /// The same, for a device that has all that it agreed on.
    pub(super) fn go_live(self) -> Control<'s, T, H> {
        let Self {
            device, settings, offers_emergency_write, ports_max, installed, unpaired, control, ..
        } = self;
        let device = device.start();
        let ports = control.map(|InstalledControl { receive, transmit, ports }| {
            let (receive, transmit) = (device.activate(receive), device.activate(transmit));
            let messages = Messages::new(receive, transmit, settings.notifications);
            Ports::begin(messages, Table::new(ports, ports_max, installed, settings.size_order))
        });
        Control { half: ControlHalf::new(device), unpaired, ports, ports_max, offers_emergency_write }
    }

    /// Gives up: resets the device, so that ports installed until now can give their memory back ([`IdlePort::reclaim`]). The control queues give their own back, and so does a first queue whose second one could not be installed.
    ///
    /// # Errors
    /// - [`ResetError`]: the device does not answer; what it learned of stays lent to it.
    pub fn give_up(self, patience: impl Patience) -> Result<ConfirmedReset, ResetError> {
        let Self { device, unpaired, control, .. } = self;
        let reset = device.reset(patience)?;
        reclaim_unpaired(unpaired, &reset);
        if let Some(control) = control {
            control.reclaim(&reset);
        }
        Ok(reset)
    }

    /// Gives up as a drop would; the storage of a receive queue whose port has no transmit queue, if the reset was confirmed.
    pub(super) fn give_up_within_drop_bound(self) -> Option<ring::Slots<'s, Buffer>> {
        let Self { device, unpaired, control, .. } = self;
        let reset = device.give_up_within_drop_bound()?;
        if let Some(control) = control {
            control.reclaim(&reset);
        }
        reclaim_unpaired(unpaired, &reset)
    }
}

impl<T: Transport, H: Hal> fmt::Debug for Starting<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ports, installed, .. } = self;
        f.debug_struct("Starting").field("ports", ports).field("installed", installed).finish_non_exhaustive()
    }
}

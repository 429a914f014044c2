//! The control half of a console: its size, its ports, its interrupts, its end.
//!
//! Spec: §5.3.4 Device configuration layout, §5.3.6 Device Operation, §2.4 Device Reset. Holds the transport; the data path is in the receive and transmit queues, wherever those are.
//!
//! ```no_run
//! # use virtio_guest::{hal::Hal, transport::Transport};
//! use virtio_guest::device::console::{Control, ControlError, PortEvent};
//!
//! /// Opens the port with this name whenever there is one.
//! async fn keep_open<T: Transport, H: Hal>(control: &mut Control<'_, T, H>, name: &str) -> Result<(), ControlError> {
//!     loop {
//!         if let PortEvent::Named(number) = control.event().await?
//!             && control.port(number).is_some_and(|port| port.name == Some(name))
//!         {
//!             control.open_port(number)?;
//!         }
//!     }
//! }
//! ```

use super::port::IdlePort;
use super::ports::Ports;
use super::receive::ReceiveQueue;
use super::settings::Size;
use super::slots::ControlSlots;
use super::start::{Unpaired, reclaim_unpaired};
use super::transmit::TransmitQueue;
use crate::device::half::control_half_calls;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{self, ConfigError, ControlHalf, HandlerStillRunning, ResetError};
use crate::raw::ConfirmedReset;
use crate::transport::Transport;
use crate::wire::console::{ConsoleFeatures, config};

/// A live console without its ports' queues. Dropping it resets the device, within the bound fixed at bring-up; queues are then lost, with their memory.
#[derive(Debug)]
pub struct Control<'s, T: Transport, H: Hal> {
    pub(super) half: ControlHalf<'s, T, ConsoleFeatures>,
    pub(super) unpaired: Unpaired<'s, H>,
    /// Only with control queues.
    pub(super) ports: Option<Ports<'s, H>>,
    pub(super) ports_max: u32,
    pub(super) offers_emergency_write: bool,
}

/// A console that was taken down.
#[derive(Debug)]
pub struct Down<'s, T> {
    /// The way to the device, for another bring-up.
    pub transport: T,
    /// The proof with which queues give back what they have.
    pub reset: ConfirmedReset,
    /// Whether interrupt handlers are done with the device. If one is not, it may still read the interrupt status once.
    pub handlers: Result<(), HandlerStillRunning>,
    /// The storage of the control queues, if there were some.
    pub control_slots: Option<ControlSlots<'s>>,
}

/// A console that was not taken down: why, and what is left of it, to try again.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct DownFailed<'s, T: Transport, H: Hal> {
    /// Why.
    pub error: ResetError,
    /// The device, which was asked for a reset.
    pub control: Control<'s, T, H>,
}

impl<'s, T: Transport, H: Hal> Control<'s, T, H> {
    control_half_calls!(half, ConsoleFeatures);

    /// The size of port 0's console now, if the device says it. It tells of changes by an interrupt ([`configuration_change`](Control::configuration_change)).
    ///
    /// # Errors
    /// See [`ConfigError`].
    ///
    /// Spec: §5.3.4 Device configuration layout.
    pub fn size(&self) -> Result<Option<Size>, ConfigError> {
        if !self.features().contains(ConsoleFeatures::SIZE) {
            return Ok(None);
        }
        let size = self.half.config().read_together(|fields| {
            Ok(Size { columns: fields.get(config::COLS)?, rows: fields.get(config::ROWS)? })
        });
        size.map(Some)
    }

    /// How many ports the device can have, as it said at bring-up: 1 without `MULTIPORT`.
    pub const fn ports_max(&self) -> u32 {
        self.ports_max
    }

    /// Makes a port's queues usable that were installed while the device came up: it gets empty buffers. Those of another device come out of service.
    pub fn activate(&self, port: IdlePort<'s, H>) -> (ReceiveQueue<'s, H>, TransmitQueue<'s, H>) {
        let IdlePort { receive, transmit, receive_places, transmit_places, notified } = port;
        let (receive, transmit) = (self.half.activate(receive), self.half.activate(transmit));
        let receive = ReceiveQueue::new(receive, receive_places, notified);
        (receive, TransmitQueue::new(transmit, transmit_places, notified))
    }

    /// Ends the device's life: resets it, waits until it is reset, and takes its interrupt objects back. With what comes out each queue gives back what it has, and the device can be brought up again.
    ///
    /// # Errors
    /// - [`DownFailed`]: the device does not answer. It may still use its queues' memory, and is told nothing more; its interrupts still have their objects.
    #[allow(clippy::result_large_err, reason = "the device itself comes back, once in its life")]
    pub fn take_down(self, patience: impl Patience) -> Result<Down<'s, T>, DownFailed<'s, T, H>> {
        let Self { half, unpaired, mut ports, .. } = self;
        match half.take_down(patience) {
            Ok(lifecycle::Down { transport, reset, handlers }) => {
                reclaim_unpaired(unpaired, &reset);
                let control_slots = ports.map(|ports| ports.reclaim(&reset));
                Ok(Down { transport, reset, handlers, control_slots })
            }
            Err(lifecycle::DownFailed { error, half }) => {
                ports.iter_mut().for_each(Ports::retire);
                Err(DownFailed { error, control: Self { half, unpaired, ports, ..self } })
            }
        }
    }

    /// The end of a driver that was dropped: as [`take_down`](Control::take_down), with the patience fixed at bring-up.
    pub(super) fn tear_down(self) -> Option<ConfirmedReset> {
        let Self { half, unpaired, ports, .. } = self;
        let reset = half.reset_within_drop_bound()?;
        reclaim_unpaired(unpaired, &reset);
        if let Some(ports) = ports {
            ports.reclaim(&reset);
        }
        Some(reset)
    }
}

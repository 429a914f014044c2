//! The first rungs: reset, ACKNOWLEDGE, DRIVER; and the way down from any of them.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, steps 1 to 3; §2.4.1 Device Reset.

use scopeguard::ScopeGuard;

use super::config::Config;
use super::negotiate::OfferedFeatures;
use super::vectors::VectorRouting;
use crate::hal::{Attempts, Patience};
use crate::raw::{ConfirmedReset, Session};
use crate::transport::Transport;
use crate::wire::device_type::DeviceType;
use crate::wire::status::Status;

/// How often a drop looks at the status of a device that it resets, unless told otherwise.
const DROP_ATTEMPTS: Attempts = Attempts(100_000);

/// The device did not finish its reset in time. It may still use the memory that it learned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// The status register still reads something.
    #[error("the device did not finish its reset in time (status {status:#04x})")]
    TimedOut {
        /// What it reads.
        status: u8,
    },
    /// The status register reads all ones: there is no device any more.
    #[error("the device is gone")]
    Removed,
    /// There were as many bring-ups as can be told apart (2³² on 32-bit targets): there are no more until the program starts
    /// anew.
    #[error("there were as many bring-ups as can be told apart")]
    TooManyBringUps,
}

/// A device on some rung, with what is needed to get it down again.
#[derive(Debug)]
pub(super) struct Rung<T> {
    pub(super) transport: T,
    pub(super) session: Session,
    pub(super) drop_attempts: Attempts,
    pub(super) routing: VectorRouting,
    /// For how many queues vectors were dealt out.
    pub(super) routed_queues: u16,
    /// Queues that the device was told of and that are neither parked nor reset.
    queues_in_use: usize,
    /// The steps taken so far: ours to know, whatever the device makes of its register. None once a reset was asked for.
    taken: Status,
}

/// A [`Rung`] that goes down by itself when it is dropped.
pub(super) type Armed<T> = ScopeGuard<Rung<T>, fn(Rung<T>)>;

impl<T: Transport> Rung<T> {
    /// Takes a step: adds a bit to the device status. What the device itself says there is written back as it is: no bit is ever cleared but by a reset (§2.1.1), and
    /// there are devices that would forget it.
    pub(super) fn add_status(&mut self, bit: Status) {
        self.taken |= bit;
        let of_the_device = self.transport.status() & Status::DEVICE_NEEDS_RESET;
        self.transport.set_status(self.taken | of_the_device);
    }

    /// Forgets a step that the device did not let the driver take, or that it has undone: it is not to be told of it again.
    pub(super) fn forget(&mut self, bit: Status) {
        self.taken.remove(bit);
    }

    /// Whether the driver took a step, and the device has not undone it.
    pub(super) fn has_taken(&self, bit: Status) -> bool {
        self.taken.contains(bit)
    }

    /// A queue may be used from here on: it was installed, or is no longer parked.
    pub(super) fn queue_is_in_use(&mut self) {
        self.queues_in_use = self.queues_in_use.saturating_add(1);
    }

    /// One of them was parked, or reset.
    pub(super) fn queue_is_aside(&mut self) {
        self.queues_in_use = self.queues_in_use.saturating_sub(1);
    }

    /// How many may be used. One that was dropped is not seen to go.
    pub(super) const fn queues_in_use(&self) -> usize {
        self.queues_in_use
    }

    /// Whether a reset was asked for and not seen to be complete: until it is, the device is told nothing else (§2.4.1).
    pub(super) fn reset_is_pending(&self) -> bool {
        self.taken.is_empty()
    }

    /// Resets the device and waits until it says that it is done.
    pub(super) fn reset(&mut self, patience: &mut dyn Patience) -> Result<ConfirmedReset, ResetError> {
        self.taken = Status::empty();
        reset(&mut self.transport, patience)?;
        Ok(ConfirmedReset::of(self.session))
    }

    /// Resets the device within the bound fixed at bring-up. If that is not confirmed, it is logged.
    pub(super) fn reset_within_drop_bound(&mut self) -> Option<ConfirmedReset> {
        let mut patience = self.drop_attempts;
        match self.reset(&mut patience) {
            Ok(reset) => Some(reset),
            Err(error) => {
                let DeviceType(number) = self.transport.device_type();
                log::error!("virtio device type {number}: {error}; memory that it may still use is leaked");
                None
            }
        }
    }

    /// The same, with FAILED before it.
    pub(super) fn fail_within_drop_bound(&mut self) -> Option<ConfirmedReset> {
        if !self.reset_is_pending() {
            self.add_status(Status::FAILED);
        }
        self.reset_within_drop_bound()
    }

    /// The way down from a bring-up that did not succeed.
    pub(super) fn give_up(mut self) {
        self.fail_within_drop_bound();
    }

    /// The way down from a running device.
    pub(super) fn stop(mut self) {
        self.reset_within_drop_bound();
    }
}

/// Asks for a reset, then waits for status 0.
fn reset(transport: &mut impl Transport, patience: &mut dyn Patience) -> Result<(), ResetError> {
    transport.set_status(Status::empty());
    loop {
        let status = transport.status();
        if status.is_empty() {
            return Ok(());
        }
        if !patience.keep_waiting() {
            return Err(if status == Status::REMOVED {
                ResetError::Removed
            } else {
                ResetError::TimedOut { status: status.bits() }
            });
        }
    }
}

/// A device that knows that it has a driver: features can be read, and negotiated.
///
/// Dropping it sets FAILED and resets the device. Its configuration can be read, and not written yet (§3.1.1, step 4):
///
/// ```
/// # use virtio_guest::{lifecycle::Installing, transport::Transport, wire::field::Field};
/// # #[allow(dead_code)]
/// fn write<T: Transport>(device: &mut Installing<T, ()>) {
///     device.write_config(Field::<u16>::at(0), 1).unwrap();
/// }
/// ```
/// ```compile_fail,E0599
/// # use virtio_guest::{lifecycle::Negotiating, transport::Transport, wire::field::Field};
/// fn write<T: Transport>(device: &mut Negotiating<T>) {
///     device.write_config(Field::<u16>::at(0), 1).unwrap();
/// }
/// ```
#[derive(Debug)]
pub struct Negotiating<T: Transport> {
    rung: Armed<T>,
    offered: OfferedFeatures,
}

impl<T: Transport> Negotiating<T> {
    /// Resets a device, waits until it is reset, and tells it, in two steps, that it was noticed and has a driver.
    ///
    /// To keep the transport when the bring-up fails, pass `&mut transport`.
    ///
    /// # Errors
    /// - [`ResetError`]: the device does not answer; it was told nothing more.
    ///
    /// Spec: §3.1.1, steps 1 to 3.
    pub fn begin(mut transport: T, mut patience: impl Patience) -> Result<Self, ResetError> {
        reset(&mut transport, &mut patience)?;
        let rung = Rung {
            transport,
            session: Session::begin().ok_or(ResetError::TooManyBringUps)?,
            drop_attempts: DROP_ATTEMPTS,
            routing: VectorRouting::NoVectors,
            routed_queues: 0,
            queues_in_use: 0,
            taken: Status::empty(),
        };
        let mut rung: Armed<T> = scopeguard::guard(rung, Rung::give_up);
        rung.add_status(Status::ACKNOWLEDGE);
        rung.add_status(Status::DRIVER);
        let offered = OfferedFeatures::new(rung.transport.device_features());
        Ok(Self { rung, offered })
    }

    /// Sets how often drops look at the status of the device that they reset, from here on to the end of its life.
    #[must_use]
    pub fn with_drop_attempts(mut self, attempts: Attempts) -> Self {
        self.rung.drop_attempts = attempts;
        self
    }

    /// What kind of device this is.
    pub fn device_type(&self) -> DeviceType {
        self.rung.transport.device_type()
    }

    /// What the device offers.
    pub const fn offered(&self) -> OfferedFeatures {
        self.offered
    }

    /// The configuration space, to be read.
    pub fn config(&self) -> Config<'_, T> {
        Config::new(&self.rung.transport)
    }

    pub(super) fn into_rung(self) -> (Armed<T>, OfferedFeatures) {
        (self.rung, self.offered)
    }
}

//! A console with one port, in one piece: control half, queues, blocking calls.
//!
//! Spec: §5.3.6 Device Operation.

use core::fmt;

use scopeguard::ScopeGuard;

use super::control::Control;
use super::receive::ReceiveQueue;
use super::settings::Settings;
use super::slots::Slots;
use super::start::{HANDLED, PortFailed, StartError, Starting};
use super::transmit::TransmitQueue;
use super::waiting::StreamError;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{Interrupts, SignalsInUse, SignalsRef, Wants};
use crate::ring::Broken;
use crate::transport::Transport;
use crate::wire::console::ConsoleFeatures;

/// What [`Console`] does not ask for: one port needs no control queues.
const SINGLE: ConsoleFeatures = HANDLED.difference(ConsoleFeatures::MULTIPORT);

/// A console that is up, with one port. Dropping it resets the device, within the bound fixed at bring-up, and gives all memory back; memory that the device may still use because it did not answer is
/// leaked. What was not flushed is lost. [`close`](Console::close) is the polite end.
pub struct Console<'s, T: Transport, H: Hal> {
    pub(super) live: TornDown<Live<'s, T, H>>,
}

/// Something that is taken apart in order when it is dropped.
type TornDown<L> = ScopeGuard<L, fn(L)>;

/// The three parts.
pub(super) struct Live<'s, T: Transport, H: Hal> {
    pub(super) control: Control<'s, T, H>,
    pub(super) receive: ReceiveQueue<'s, H>,
    pub(super) transmit: TransmitQueue<'s, H>,
}

/// A console that was not brought up: why, and the storage that was lent.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct StartFailed<'s> {
    /// Why.
    pub error: StartError,
    /// The storage. It has no room any more for a queue that the device knows of, if it does not let itself be reset.
    pub slots: Slots<'s>,
}

impl From<StartFailed<'_>> for StartError {
    fn from(failed: StartFailed<'_>) -> Self {
        failed.error
    }
}

impl<'s, T: Transport, H: Hal> Console<'s, T, H> {
    /// Brings a console up, with default [`Settings`], and all features but `MULTIPORT`.
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back. To keep the transport, too, pass `&mut transport`.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a console's life")]
    pub fn start(
        transport: T,
        hal: H,
        slots: impl Into<Slots<'s>>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s>> {
        Self::start_with(transport, hal, slots, &Settings::default(), Wants::features(SINGLE), patience)
    }

    /// Brings a console up, with settings and features of the caller's choice, and one port. `MULTIPORT` is not for it: that is what [`Starting`] does.
    ///
    /// # Errors
    /// - [`StartFailed`]: the storage comes back.
    ///
    /// Spec: §3.1.1, §5.3.5.
    #[expect(clippy::needless_pass_by_value, reason = "each driver owns a value of its DMA domain")]
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a console's life")]
    pub fn start_with(
        transport: T,
        hal: H,
        slots: impl Into<Slots<'s>>,
        settings: &Settings,
        wants: Wants<ConsoleFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s>> {
        let slots = slots.into();
        let mut starting = match Starting::begin(transport, settings, wants.within(SINGLE), patience) {
            Ok(starting) => starting,
            Err(error) => return Err(StartFailed { error, slots }),
        };
        match starting.install_port(&hal, slots) {
            Ok(port) => {
                let control = starting.go_live();
                let (receive, transmit) = control.activate(port);
                Ok(Self::join(control, receive, transmit))
            }
            Err(PortFailed { error, mut slots }) => {
                if let Some(receive) = starting.give_up_within_drop_bound() {
                    slots.receive = receive;
                }
                Err(StartFailed { error, slots })
            }
        }
    }

    /// Takes control half and queues apart, each for an owner of its own.
    pub fn split(self) -> (Control<'s, T, H>, ReceiveQueue<'s, H>, TransmitQueue<'s, H>) {
        let Live { control, receive, transmit } = ScopeGuard::into_inner(self.live);
        (control, receive, transmit)
    }

    /// Puts the parts together again. Those of different devices work no better than before, and their memory is leaked.
    pub fn join(
        control: Control<'s, T, H>,
        receive: ReceiveQueue<'s, H>,
        transmit: TransmitQueue<'s, H>,
    ) -> Self {
        Self { live: scopeguard::guard(Live { control, receive, transmit }, Live::tear_down) }
    }

    /// The control half: size, interrupts, emergency writes.
    pub fn control(&mut self) -> &mut Control<'s, T, H> {
        &mut self.live.control
    }

    /// The receive queue.
    pub fn receive_queue(&mut self) -> &mut ReceiveQueue<'s, H> {
        &mut self.live.receive
    }

    /// The transmit queue.
    pub fn transmit_queue(&mut self) -> &mut TransmitQueue<'s, H> {
        &mut self.live.transmit
    }

    /// All three at once.
    pub fn parts(&mut self) -> (&mut Control<'s, T, H>, &mut ReceiveQueue<'s, H>, &mut TransmitQueue<'s, H>) {
        let Live { control, receive, transmit } = &mut *self.live;
        (control, receive, transmit)
    }

    /// Connects the device's interrupts with these signals; see [`Control::connect_interrupts`].
    ///
    /// # Errors
    /// - [`SignalsInUse`]: another device uses these signals.
    pub fn connect_interrupts(
        &mut self,
        signals: impl Into<SignalsRef<'s>>,
    ) -> Result<&Interrupts<'s>, SignalsInUse> {
        self.live.control.connect_interrupts(signals)
    }

    /// Takes bytes that have come; see [`ReceiveQueue::read`].
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        self.live.receive.read(into)
    }

    /// Waits until there are bytes, and takes some; see [`ReceiveQueue::read_blocking`].
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn read_blocking(&mut self, into: &mut [u8], patience: impl Patience) -> Result<usize, StreamError> {
        self.live.receive.read_blocking(into, patience)
    }

    /// Copies bytes into buffers; see [`TransmitQueue::write`].
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier.
    pub fn write(&mut self, from: &[u8]) -> Result<usize, Broken> {
        self.live.transmit.write(from)
    }

    /// Writes all of it, and waits for room where there is need; see [`TransmitQueue::write_all_blocking`].
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn write_all_blocking(&mut self, from: &[u8], patience: impl Patience) -> Result<(), StreamError> {
        self.live.transmit.write_all_blocking(from, patience)
    }

    /// Hands the device what was written and is not with it yet; see [`TransmitQueue::flush`].
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier.
    pub fn flush(&mut self) -> Result<(), Broken> {
        self.live.transmit.flush()
    }
}

impl<T: Transport, H: Hal> fmt::Debug for Console<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Live { receive, transmit, .. } = &*self.live;
        f.debug_struct("Console")
            .field("receive", receive)
            .field("transmit", transmit)
            .finish_non_exhaustive()
    }
}

//! A card with one pair of queues, in one piece: control half, queues, blocking calls.
//!
//! Spec: §5.1.9 Device Operation.

use core::fmt;

use scopeguard::ScopeGuard;

use super::commands::{ControlSlots, ControlStorage};
use super::control::Control;
use super::description::MacAddress;
use super::frame::{Frame, FrameSupply};
use super::pair::{PairSlots, PairStorage, ReclaimedPair};
use super::receive::ReceiveQueue;
use super::start::{PLAIN, Settings, Starting};
use super::start_error::{ControlFailed, PairFailed, StartError};
use super::transmit::{NotTransmitted, TransmitQueue};
use crate::hal::{Hal, Patience};
use crate::lifecycle::{Interrupts, SignalsInUse, SignalsRef, VectorRouting, Wants};
use crate::ring::{ActivePath, Broken};
use crate::transport::Transport;
use crate::wire::net::NetFeatures;

/// What a card with one pair of queues, of up to `N` descriptors each, keeps in memory of its own: lent by the caller for as long as the driver lives.
#[derive(Debug)]
pub struct Storage<'s, H: Hal, const N: usize> {
    pair: PairStorage<'s, H, N>,
    control: ControlStorage,
}

impl<H: Hal, const N: usize> Storage<'_, H, N> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self { pair: PairStorage::new(), control: ControlStorage::new() }
    }
}

impl<H: Hal, const N: usize> Default for Storage<'_, H, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a card keeps what its driver knows: a lent [`Storage`], or what an earlier driver gave back.
#[derive(Debug)]
pub struct Slots<'s, H: Hal> {
    /// For the pair.
    pub pair: PairSlots<'s, H>,
    /// For the control queue.
    pub control: ControlSlots<'s>,
}

impl<'s, H: Hal, const N: usize> From<&'s mut Storage<'s, H, N>> for Slots<'s, H> {
    fn from(storage: &'s mut Storage<'s, H, N>) -> Self {
        let Storage { pair, control } = storage;
        Self { pair: pair.into(), control: control.into() }
    }
}

/// A card that is up, with one pair of queues. Dropping it resets the device, within the bound fixed at bring-up, and gives all memory back; memory that the device may still use because it did not
/// answer is leaked. [`close`](Net::close) is the polite end.
pub struct Net<'s, T: Transport, H: Hal> {
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

/// Which paths a card uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivePaths {
    /// What was agreed of the device's own features.
    pub features: NetFeatures,
    /// Bytes of the header before each frame.
    pub header_bytes: u8,
    /// Descriptors of the receive queue,
    pub receive_size: u16,
    /// and of the transmit queue.
    pub transmit_size: u16,
    /// How the rings work.
    pub ring: ActivePath,
    /// How interrupt vectors were dealt out.
    pub vectors: VectorRouting,
}

/// A card that was not brought up: why, and what was handed in.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct StartFailed<'s, H: Hal> {
    /// Why.
    pub error: StartError,
    /// The storage. It has no room any more for a queue that the device knows of, if it does not let itself be reset.
    pub slots: Slots<'s, H>,
    /// The supply. `None` if the device knows of the queue that has it, and does not let itself be reset.
    pub supply: Option<FrameSupply<'s, H>>,
}

impl<H: Hal> fmt::Debug for StartFailed<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<H: Hal> From<StartFailed<'_, H>> for StartError {
    fn from(failed: StartFailed<'_, H>) -> Self {
        failed.error
    }
}

impl<'s, T: Transport, H: Hal> Net<'s, T, H> {
    /// Brings a card up, with default [`Settings`] and [`PLAIN`] features.
    ///
    /// # Errors
    /// - [`StartFailed`]: storage and supply come back. To keep the transport, too, pass `&mut transport`.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a card's life")]
    pub fn start(
        transport: T,
        hal: H,
        storage: impl Into<Slots<'s, H>>,
        supply: FrameSupply<'s, H>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s, H>> {
        let settings = Settings::default();
        Self::start_with(transport, hal, storage, supply, &settings, Wants::features(PLAIN), patience)
    }

    /// Brings a card up, with settings and features of the caller's choice, and one pair of queues.
    ///
    /// # Errors
    /// - [`StartFailed`]: storage and supply come back.
    ///
    /// Spec: §3.1.1, §5.1.5.
    #[expect(clippy::needless_pass_by_value, reason = "each driver owns a value of its DMA domain")]
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a card's life")]
    pub fn start_with(
        transport: T,
        hal: H,
        storage: impl Into<Slots<'s, H>>,
        supply: FrameSupply<'s, H>,
        settings: &Settings,
        wants: Wants<NetFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartFailed<'s, H>> {
        let Slots { pair, control } = storage.into();
        let settings = Settings { pairs_max: 1, ..*settings };
        let mut starting = match Starting::begin(transport, &settings, wants, patience) {
            Ok(starting) => starting,
            Err(error) => {
                return Err(StartFailed { error, slots: Slots { pair, control }, supply: Some(supply) });
            }
        };
        let pair = match starting.install_pair(&hal, pair, supply) {
            Ok(pair) => pair,
            Err(PairFailed { error, slots: mut pair, supply }) => {
                if let Some((_, Some(receive))) = starting.give_up_within_drop_bound() {
                    pair.receive = receive;
                }
                return Err(StartFailed { error, slots: Slots { pair, control }, supply: Some(supply) });
            }
        };
        if starting.features().contains(NetFeatures::CTRL_VQ)
            && let Err(ControlFailed { error, slots: control }) = starting.install_control(&hal, control)
        {
            let reset = starting.give_up_within_drop_bound();
            let (pair, supply) = match reset.and_then(|(reset, _)| pair.reclaim(&reset).ok()) {
                Some(ReclaimedPair { slots, supply }) => (slots, Some(supply)),
                None => (PairSlots::none(), None),
            };
            return Err(StartFailed { error, slots: Slots { pair, control }, supply });
        }
        let control = starting.start();
        let (receive, transmit) = control.activate(pair);
        Ok(Self::join(control, receive, transmit))
    }

    /// Takes control half and queues apart, each for an owner of its own.
    pub fn split(self) -> (Control<'s, T, H>, ReceiveQueue<'s, H>, TransmitQueue<'s, H>) {
        let Live { control, receive, transmit } = ScopeGuard::into_inner(self.live);
        (control, receive, transmit)
    }

    /// Puts the parts together again. Those of different cards work no better than before, and their memory is leaked.
    pub fn join(
        control: Control<'s, T, H>,
        receive: ReceiveQueue<'s, H>,
        transmit: TransmitQueue<'s, H>,
    ) -> Self {
        Self { live: scopeguard::guard(Live { control, receive, transmit }, Live::tear_down) }
    }

    /// The control half: commands, link, interrupts.
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

    /// The card's address; see [`Control::mac`].
    pub fn mac(&self) -> MacAddress {
        self.live.control.mac()
    }

    /// Most bytes of a packet behind its Ethernet header, if the card says so.
    pub fn mtu(&self) -> Option<u16> {
        self.live.control.mtu()
    }

    /// Which paths are active.
    pub fn active_paths(&self) -> ActivePaths {
        let Live { control, receive, transmit } = &*self.live;
        ActivePaths {
            features: control.features(),
            header_bytes: receive.format.bytes(),
            receive_size: receive.size(),
            transmit_size: transmit.size(),
            ring: receive.active_path(),
            vectors: control.vectors(),
        }
    }

    /// Connects the card's interrupts with these signals; see [`Control::connect_interrupts`].
    ///
    /// # Errors
    /// - [`SignalsInUse`]: another device uses these signals.
    pub fn connect_interrupts(
        &mut self,
        signals: impl Into<SignalsRef<'s>>,
    ) -> Result<&Interrupts<'s>, SignalsInUse> {
        self.live.control.connect_interrupts(signals)
    }

    /// An empty frame from the receive queue's supply. `None` if all are out.
    pub fn frame(&mut self) -> Option<Frame<'s, H>> {
        self.live.receive.frame()
    }

    /// Takes the next frame, if one has come; see [`ReceiveQueue::receive`].
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier.
    pub fn receive(&mut self) -> Result<Option<Frame<'s, H>>, Broken> {
        self.live.receive.receive()
    }

    /// Hands a frame to the device; see [`TransmitQueue::transmit`].
    ///
    /// # Errors
    /// - [`NotTransmitted`]: see [`TransmitError`](super::TransmitError).
    pub fn transmit(&mut self, frame: Frame<'s, H>) -> Result<(), NotTransmitted<'s, H>> {
        self.live.transmit.transmit(frame)
    }
}

impl<T: Transport, H: Hal> fmt::Debug for Net<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("mac", &self.mac()).finish_non_exhaustive()
    }
}

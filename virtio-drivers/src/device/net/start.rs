//! Bring-up: from a transport to a card, or back to a device that is reset.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, §5.1.5 Device Initialization.
//!
//! ```text
//!   Starting::begin              type, features, configuration, vectors             touches no storage
//!   Starting::install_pair       a receive and a transmit queue, as often as wanted  storage comes back if it fails
//!   Starting::install_control    the control queue, if there is one
//!   Starting::start              DRIVER_OK: Control; activate each pair
//! ```
//!
//! [`Net::start`](super::Net::start) does all of it for a card with one pair. Several pairs, each for a processor of its own:
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, lifecycle::Wants, transport::Transport};
//! use virtio_guest::device::net::{Control, ControlSlots, FramePool, PLAIN, PairSlots, ReceiveQueue, Settings, Starting, TransmitQueue};
//!
//! # type Queues<H> = (ReceiveQueue<'static, H>, TransmitQueue<'static, H>);
//! # fn example<T: Transport, H: Hal>(transport: T, hal: &H, pools: &'static [FramePool<'static, H>])
//! #     -> Result<(Control<'static, T, H>, Vec<Queues<H>>), Box<dyn core::error::Error>> {
//! let settings = Settings { pairs_max: 4, ..Settings::default() };
//! let mut card = Starting::begin(transport, &settings, Wants::features(PLAIN), Attempts(100_000))?;
//! let mut installed = Vec::new();
//! for pool in pools.iter().take(card.pairs().into()) {
//!     let supply = pool.supply().ok_or("the pool is in use")?;
//!     installed.push(card.install_pair(hal, PairSlots::allocate(256), supply).map_err(|failed| failed.error)?);
//! }
//! card.install_control(hal, ControlSlots::allocate(64)).map_err(|failed| failed.error)?;
//! let mut control = card.start();
//! let pairs: Vec<_> = installed.into_iter().map(|pair| control.activate(pair)).collect();
//! control.set_pairs(u16::try_from(pairs.len())?, Attempts(100_000))?; // a card begins with one
//! Ok((control, pairs)) // each pair may go to its processor
//! # }
//! ```

use core::fmt;

use super::commands::{Commands, ControlSlots, queue_settings};
use super::control::{Control, Learned};
use super::description::{Description, senseless};
use super::format::Format;
use super::frame::FrameSupply;
use super::in_use::PairsInUse;
use super::pair::{IdlePair, PairSlots, frame_buffers};
use super::start_error::{ControlFailed, PairFailed, StartError};
use crate::hal::{Attempts, Hal, Patience};
use crate::lifecycle::{ControlHalf, InstallFailed, Installing, Negotiating, ResetError, Wants};
use crate::raw::{Buffers, ConfirmedReset, Tag};
use crate::ring::{self, InstalledQueue, QueueSettings, Returned};
use crate::transport::Transport;
use crate::wire::device_type::DeviceType;
use crate::wire::net::NetFeatures;

/// What this driver handles: everything but IPsec.
pub const HANDLED: NetFeatures =
    NetFeatures::all().difference(NetFeatures::IPSEC).difference(NetFeatures::GSO);

/// What this driver asks for unless told otherwise: everything that leaves frames as they are on the wire. No checksums to be completed, nothing to be put together or cut, no hashes, no failover
/// ([`STANDBY`](NetFeatures::STANDBY)): who wants those asks for them.
pub const PLAIN: NetFeatures = NetFeatures::MAC
    .union(NetFeatures::MTU)
    .union(NetFeatures::STATUS)
    .union(NetFeatures::SPEED_DUPLEX)
    .union(NetFeatures::MRG_RXBUF)
    .union(NetFeatures::CTRL_VQ)
    .union(NetFeatures::CTRL_RX)
    .union(NetFeatures::CTRL_RX_EXTRA)
    .union(NetFeatures::CTRL_VLAN)
    .union(NetFeatures::CTRL_MAC_ADDR)
    .union(NetFeatures::MQ)
    .union(NetFeatures::NOTF_COAL)
    .union(NetFeatures::VQ_NOTF_COAL)
    .union(NetFeatures::DEVICE_STATS);

/// What a kernel may choose about a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most pairs of queues, where the card has several; at least one. [`Net::start`](super::Net::start) uses one, [`Starting`] as many as were installed.
    pub pairs_max: u16,
    /// Most descriptors of a queue, even if storage and device allow more.
    pub queue_size_max: u16,
    /// Whether the card is to interrupt when frames come, and when they were sent and somebody waits for that. Without, queues are looked at, and no vector is used.
    pub notifications: bool,
    /// Bytes of the longest command to the control queue, and of the longest answer. A table of many addresses, or of many queues to spread frames over, is long.
    pub control_bytes: u32,
    /// How often a drop looks at the status of the device that it resets, before it leaks what the device may still use.
    pub drop_attempts: Attempts,
}

impl Default for Settings {
    /// One pair, as many descriptors as there is storage for, no notifications, 1024 bytes, 100,000 attempts.
    fn default() -> Self {
        Self {
            pairs_max: 1,
            queue_size_max: u16::MAX,
            notifications: false,
            control_bytes: 1024,
            drop_attempts: Attempts(100_000),
        }
    }
}

/// A card on its way up: it agreed on features and said what it is, and waits for its queues.
///
/// Dropping it resets the card; queues installed until then leak their memory, unless [`give_up`](Starting::give_up) is used instead.
///
/// If a pair's second queue cannot be installed, the card knows of its first one: that is kept here, and with the live card later, until a reset.
pub struct Starting<'s, T: Transport, H: Hal> {
    device: Installing<T, NetFeatures>,
    settings: Settings,
    description: Description,
    offers_standby: bool,
    pairs: u16,
    installed: u16,
    pairs_in_use: Option<PairsInUse<'s>>,
    /// A receive queue whose pair has no transmit queue.
    unpaired: Option<InstalledQueue<'s, H, Buffers<'s, H>>>,
    commands: Option<InstalledQueue<'s, H, Tag<()>>>,
}

impl<'s, T: Transport, H: Hal> Starting<'s, T, H> {
    /// Agrees on features, reads what the card says of itself, and deals out its interrupt vectors, if [`Settings::notifications`] are wanted.
    ///
    /// Features in `wants` that this driver does not handle ([`HANDLED`]) are not accepted.
    ///
    /// # Errors
    /// See [`StartError`]. To keep the transport, pass `&mut transport`.
    pub fn begin(
        transport: T,
        settings: &Settings,
        wants: Wants<NetFeatures>,
        patience: impl Patience,
    ) -> Result<Self, StartError> {
        let device_type = transport.device_type();
        if device_type != DeviceType::NETWORK {
            return Err(StartError::NotANetworkDevice(device_type));
        }
        let device = Negotiating::begin(transport, patience)?.with_drop_attempts(settings.drop_attempts);
        let offered = NetFeatures::from_bits_truncate(device.offered().bits());
        let handled = HANDLED.difference(senseless(&device.config(), offered));
        let mut device = device.negotiate(wants.within(handled))?;
        let description = Description::read(&device.config(), device.features().device)?;
        let pairs = description.pairs_max.min(settings.pairs_max).max(1);
        if settings.notifications {
            let of_pairs = pairs.saturating_mul(2);
            // One for the control queue as well, if it comes right after them; else it shares the configuration's.
            let has_commands = device.features().device.contains(NetFeatures::CTRL_VQ);
            let is_next = has_commands && description.control_queue() == of_pairs;
            device.route_vectors(of_pairs.saturating_add(is_next.into()));
        }
        Ok(Self {
            device,
            settings: *settings,
            description,
            offers_standby: offered.contains(NetFeatures::STANDBY),
            pairs,
            installed: 0,
            pairs_in_use: None,
            unpaired: None,
            commands: None,
        })
    }

    /// How many pairs of queues can be installed: as many as the card has and the settings allow.
    pub const fn pairs(&self) -> u16 {
        self.pairs
    }

    /// What was agreed of the device's own features.
    pub fn features(&self) -> NetFeatures {
        self.device.features().device
    }

    /// Installs the next pair, with storage of its own, and whoever gives it empty buffers.
    ///
    /// # Errors
    /// - [`PairFailed`]: storage and supply come back, but for the storage of a receive queue that is kept until a reset, after which no pair can be installed any more. The card can be started with the pairs that it has, if there are
    ///   any.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a card's life")]
    pub fn install_pair(
        &mut self,
        hal: &H,
        slots: impl Into<PairSlots<'s, H>>,
        supply: FrameSupply<'s, H>,
    ) -> Result<IdlePair<'s, H>, PairFailed<'s, H>> {
        let PairSlots { receive, transmit } = slots.into();
        let (pairs, pair) = (self.pairs, self.installed);
        if pair >= pairs || self.unpaired.is_some() {
            let slots = PairSlots { receive, transmit };
            return Err(PairFailed { error: StartError::NoMorePairs { pairs }, slots, supply });
        }
        if supply.domain() != hal.domain() {
            let slots = PairSlots { receive, transmit };
            return Err(PairFailed { error: StartError::OtherDomain, slots, supply });
        }
        let features = self.device.features();
        let mtu = self.description.mtu;
        let format = Format::of(features.device, features.common, mtu);
        let (chain_buffers, frame_chains) =
            frame_buffers(&format, features.device, mtu, supply.buffer_room());
        let segments = chain_buffers.saturating_add(u16::from(format.apart() > 0));
        let settings = QueueSettings {
            size_max: self.settings.queue_size_max,
            indirect_segments: segments,
            memory_bytes: 0,
        };
        // A segment of its own for the header, with devices that want it so; frames of several buffers go without a table.
        let transmit_settings =
            QueueSettings { indirect_segments: 1 + u16::from(format.apart() > 0), ..settings };
        // A packet as long as the device says has to fit into the ring.
        let packet = mtu.map(|_| frame_buffers(&format, NetFeatures::empty(), mtu, supply.buffer_room()).1);
        let needed = segments.max(packet.unwrap_or(1));
        let receive = match self.install_receive(pair * 2, hal, &settings, receive, needed, &supply) {
            Ok(queue) => queue,
            Err((error, receive)) => {
                return Err(PairFailed { error, slots: PairSlots { receive, transmit }, supply });
            }
        };
        match self.device.install_queue(pair * 2 + 1, hal, &transmit_settings, transmit) {
            Ok(transmit) => {
                if pair == 0 {
                    self.pairs_in_use = Some(PairsInUse::begin(supply.pairs_word()));
                }
                self.installed += 1;
                let notified = self.settings.notifications;
                Ok(IdlePair { receive, transmit, supply, format, chain_buffers, frame_chains, notified })
            }
            Err(InstallFailed { error, storage }) => {
                // The device knows of the receive queue: its memory stays lent until a reset.
                self.unpaired = Some(receive);
                let slots = PairSlots { transmit: storage, ..PairSlots::none() };
                Err(PairFailed { error: error.into(), slots, supply })
            }
        }
    }

    /// A receive queue in which so many segments fit, and for which the pool has enough.
    #[allow(clippy::type_complexity, reason = "the error gives back the storage")]
    fn install_receive(
        &mut self,
        index: u16,
        hal: &H,
        settings: &QueueSettings,
        slots: ring::Slots<'s, Buffers<'s, H>>,
        segments: u16,
        supply: &FrameSupply<'s, H>,
    ) -> Result<InstalledQueue<'s, H, Buffers<'s, H>>, (StartError, ring::Slots<'s, Buffers<'s, H>>)> {
        let size = match self.device.queue_size_for(index, settings, slots.len()) {
            Ok(size) => size,
            Err(error) => return Err((error.into(), slots)),
        };
        if segments > size || usize::from(segments) > supply.count() {
            return Err((StartError::BuffersTooSmall { buffers: segments }, slots));
        }
        let installed = self.device.install_queue(index, hal, settings, slots);
        installed.map_err(|InstallFailed { error, storage }| (error.into(), storage))
    }

    /// Installs the control queue: without it, commands are not possible.
    ///
    /// # Errors
    /// - [`ControlFailed`]: the storage comes back. The card can be started without it.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a card's life")]
    pub fn install_control(
        &mut self,
        hal: &H,
        slots: impl Into<ControlSlots<'s>>,
    ) -> Result<(), ControlFailed<'s>> {
        let slots = slots.into();
        if !self.features().contains(NetFeatures::CTRL_VQ) || self.commands.is_some() {
            return Err(ControlFailed { error: StartError::NoControlQueue, slots });
        }
        let (index, settings) =
            (self.description.control_queue(), queue_settings(self.settings.control_bytes));
        match self.device.install_queue(index, hal, &settings, slots.0) {
            Ok(queue) => {
                self.commands = Some(queue);
                Ok(())
            }
            Err(InstallFailed { error, storage }) => {
                Err(ControlFailed { error: error.into(), slots: ControlSlots(storage) })
            }
        }
    }

    /// Tells the card that its driver is ready. Queues may be used from here on: [`Control::activate`] each pair.
    pub fn start(self) -> Control<'s, T, H> {
        let Self { device, settings, description, offers_standby, installed, pairs_in_use, .. } = self;
        let (unpaired, commands) = (self.unpaired, self.commands);
        let device = device.start();
        let Settings { control_bytes, notifications, .. } = settings;
        let commands =
            commands.map(|queue| Commands::new(device.activate(queue), control_bytes, notifications));
        Control {
            half: ControlHalf::new(device),
            description,
            pairs: installed,
            pairs_in_use,
            offers_standby,
            unpaired,
            commands,
            learned: Learned::default(),
        }
    }

    /// Gives up: resets the card, so that pairs installed until now can give their memory back ([`IdlePair::reclaim`]). The control queue gives its own back, and so does a pair's first queue whose second one could not be installed.
    ///
    /// # Errors
    /// - [`ResetError`]: the card does not answer; what it learned of stays lent to it.
    pub fn give_up(self, patience: impl Patience) -> Result<ConfirmedReset, ResetError> {
        let Self { device, unpaired, commands, .. } = self;
        let reset = device.reset(patience)?;
        drop((
            unpaired.map(|queue| queue.reclaim(&reset).ok()),
            commands.map(|queue| queue.reclaim(&reset).ok()),
        ));
        Ok(reset)
    }

    /// Gives up as a drop would. If the reset was confirmed: that, and the storage of a receive queue whose pair has no transmit queue.
    pub(super) fn give_up_within_drop_bound(
        self,
    ) -> Option<(ConfirmedReset, Option<ring::Slots<'s, Buffers<'s, H>>>)> {
        let Self { device, unpaired, commands, .. } = self;
        let reset = device.give_up_within_drop_bound()?;
        drop(commands.map(|queue| queue.reclaim(&reset).ok()));
        let receive = unpaired.and_then(|queue| queue.reclaim(&reset).ok()).map(Returned::into_slots);
        Some((reset, receive))
    }
}

impl<T: Transport, H: Hal> fmt::Debug for Starting<'_, T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { description, pairs, installed, .. } = self;
        let mut fields = f.debug_struct("Starting");
        fields.field("description", description).field("pairs", pairs).field("installed", installed);
        fields.finish_non_exhaustive()
    }
}

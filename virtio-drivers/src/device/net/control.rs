//! The control half of a network device: without frames, and with all the rest.
//!
//! What it says of itself, its commands, its interrupts, its end.
//!
//! Spec: §5.1.4 Device configuration layout, §5.1.9.5 Control Virtqueue, §2.4 Device Reset. Holds the transport; the data path is in the receive and transmit queues, wherever those are.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, lifecycle::Condition, transport::Transport};
//! use virtio_guest::device::net::{Control, ControlError};
//!
//! /// Follows a link, and has whoever speaks for this station announce it when the device asks for that.
//! async fn follow<T: Transport, H: Hal>(
//!     card: &mut Control<'_, T, H>,
//!     mut link_is: impl FnMut(bool),
//!     mut announce: impl FnMut(),
//! ) -> Result<(), ControlError> {
//!     loop {
//!         let link = card.link()?; // first as it is, then whenever it changes
//!         link_is(link.is_up);
//!         if link.announce {
//!             announce();
//!             card.acknowledge_announce(Attempts(100_000))?;
//!         }
//!         if card.configuration_change().await != Condition::Live {
//!             return Ok(()); // it needs a reset, or is gone
//!         }
//!     }
//! }
//! ```

use super::commands::{Commands, ControlError, ControlSlots, Writing};
use super::description::{self, Description, Duplex, HashLimits, Link, MacAddress};
use super::in_use::PairsInUse;
use crate::device::half::control_half_calls;
use crate::hal::{Hal, Patience};
use crate::lifecycle::{self, ConfigError, ControlHalf, HandlerStillRunning, ResetError};
use crate::raw::{Buffers, ConfirmedReset};
use crate::ring::{InstalledQueue, QueueStatistics};
use crate::transport::Transport;
use crate::wire::net::control::{announce, class};
use crate::wire::net::statistics::StatisticsTypes;
use crate::wire::net::{NetFeatures, config};

/// A live network device without its pairs of queues. Dropping it resets the device, within the bound fixed at bring-up; queues are then lost, with their memory.
///
/// Commands wait within a [`Patience`]; one at a time is in flight.
#[derive(Debug)]
pub struct Control<'s, T: Transport, H: Hal> {
    pub(super) half: ControlHalf<'s, T, NetFeatures>,
    pub(super) description: Description,
    /// Pairs of queues that were installed.
    pub(super) pairs: u16,
    /// How many of them are in use, if there are any.
    pub(super) pairs_in_use: Option<PairsInUse<'s>>,
    pub(super) offers_standby: bool,
    /// A receive queue whose pair has no transmit queue: of no use, but the device knows of it.
    pub(super) unpaired: Option<InstalledQueue<'s, H, Buffers<'s, H>>>,
    pub(super) commands: Option<Commands<'s, H>>,
    pub(super) learned: Learned,
}

/// What the device was asked for once, and what it was told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learned {
    /// Which counters it has.
    pub(super) statistics: Option<StatisticsTypes>,
    /// How many further configurations of steering there can be,
    pub(super) rss_contexts_max: Option<u16>,
    /// and how many there are, or may be.
    pub(super) rss_contexts: u16,
}

/// A network device that was taken down.
#[derive(Debug)]
pub struct Down<'s, T> {
    /// The way to the device, for another bring-up.
    pub transport: T,
    /// The proof with which queues give back what they have.
    pub reset: ConfirmedReset,
    /// Whether interrupt handlers are done with the device. If one is not, it may still read the interrupt status once.
    pub handlers: Result<(), HandlerStillRunning>,
    /// The storage of the control queue, if there was one.
    pub control_slots: Option<ControlSlots<'s>>,
}

/// A network device that was not taken down: why, and what is left of it, to try again.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct DownFailed<'s, T: Transport, H: Hal> {
    /// Why.
    pub error: ResetError,
    /// The device, which was asked for a reset.
    pub control: Control<'s, T, H>,
}

impl<'s, T: Transport, H: Hal> Control<'s, T, H> {
    control_half_calls!(half, NetFeatures);

    /// The device's address; or the one that it was given since. A device that has none gets a locally administered one, which is the same for all such devices: give each its own.
    ///
    /// Spec: §5.1.4.2 Driver Requirements: Device configuration layout.
    pub const fn mac(&self) -> MacAddress {
        self.description.mac
    }

    /// Most bytes of a packet behind its Ethernet header, if the device says so: as it said at bring-up, for it may not change that.
    pub const fn mtu(&self) -> Option<u16> {
        self.description.mtu
    }

    /// How many pairs of queues the device has.
    pub const fn pairs_max(&self) -> u16 {
        self.description.pairs_max
    }

    /// What the device takes for hashes and for steering by them: nothing, where neither [`RSS`](NetFeatures::RSS) nor [`HASH_REPORT`](NetFeatures::HASH_REPORT) was agreed on.
    pub const fn hash_limits(&self) -> HashLimits {
        self.description.hash
    }

    /// Whether the device offers to stand by for another one with the same address ([`STANDBY`](NetFeatures::STANDBY)).
    pub const fn offers_standby(&self) -> bool {
        self.offers_standby
    }

    /// What the device says of its link now. It tells of changes by an interrupt, if [`STATUS`](NetFeatures::STATUS) was agreed on; without, the link counts as up.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn link(&self) -> Result<Link, ConfigError> {
        description::link(&self.half.config(), self.features())
    }

    /// The link's speed now, in millions of bits per second, if the device says it. May change together with the link.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn speed(&self) -> Result<Option<u32>, ConfigError> {
        description::speed(&self.half.config(), self.features())
    }

    /// Whether both sides of the link can send at once now, if the device says it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn duplex(&self) -> Result<Option<Duplex>, ConfigError> {
        description::duplex(&self.half.config(), self.features())
    }

    /// Tells the device that its driver has announced itself, or is about to.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`GUEST_ANNOUNCE`](NetFeatures::GUEST_ANNOUNCE).
    ///
    /// Spec: §5.1.9.5.4 Gratuitous Packet Sending.
    pub fn acknowledge_announce(&mut self, mut patience: impl Patience) -> Result<(), ControlError> {
        let command =
            self.command(NetFeatures::GUEST_ANNOUNCE, class::ANNOUNCE, announce::ACK, &mut patience)?;
        command.run(&mut patience)
    }

    /// What the control queue has done, if there is one.
    pub fn control_statistics(&self) -> Option<QueueStatistics> {
        self.commands.as_ref().map(Commands::statistics)
    }

    /// Ends the device's life: resets it, waits until it is reset, and takes its interrupt objects back. With what comes out each queue gives back what it has, and the device can be brought up again.
    ///
    /// # Errors
    /// - [`DownFailed`]: the device does not answer. It may still use its queues' memory, and is told nothing more; its interrupts still have their objects.
    #[allow(clippy::result_large_err, reason = "the device itself comes back, once in its life")]
    pub fn take_down(self, patience: impl Patience) -> Result<Down<'s, T>, DownFailed<'s, T, H>> {
        let Self { half, unpaired, mut commands, .. } = self;
        match half.take_down(patience) {
            Ok(lifecycle::Down { transport, reset, handlers }) => {
                drop(unpaired.map(|queue| queue.reclaim(&reset).ok()));
                let control_slots = commands.and_then(|commands| commands.reclaim(&reset));
                Ok(Down { transport, reset, handlers, control_slots })
            }
            Err(lifecycle::DownFailed { error, half }) => {
                commands.iter_mut().for_each(Commands::retire);
                Err(DownFailed { error, control: Self { half, unpaired, commands, ..self } })
            }
        }
    }

    /// The end of a driver that was dropped: as [`take_down`](Control::take_down), with the patience fixed at bring-up.
    pub(super) fn tear_down(self) -> Option<ConfirmedReset> {
        let reset = self.half.reset_within_drop_bound()?;
        drop(self.unpaired.map(|queue| queue.reclaim(&reset).ok()));
        if let Some(commands) = self.commands {
            commands.reclaim(&reset);
        }
        Some(reset)
    }

    /// Begins a command that needs a feature.
    pub(super) fn command(
        &mut self,
        needed: NetFeatures,
        class: u8,
        command: u8,
        patience: &mut dyn Patience,
    ) -> Result<Writing<'_, 's, H>, ControlError> {
        self.need(needed)?;
        let commands = self.commands.as_mut().ok_or(ControlError::Unsupported)?;
        commands.begin(class, command, patience)
    }

    /// Whether a feature was agreed on, as a result.
    pub(super) fn need(&self, needed: NetFeatures) -> Result<(), ControlError> {
        self.features().contains(needed).then_some(()).ok_or(ControlError::Unsupported)
    }

    /// Writes the address into the configuration space of a legacy device, from the first byte to the last.
    pub(super) fn write_address(&mut self, address: MacAddress) -> Result<(), ControlError> {
        for (field, byte) in config::MAC.into_iter().zip(address) {
            self.half.write_config(field, byte)?;
        }
        Ok(())
    }
}

//! A card for `embassy-net`: `Driver` of `embassy-net-driver` 0.2.
//!
//! A pair of queues as [`Packets`], the signals that its interrupts give, and a [`Link`], through which the task that has the card's control half says whether there is one.
//!
//! ```no_run
//! # use virtio_guest::{hal::Hal, transport::Transport};
//! use virtio_guest::adapter::embassy_net_driver::{Link, NetDriver};
//! use virtio_guest::adapter::{PacketMemory, Packets};
//! use virtio_guest::device::net::{Control, Net};
//! use virtio_guest::lifecycle::{Condition, Signals};
//!
//! static SIGNALS: Signals<3> = Signals::new(); // one for each queue
//! static LINK: Link = Link::new();
//!
//! /// What `embassy_net::new` takes. Interrupt handlers have their objects before: `Interrupts::vector`, `Interrupts::line`.
//! fn driver<T: Transport, H: Hal>(
//!     net: Net<'static, T, H>,
//!     memory: PacketMemory<'static>,
//! ) -> Option<(NetDriver<'static, 'static, H>, Control<'static, T, H>)> {
//!     let (mut control, receive, transmit) = net.split();
//!     control.connect_interrupts(&SIGNALS).ok()?;
//!     let packets = Packets::new(&control, receive, transmit, memory);
//!     let driver = NetDriver::new(packets, control.interrupts()?, &LINK)?;
//!     Some((driver, control))
//! }
//!
//! /// A task beside the stack's.
//! async fn watch<T: Transport, H: Hal>(mut control: Control<'static, T, H>) -> Condition {
//!     LINK.follow(&mut control).await // until the card has to be reset, or is gone
//! }
//! ```

use core::fmt;
use core::task::Context;

use atomic_waker::AtomicWaker;
use embassy_net_driver::{
    Capabilities, Checksum, ChecksumCapabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken,
};

use super::packets::{PacketRoom, Packets, ReceivedPacket};
use crate::device::net::Control;
use crate::hal::Hal;
use crate::lifecycle::{Condition, Interrupts, QueueSignal};
use crate::ring::Rearmed;
use crate::sync::{AtomicU8, Ordering};
use crate::transport::Transport;

/// Whether there is a link, for a stack that waits for one: in a static, or wherever it outlives both sides.
#[derive(Debug)]
pub struct Link {
    is_up: AtomicU8,
    waker: AtomicWaker,
}

impl Link {
    /// No link until somebody says so.
    pub const fn new() -> Self {
        Self { is_up: AtomicU8::new(0), waker: AtomicWaker::new() }
    }

    /// Says whether there is a link.
    pub fn set(&self, is_up: bool) {
        self.is_up.store(is_up.into(), Ordering::Release);
        self.waker.wake();
    }

    /// Says what the card says, now and whenever that changes, for as long as the card is live; then how it is. There is no link after that. Whoever wants to do something else with the control half meanwhile
    /// drops this, and calls it again.
    ///
    /// *Cancellation*: nothing is lost.
    /// *Wakes*: by the interrupt for the configuration.
    pub async fn follow<H: Hal>(&self, control: &mut Control<'_, impl Transport, H>) -> Condition {
        loop {
            self.set(control.link().is_ok_and(|link| link.is_up));
            let condition = control.configuration_change().await;
            if condition != Condition::Live {
                self.set(false);
                return condition;
            }
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

/// A card's pair of queues for `embassy-net`. See the module's head.
pub struct NetDriver<'s, 'm, H: Hal> {
    packets: Packets<'s, 'm, H>,
    receive_signal: &'s QueueSignal,
    transmit_signal: &'s QueueSignal,
    link: &'s Link,
}

impl<'s, 'm, H: Hal> NetDriver<'s, 'm, H> {
    /// A driver for a pair of queues, with the card's interrupts. `None` if they have no signal for one of the queues, or nothing interrupts.
    pub fn new(mut packets: Packets<'s, 'm, H>, interrupts: &Interrupts<'s>, link: &'s Link) -> Option<Self> {
        let receive_signal = interrupts.queue_signal(packets.receive_queue().index())?;
        let transmit_signal = interrupts.queue_signal(packets.transmit_queue().index())?;
        Some(Self { packets, receive_signal, transmit_signal, link })
    }

    /// The pair of queues.
    pub const fn packets(&mut self) -> &mut Packets<'s, 'm, H> {
        &mut self.packets
    }

    /// The pair of queues, for the way down.
    pub fn into_packets(self) -> Packets<'s, 'm, H> {
        self.packets
    }
}

impl<'s, H: Hal> Driver for NetDriver<'s, '_, H> {
    type RxToken<'a>
        = ReceivedPacket<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = PacketRoom<'a, 's, H>
    where
        Self: 'a;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let len = loop {
            if let Some(len) = self.packets.take_next() {
                break len;
            }
            // Before the last look, so that nothing comes in between unnoticed.
            drop(self.receive_signal.replace(Some(context.waker())));
            drop(self.transmit_signal.replace(Some(context.waker())));
            if self.packets.rearm() == Rearmed::Quiet {
                return None;
            }
        };
        Some(self.packets.taken(len))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        while !self.packets.has_room() {
            drop(self.transmit_signal.replace(Some(context.waker())));
            if self.packets.transmit_queue().rearm() == Rearmed::Quiet {
                return None;
            }
        }
        Some(self.packets.room())
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.link.waker.register(context.waker());
        if self.link.is_up.load(Ordering::Acquire) == 0 { LinkState::Down } else { LinkState::Up }
    }

    fn capabilities(&self) -> Capabilities {
        let checksum = match (self.packets.judges_checksums(), self.packets.completes_checksums()) {
            (false, false) => Checksum::Both,
            (false, true) => Checksum::Rx,
            (true, false) => Checksum::Tx,
            (true, true) => Checksum::None,
        };
        let mut checksums = ChecksumCapabilities::default();
        (checksums.tcp, checksums.udp) = (checksum, checksum);
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.packets.frame_bytes_max();
        capabilities.max_burst_size = Some(self.packets.burst());
        capabilities.checksum = checksums;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.packets.mac())
    }
}

impl RxToken for ReceivedPacket<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, act: F) -> R {
        act(self.0)
    }
}

impl<H: Hal> TxToken for PacketRoom<'_, '_, H> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        self.send(len, fill)
    }
}

impl<H: Hal> fmt::Debug for NetDriver<'_, '_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetDriver").field("packets", &self.packets).finish_non_exhaustive()
    }
}

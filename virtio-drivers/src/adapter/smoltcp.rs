//! A card for `smoltcp`: `phy::Device` of its version 0.14.
//!
//! A pair of queues as [`Packets`]. The stack is told which checksums it need not compute (the card completes them, [`NetFeatures::CSUM`](crate::wire::net::NetFeatures::CSUM)) nor look at
//! ([`GUEST_CSUM`](crate::wire::net::NetFeatures::GUEST_CSUM): the card vouches for them, or they are looked at here). Those of IPv4 headers and ICMP are the stack's own affair.
//!
//! ```no_run
//! # use virtio_guest::{hal::Hal, transport::Transport};
//! use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
//! use smoltcp::time::Instant;
//! use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};
//! use virtio_guest::adapter::{PacketMemory, Packets};
//! use virtio_guest::device::net::Net;
//! use virtio_guest::ring::Rearmed;
//!
//! # fn example<'s>(net: Net<'s, impl Transport, impl Hal>, now: impl Fn() -> Instant, sleep: impl Fn()) -> Result<(), Box<dyn core::error::Error>> {
//! let (control, receive, transmit) = net.split();
//! let (mut received, mut transmitted) = ([0; 1514], [0; 1514]);
//! let memory = PacketMemory { received: &mut received, transmitted: &mut transmitted };
//! let mut packets = Packets::new(&control, receive, transmit, memory);
//!
//! let mut interface = Interface::new(Config::new(EthernetAddress(packets.mac()).into()), &mut packets, now());
//! let mut full = Ok(());
//! interface.update_ip_addrs(|all| full = all.push(IpCidr::new(Ipv4Address::new(10, 0, 2, 15).into(), 24)));
//! full.map_err(|_| "no room for an address")?;
//! let mut places = [SocketStorage::EMPTY; 8];
//! let mut sockets = SocketSet::new(&mut places[..]);
//! loop {
//!     interface.poll(now(), &mut packets, &mut sockets);
//!     // … use the sockets …
//!     # if sockets.iter().count() == 0 { break }
//!     if packets.rearm() == Rearmed::Quiet {
//!         sleep(); // until the card interrupts, or `interface.poll_delay` is over
//!     }
//! }
//! # Ok(()) }
//! ```

use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use super::packets::{PacketRoom, Packets, ReceivedPacket};
use crate::hal::Hal;

impl<'s, H: Hal> Device for Packets<'s, '_, H> {
    type RxToken<'a>
        = ReceivedPacket<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = PacketRoom<'a, 's, H>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let len = self.take_next()?;
        Some(self.taken(len))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        self.has_room().then(|| self.room())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        // What the stack is left with; named by what it does, not by what is saved.
        let checksum = match (self.judges_checksums(), self.completes_checksums()) {
            (false, false) => Checksum::Both,
            (false, true) => Checksum::Rx,
            (true, false) => Checksum::Tx,
            (true, true) => Checksum::None,
        };
        let mut checksums = ChecksumCapabilities::default();
        (checksums.tcp, checksums.udp) = (checksum, checksum);
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.frame_bytes_max();
        capabilities.max_burst_size = Some(self.burst());
        capabilities.checksum = checksums;
        capabilities
    }
}

impl RxToken for ReceivedPacket<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, act: F) -> R {
        act(self.0)
    }
}

impl<H: Hal> TxToken for PacketRoom<'_, '_, H> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        self.send(len, fill)
    }
}

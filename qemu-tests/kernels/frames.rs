//! Frames that guest and host send each other: UDP and TCP over both versions of IP.
//!
//! Written and read with `smoltcp`, by both sides. A frame is finished, or what is left to a network card is missing: then the transport's checksum covers the pseudo-header only.

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol, Ipv4Address,
    Ipv4Packet, Ipv4Repr, Ipv6Address, Ipv6Packet, Ipv6Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
    UdpPacket, UdpRepr,
};

/// Bytes of a frame's Ethernet header.
const ETHERNET: usize = 14;

/// Somebody who sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// The card's address.
    pub mac: [u8; 6],
    /// The last byte of the IP addresses: 10.77.0.n and fd77::n.
    pub number: u8,
}

/// Which version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Version 4.
    V4,
    /// Version 6.
    V6,
}

/// What is in an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A segment.
    Tcp {
        /// The number of its first byte.
        sequence: u32,
    },
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub from: Host,
    /// Who is to get it.
    pub to: Host,
    /// Which version of IP.
    pub version: Version,
    /// What is in there.
    pub transport: Transport,
    /// The sender's port, and the receiver's.
    pub ports: (u16, u16),
    /// The bytes.
    pub payload: Vec<u8>,
}

/// What is left to a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Where the checksum starts.
    pub start: u16,
    /// How far behind that it is put.
    pub offset: u16,
    /// Bytes of all headers.
    pub header_len: u16,
}

impl Version {
    fn address(self, host: u8) -> IpAddress {
        match self {
            Self::V4 => Ipv4Address::new(10, 77, 0, host).into(),
            Self::V6 => Ipv6Address::new(0xfd77, 0, 0, 0, 0, 0, 0, host.into()).into(),
        }
    }

    const fn header(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

impl Transport {
    const fn protocol(self) -> IpProtocol {
        match self {
            Self::Udp => IpProtocol::Udp,
            Self::Tcp { .. } => IpProtocol::Tcp,
        }
    }

    const fn header(self) -> usize {
        match self {
            Self::Udp => 8,
            Self::Tcp { .. } => 20,
        }
    }

    /// How far behind its start a header has the checksum.
    const fn checksum(self) -> usize {
        match self {
            Self::Udp => 6,
            Self::Tcp { .. } => 16,
        }
    }
}

/// Bytes before the payload.
pub const fn headers(version: Version, transport: Transport) -> usize {
    ETHERNET + version.header() + transport.header()
}

/// The ones' complement sum of the pseudo-header, as the transport's checksum field has it in an unfinished frame.
fn pseudo_header_sum(from: IpAddress, to: IpAddress, protocol: IpProtocol, length: usize) -> u16 {
    let mut bytes = Vec::new();
    for address in [from, to] {
        match address {
            IpAddress::Ipv4(address) => bytes.extend(address.octets()),
            IpAddress::Ipv6(address) => bytes.extend(address.octets()),
        }
    }
    let words = bytes.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum = words.sum::<u32>() + u32::from(u8::from(protocol)) + length as u32;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

impl Packet {
    /// Writes a finished frame.
    pub fn frame(&self) -> Vec<u8> {
        self.write(&ChecksumCapabilities::default())
    }

    /// Writes a frame whose transport's checksum is left to a card, and says where that is.
    pub fn unfinished(&self) -> (Vec<u8>, Unfinished) {
        let mut checksums = ChecksumCapabilities::ignored();
        checksums.ipv4 = smoltcp::phy::Checksum::Both;
        let mut frame = self.write(&checksums);
        let (from, to) = (self.version.address(self.from.number), self.version.address(self.to.number));
        let length = self.transport.header() + self.payload.len();
        let sum = pseudo_header_sum(from, to, self.transport.protocol(), length);
        let start = ETHERNET + self.version.header();
        let at = start + self.transport.checksum();
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        let offset = self.transport.checksum() as u16;
        let header_len = headers(self.version, self.transport) as u16;
        (frame, Unfinished { start: start as u16, offset, header_len })
    }

    fn write(&self, checksums: &ChecksumCapabilities) -> Vec<u8> {
        let Self { from, to, version, transport, ports, payload } = self;
        let mut bytes = vec![0; headers(*version, *transport) + payload.len()];
        let mut ethernet = EthernetFrame::new_unchecked(&mut bytes[..]);
        let ethertype = match version {
            Version::V4 => EthernetProtocol::Ipv4,
            Version::V6 => EthernetProtocol::Ipv6,
        };
        let [src_addr, dst_addr] = [from.mac, to.mac].map(EthernetAddress);
        EthernetRepr { src_addr, dst_addr, ethertype }.emit(&mut ethernet);
        let (from, to) = (version.address(from.number), version.address(to.number));
        let (next_header, hop_limit) = (transport.protocol(), 64);
        let payload_len = transport.header() + payload.len();
        let content = match (from, to) {
            (IpAddress::Ipv4(src_addr), IpAddress::Ipv4(dst_addr)) => {
                let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
                Ipv4Repr { src_addr, dst_addr, next_header, payload_len, hop_limit }
                    .emit(&mut packet, checksums);
                &mut ethernet.into_inner()[ETHERNET + version.header()..]
            }
            (IpAddress::Ipv6(src_addr), IpAddress::Ipv6(dst_addr)) => {
                let mut packet = Ipv6Packet::new_unchecked(ethernet.payload_mut());
                Ipv6Repr { src_addr, dst_addr, next_header, payload_len, hop_limit }.emit(&mut packet);
                &mut ethernet.into_inner()[ETHERNET + version.header()..]
            }
            _ => return bytes,
        };
        let (src_port, dst_port) = *ports;
        match *transport {
            Transport::Udp => {
                let mut datagram = UdpPacket::new_unchecked(content);
                let repr = UdpRepr { src_port, dst_port };
                let copy = |into: &mut [u8]| into.copy_from_slice(payload);
                repr.emit(&mut datagram, &from, &to, payload.len(), copy, checksums);
            }
            Transport::Tcp { sequence } => {
                let repr = TcpRepr {
                    src_port,
                    dst_port,
                    control: TcpControl::None,
                    seq_number: TcpSeqNumber(sequence as i32),
                    ack_number: Some(TcpSeqNumber(0)),
                    window_len: 0xffff,
                    window_scale: None,
                    max_seg_size: None,
                    sack_permitted: false,
                    sack_ranges: [None; 3],
                    timestamp: None,
                    payload,
                };
                repr.emit(&mut TcpPacket::new_unchecked(content), &from, &to, checksums);
            }
        }
        bytes
    }

    /// Reads a frame; whether its transport's checksum is right, too. `None` for frames of another kind, and for those whose headers are not right.
    pub fn read(frame: &[u8]) -> Option<(Self, bool)> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let (from, to, protocol, content) = match ethernet.ethertype() {
            EthernetProtocol::Ipv4 => {
                let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
                let is_whole = packet.verify_checksum() && !packet.more_frags() && packet.frag_offset() == 0;
                let ends = (IpAddress::from(packet.src_addr()), IpAddress::from(packet.dst_addr()));
                is_whole.then_some((ends.0, ends.1, packet.next_header(), packet.payload()))?
            }
            EthernetProtocol::Ipv6 => {
                let packet = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
                let ends = (IpAddress::from(packet.src_addr()), IpAddress::from(packet.dst_addr()));
                (ends.0, ends.1, packet.next_header(), packet.payload())
            }
            _ => return None,
        };
        let (transport, ports, payload, is_right) = match protocol {
            IpProtocol::Udp => {
                let datagram = UdpPacket::new_checked(content).ok()?;
                let ports = (datagram.src_port(), datagram.dst_port());
                (Transport::Udp, ports, datagram.payload(), datagram.verify_checksum(&from, &to))
            }
            IpProtocol::Tcp => {
                let segment = TcpPacket::new_checked(content).ok()?;
                let ports = (segment.src_port(), segment.dst_port());
                let transport = Transport::Tcp { sequence: segment.seq_number().0 as u32 };
                (transport, ports, segment.payload(), segment.verify_checksum(&from, &to))
            }
            _ => return None,
        };
        let (version, numbers) = match (from, to) {
            (IpAddress::Ipv4(from), IpAddress::Ipv4(to)) => (Version::V4, [from.octets()[3], to.octets()[3]]),
            (IpAddress::Ipv6(from), IpAddress::Ipv6(to)) => {
                (Version::V6, [from.octets()[15], to.octets()[15]])
            }
            _ => return None,
        };
        let from = Host { mac: ethernet.src_addr().0, number: numbers[0] };
        let to = Host { mac: ethernet.dst_addr().0, number: numbers[1] };
        Some((Self { from, to, version, transport, ports, payload: payload.to_vec() }, is_right))
    }

    /// The answer to it, with other bytes: a datagram.
    #[must_use]
    pub fn answer(&self, payload: Vec<u8>) -> Self {
        let (from, to) = (self.to, self.from);
        let ports = (self.ports.1, self.ports.0);
        Self { from, to, version: self.version, transport: Transport::Udp, ports, payload }
    }
}

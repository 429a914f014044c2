//! What stations say to each other to find and ask one another.
//!
//! ARP and ICMP, as far as a ping needs them.

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr,
};
use virtio_guest::device::net::MacAddress;

/// A station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    pub mac: MacAddress,
    pub ip: Ipv4Addr,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody asks, and is to be told this.
    Asked(Vec<u8>),
    /// This station is there.
    IsAt(Station),
    /// The answer to the question with this number.
    Answered { ip: Ipv4Addr, number: u16 },
}

/// What our questions have, so that others' answers are not taken for ours.
pub const IDENT: u16 = 0x7675;
const DATA: [u8; 32] = *b"virtio-user net ping, 32 bytes!!";
const HOP_LIMIT: u8 = 64;

impl Station {
    const fn ethernet(self) -> EthernetAddress {
        EthernetAddress(self.mac)
    }

    /// Asks everybody where an address is.
    pub fn who_has(self, ip: Ipv4Addr) -> Vec<u8> {
        self.arp(ArpOperation::Request, EthernetAddress([0; 6]), ip, EthernetAddress::BROADCAST)
    }

    fn arp(
        self,
        operation: ArpOperation,
        to: EthernetAddress,
        ip: Ipv4Addr,
        receiver: EthernetAddress,
    ) -> Vec<u8> {
        let message = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: self.ethernet(),
            source_protocol_addr: self.ip,
            target_hardware_addr: to,
            target_protocol_addr: ip,
        };
        self.frame(receiver, EthernetProtocol::Arp, message.buffer_len(), |room| {
            message.emit(&mut ArpPacket::new_unchecked(room));
        })
    }

    /// Asks a station for an answer.
    pub fn question(self, to: Station, number: u16) -> Vec<u8> {
        self.icmp(
            to.ethernet(),
            to.ip,
            &Icmpv4Repr::EchoRequest { ident: IDENT, seq_no: number, data: &DATA },
        )
    }

    fn icmp(self, to: EthernetAddress, ip: Ipv4Addr, message: &Icmpv4Repr<'_>) -> Vec<u8> {
        let head = Ipv4Repr {
            src_addr: self.ip,
            dst_addr: ip,
            next_header: IpProtocol::Icmp,
            payload_len: message.buffer_len(),
            hop_limit: HOP_LIMIT,
        };
        let bytes = head.buffer_len() + message.buffer_len();
        self.frame(to, EthernetProtocol::Ipv4, bytes, |room| {
            let checksums = ChecksumCapabilities::default();
            let mut packet = Ipv4Packet::new_unchecked(room);
            head.emit(&mut packet, &checksums);
            message.emit(&mut Icmpv4Packet::new_unchecked(packet.payload_mut()), &checksums);
        })
    }

    fn frame(
        self,
        to: EthernetAddress,
        ethertype: EthernetProtocol,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Vec<u8> {
        let head = EthernetRepr { src_addr: self.ethernet(), dst_addr: to, ethertype };
        let mut frame = EthernetFrame::new_unchecked(vec![0; head.buffer_len() + bytes]);
        head.emit(&mut frame);
        fill(frame.payload_mut());
        frame.into_inner()
    }

    /// What a frame says to this station; `None` if it is nothing, or for others.
    pub fn hear(self, frame: &[u8]) -> Option<Heard> {
        let frame = EthernetFrame::new_checked(frame).ok()?;
        let to = frame.dst_addr();
        if to != self.ethernet() && !to.is_broadcast() {
            return None;
        }
        match frame.ethertype() {
            EthernetProtocol::Arp => self.hear_arp(frame.payload()),
            EthernetProtocol::Ipv4 => self.hear_icmp(frame.src_addr(), frame.payload()),
            _ => None,
        }
    }

    fn hear_arp(self, payload: &[u8]) -> Option<Heard> {
        let packet = ArpPacket::new_checked(payload).ok()?;
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr,
            source_protocol_addr,
            target_protocol_addr,
            ..
        } = ArpRepr::parse(&packet).ok()?
        else {
            return None;
        };
        match operation {
            ArpOperation::Request if target_protocol_addr == self.ip => Some(Heard::Asked(self.arp(
                ArpOperation::Reply,
                source_hardware_addr,
                source_protocol_addr,
                source_hardware_addr,
            ))),
            ArpOperation::Reply => {
                Some(Heard::IsAt(Station { mac: source_hardware_addr.0, ip: source_protocol_addr }))
            }
            _ => None,
        }
    }

    fn hear_icmp(self, from: EthernetAddress, payload: &[u8]) -> Option<Heard> {
        let checksums = ChecksumCapabilities::default();
        let packet = Ipv4Packet::new_checked(payload).ok()?;
        let head = Ipv4Repr::parse(&packet, &checksums).ok()?;
        if head.dst_addr != self.ip || head.next_header != IpProtocol::Icmp {
            return None;
        }
        let message = Icmpv4Packet::new_checked(packet.payload()).ok()?;
        match Icmpv4Repr::parse(&message, &checksums).ok()? {
            Icmpv4Repr::EchoRequest { ident, seq_no, data } => {
                let answer = Icmpv4Repr::EchoReply { ident, seq_no, data };
                Some(Heard::Asked(self.icmp(from, head.src_addr, &answer)))
            }
            Icmpv4Repr::EchoReply { ident: IDENT, seq_no, data } if data == DATA => {
                Some(Heard::Answered { ip: head.src_addr, number: seq_no })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Station = Station { mac: [2, 0, 0, 0, 0, 1], ip: Ipv4Addr::new(10, 0, 0, 1) };
    const OTHER: Station = Station { mac: [2, 0, 0, 0, 0, 2], ip: Ipv4Addr::new(10, 0, 0, 2) };

    fn asked(heard: Option<Heard>) -> Vec<u8> {
        match heard {
            Some(Heard::Asked(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_stations_find_each_other_and_answer() {
        let answer = asked(OTHER.hear(&ONE.who_has(OTHER.ip)));
        assert_eq!(ONE.hear(&answer), Some(Heard::IsAt(OTHER)));

        let answer = asked(OTHER.hear(&ONE.question(OTHER, 7)));
        assert_eq!(ONE.hear(&answer), Some(Heard::Answered { ip: OTHER.ip, number: 7 }));
    }

    #[test]
    fn what_is_for_others_is_not_heard() {
        let third = Station { mac: [2, 0, 0, 0, 0, 3], ip: Ipv4Addr::new(10, 0, 0, 3) };
        assert_eq!(third.hear(&ONE.who_has(OTHER.ip)), None);
        assert_eq!(third.hear(&ONE.question(OTHER, 7)), None);
        assert_eq!(third.hear(&[0xff; 20]), None);
    }
}

//! Whose packet it is: addresses and ports, also inside of a tunnel.
//!
//! Spec: §5.1.9.4.4 Inner Header Hash; the formats are those of Ethernet, IP, TCP, UDP and of each tunnel. What is cut short, or is something else, has no flow.

use super::numbers::tunnel_type;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const ETHERNET: u16 = 0x6558;

/// What carries the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
    Other,
}

/// Addresses and ports, as they are in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow<'p> {
    pub(super) is_v6: bool,
    pub(super) source: &'p [u8],
    pub(super) destination: &'p [u8],
    /// Of IPv6: whether there are extension headers.
    pub(super) has_extensions: bool,
    /// Of IPv6: the home address, and the address of a routing header of type 2.
    pub(super) home: Option<&'p [u8]>,
    pub(super) routed: Option<&'p [u8]>,
    pub(super) transport: Transport,
    /// Source and destination port, of TCP and UDP.
    pub(super) ports: &'p [u8],
    protocol: u8,
    payload: &'p [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The tag of a frame that has one: its VLAN.
pub(super) fn vlan(frame: &[u8]) -> Option<u16> {
    (word(frame, 12)? == VLAN).then(|| word(frame, 14).map(|tag| tag & 0xfff))?
}

impl<'p> Flow<'p> {
    /// The flow of an Ethernet frame.
    pub(super) fn of_frame(frame: &'p [u8]) -> Option<Self> {
        let at = if vlan(frame).is_some() { 16 } else { 12 };
        Self::of_packet(word(frame, at)?, frame.get(at + 2..)?)
    }

    fn of_packet(ether_type: u16, packet: &'p [u8]) -> Option<Self> {
        match ether_type {
            IPV4 => Self::of_v4(packet),
            IPV6 => Self::of_v6(packet),
            ETHERNET => Self::of_frame(packet),
            _ => None,
        }
    }

    fn of_v4(packet: &'p [u8]) -> Option<Self> {
        let header_bytes = 4 * usize::from(packet.first()? & 0xf);
        let is_fragment = word(packet, 6)? & 0x3fff != 0;
        let flow = Self {
            is_v6: false,
            source: packet.get(12..16)?,
            destination: packet.get(16..20)?,
            has_extensions: false,
            home: None,
            routed: None,
            transport: Transport::Other,
            ports: &[],
            protocol: *packet.get(9)?,
            payload: packet.get(header_bytes..)?,
        };
        Some(if is_fragment { flow } else { flow.with_ports() })
    }

    fn of_v6(packet: &'p [u8]) -> Option<Self> {
        let mut flow = Self {
            is_v6: true,
            source: packet.get(8..24)?,
            destination: packet.get(24..40)?,
            has_extensions: false,
            home: None,
            routed: None,
            transport: Transport::Other,
            ports: &[],
            protocol: *packet.get(6)?,
            payload: packet.get(40..)?,
        };
        // Hop-by-hop options, routing, destination options.
        while matches!(flow.protocol, 0 | 43 | 60) {
            let header = flow.payload;
            let len = 8 + 8 * usize::from(*header.get(1)?);
            let body = header.get(..len)?;
            match flow.protocol {
                43 if body[2] == 2 => flow.routed = body.get(8..24),
                60 => flow.home = home_address(&body[2..]),
                _ => {}
            }
            flow.has_extensions = true;
            (flow.protocol, flow.payload) = (header[0], &header[len..]);
        }
        Some(flow.with_ports())
    }

    fn with_ports(mut self) -> Self {
        let transport = match self.protocol {
            6 => Transport::Tcp,
            17 => Transport::Udp,
            _ => return self,
        };
        if let Some(ports) = self.payload.get(..4) {
            (self.transport, self.ports) = (transport, ports);
        }
        self
    }

    /// The flow of what this one carries, if it is a tunnel of one of these types.
    pub(super) fn inner(&self, enabled: u32) -> Option<Self> {
        let (kind, inner) = match self.protocol {
            4 => (tunnel_type::IPIP, Self::of_v4(self.payload)),
            41 => (tunnel_type::IPIP, Self::of_v6(self.payload)),
            47 => self.in_gre(self.payload)?,
            17 => self.in_udp()?,
            _ => return None,
        };
        inner.filter(|_| enabled & kind != 0)
    }

    fn in_gre(&self, gre: &'p [u8]) -> Option<(u32, Option<Self>)> {
        let (flags, ether_type) = (word(gre, 0)?, word(gre, 2)?);
        let has = |bit: u16| usize::from(flags & bit != 0);
        let len = 4 + 4 * (has(0x8000) + has(0x2000) + has(0x1000));
        let kind = if ether_type == ETHERNET {
            tunnel_type::NVGRE
        } else if self.is_v6 {
            tunnel_type::GRE_7676
        } else if flags & 0x3000 != 0 {
            tunnel_type::GRE_2890
        } else {
            tunnel_type::GRE_2784
        };
        Some((kind, Self::of_packet(ether_type, gre.get(len..)?)))
    }

    fn in_udp(&self) -> Option<(u32, Option<Self>)> {
        let carried = self.payload.get(8..)?;
        Some(match word(self.ports, 2)? {
            4789 => (tunnel_type::VXLAN, Self::of_frame(carried.get(8..)?)),
            4790 => {
                let ether_type = [IPV4, IPV6, ETHERNET].get(usize::from(*carried.get(3)?).checked_sub(1)?);
                (tunnel_type::VXLAN_GPE, Self::of_packet(*ether_type?, carried.get(8..)?))
            }
            6081 => {
                let len = 8 + 4 * usize::from(carried.first()? & 0x3f);
                (tunnel_type::GENEVE, Self::of_packet(word(carried, 2)?, carried.get(len..)?))
            }
            4754 => (tunnel_type::GRE_UDP, self.in_gre(carried)?.1),
            _ => return None,
        })
    }
}

/// The home address among destination options.
fn home_address(mut options: &[u8]) -> Option<&[u8]> {
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [0xc9, 16, rest @ ..] => return rest.get(..16),
            [_, len, rest @ ..] => options = rest.get(usize::from(*len)..)?,
            _ => return None,
        }
    }
}

//! The hash of a packet, and where it leads to.
//!
//! Spec: §5.1.9.4.3 Hash calculation for incoming packets, §5.1.9.5.7 Receive-side scaling (RSS).

use super::flow::{Flow, Transport};
use super::numbers::hash_report;

/// How hashes are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HashSetup {
    /// The hash types that are enabled: bit `report - 1`.
    pub types: u32,
    /// The key.
    pub key: Vec<u8>,
    /// The tunnels whose inner headers are hashed; bits of [`tunnel_type`](super::tunnel_type).
    pub tunnels: u32,
}

/// The hash of some bytes, as Toeplitz has it; a key that is too short goes on with zeros.
pub fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let key_bit = |at: usize| key.get(at / 8).is_some_and(|byte| byte & 0x80 >> (at % 8) != 0);
    let mut window = (0..32).fold(0, |window, at| window << 1 | u32::from(key_bit(at)));
    let mut hash = 0;
    for at in 0..8 * input.len() {
        if input[at / 8] & 0x80 >> (at % 8) != 0 {
            hash ^= window;
        }
        window = window << 1 | u32::from(key_bit(at + 32));
    }
    hash
}

impl HashSetup {
    /// The hash of a frame, and what it was made of; `None` if it has none.
    pub fn of(&self, frame: &[u8]) -> Option<(u32, u16)> {
        let outer = Flow::of_frame(frame)?;
        let flow = outer.inner(self.tunnels).unwrap_or(outer);
        let (report, parts) = self.parts(&flow)?;
        Some((toeplitz(&self.key, &parts.concat()), report))
    }

    /// Which hash it is, and what goes into it.
    fn parts<'p>(&self, flow: &Flow<'p>) -> Option<(u16, [&'p [u8]; 3])> {
        if flow.has_extensions {
            let source = flow.home.unwrap_or(flow.source);
            let destination = flow.routed.unwrap_or(flow.destination);
            let [addresses, tcp, udp] = [hash_report::IPV6_EX, hash_report::TCPV6_EX, hash_report::UDPV6_EX];
            let found = self.first_enabled(flow, addresses, tcp, udp);
            if let Some((report, ports)) = found {
                return Some((report, [source, destination, ports]));
            }
        }
        let [addresses, tcp, udp] = if flow.is_v6 {
            [hash_report::IPV6, hash_report::TCPV6, hash_report::UDPV6]
        } else {
            [hash_report::IPV4, hash_report::TCPV4, hash_report::UDPV4]
        };
        let (report, ports) = self.first_enabled(flow, addresses, tcp, udp)?;
        Some((report, [flow.source, flow.destination, ports]))
    }

    /// The first hash that is enabled and fits: with ports, or of the addresses alone.
    fn first_enabled<'p>(
        &self,
        flow: &Flow<'p>,
        addresses: u16,
        tcp: u16,
        udp: u16,
    ) -> Option<(u16, &'p [u8])> {
        let is_enabled = |report: u16| self.types & 1 << (report - 1) != 0;
        match flow.transport {
            Transport::Tcp if is_enabled(tcp) => Some((tcp, flow.ports)),
            Transport::Udp if is_enabled(udp) => Some((udp, flow.ports)),
            _ => is_enabled(addresses).then_some((addresses, &[])),
        }
    }
}

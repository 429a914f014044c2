//! Judging what a driver supplies: packets, and buffers to receive into.
//!
//! Spec: §5.1.9.2.1 Driver Requirements: Packet Transmission, §5.1.9.3.1 Driver Requirements: Setting Up Receive Buffers,
//! §5.1.9.8 Legacy Interface: Framing Requirements.

use super::flow;
use super::header::{Header, header_bytes};
use super::numbers::{feature, gso_type, header_flag};
use crate::chain::Chain;

/// Ethernet header without and with a VLAN tag.
const ETHERNET_BYTES: usize = 14;
const TAGGED_BYTES: usize = 18;
/// The largest packet without and with receive offloads.
const PLAIN_BYTES: usize = 1514;
const LARGE_BYTES: usize = 65_589;
const VERSION_1: u32 = 32;

/// What holds at the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The features that were agreed on.
    pub(super) features: u128,
    /// The largest packet that the device speaks of, without Ethernet header.
    pub(super) mtu: u16,
    /// How many transmit queues may be used.
    pub(super) transmit_pairs: u16,
}

type Judgement = Result<(), String>;

fn expect(is_fine: bool, complaint: impl FnOnce() -> String) -> Judgement {
    if is_fine { Ok(()) } else { Err(complaint()) }
}

impl Rules {
    fn has(&self, bit: u32) -> bool {
        self.features & 1 << bit != 0
    }

    fn has_any(&self, bits: &[u32]) -> bool {
        bits.iter().any(|bit| self.has(*bit))
    }

    /// Legacy drivers put the header into a descriptor of its own, unless framing is free.
    fn judge_framing(&self, lens: &[u32]) -> Judgement {
        let header = header_bytes(self.features);
        let is_free = self.has_any(&[VERSION_1, feature::ANY_LAYOUT]);
        let first = lens.first().map_or(0, |len| usize::try_from(*len).unwrap_or(usize::MAX));
        expect(is_free || first == header, || format!("a first descriptor of {first} bytes, not {header}"))
    }

    /// Says what is wrong with a receive buffer, if anything.
    pub(super) fn judge_buffer(&self, chain: &Chain) -> Judgement {
        expect(chain.readable_bytes() == 0, || "a receive buffer with readable bytes".into())?;
        self.judge_framing(&chain.writable_lens())?;
        let header = header_bytes(self.features);
        let bytes = chain.writable_bytes();
        let is_large = self.has_any(&[
            feature::GUEST_TSO4,
            feature::GUEST_TSO6,
            feature::GUEST_UFO,
            feature::GUEST_USO4,
            feature::GUEST_USO6,
        ]);
        let packet = if self.has(feature::MRG_RXBUF) {
            0
        } else if is_large {
            LARGE_BYTES
        } else if self.has(feature::MTU) {
            PLAIN_BYTES.max(ETHERNET_BYTES + usize::from(self.mtu))
        } else {
            PLAIN_BYTES
        };
        let least = (header + packet) as u64;
        expect(bytes >= least, || format!("a receive buffer of {bytes} bytes, less than {least}"))
    }

    /// Says what is wrong with a chain that is transmitted through the queue of a pair, if anything, and what it says.
    pub(super) fn judge_packet(
        &self,
        pair: u16,
        chain: &Chain,
        bytes: &[u8],
    ) -> (Header, Vec<u8>, Judgement) {
        let len = header_bytes(self.features);
        let Some((header, is_clean, frame)) = Header::split(bytes, len) else {
            let complaint = format!("a packet of {} bytes, with a header of {len}", bytes.len());
            return (Header::default(), Vec::new(), Err(complaint));
        };
        let judgement = expect(chain.writable_bytes() == 0, || "a packet with writable bytes".into())
            .and_then(|()| expect(pair < self.transmit_pairs, || format!("pair {pair} is not in use")))
            .and_then(|()| self.judge_framing(&chain.readable_lens()))
            .and_then(|()| expect(is_clean, || "padding that is not 0".into()))
            .and_then(|()| expect(frame.len() >= ETHERNET_BYTES, || format!("{} bytes", frame.len())))
            .and_then(|()| self.judge_header(&header, frame));
        (header, frame.to_vec(), judgement)
    }

    fn judge_header(&self, header: &Header, frame: &[u8]) -> Judgement {
        let Header { num_buffers, outer_nh_offset, .. } = *header;
        expect(num_buffers == 0, || format!("{num_buffers} buffers of a transmitted packet"))?;
        let is_inside = usize::from(outer_nh_offset) < frame.len();
        expect(is_inside, || format!("an outer network header at {outer_nh_offset}"))?;
        self.judge_flags(header)?;
        let tunnels = header.gso_type & (gso_type::UDP_TUNNEL_IPV4 | gso_type::UDP_TUNNEL_IPV6);
        let kind = header.gso_type & !(tunnels | gso_type::ECN);
        self.judge_kind(header, kind)?;
        self.judge_tunnel(header, kind, tunnels, frame)?;
        self.judge_lengths(header, kind, frame)
    }

    fn judge_flags(&self, header: &Header) -> Judgement {
        let flags = header.flags;
        let mut permitted = 0;
        if self.has(feature::CSUM) {
            permitted |= header_flag::NEEDS_CSUM;
        }
        if self.has(feature::HOST_UDP_TUNNEL_GSO_CSUM) {
            permitted |= header_flag::UDP_TUNNEL_CSUM;
        }
        expect(flags & !permitted == 0, || format!("flags {flags:#x}, of which {permitted:#x} may be set"))
    }

    fn judge_kind(&self, header: &Header, kind: u8) -> Judgement {
        let needed = match kind {
            gso_type::NONE => None,
            gso_type::TCPV4 => Some(feature::HOST_TSO4),
            gso_type::TCPV6 => Some(feature::HOST_TSO6),
            gso_type::UDP => Some(feature::HOST_UFO),
            gso_type::UDP_L4 => Some(feature::HOST_USO),
            _ => return Err(format!("gso_type {kind}")),
        };
        expect(needed.is_none_or(|bit| self.has(bit)), || format!("gso_type {kind} without its feature"))?;
        if header.gso_type & gso_type::ECN != 0 {
            expect(self.has(feature::HOST_ECN), || "ECN without its feature".into())?;
            expect(matches!(kind, gso_type::TCPV4 | gso_type::TCPV6), || "ECN of no TCP".into())?;
        }
        if kind == gso_type::NONE {
            return Ok(());
        }
        let is_partial = header.flags & header_flag::NEEDS_CSUM != 0;
        expect(is_partial, || "a packet to be cut without a partial checksum".into())?;
        expect(header.gso_size != 0, || "a packet to be cut into segments of 0 bytes".into())
    }

    fn judge_tunnel(&self, header: &Header, kind: u8, tunnels: u8, frame: &[u8]) -> Judgement {
        if tunnels == 0 {
            let has_outer = header.flags & header_flag::UDP_TUNNEL_CSUM != 0;
            return expect(!has_outer, || "an outer checksum without a tunnel".into());
        }
        expect(self.has(feature::HOST_UDP_TUNNEL_GSO), || "a tunnel without its feature".into())?;
        expect(tunnels.is_power_of_two(), || "a tunnel of both kinds".into())?;
        let is_cut = !matches!(kind, gso_type::NONE | gso_type::UDP);
        expect(is_cut, || format!("a tunnel with gso_type {kind}"))?;
        let [outer, inner, transport] =
            [header.outer_th_offset, header.inner_nh_offset, header.csum_start].map(usize::from);
        let is_ordered = outer + 8 <= inner && inner < transport && transport < frame.len();
        expect(is_ordered, || format!("tunnel headers at {outer}, {inner} and {transport}"))
    }

    fn judge_lengths(&self, header: &Header, kind: u8, frame: &[u8]) -> Judgement {
        let len = frame.len();
        let start = usize::from(header.csum_start);
        let end = start + usize::from(header.csum_offset) + 2;
        if header.flags & header_flag::NEEDS_CSUM != 0 {
            expect(end <= len, || format!("a checksum up to {end} of {len} bytes"))?;
        }
        if kind == gso_type::NONE {
            let tag = flow::vlan(frame).map_or(ETHERNET_BYTES, |_| TAGGED_BYTES);
            let most = usize::from(self.mtu) + tag;
            let is_fine = !self.has(feature::MTU) || len <= most;
            return expect(is_fine, || format!("a packet of {len} bytes, more than {most}"));
        }
        if !self.has(feature::GUEST_HDRLEN) {
            return Ok(());
        }
        let transport = match kind {
            gso_type::TCPV4 | gso_type::TCPV6 => frame.get(start + 12).map_or(20, |byte| byte >> 4 << 2),
            _ => 8,
        };
        let exact = start + usize::from(transport);
        let said = header.hdr_len;
        expect(usize::from(said) == exact, || format!("headers of {said} bytes, though they are {exact}"))
    }
}

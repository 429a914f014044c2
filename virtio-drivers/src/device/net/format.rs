//! The header before every frame: how long it is, what it says, and what is believed.
//!
//! Spec: §5.1.9 Device Operation (`struct virtio_net_hdr`), §5.1.9.2.1 and §5.1.9.4.2 (what drivers have to see to). Pure functions over private copies.
//!
//! ```text
//!   length   features                                         legacy
//!   10                                                        without MRG_RXBUF
//!   12       none of those below                              with it
//!   20       HASH_REPORT
//!   24       HOST_UDP_TUNNEL_GSO or GUEST_UDP_TUNNEL_GSO
//!   32       OUT_NET_HEADER
//! ```

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::offload::{
    Checksum, Coalesced, Hash, HashReport, Offload, Segmentation, SegmentationKind, Tunnel, TunnelKind,
};
use super::transmit::TransmitError;
use crate::raw::{Lead, Least};
use crate::wire::features::CommonFeatures;
use crate::wire::net::NetFeatures;
use crate::wire::net::hash_report;
use crate::wire::net::header::{
    HashFields, HeaderFlags, LEGACY_PACKET_HEADER_BYTES, OutNetFields, PacketHeader, TunnelFields, gso_type,
};

/// The longest header; shorter ones end early.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct LongestHeader {
    packet: PacketHeader,
    hash: HashFields,
    tunnel: TunnelFields,
    outer: OutNetFields,
}

/// Its bytes.
pub(super) const LONGEST_HEADER_BYTES: usize = size_of::<LongestHeader>();

/// A header's bytes, and zeros after them.
pub(super) type HeaderBytes = [u8; LONGEST_HEADER_BYTES];

/// A frame without so many bytes (two addresses and a type) is none.
pub(super) const FRAME_BYTES_MIN: u16 = 14;

/// How headers look between this driver and its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    features: NetFeatures,
    bytes: u8,
    apart: bool,
    /// Most bytes of a packet behind its Ethernet header, if the device says so.
    mtu: Option<u16>,
    usual_lengths: u16,
}

/// What a received header says, and is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) offload: Offload,
    pub(super) hash: Option<Hash>,
}

/// Bytes of a UDP header: of a datagram to be cut, or the outer one of a tunnel, which other headers follow.
pub(super) const UDP_HEADER_BYTES: usize = 8;

/// A header that contradicts itself, its frame, or what was agreed on: the frame is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Format {
    pub(super) fn of(features: NetFeatures, common: CommonFeatures, mtu: Option<u16>) -> Self {
        let is_legacy = !common.contains(CommonFeatures::VERSION_1);
        let tunnels = NetFeatures::HOST_UDP_TUNNEL_GSO.union(NetFeatures::GUEST_UDP_TUNNEL_GSO);
        let bytes = if features.contains(NetFeatures::OUT_NET_HEADER) {
            LONGEST_HEADER_BYTES
        } else if features.intersects(tunnels) {
            offset_of!(LongestHeader, outer)
        } else if features.contains(NetFeatures::HASH_REPORT) {
            offset_of!(LongestHeader, tunnel)
        } else if is_legacy && !features.contains(NetFeatures::MRG_RXBUF) {
            LEGACY_PACKET_HEADER_BYTES
        } else {
            offset_of!(LongestHeader, hash)
        };
        let apart = is_legacy && !common.contains(CommonFeatures::ANY_LAYOUT);
        let bytes = u8::try_from(bytes).unwrap_or(u8::MAX);
        let mut format = Self { features, bytes, apart, mtu, usual_lengths: 0 };
        if format.is_usual() {
            let beyond = format.frame_bytes_max() - usize::from(FRAME_BYTES_MIN);
            format.usual_lengths = u16::try_from(beyond).map_or(u16::MAX, |beyond| beyond.saturating_add(1));
        }
        format
    }

    /// Bytes of the header.
    pub(super) const fn bytes(&self) -> u8 {
        self.bytes
    }

    /// Bytes that have to be a segment of their own: those of the header, with devices of before version 1 that want it so (§5.1.9.8).
    pub(super) const fn apart(&self) -> u8 {
        if self.apart { self.bytes } else { 0 }
    }

    /// Descriptors that a chain of so many buffers takes, at least one, in a ring whose tables have room for so many segments, if it has any.
    pub(super) fn descriptors(&self, buffers: u16, table_segments: Option<u16>) -> u16 {
        let segments = buffers.saturating_add(u16::from(self.apart));
        let is_indirect = table_segments.is_some_and(|most| segments <= most);
        if is_indirect { 1 } else { segments.max(1) }
    }

    /// Bytes of the longest frame that the device takes as it is, without a VLAN tag.
    #[inline]
    pub(super) fn frame_bytes_max(&self) -> usize {
        self.mtu.map_or(usize::MAX, |mtu| usize::from(mtu) + usize::from(FRAME_BYTES_MIN))
    }

    /// Whether headers are as they mostly are: 12 bytes, and no segment of their own.
    pub(super) const fn is_usual(&self) -> bool {
        self.bytes == Lead::BYTES && !self.apart
    }

    /// How many bytes a device writes of a usual frame, at least.
    pub(super) const fn least(&self) -> Least {
        if self.is_usual() { Least::after_lead(FRAME_BYTES_MIN) } else { Least::NEVER }
    }

    /// How many lengths a frame of the usual format may have to be transmitted as it is, from the shortest on: none in another format. Longer ones are looked at twice.
    pub(super) const fn usual_lengths(&self) -> u16 {
        self.usual_lengths
    }

    /// Whether the length of headers has to be exact in what is to be cut.
    pub(super) fn wants_exact_headers(&self) -> bool {
        self.has(NetFeatures::GUEST_HDRLEN)
    }

    /// Whether a frame may be spread over several receive buffers.
    pub(super) const fn is_mergeable(&self) -> bool {
        self.features.contains(NetFeatures::MRG_RXBUF)
    }

    /// Over how many receive buffers a frame is spread. Without `MRG_RXBUF` it is one, whatever is written there.
    pub(super) fn buffers(&self, header: &HeaderBytes) -> Result<u16, Malformed> {
        if !self.is_mergeable() {
            return Ok(1);
        }
        let count = LongestHeader::ref_from_bytes(header).map_err(|_| Malformed)?.packet.num_buffers.get();
        if count == 0 { Err(Malformed) } else { Ok(count) }
    }

    /// Whether a usual header says that nothing is to be known of a frame: by its first two bytes, flags and kind of segmentation, and its last two, the count of buffers.
    #[inline(always)]
    pub(super) const fn says_nothing(&self, kind: u16, buffers: u16) -> bool {
        kind == 0 && (buffers == 1 || !self.is_mergeable())
    }

    /// Judges a received header: of a frame of so many bytes.
    ///
    /// Spec: §5.1.9.4.2 Driver Requirements: Processing of Incoming Packets.
    #[inline]
    pub(super) fn judge(&self, header: &HeaderBytes, len: usize) -> Result<Received, Malformed> {
        let header = LongestHeader::ref_from_bytes(header).map_err(|_| Malformed)?;
        let mut offload = Offload::NOTHING;
        if header.packet.flags != 0 || header.packet.gso_type != gso_type::NONE {
            offload = self.judge_offload(header, len)?;
        }
        let mut hash = None;
        if self.bytes > 12 {
            let report = header.hash.hash_report.get();
            if self.has(NetFeatures::HASH_REPORT) && report != hash_report::NONE {
                hash = Some(Hash { value: header.hash.hash_value.get(), report: HashReport(report) });
            }
            let outer = header.outer.outer_nh_offset.get();
            if self.has(NetFeatures::OUT_NET_HEADER) && usize::from(outer) < len {
                offload = offload.with_outer_network(outer);
            }
        }
        Ok(Received { offload, hash })
    }

    fn judge_offload(&self, header: &LongestHeader, len: usize) -> Result<Offload, Malformed> {
        let packet = &header.packet;
        let flags = HeaderFlags::from_bits_retain(packet.flags);
        // With this bit there are counts in place of them, whether that was agreed on or not.
        let has_counts = flags.contains(HeaderFlags::RSC_INFO);
        let coalesced = has_counts && self.has(NetFeatures::RSC_EXT);
        let (start, offset) = (packet.csum_start.get(), packet.csum_offset.get());
        let checksum = if flags.contains(HeaderFlags::NEEDS_CSUM) {
            // Without the feature the device has to supply complete checksums (§5.1.9.4.1).
            self.needs(NetFeatures::GUEST_CSUM)?;
            if has_counts {
                Checksum::PartialSomewhere
            } else {
                checksum_fits(start, offset, len).then_some(()).ok_or(Malformed)?;
                Checksum::Partial { start, offset }
            }
        } else if flags.contains(HeaderFlags::DATA_VALID) && self.has(NetFeatures::GUEST_CSUM) {
            Checksum::Valid
        } else {
            Checksum::None
        };
        let is_partial = flags.contains(HeaderFlags::NEEDS_CSUM);
        let mut offload = Offload::NOTHING.with_checksum(checksum);
        let tunnel_bits = packet.gso_type & (gso_type::UDP_TUNNEL_IPV4 | gso_type::UDP_TUNNEL_IPV6);
        let kind = packet.gso_type & !(gso_type::ECN | tunnel_bits);
        let kind = match kind {
            gso_type::NONE => None,
            gso_type::TCPV4 => Some((SegmentationKind::Tcp4, NetFeatures::GUEST_TSO4)),
            gso_type::TCPV6 => Some((SegmentationKind::Tcp6, NetFeatures::GUEST_TSO6)),
            gso_type::UDP => Some((SegmentationKind::UdpFragments, NetFeatures::GUEST_UFO)),
            gso_type::UDP_L4 => {
                Some((SegmentationKind::Udp, NetFeatures::GUEST_USO4.union(NetFeatures::GUEST_USO6)))
            }
            _ => return Err(Malformed),
        };
        if let Some((kind, any_of)) = kind {
            let size = packet.gso_size.get();
            if !is_partial || size == 0 || !self.features.intersects(any_of) {
                return Err(Malformed);
            }
            let ecn = packet.gso_type & gso_type::ECN != 0;
            let header_len = packet.hdr_len.get();
            offload = offload.with_segmentation(Segmentation { kind, ecn, size, header_len });
        }
        if coalesced {
            offload = offload.with_coalesced(Coalesced { segments: start, duplicate_acks: offset });
        }
        let is_outer_partial = flags.contains(HeaderFlags::UDP_TUNNEL_CSUM);
        let tunnel = match tunnel_bits {
            0 if is_outer_partial && is_partial => return Err(Malformed),
            0 => return Ok(offload),
            gso_type::UDP_TUNNEL_IPV4 => TunnelKind::Ipv4,
            gso_type::UDP_TUNNEL_IPV6 => TunnelKind::Ipv6,
            _ => return Err(Malformed),
        };
        self.needs(NetFeatures::GUEST_UDP_TUNNEL_GSO)?;
        if is_outer_partial {
            self.needs(NetFeatures::GUEST_UDP_TUNNEL_GSO_CSUM)?;
        }
        let (outer_transport, inner_network) =
            (header.tunnel.outer_th_offset.get(), header.tunnel.inner_nh_offset.get());
        // Where counts are, nothing says where the transport header is.
        let transport = if has_counts { len } else { usize::from(start) };
        let is_inside = tunnel_fits(outer_transport, inner_network, transport);
        // Nothing is to be cut, or the device says that it has checked what it has not completed, or old fragments are in a tunnel.
        let contradicts = kind.is_none_or(|(kind, _)| kind == SegmentationKind::UdpFragments)
            || flags.contains(HeaderFlags::DATA_VALID);
        if !is_inside || contradicts {
            return Err(Malformed);
        }
        let tunnel = Tunnel { kind: tunnel, outer_transport, inner_network, checksum: is_outer_partial };
        Ok(offload.with_tunnel(tunnel))
    }

    /// The header for a frame of so many bytes, to be transmitted.
    ///
    /// Spec: §5.1.9.2.1 Driver Requirements: Packet Transmission.
    #[inline]
    pub(super) fn header(&self, offload: &Offload, len: usize) -> Result<HeaderBytes, TransmitError> {
        if *offload == Offload::NOTHING {
            return Ok([0; LONGEST_HEADER_BYTES]);
        }
        self.header_with(offload, len)
    }

    fn header_with(&self, offload: &Offload, len: usize) -> Result<HeaderBytes, TransmitError> {
        let mut header = LongestHeader::default();
        let packet = &mut header.packet;
        let is_partial = match offload.checksum() {
            Checksum::None | Checksum::Valid => false,
            Checksum::Partial { start, offset } => {
                self.agreed(NetFeatures::CSUM)?;
                if !checksum_fits(start, offset, len) {
                    return Err(TransmitError::BadOffload);
                }
                packet.flags |= HeaderFlags::NEEDS_CSUM.bits();
                packet.csum_start.set(start);
                packet.csum_offset.set(offset);
                true
            }
            Checksum::PartialSomewhere => return Err(TransmitError::BadOffload),
        };
        if let Some(Segmentation { kind, ecn, size, header_len }) = offload.segmentation() {
            let (gso_type, feature) = match kind {
                SegmentationKind::Tcp4 => (gso_type::TCPV4, NetFeatures::HOST_TSO4),
                SegmentationKind::Tcp6 => (gso_type::TCPV6, NetFeatures::HOST_TSO6),
                SegmentationKind::UdpFragments => (gso_type::UDP, NetFeatures::HOST_UFO),
                SegmentationKind::Udp => (gso_type::UDP_L4, NetFeatures::HOST_USO),
            };
            self.agreed(feature)?;
            if !is_partial || size == 0 || usize::from(header_len) > len {
                return Err(TransmitError::BadOffload);
            }
            packet.gso_type = gso_type;
            packet.gso_size.set(size);
            packet.hdr_len.set(header_len);
            if ecn {
                if !matches!(kind, SegmentationKind::Tcp4 | SegmentationKind::Tcp6) {
                    return Err(TransmitError::BadOffload);
                }
                self.agreed(NetFeatures::HOST_ECN)?;
                packet.gso_type |= gso_type::ECN;
            }
        }
        if let Some(tunnel) = offload.tunnel() {
            self.agreed(NetFeatures::HOST_UDP_TUNNEL_GSO)?;
            let bit = match (tunnel.kind, offload.segmentation().map(|cut| cut.kind)) {
                (TunnelKind::Ipv4, Some(SegmentationKind::Tcp4 | SegmentationKind::Udp)) => {
                    gso_type::UDP_TUNNEL_IPV4
                }
                (TunnelKind::Ipv6, Some(SegmentationKind::Tcp6 | SegmentationKind::Udp)) => {
                    gso_type::UDP_TUNNEL_IPV6
                }
                _ => return Err(TransmitError::BadOffload),
            };
            let transport = usize::from(packet.csum_start.get());
            if !tunnel_fits(tunnel.outer_transport, tunnel.inner_network, transport) {
                return Err(TransmitError::BadOffload);
            }
            packet.gso_type |= bit;
            if tunnel.checksum {
                self.agreed(NetFeatures::HOST_UDP_TUNNEL_GSO_CSUM)?;
                packet.flags |= HeaderFlags::UDP_TUNNEL_CSUM.bits();
            }
            header.tunnel.outer_th_offset.set(tunnel.outer_transport);
            header.tunnel.inner_nh_offset.set(tunnel.inner_network);
        }
        if let Some(offset) = offload.outer_network()
            && self.has(NetFeatures::OUT_NET_HEADER)
            && usize::from(offset) < len
        {
            header.outer.outer_nh_offset.set(offset);
        }
        let mut bytes = [0; LONGEST_HEADER_BYTES];
        header.write_to(&mut bytes).map_err(|_| TransmitError::BadOffload)?;
        Ok(bytes)
    }

    fn has(&self, feature: NetFeatures) -> bool {
        self.features.contains(feature)
    }

    fn needs(&self, feature: NetFeatures) -> Result<(), Malformed> {
        if self.has(feature) { Ok(()) } else { Err(Malformed) }
    }

    fn agreed(&self, feature: NetFeatures) -> Result<(), TransmitError> {
        if self.has(feature) { Ok(()) } else { Err(TransmitError::NotNegotiated(feature)) }
    }
}

/// Whether a 16-bit checksum is inside of the frame.
fn checksum_fits(start: u16, offset: u16, len: usize) -> bool {
    usize::from(start) + usize::from(offset) + 2 <= len
}

/// Whether a tunnel's UDP header, the inner network header and the inner transport header come one after the other.
fn tunnel_fits(outer_transport: u16, inner_network: u16, inner_transport: usize) -> bool {
    let inner_network = usize::from(inner_network);
    usize::from(outer_transport) + UDP_HEADER_BYTES <= inner_network && inner_network < inner_transport
}

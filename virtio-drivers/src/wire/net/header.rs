//! What stands before each packet, in either direction.
//!
//! Spec: §5.1.9 Device Operation (`struct virtio_net_hdr`). How long it is was negotiated; what is longer has everything that is shorter.
//!
//! ```text
//!   bytes  0 … 12          … 20           … 24            … 32
//!          PacketHeader    HashFields     TunnelFields    OutNetFields
//!          always          HASH_REPORT    … UDP tunnels   OUT_NET_HEADER
//!          10 bytes: legacy, without MRG_RXBUF
//! ```

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What every packet starts with.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_hdr")]
pub struct PacketHeader {
    /// See [`HeaderFlags`].
    pub flags: u8,
    /// See [`gso_type`].
    pub gso_type: u8,
    /// Bytes of all headers of a packet that is to be segmented; a hint unless `GUEST_HDRLEN` was agreed on.
    pub hdr_len: U16,
    /// Most bytes of a segment behind its headers.
    pub gso_size: U16,
    /// Where checksumming begins, in bytes from the start of the packet. With `RSC_INFO`: how many segments were joined.
    pub csum_start: U16,
    /// Where the checksum belongs, in bytes from `csum_start`. With `RSC_INFO`: how many duplicate acknowledgements were joined.
    pub csum_offset: U16,
    /// How many buffers a received packet takes; 0 in what is sent. A legacy device has this field only with `MRG_RXBUF`.
    pub num_buffers: U16,
}

/// Bytes of a [`PacketHeader`].
pub const PACKET_HEADER_BYTES: usize = size_of::<PacketHeader>();

/// Bytes of the header of a legacy device without `MRG_RXBUF`: there it ends before `num_buffers`.
pub const LEGACY_PACKET_HEADER_BYTES: usize = PACKET_HEADER_BYTES - size_of::<U16>();

/// What follows with `HASH_REPORT`, and whenever something follows that is further on.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_hdr_v1_hash")]
pub struct HashFields {
    /// The hash.
    pub hash_value: U32,
    /// See [`hash_report`](super::hash_report).
    pub hash_report: U16,
    /// Nothing.
    pub padding_reserved: U16,
}

/// Bytes of a [`HashFields`].
pub const HASH_FIELDS_BYTES: usize = size_of::<HashFields>();

/// What follows with `HOST_UDP_TUNNEL_GSO` or `GUEST_UDP_TUNNEL_GSO`, and whenever something follows that is further on.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TunnelFields {
    /// Where the outer transport header is, in bytes from the start of the packet.
    pub outer_th_offset: U16,
    /// Where the inner network header is, in bytes from the start of the packet.
    pub inner_nh_offset: U16,
}

/// Bytes of a [`TunnelFields`].
pub const TUNNEL_FIELDS_BYTES: usize = size_of::<TunnelFields>();

/// What follows with `OUT_NET_HEADER`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct OutNetFields {
    /// Where the outer network header is, in bytes from the start of the packet; 0 if that is not said.
    pub outer_nh_offset: U16,
    /// Nothing.
    pub padding_reserved_2: [u8; 6],
}

/// Bytes of an [`OutNetFields`].
pub const OUT_NET_FIELDS_BYTES: usize = size_of::<OutNetFields>();

bitflags::bitflags! {
    /// What is the matter with a packet.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct HeaderFlags: u8 {
        /// `csum_start` and `csum_offset` are valid, and the checksum is not complete.
        #[doc(alias = "VIRTIO_NET_HDR_F_NEEDS_CSUM")]
        const NEEDS_CSUM = 1;
        /// The checksum was found to be right.
        #[doc(alias = "VIRTIO_NET_HDR_F_DATA_VALID")]
        const DATA_VALID = 2;
        /// `csum_start` and `csum_offset` say what was joined instead.
        #[doc(alias = "VIRTIO_NET_HDR_F_RSC_INFO")]
        const RSC_INFO = 4;
        /// The outer checksum of a UDP tunnel is not complete either.
        #[doc(alias = "VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM")]
        const UDP_TUNNEL_CSUM = 8;
        /// IPsec was, or is to be, applied.
        #[doc(alias = "VIRTIO_NET_HDR_F_SECURITY")]
        const SECURITY = 16;
        /// IPsec failed.
        #[doc(alias = "VIRTIO_NET_HDR_F_SECURITY_ERR")]
        const SECURITY_ERR = 32;
        /// The security association ends soon.
        #[doc(alias = "VIRTIO_NET_HDR_F_SECURITY_SA_SOFT_EXPIRY_WARN")]
        const SECURITY_SA_SOFT_EXPIRY_WARN = 64;
    }
}

/// How a packet is to be segmented: one of the numbers, and bits.
pub mod gso_type {
    /// Not at all.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_NONE")]
    pub const NONE: u8 = 0;
    /// TCP over IPv4.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_TCPV4")]
    pub const TCPV4: u8 = 1;
    /// UDP, to be fragmented.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_UDP")]
    pub const UDP: u8 = 3;
    /// TCP over IPv6.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_TCPV6")]
    pub const TCPV6: u8 = 4;
    /// UDP, each segment with a header of its own.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_UDP_L4")]
    pub const UDP_L4: u8 = 5;
    /// A bit: inside of a UDP tunnel over IPv4.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4")]
    pub const UDP_TUNNEL_IPV4: u8 = 0x20;
    /// A bit: inside of a UDP tunnel over IPv6.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6")]
    pub const UDP_TUNNEL_IPV6: u8 = 0x40;
    /// A bit: the TCP packet has explicit congestion notification.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_ECN")]
    pub const ECN: u8 = 0x80;
}

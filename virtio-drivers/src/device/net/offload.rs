//! What goes with a frame besides its bytes: checksums and segmentation left to the other side.
//!
//! Spec: §5.1.9.2 Packet Transmission, §5.1.9.4 Processing of Incoming Packets. Plain values: a received frame has them, a frame to be transmitted can be given them, and a frame that is
//! forwarded keeps them. Offsets count bytes from the start of the frame.
//!
//! ```
//! use virtio_guest::device::net::{Checksum, Offload, Segmentation, SegmentationKind};
//!
//! // A TCP segment of 32 KiB over IPv4, to be cut into frames of 1460 bytes of payload; the checksum field has the sum of the pseudo header.
//! let (ethernet, ip, tcp) = (14, 20, 20);
//! let offload = Offload::default()
//!     .with_checksum(Checksum::Partial { start: ethernet + ip, offset: 16 })
//!     .with_segmentation(Segmentation {
//!         kind: SegmentationKind::Tcp4, size: 1460, header_len: ethernet + ip + tcp, ecn: false,
//!     });
//! assert_eq!(offload.segmentation().map(|cut| cut.size), Some(1460));
//! ```

/// See the module's head. The default: nothing is left to anybody, and nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    checksum: Checksum,
    segmentation: Option<Segmentation>,
    tunnel: Option<Tunnel>,
    coalesced: Option<Coalesced>,
    outer_network: u16,
}

/// What is known about a frame's checksum, or left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Received: nothing is known, so check it. To be transmitted: it is complete.
    #[default]
    None,
    /// Received: the device has checked it (the outermost one). To be transmitted: it is complete.
    Valid,
    /// It has only the sum of the pseudo header: the ones' complement checksum of everything from `start` on, in 16 bits, is to go to the place `offset` bytes after that. The
    /// bytes themselves are known to be sound, for they never left the host, but whoever reads the checksum field finds it wrong.
    Partial {
        /// Where summing up begins.
        start: u16,
        /// Where the checksum goes, in bytes from `start`.
        offset: u16,
    },
    /// As [`Partial`](Checksum::Partial), without saying where: of segments that the device put together ([`Coalesced`]). Whoever passes the frame on has to look where it is.
    PartialSomewhere,
}

/// How a frame that is too long for the wire is to be cut, or was put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// What is cut.
    pub kind: SegmentationKind,
    /// Whether a TCP segment has the CWR bit set, so that only the first piece may have it.
    pub ecn: bool,
    /// Payload bytes of each piece, at most; not 0.
    pub size: u16,
    /// Bytes of the headers that each piece begins with, the transport's included. Of a received frame: a hint at best. Where it has to be exact (`GUEST_HDRLEN`), the transmit queue measures them itself.
    pub header_len: u16,
}

/// Along what a frame is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentationKind {
    /// A TCP segment over IPv4.
    Tcp4,
    /// A TCP segment over IPv6.
    Tcp6,
    /// A UDP datagram, into fragments (out of use, but for old devices).
    UdpFragments,
    /// Several UDP datagrams in a row.
    Udp,
}

/// A frame to be cut that is inside of a UDP tunnel: what [`Checksum`] and [`Segmentation`] say is about the inner packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The inner network protocol.
    pub kind: TunnelKind,
    /// Where the outer UDP header is.
    pub outer_transport: u16,
    /// Where the inner network header is.
    pub inner_network: u16,
    /// Whether the outer checksum is partial, too; else it is complete or absent (0).
    pub checksum: bool,
}

/// What is inside of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Segments that the device put together to one frame, as it received them (`RSC_EXT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coalesced {
    /// How many there were.
    pub segments: u16,
    /// How many acknowledgements said the same.
    pub duplicate_acks: u16,
}

/// The hash of a received frame's addresses, as the device computed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// The hash.
    pub value: u32,
    /// What went into it.
    pub report: HashReport,
}

/// What went into a [`struct@Hash`]: one of the numbers in [`hash_report`](crate::wire::net::hash_report), or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashReport(pub u16);

impl Offload {
    /// The default.
    pub(super) const NOTHING: Self = Self {
        checksum: Checksum::None,
        segmentation: None,
        tunnel: None,
        coalesced: None,
        outer_network: 0,
    };

    /// The frame's checksum.
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// How the frame is to be cut, or was put together.
    pub const fn segmentation(&self) -> Option<Segmentation> {
        self.segmentation
    }

    /// The tunnel that a frame to be cut is in.
    pub const fn tunnel(&self) -> Option<Tunnel> {
        self.tunnel
    }

    /// Of how many segments the device made it; received frames only.
    pub const fn coalesced(&self) -> Option<Coalesced> {
        self.coalesced
    }

    /// Where the outer network header is, if that was said (`OUT_NET_HEADER`).
    pub const fn outer_network(&self) -> Option<u16> {
        if self.outer_network == 0 { None } else { Some(self.outer_network) }
    }

    /// The same, with this checksum.
    #[must_use]
    pub const fn with_checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }

    /// The same, to be cut like this. Its checksum has to be [`Partial`](Checksum::Partial).
    #[must_use]
    pub const fn with_segmentation(self, segmentation: Segmentation) -> Self {
        Self { segmentation: Some(segmentation), ..self }
    }

    /// The same, inside of a tunnel.
    #[must_use]
    pub const fn with_tunnel(self, tunnel: Tunnel) -> Self {
        Self { tunnel: Some(tunnel), ..self }
    }

    /// The same, with the outer network header at this place; 0 says nothing.
    #[must_use]
    pub const fn with_outer_network(self, offset: u16) -> Self {
        Self { outer_network: offset, ..self }
    }

    /// The same, made of so many segments.
    #[must_use]
    pub(super) const fn with_coalesced(self, coalesced: Coalesced) -> Self {
        Self { coalesced: Some(coalesced), ..self }
    }
}

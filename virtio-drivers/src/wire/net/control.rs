//! Commands of the control queue: numbers and layouts.
//!
//! Spec: §5.1.9.5 Control Virtqueue (`struct virtio_net_ctrl`). A command is its header and its data, which the device reads, then one byte and perhaps a result, which it writes.
//! Of steering and hashes see [`rss`](super::rss), of counters [`statistics`](super::statistics).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What every command starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_ctrl")]
#[doc(alias = "virtio_net_ctrl_hdr")]
pub struct ControlHeader {
    /// One of the numbers in [`class`].
    pub class: u8,
    /// A number of that class.
    pub command: u8,
}

/// Bytes of a [`ControlHeader`].
pub const CONTROL_HEADER_BYTES: usize = size_of::<ControlHeader>();

/// What the device answers.
pub mod ack {
    /// Done.
    #[doc(alias = "VIRTIO_NET_OK")]
    pub const OK: u8 = 0;
    /// Not done.
    #[doc(alias = "VIRTIO_NET_ERR")]
    pub const ERR: u8 = 1;
    /// No answer: what the driver writes there before the device does, so that silence is not taken for success.
    pub const NOT_WRITTEN: u8 = 0xff;
}

/// Classes of commands.
pub mod class {
    /// What is received: see [`rx`](super::rx).
    #[doc(alias = "VIRTIO_NET_CTRL_RX")]
    pub const RX: u8 = 0;
    /// Addresses: see [`mac`](super::mac).
    #[doc(alias = "VIRTIO_NET_CTRL_MAC")]
    pub const MAC: u8 = 1;
    /// VLANs: see [`vlan`](super::vlan).
    #[doc(alias = "VIRTIO_NET_CTRL_VLAN")]
    pub const VLAN: u8 = 2;
    /// Announcements: see [`announce`](super::announce).
    #[doc(alias = "VIRTIO_NET_CTRL_ANNOUNCE")]
    pub const ANNOUNCE: u8 = 3;
    /// Several queues: see [`mq`](super::mq).
    #[doc(alias = "VIRTIO_NET_CTRL_MQ")]
    pub const MQ: u8 = 4;
    /// What the driver takes: see [`guest_offloads`](super::guest_offloads).
    #[doc(alias = "VIRTIO_NET_CTRL_GUEST_OFFLOADS")]
    pub const GUEST_OFFLOADS: u8 = 5;
    /// Gathering of notifications: see [`notf_coal`](super::notf_coal).
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL")]
    pub const NOTF_COAL: u8 = 6;
    /// Hashes of inner headers: see [`hash_tunnel`](super::hash_tunnel).
    #[doc(alias = "VIRTIO_NET_CTRL_HASH_TUNNEL")]
    pub const HASH_TUNNEL: u8 = 7;
    /// Counters: see [`stats`](super::stats).
    #[doc(alias = "VIRTIO_NET_CTRL_STATS")]
    pub const STATS: u8 = 8;
    /// Further configurations of steering: see [`rss_ctx`](super::rss_ctx).
    #[doc(alias = "VIRTNET_RSS_CTX_CTRL")]
    pub const RSS_CTX: u8 = 9;
}

/// What is received. The data of each is one byte, 1 for on, 0 for off.
///
/// Spec: §5.1.9.5.1 Packet Receive Filtering.
pub mod rx {
    /// Everything.
    #[doc(alias = "VIRTIO_NET_CTRL_RX_PROMISC")]
    pub const PROMISC: u8 = 0;
    /// All that is for groups.
    #[doc(alias = "VIRTIO_NET_CTRL_RX_ALLMULTI")]
    pub const ALLMULTI: u8 = 1;
    /// All that is for one station.
    #[doc(alias = "VIRTIO_NET_CTRL_RX_ALLUNI")]
    pub const ALLUNI: u8 = 2;
    /// Nothing that is for groups.
    #[doc(alias = "VIRTIO_NET_CTRL_RX_NOMULTI")]
    pub const NOMULTI: u8 = 3;
    /// Nothing that is for one station.
    #[doc(alias = "VIRTIO_NET_CTRL_RX_NOUNI")]
    pub const NOUNI: u8 = 4;
    /// Nothing that is for all.
    #[doc(alias = "VIRTIO_NET_CTRL_RX_NOBCAST")]
    pub const NOBCAST: u8 = 5;
}

/// Addresses.
///
/// Spec: §5.1.9.5.2 Setting MAC Address Filtering.
pub mod mac {
    /// Sets which addresses are received: a number (`le32`) and so many addresses of stations, then the same for groups.
    #[doc(alias = "VIRTIO_NET_CTRL_MAC_TABLE_SET")]
    #[doc(alias = "virtio_net_ctrl_mac")]
    pub const TABLE_SET: u8 = 0;
    /// Sets the device's own address: 6 bytes.
    #[doc(alias = "VIRTIO_NET_CTRL_MAC_ADDR_SET")]
    pub const ADDR_SET: u8 = 1;
}

/// VLANs. The data is a VLAN's number (`le16`).
///
/// Spec: §5.1.9.5.3 VLAN Filtering.
pub mod vlan {
    /// It is received from now on.
    #[doc(alias = "VIRTIO_NET_CTRL_VLAN_ADD")]
    pub const ADD: u8 = 0;
    /// It is not received any more.
    #[doc(alias = "VIRTIO_NET_CTRL_VLAN_DEL")]
    pub const DEL: u8 = 1;
}

/// Announcements.
///
/// Spec: §5.1.9.5.4 Gratuitous Packet Sending.
pub mod announce {
    /// The driver has seen that it is to announce itself. No data.
    #[doc(alias = "VIRTIO_NET_CTRL_ANNOUNCE_ACK")]
    pub const ACK: u8 = 0;
}

/// Several queues.
///
/// Spec: §5.1.9.5.5 Device operation in multiqueue mode.
pub mod mq {
    /// Sets how many pairs of queues are used: `le16`. The device steers.
    #[doc(alias = "VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET")]
    pub const VQ_PAIRS_SET: u8 = 0;
    /// Sets how packets are steered: see [`RssConfigStart`](crate::wire::net::rss::RssConfigStart).
    #[doc(alias = "VIRTIO_NET_CTRL_MQ_RSS_CONFIG")]
    pub const RSS_CONFIG: u8 = 1;
    /// Sets what hashes are made of: see [`HashConfigStart`](crate::wire::net::rss::HashConfigStart).
    #[doc(alias = "VIRTIO_NET_CTRL_MQ_HASH_CONFIG")]
    pub const HASH_CONFIG: u8 = 2;
    /// Fewest pairs that can be used.
    #[doc(alias = "VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN")]
    pub const VQ_PAIRS_MIN: u16 = 1;
    /// Most pairs that a device can have.
    #[doc(alias = "VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX")]
    pub const VQ_PAIRS_MAX: u16 = 0x8000;
}

/// What the driver takes.
///
/// Spec: §5.1.9.5.9 Offloads State Configuration.
pub mod guest_offloads {
    /// Sets it: see [`GuestOffloads`](super::GuestOffloads), as `le64`.
    #[doc(alias = "VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET")]
    pub const SET: u8 = 0;
}

/// Gathering of notifications.
///
/// Spec: §5.1.9.5.10 Notifications Coalescing.
pub mod notf_coal {
    /// For all transmit queues: see [`WireCoalescing`](super::WireCoalescing).
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL_TX_SET")]
    pub const TX_SET: u8 = 0;
    /// For all receive queues.
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL_RX_SET")]
    pub const RX_SET: u8 = 1;
    /// For one queue: see [`WireQueueCoalescing`](super::WireQueueCoalescing).
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET")]
    pub const VQ_SET: u8 = 2;
    /// Asks for that of one queue: [`WireQueue`](super::WireQueue); the result is a [`WireCoalescing`](super::WireCoalescing).
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET")]
    pub const VQ_GET: u8 = 3;
}

/// Hashes of inner headers.
///
/// Spec: §5.1.9.4.4 Inner Header Hash.
pub mod hash_tunnel {
    /// Sets in which tunnels the device looks for them: see [`TunnelTypes`](crate::wire::net::TunnelTypes), as `le32`.
    #[doc(alias = "VIRTIO_NET_CTRL_HASH_TUNNEL_SET")]
    #[doc(alias = "virtnet_hash_tunnel")]
    pub const SET: u8 = 0;
}

/// Counters.
///
/// Spec: §5.1.9.5.11 Device Statistics.
pub mod stats {
    /// Asks which there are. The result is a [`StatisticsTypes`](crate::wire::net::statistics::StatisticsTypes), as `le64`.
    #[doc(alias = "VIRTIO_NET_CTRL_STATS_QUERY")]
    #[doc(alias = "virtio_net_stats_capabilities")]
    pub const QUERY: u8 = 0;
    /// Asks for some: see [`StatisticsRequest`](crate::wire::net::statistics::StatisticsRequest).
    #[doc(alias = "VIRTIO_NET_CTRL_STATS_GET")]
    pub const GET: u8 = 1;
}

/// Further configurations of steering.
///
/// Spec: §5.1.9.5.8 RSS Context.
pub mod rss_ctx {
    /// Asks how many there can be. The result is `le16`.
    #[doc(alias = "VIRTNET_RSS_CTX_CTRL_CAP_GET")]
    #[doc(alias = "virtnet_rss_ctx_cap")]
    pub const CAP_GET: u8 = 0;
    /// Adds one: see [`RssContextStart`](crate::wire::net::rss::RssContextStart).
    #[doc(alias = "VIRTNET_RSS_CTX_CTRL_ADD")]
    pub const ADD: u8 = 1;
    /// Changes one, in the same way.
    #[doc(alias = "VIRTNET_RSS_CTX_CTRL_MOD")]
    pub const MOD: u8 = 2;
    /// Removes one: its number, `le16`.
    #[doc(alias = "VIRTNET_RSS_CTX_CTRL_DEL")]
    #[doc(alias = "virtnet_rss_ctx_del")]
    pub const DEL: u8 = 3;
}

bitflags::bitflags! {
    /// What the driver takes besides plain packets. The bits are numbered as the features are, but for those of UDP tunnels.
    ///
    /// Spec: §5.1.9.5.9.1 Setting Offloads State.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct GuestOffloads: u64 {
        /// Checksums that are not complete.
        #[doc(alias = "VIRTIO_NET_F_GUEST_CSUM")]
        const CSUM = 1 << 1;
        /// TCP over IPv4 in pieces larger than a packet.
        #[doc(alias = "VIRTIO_NET_F_GUEST_TSO4")]
        const TSO4 = 1 << 7;
        /// TCP over IPv6 in such pieces.
        #[doc(alias = "VIRTIO_NET_F_GUEST_TSO6")]
        const TSO6 = 1 << 8;
        /// Such pieces with explicit congestion notification.
        #[doc(alias = "VIRTIO_NET_F_GUEST_ECN")]
        const ECN = 1 << 9;
        /// UDP datagrams that would have to be fragmented.
        #[doc(alias = "VIRTIO_NET_F_GUEST_UFO")]
        const UFO = 1 << 10;
        /// Such pieces in UDP tunnels.
        #[doc(alias = "VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO")]
        const UDP_TUNNEL_GSO = 1 << 46;
        /// The same with an outer checksum that is not complete.
        #[doc(alias = "VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM")]
        const UDP_TUNNEL_GSO_CSUM = 1 << 47;
        /// UDP over IPv4 in pieces larger than a packet.
        #[doc(alias = "VIRTIO_NET_F_GUEST_USO4")]
        const USO4 = 1 << 54;
        /// UDP over IPv6 in such pieces.
        #[doc(alias = "VIRTIO_NET_F_GUEST_USO6")]
        const USO6 = 1 << 55;
    }
}

/// How notifications are gathered.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_ctrl_coal")]
pub struct WireCoalescing {
    /// At most so many packets before a notification.
    pub max_packets: U32,
    /// At most so many microseconds before a notification.
    pub max_usecs: U32,
}

/// A queue by its index.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct WireQueue {
    /// Its index.
    pub vq_index: U16,
    /// Nothing.
    pub reserved: U16,
}

/// How notifications of one queue are gathered.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_ctrl_coal_vq")]
pub struct WireQueueCoalescing {
    /// Which queue.
    pub queue: WireQueue,
    /// How.
    pub coalescing: WireCoalescing,
}

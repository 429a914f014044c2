//! Feature bits of the network device, and which needs which.
//!
//! Spec: §5.1.3 Feature bits, §5.1.3.1 Feature bit requirements. `GUEST_` is what the driver can receive, `HOST_` what the device can send on.

use crate::wire::features::{Dependency, DeviceFeatures};

bitflags::bitflags! {
    /// Feature bits of the network device.
    ///
    /// Spec: §5.1.3 Feature bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NetFeatures: u128 {
        /// The device completes checksums of what is sent.
        #[doc(alias = "VIRTIO_NET_F_CSUM")]
        const CSUM = 1 << 0;
        /// The driver takes packets whose checksum is not complete.
        #[doc(alias = "VIRTIO_NET_F_GUEST_CSUM")]
        const GUEST_CSUM = 1 << 1;
        /// What the driver takes can be changed while the device runs.
        #[doc(alias = "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS")]
        const CTRL_GUEST_OFFLOADS = 1 << 2;
        /// `mtu` is valid.
        #[doc(alias = "VIRTIO_NET_F_MTU")]
        const MTU = 1 << 3;
        /// `mac` is valid.
        #[doc(alias = "VIRTIO_NET_F_MAC")]
        const MAC = 1 << 5;
        /// Legacy devices: segmentation of any kind is handled.
        #[doc(alias = "VIRTIO_NET_F_GSO")]
        const GSO = 1 << 6;
        /// The driver takes TCP over IPv4 in pieces larger than a packet.
        #[doc(alias = "VIRTIO_NET_F_GUEST_TSO4")]
        const GUEST_TSO4 = 1 << 7;
        /// The same for TCP over IPv6.
        #[doc(alias = "VIRTIO_NET_F_GUEST_TSO6")]
        const GUEST_TSO6 = 1 << 8;
        /// The driver takes such pieces with explicit congestion notification.
        #[doc(alias = "VIRTIO_NET_F_GUEST_ECN")]
        const GUEST_ECN = 1 << 9;
        /// The driver takes UDP datagrams that would have to be fragmented.
        #[doc(alias = "VIRTIO_NET_F_GUEST_UFO")]
        const GUEST_UFO = 1 << 10;
        /// The device segments TCP over IPv4.
        #[doc(alias = "VIRTIO_NET_F_HOST_TSO4")]
        const HOST_TSO4 = 1 << 11;
        /// The device segments TCP over IPv6.
        #[doc(alias = "VIRTIO_NET_F_HOST_TSO6")]
        const HOST_TSO6 = 1 << 12;
        /// The device segments TCP with explicit congestion notification.
        #[doc(alias = "VIRTIO_NET_F_HOST_ECN")]
        const HOST_ECN = 1 << 13;
        /// The device fragments UDP datagrams.
        #[doc(alias = "VIRTIO_NET_F_HOST_UFO")]
        const HOST_UFO = 1 << 14;
        /// A received packet may take several buffers.
        #[doc(alias = "VIRTIO_NET_F_MRG_RXBUF")]
        const MRG_RXBUF = 1 << 15;
        /// `status` is valid.
        #[doc(alias = "VIRTIO_NET_F_STATUS")]
        const STATUS = 1 << 16;
        /// There is a control queue.
        #[doc(alias = "VIRTIO_NET_F_CTRL_VQ")]
        const CTRL_VQ = 1 << 17;
        /// Commands that choose what is received.
        #[doc(alias = "VIRTIO_NET_F_CTRL_RX")]
        const CTRL_RX = 1 << 18;
        /// Commands that choose which VLANs are received.
        #[doc(alias = "VIRTIO_NET_F_CTRL_VLAN")]
        const CTRL_VLAN = 1 << 19;
        /// More commands that choose what is received.
        #[doc(alias = "VIRTIO_NET_F_CTRL_RX_EXTRA")]
        const CTRL_RX_EXTRA = 1 << 20;
        /// The driver announces itself when the device asks for it.
        #[doc(alias = "VIRTIO_NET_F_GUEST_ANNOUNCE")]
        const GUEST_ANNOUNCE = 1 << 21;
        /// There are several pairs of queues, and the device chooses for each flow where it is received.
        #[doc(alias = "VIRTIO_NET_F_MQ")]
        const MQ = 1 << 22;
        /// The address is set by a command.
        #[doc(alias = "VIRTIO_NET_F_CTRL_MAC_ADDR")]
        const CTRL_MAC_ADDR = 1 << 23;
        /// The device counts, and tells.
        #[doc(alias = "VIRTIO_NET_F_DEVICE_STATS")]
        const DEVICE_STATS = 1 << 50;
        /// The hash of a packet in a tunnel can be made of its inner header.
        #[doc(alias = "VIRTIO_NET_F_HASH_TUNNEL")]
        const HASH_TUNNEL = 1 << 51;
        /// The device can gather notifications of a queue.
        #[doc(alias = "VIRTIO_NET_F_VQ_NOTF_COAL")]
        const VQ_NOTF_COAL = 1 << 52;
        /// The device can gather notifications of all receive queues, and of all transmit queues.
        #[doc(alias = "VIRTIO_NET_F_NOTF_COAL")]
        const NOTF_COAL = 1 << 53;
        /// The driver takes UDP over IPv4 in pieces larger than a packet.
        #[doc(alias = "VIRTIO_NET_F_GUEST_USO4")]
        const GUEST_USO4 = 1 << 54;
        /// The same for UDP over IPv6.
        #[doc(alias = "VIRTIO_NET_F_GUEST_USO6")]
        const GUEST_USO6 = 1 << 55;
        /// The device segments UDP, each segment with a UDP header of its own.
        #[doc(alias = "VIRTIO_NET_F_HOST_USO")]
        const HOST_USO = 1 << 56;
        /// The device says a hash with each packet.
        #[doc(alias = "VIRTIO_NET_F_HASH_REPORT")]
        const HASH_REPORT = 1 << 57;
        /// The driver says exactly how long headers are.
        #[doc(alias = "VIRTIO_NET_F_GUEST_HDRLEN")]
        const GUEST_HDRLEN = 1 << 59;
        /// There are several pairs of queues, and the driver chooses by a hash where is received.
        #[doc(alias = "VIRTIO_NET_F_RSS")]
        const RSS = 1 << 60;
        /// The device says how many segments and acknowledgements it joined.
        #[doc(alias = "VIRTIO_NET_F_RSC_EXT")]
        const RSC_EXT = 1 << 61;
        /// The device may stand by for another one with the same address.
        #[doc(alias = "VIRTIO_NET_F_STANDBY")]
        const STANDBY = 1 << 62;
        /// `speed` and `duplex` are valid.
        #[doc(alias = "VIRTIO_NET_F_SPEED_DUPLEX")]
        const SPEED_DUPLEX = 1 << 63;
        /// There are several configurations by which is chosen where is received.
        #[doc(alias = "VIRTIO_NET_F_RSS_CONTEXT")]
        const RSS_CONTEXT = 1 << 64;
        /// The driver takes pieces larger than a packet in UDP tunnels.
        #[doc(alias = "VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO")]
        const GUEST_UDP_TUNNEL_GSO = 1 << 65;
        /// The driver takes such pieces with an outer checksum that is not complete.
        #[doc(alias = "VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM")]
        const GUEST_UDP_TUNNEL_GSO_CSUM = 1 << 66;
        /// The device segments inside of UDP tunnels.
        #[doc(alias = "VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO")]
        const HOST_UDP_TUNNEL_GSO = 1 << 67;
        /// The device completes the outer checksum as well.
        #[doc(alias = "VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM")]
        const HOST_UDP_TUNNEL_GSO_CSUM = 1 << 68;
        /// The driver says where the outer network header is.
        #[doc(alias = "VIRTIO_NET_F_OUT_NET_HEADER")]
        const OUT_NET_HEADER = 1 << 69;
        /// The device does IPsec.
        #[doc(alias = "VIRTIO_NET_F_IPSEC")]
        const IPSEC = 1 << 70;
    }
}

/// What can only be used through the control queue. Of `CTRL_GUEST_OFFLOADS` and `DEVICE_STATS` the specification's table does not say so, but there is no other way.
const BY_COMMAND: NetFeatures = NetFeatures::CTRL_GUEST_OFFLOADS.union(NetFeatures::DEVICE_STATS);

impl DeviceFeatures for NetFeatures {
    const DEPENDENCIES: &'static [Dependency<Self>] = &[
        Dependency::all(
            Self::GUEST_TSO4
                .union(Self::GUEST_TSO6)
                .union(Self::GUEST_UFO)
                .union(Self::GUEST_USO4)
                .union(Self::GUEST_USO6),
            Self::GUEST_CSUM,
        ),
        Dependency::any_of(Self::GUEST_ECN, Self::GUEST_TSO4.union(Self::GUEST_TSO6)),
        Dependency::all(
            Self::GUEST_UDP_TUNNEL_GSO,
            Self::GUEST_TSO4.union(Self::GUEST_TSO6).union(Self::GUEST_USO4).union(Self::GUEST_USO6),
        ),
        Dependency::all(Self::GUEST_UDP_TUNNEL_GSO_CSUM, Self::GUEST_UDP_TUNNEL_GSO),
        Dependency::all(
            Self::HOST_TSO4.union(Self::HOST_TSO6).union(Self::HOST_UFO).union(Self::HOST_USO),
            Self::CSUM,
        ),
        Dependency::any_of(Self::HOST_ECN.union(Self::RSC_EXT), Self::HOST_TSO4.union(Self::HOST_TSO6)),
        Dependency::all(
            Self::HOST_UDP_TUNNEL_GSO,
            Self::HOST_TSO4.union(Self::HOST_TSO6).union(Self::HOST_USO),
        ),
        Dependency::all(Self::HOST_UDP_TUNNEL_GSO_CSUM, Self::HOST_UDP_TUNNEL_GSO),
        Dependency::all(
            Self::CTRL_RX
                .union(Self::CTRL_VLAN)
                .union(Self::CTRL_RX_EXTRA)
                .union(Self::GUEST_ANNOUNCE)
                .union(Self::MQ)
                .union(Self::CTRL_MAC_ADDR)
                .union(Self::NOTF_COAL)
                .union(Self::VQ_NOTF_COAL)
                .union(Self::RSS)
                .union(Self::HASH_REPORT)
                .union(Self::HASH_TUNNEL)
                .union(BY_COMMAND),
            Self::CTRL_VQ,
        ),
        Dependency::any_of(Self::HASH_TUNNEL, Self::RSS.union(Self::HASH_REPORT)),
        Dependency::all(Self::RSS_CONTEXT, Self::RSS),
    ];
}

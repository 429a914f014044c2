//! What hashes of packets are made of, and how they are reported.
//!
//! Spec: §5.1.9.4.3 Hash calculation for incoming packets, §5.1.9.4.4 Inner Header Hash, §5.1.9.4.5 Hash reporting for incoming packets.

bitflags::bitflags! {
    /// Of which packets a hash is made, and of which of their fields.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HashTypes: u32 {
        /// IPv4 addresses.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_IPv4")]
        const IPV4 = 1 << 0;
        /// IPv4 addresses and TCP ports.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_TCPv4")]
        const TCPV4 = 1 << 1;
        /// IPv4 addresses and UDP ports.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_UDPv4")]
        const UDPV4 = 1 << 2;
        /// IPv6 addresses.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_IPv6")]
        const IPV6 = 1 << 3;
        /// IPv6 addresses and TCP ports.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_TCPv6")]
        const TCPV6 = 1 << 4;
        /// IPv6 addresses and UDP ports.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_UDPv6")]
        const UDPV6 = 1 << 5;
        /// IPv6 addresses, those of extension headers before others.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_IP_EX")]
        const IP_EX = 1 << 6;
        /// The same, and TCP ports.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_TCP_EX")]
        const TCP_EX = 1 << 7;
        /// The same, and UDP ports.
        #[doc(alias = "VIRTIO_NET_HASH_TYPE_UDP_EX")]
        const UDP_EX = 1 << 8;
    }
}

bitflags::bitflags! {
    /// Tunnels whose inner headers hashes are made of.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TunnelTypes: u32 {
        /// GRE after RFC 2784.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2784")]
        const GRE_2784 = 1 << 0;
        /// GRE after RFC 2890.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_2890")]
        const GRE_2890 = 1 << 1;
        /// GRE after RFC 7676.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_7676")]
        const GRE_7676 = 1 << 2;
        /// GRE in UDP.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_GRE_UDP")]
        const GRE_UDP = 1 << 3;
        /// VXLAN.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN")]
        const VXLAN = 1 << 4;
        /// VXLAN-GPE.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_VXLAN_GPE")]
        const VXLAN_GPE = 1 << 5;
        /// Geneve.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_GENEVE")]
        const GENEVE = 1 << 6;
        /// IP in IP.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_IPIP")]
        const IPIP = 1 << 7;
        /// NVGRE.
        #[doc(alias = "VIRTIO_NET_HASH_TUNNEL_TYPE_NVGRE")]
        const NVGRE = 1 << 8;
    }
}

/// What the hash of a received packet was made of: one more than the number of the bit in [`HashTypes`].
pub mod hash_report {
    /// There is no hash.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_NONE")]
    pub const NONE: u16 = 0;
    /// IPv4 addresses.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_IPv4")]
    pub const IPV4: u16 = 1;
    /// IPv4 addresses and TCP ports.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_TCPv4")]
    pub const TCPV4: u16 = 2;
    /// IPv4 addresses and UDP ports.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_UDPv4")]
    pub const UDPV4: u16 = 3;
    /// IPv6 addresses.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_IPv6")]
    pub const IPV6: u16 = 4;
    /// IPv6 addresses and TCP ports.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_TCPv6")]
    pub const TCPV6: u16 = 5;
    /// IPv6 addresses and UDP ports.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_UDPv6")]
    pub const UDPV6: u16 = 6;
    /// IPv6 addresses, those of extension headers before others.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_IPv6_EX")]
    pub const IPV6_EX: u16 = 7;
    /// The same, and TCP ports.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_TCPv6_EX")]
    pub const TCPV6_EX: u16 = 8;
    /// The same, and UDP ports.
    #[doc(alias = "VIRTIO_NET_HASH_REPORT_UDPv6_EX")]
    pub const UDPV6_EX: u16 = 9;
}

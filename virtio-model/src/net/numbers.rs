//! The numbers of features, headers, hashes and commands.
//!
//! Spec: §5.1.3 Feature bits, §5.1.9 Device Operation. Typed from the specification, and shared with nobody.

/// Feature bits, by number.
pub mod feature {
    /// The device completes partial checksums.
    pub const CSUM: u32 = 0;
    /// The driver bears partial checksums.
    pub const GUEST_CSUM: u32 = 1;
    /// What the driver bears can be switched by command.
    pub const CTRL_GUEST_OFFLOADS: u32 = 2;
    /// The device says the largest packet.
    pub const MTU: u32 = 3;
    /// The device has an address.
    pub const MAC: u32 = 5;
    /// The driver bears large TCP packets over IPv4.
    pub const GUEST_TSO4: u32 = 7;
    /// The driver bears large TCP packets over IPv6.
    pub const GUEST_TSO6: u32 = 8;
    /// The driver bears large TCP packets with explicit congestion notification.
    pub const GUEST_ECN: u32 = 9;
    /// The driver bears large UDP packets that are to be fragmented.
    pub const GUEST_UFO: u32 = 10;
    /// The device cuts TCP packets over IPv4.
    pub const HOST_TSO4: u32 = 11;
    /// The device cuts TCP packets over IPv6.
    pub const HOST_TSO6: u32 = 12;
    /// The device cuts TCP packets with explicit congestion notification.
    pub const HOST_ECN: u32 = 13;
    /// The device fragments UDP packets.
    pub const HOST_UFO: u32 = 14;
    /// A packet may be spread over several receive buffers.
    pub const MRG_RXBUF: u32 = 15;
    /// There is a status in the configuration.
    pub const STATUS: u32 = 16;
    /// There is a control queue.
    pub const CTRL_VQ: u32 = 17;
    /// Commands for receive modes.
    pub const CTRL_RX: u32 = 18;
    /// Commands for VLANs.
    pub const CTRL_VLAN: u32 = 19;
    /// Commands for more receive modes.
    pub const CTRL_RX_EXTRA: u32 = 20;
    /// The device can ask its driver to announce itself.
    pub const GUEST_ANNOUNCE: u32 = 21;
    /// Several pairs of queues, steered by the device.
    pub const MQ: u32 = 22;
    /// The command for the address.
    pub const CTRL_MAC_ADDR: u32 = 23;
    /// Framing is free, on a legacy device.
    pub const ANY_LAYOUT: u32 = 27;
    /// Counters can be asked for.
    pub const DEVICE_STATS: u32 = 50;
    /// The hash may be that of what a tunnel carries.
    pub const HASH_TUNNEL: u32 = 51;
    /// Notifications of each queue can be coalesced.
    pub const VQ_NOTF_COAL: u32 = 52;
    /// Notifications can be coalesced.
    pub const NOTF_COAL: u32 = 53;
    /// The driver bears large UDP packets over IPv4.
    pub const GUEST_USO4: u32 = 54;
    /// The driver bears large UDP packets over IPv6.
    pub const GUEST_USO6: u32 = 55;
    /// The device cuts UDP packets.
    pub const HOST_USO: u32 = 56;
    /// Headers carry a hash.
    pub const HASH_REPORT: u32 = 57;
    /// The driver says the exact length of what precedes the payload.
    pub const GUEST_HDRLEN: u32 = 59;
    /// Several pairs of queues, steered as the driver says.
    pub const RSS: u32 = 60;
    /// The device says how many segments it put together.
    pub const RSC_EXT: u32 = 61;
    /// The device may stand in for another one of the same address.
    pub const STANDBY: u32 = 62;
    /// There is a speed in the configuration.
    pub const SPEED_DUPLEX: u32 = 63;
    /// Several ways to steer.
    pub const RSS_CONTEXT: u32 = 64;
    /// The driver bears large packets in a UDP tunnel.
    pub const GUEST_UDP_TUNNEL_GSO: u32 = 65;
    /// The same, with a partial outer checksum.
    pub const GUEST_UDP_TUNNEL_GSO_CSUM: u32 = 66;
    /// The device cuts packets in a UDP tunnel.
    pub const HOST_UDP_TUNNEL_GSO: u32 = 67;
    /// The same, with a partial outer checksum.
    pub const HOST_UDP_TUNNEL_GSO_CSUM: u32 = 68;
    /// Headers say where the outer network header is.
    pub const OUT_NET_HEADER: u32 = 69;
    /// The device processes IPsec.
    pub const IPSEC: u32 = 70;
}

/// Bits of a header's flags.
pub mod header_flag {
    /// The checksum is partial.
    pub const NEEDS_CSUM: u8 = 1;
    /// The checksum is right.
    pub const DATA_VALID: u8 = 2;
    /// The fields of the checksum count segments and acknowledgements.
    pub const RSC_INFO: u8 = 4;
    /// The outer checksum of a tunnel is partial.
    pub const UDP_TUNNEL_CSUM: u8 = 8;
}

/// What kind of large packet it is.
pub mod gso_type {
    /// None.
    pub const NONE: u8 = 0;
    /// TCP over IPv4.
    pub const TCPV4: u8 = 1;
    /// UDP, to be fragmented.
    pub const UDP: u8 = 3;
    /// TCP over IPv6.
    pub const TCPV6: u8 = 4;
    /// UDP, to be cut into datagrams.
    pub const UDP_L4: u8 = 5;
    /// Beside the kind: in a tunnel that carries IPv4.
    pub const UDP_TUNNEL_IPV4: u8 = 0x20;
    /// Beside the kind: in a tunnel that carries IPv6.
    pub const UDP_TUNNEL_IPV6: u8 = 0x40;
    /// Beside the kind: with explicit congestion notification.
    pub const ECN: u8 = 0x80;
}

/// What a hash was made of; the hash type is bit `report - 1`.
pub mod hash_report {
    /// There is no hash.
    pub const NONE: u16 = 0;
    /// IPv4 addresses.
    pub const IPV4: u16 = 1;
    /// IPv4 addresses and TCP ports.
    pub const TCPV4: u16 = 2;
    /// IPv4 addresses and UDP ports.
    pub const UDPV4: u16 = 3;
    /// IPv6 addresses.
    pub const IPV6: u16 = 4;
    /// IPv6 addresses and TCP ports.
    pub const TCPV6: u16 = 5;
    /// IPv6 addresses and UDP ports.
    pub const UDPV6: u16 = 6;
    /// IPv6 addresses of extension headers.
    pub const IPV6_EX: u16 = 7;
    /// IPv6 addresses of extension headers, and TCP ports.
    pub const TCPV6_EX: u16 = 8;
    /// IPv6 addresses of extension headers, and UDP ports.
    pub const UDPV6_EX: u16 = 9;
}

/// Tunnels whose inner header can be hashed.
pub mod tunnel_type {
    /// GRE without a key.
    pub const GRE_2784: u32 = 1;
    /// GRE with a key or a sequence number.
    pub const GRE_2890: u32 = 1 << 1;
    /// GRE over IPv6.
    pub const GRE_7676: u32 = 1 << 2;
    /// GRE in UDP.
    pub const GRE_UDP: u32 = 1 << 3;
    /// VXLAN.
    pub const VXLAN: u32 = 1 << 4;
    /// VXLAN with a protocol field.
    pub const VXLAN_GPE: u32 = 1 << 5;
    /// Geneve.
    pub const GENEVE: u32 = 1 << 6;
    /// IP in IP.
    pub const IPIP: u32 = 1 << 7;
    /// Ethernet in GRE.
    pub const NVGRE: u32 = 1 << 8;
}

/// Bits of the status in the configuration.
pub mod link_status {
    /// The link is up.
    pub const LINK_UP: u16 = 1;
    /// The driver is asked to announce itself.
    pub const ANNOUNCE: u16 = 2;
}

/// Classes of commands, each with its commands.
pub mod command {
    /// Receive modes.
    pub const RX: u8 = 0;
    /// The commands of `RX`: promiscuous, all multicast, all unicast, no multicast, no unicast, no broadcast.
    pub const RX_COMMANDS: std::ops::Range<u8> = 0..6;
    /// Addresses.
    pub const MAC: u8 = 1;
    /// Sets the filter table.
    pub const MAC_TABLE_SET: u8 = 0;
    /// Sets the address.
    pub const MAC_ADDR_SET: u8 = 1;
    /// VLANs.
    pub const VLAN: u8 = 2;
    /// Adds one.
    pub const VLAN_ADD: u8 = 0;
    /// Removes one.
    pub const VLAN_DEL: u8 = 1;
    /// Announcements.
    pub const ANNOUNCE: u8 = 3;
    /// The driver knows.
    pub const ANNOUNCE_ACK: u8 = 0;
    /// Several queues.
    pub const MQ: u8 = 4;
    /// Sets how many pairs there are.
    pub const MQ_VQ_PAIRS_SET: u8 = 0;
    /// Sets how packets are steered.
    pub const MQ_RSS_CONFIG: u8 = 1;
    /// Sets how hashes are made.
    pub const MQ_HASH_CONFIG: u8 = 2;
    /// What the driver bears.
    pub const GUEST_OFFLOADS: u8 = 5;
    /// Sets it.
    pub const GUEST_OFFLOADS_SET: u8 = 0;
    /// Coalesced notifications.
    pub const NOTF_COAL: u8 = 6;
    /// Of all transmit queues.
    pub const NOTF_COAL_TX_SET: u8 = 0;
    /// Of all receive queues.
    pub const NOTF_COAL_RX_SET: u8 = 1;
    /// Of one queue.
    pub const NOTF_COAL_VQ_SET: u8 = 2;
    /// Asks for those of one queue.
    pub const NOTF_COAL_VQ_GET: u8 = 3;
    /// Inner hashes.
    pub const HASH_TUNNEL: u8 = 7;
    /// Sets which tunnels.
    pub const HASH_TUNNEL_SET: u8 = 0;
    /// Counters.
    pub const STATS: u8 = 8;
    /// Asks which there are.
    pub const STATS_QUERY: u8 = 0;
    /// Asks for them.
    pub const STATS_GET: u8 = 1;
    /// Ways to steer.
    pub const RSS_CTX: u8 = 9;
    /// Asks how many.
    pub const RSS_CTX_CAP_GET: u8 = 0;
    /// Adds one.
    pub const RSS_CTX_ADD: u8 = 1;
    /// Changes one.
    pub const RSS_CTX_MOD: u8 = 2;
    /// Removes one.
    pub const RSS_CTX_DEL: u8 = 3;
}

/// How commands are answered.
pub mod ack {
    /// Done.
    pub const OK: u8 = 0;
    /// Not done.
    pub const ERR: u8 = 1;
}

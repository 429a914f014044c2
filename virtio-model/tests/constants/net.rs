//! The network device.

use std::mem::offset_of;

use virtio_bindings::virtio_net::{
    virtio_net_config as Theirs, virtio_net_hdr as Plain, virtio_net_hdr_mrg_rxbuf as Merging,
    virtio_net_hdr_v1_hash as Hash,
};
use virtio_bindings::{virtio_ids, virtio_net as linux};
use virtio_model::Nic;
use virtio_model::net::{
    CONFIG_BYTES, Header, NicConfig, PCI_DEVICE_ID, ack, command, feature, gso_type, hash_report,
    header_bytes, header_flag, link_status,
};
use virtio_spec::net::{
    Config, ConfigVolatileFieldAccess, Ctrl, F, Hdr, HdrF, HdrGso, HdrHash, HdrHashTunnel,
    HdrHashTunnelOutNetHdr, S,
};

const CONFIG: NicConfig = NicConfig {
    mac: [1, 2, 3, 4, 5, 6],
    status: 0x0708,
    max_virtqueue_pairs: 0x090a,
    mtu: 0x0b0c,
    speed: 0x0d0e_0f10,
    duplex: 0x11,
    rss_max_key_size: 0x12,
    rss_max_indirection_table_length: 0x1314,
    supported_hash_types: 0x1516_1718,
    supported_tunnel_types: 0x191a_1b1c,
};

/// Spec: §5.1.3 Feature bits. What Linux's headers do not have yet is virtio-spec's word alone.
#[test]
fn features_of_networks_are_numbered_as_linux_and_virtio_spec_have_it() {
    for (ours, of_linux, of_spec) in [
        (feature::CSUM, linux::VIRTIO_NET_F_CSUM, F::CSUM),
        (feature::GUEST_CSUM, linux::VIRTIO_NET_F_GUEST_CSUM, F::GUEST_CSUM),
        (feature::CTRL_GUEST_OFFLOADS, linux::VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, F::CTRL_GUEST_OFFLOADS),
        (feature::MTU, linux::VIRTIO_NET_F_MTU, F::MTU),
        (feature::MAC, linux::VIRTIO_NET_F_MAC, F::MAC),
        (feature::GUEST_TSO4, linux::VIRTIO_NET_F_GUEST_TSO4, F::GUEST_TSO4),
        (feature::GUEST_TSO6, linux::VIRTIO_NET_F_GUEST_TSO6, F::GUEST_TSO6),
        (feature::GUEST_ECN, linux::VIRTIO_NET_F_GUEST_ECN, F::GUEST_ECN),
        (feature::GUEST_UFO, linux::VIRTIO_NET_F_GUEST_UFO, F::GUEST_UFO),
        (feature::HOST_TSO4, linux::VIRTIO_NET_F_HOST_TSO4, F::HOST_TSO4),
        (feature::HOST_TSO6, linux::VIRTIO_NET_F_HOST_TSO6, F::HOST_TSO6),
        (feature::HOST_ECN, linux::VIRTIO_NET_F_HOST_ECN, F::HOST_ECN),
        (feature::HOST_UFO, linux::VIRTIO_NET_F_HOST_UFO, F::HOST_UFO),
        (feature::MRG_RXBUF, linux::VIRTIO_NET_F_MRG_RXBUF, F::MRG_RXBUF),
        (feature::STATUS, linux::VIRTIO_NET_F_STATUS, F::STATUS),
        (feature::CTRL_VQ, linux::VIRTIO_NET_F_CTRL_VQ, F::CTRL_VQ),
        (feature::CTRL_RX, linux::VIRTIO_NET_F_CTRL_RX, F::CTRL_RX),
        (feature::CTRL_VLAN, linux::VIRTIO_NET_F_CTRL_VLAN, F::CTRL_VLAN),
        (feature::CTRL_RX_EXTRA, linux::VIRTIO_NET_F_CTRL_RX_EXTRA, F::CTRL_RX_EXTRA),
        (feature::GUEST_ANNOUNCE, linux::VIRTIO_NET_F_GUEST_ANNOUNCE, F::GUEST_ANNOUNCE),
        (feature::MQ, linux::VIRTIO_NET_F_MQ, F::MQ),
        (feature::CTRL_MAC_ADDR, linux::VIRTIO_NET_F_CTRL_MAC_ADDR, F::CTRL_MAC_ADDR),
        (feature::DEVICE_STATS, linux::VIRTIO_NET_F_DEVICE_STATS, F::DEVICE_STATS),
        (feature::HASH_TUNNEL, 51, F::HASH_TUNNEL),
        (feature::VQ_NOTF_COAL, linux::VIRTIO_NET_F_VQ_NOTF_COAL, F::VQ_NOTF_COAL),
        (feature::NOTF_COAL, linux::VIRTIO_NET_F_NOTF_COAL, F::NOTF_COAL),
        (feature::GUEST_USO4, linux::VIRTIO_NET_F_GUEST_USO4, F::GUEST_USO4),
        (feature::GUEST_USO6, linux::VIRTIO_NET_F_GUEST_USO6, F::GUEST_USO6),
        (feature::HOST_USO, linux::VIRTIO_NET_F_HOST_USO, F::HOST_USO),
        (feature::HASH_REPORT, linux::VIRTIO_NET_F_HASH_REPORT, F::HASH_REPORT),
        (feature::GUEST_HDRLEN, linux::VIRTIO_NET_F_GUEST_HDRLEN, F::GUEST_HDRLEN),
        (feature::RSS, linux::VIRTIO_NET_F_RSS, F::RSS),
        (feature::RSC_EXT, linux::VIRTIO_NET_F_RSC_EXT, F::RSC_EXT),
        (feature::STANDBY, linux::VIRTIO_NET_F_STANDBY, F::STANDBY),
        (feature::SPEED_DUPLEX, linux::VIRTIO_NET_F_SPEED_DUPLEX, F::SPEED_DUPLEX),
        (feature::RSS_CONTEXT, 64, F::RSS_CONTEXT),
        (feature::GUEST_UDP_TUNNEL_GSO, 65, F::GUEST_UDP_TUNNEL_GSO),
        (feature::GUEST_UDP_TUNNEL_GSO_CSUM, 66, F::GUEST_UDP_TUNNEL_GSO_CSUM),
        (feature::HOST_UDP_TUNNEL_GSO, 67, F::HOST_UDP_TUNNEL_GSO),
        (feature::HOST_UDP_TUNNEL_GSO_CSUM, 68, F::HOST_UDP_TUNNEL_GSO_CSUM),
        (feature::OUT_NET_HEADER, 69, F::OUT_NET_HEADER),
        (feature::IPSEC, 70, F::IPSEC),
    ] {
        assert_eq!((ours, 1 << ours), (of_linux, of_spec.bits().to_ne()));
    }
    let plain = F::MAC | F::STATUS | F::INDIRECT_DESC | F::EVENT_IDX | F::VERSION_1;
    assert_eq!(Nic::new([0; 6]).features(), plain.bits().to_ne());
    assert_eq!(u32::from(PCI_DEVICE_ID), 0x1040 + virtio_ids::VIRTIO_ID_NET);
}

/// Spec: §5.1.4 Device configuration layout.
#[test]
fn the_configuration_of_a_network_is_laid_out_as_linux_and_virtio_spec_lay_it_out() {
    let fields = [
        CONFIG.mac.to_vec(),
        CONFIG.status.to_le_bytes().to_vec(),
        CONFIG.max_virtqueue_pairs.to_le_bytes().to_vec(),
        CONFIG.mtu.to_le_bytes().to_vec(),
        CONFIG.speed.to_le_bytes().to_vec(),
        vec![CONFIG.duplex],
        vec![CONFIG.rss_max_key_size],
        CONFIG.rss_max_indirection_table_length.to_le_bytes().to_vec(),
        CONFIG.supported_hash_types.to_le_bytes().to_vec(),
        CONFIG.supported_tunnel_types.to_le_bytes().to_vec(),
    ];
    let of_linux = [
        offset_of!(Theirs, mac),
        offset_of!(Theirs, status),
        offset_of!(Theirs, max_virtqueue_pairs),
        offset_of!(Theirs, mtu),
        offset_of!(Theirs, speed),
        offset_of!(Theirs, duplex),
        offset_of!(Theirs, rss_max_key_size),
        offset_of!(Theirs, rss_max_indirection_table_length),
        offset_of!(Theirs, supported_hash_types),
        // Linux ends here.
        size_of::<Theirs>(),
    ];
    let of_spec = offsets!(
        Config: mac, status, max_virtqueue_pairs, mtu, speed, duplex, rss_max_key_size,
        rss_max_indirection_table_length, supported_hash_types, supported_tunnel_types,
    );
    assert_eq!(of_linux, of_spec);
    assert_eq!(CONFIG.bytes().to_vec(), fields.concat());
    for (at, field) in of_spec.into_iter().zip(fields) {
        assert_eq!(CONFIG.bytes()[at..][..field.len()], field, "at {at:#x}");
    }
    assert_eq!(CONFIG_BYTES, size_of::<Config>());
    let status = [(link_status::LINK_UP, S::LINK_UP), (link_status::ANNOUNCE, S::ANNOUNCE)];
    assert!(status.iter().all(|(ours, of_spec)| *ours == of_spec.bits().to_ne()));
}

/// Spec: §5.1.9 Device Operation.
#[test]
fn headers_are_laid_out_as_linux_and_virtio_spec_lay_them_out() {
    let header = Header {
        flags: 1,
        gso_type: 2,
        hdr_len: 0x0304,
        gso_size: 0x0506,
        csum_start: 0x0708,
        csum_offset: 0x090a,
        num_buffers: 0x0b0c,
        hash_value: 0x0d0e_0f10,
        hash_report: 0x1112,
        outer_th_offset: 0x1314,
        inner_nh_offset: 0x1516,
        outer_nh_offset: 0x1718,
    };
    let bytes = header.bytes(32);
    let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    for (ours, of_linux, of_spec) in [
        (header.hdr_len, offset_of!(Plain, hdr_len), offset_of!(Hdr, hdr_len)),
        (header.gso_size, offset_of!(Plain, gso_size), offset_of!(Hdr, gso_size)),
        (header.csum_start, offset_of!(Plain, csum_start), offset_of!(Hdr, csum_start)),
        (header.csum_offset, offset_of!(Plain, csum_offset), offset_of!(Hdr, csum_offset)),
        (header.num_buffers, offset_of!(Merging, num_buffers), offset_of!(Hdr, num_buffers)),
        (header.hash_report, offset_of!(Hash, hash_report), offset_of!(HdrHash, hash_report)),
    ] {
        assert_eq!((word(of_linux), of_linux), (ours, of_spec));
    }
    assert_eq!([offset_of!(Plain, flags), offset_of!(Plain, gso_type)], [0, 1]);
    assert_eq!([offset_of!(Hash, hash_value), offset_of!(HdrHash, hash_value)], [12, 12]);
    assert_eq!(bytes[12..16], header.hash_value.to_le_bytes());
    assert_eq!(word(offset_of!(HdrHashTunnel, outer_th_offset)), header.outer_th_offset);
    assert_eq!(word(offset_of!(HdrHashTunnel, inner_nh_offset)), header.inner_nh_offset);
    assert_eq!(word(size_of::<HdrHashTunnel>()), header.outer_nh_offset);

    assert_eq!(header_bytes(0), size_of::<Plain>());
    assert_eq!(header_bytes(1 << 32), size_of::<Hdr>());
    assert_eq!(header_bytes(1 << feature::MRG_RXBUF), size_of::<Merging>());
    assert_eq!(header_bytes(1 << feature::HASH_REPORT), size_of::<Hash>());
    assert_eq!(header_bytes(1 << feature::HASH_REPORT), size_of::<HdrHash>());
    let tunnels = size_of::<HdrHashTunnel>();
    assert_eq!(header_bytes(1 << feature::HOST_UDP_TUNNEL_GSO), tunnels);
    assert_eq!(header_bytes(1 << feature::OUT_NET_HEADER), tunnels + size_of::<HdrHashTunnelOutNetHdr>());
}

/// Spec: §5.1.9 Device Operation.
#[test]
fn what_headers_say_is_numbered_as_linux_and_virtio_spec_have_it() {
    for (ours, of_linux, of_spec) in [
        (header_flag::NEEDS_CSUM, linux::VIRTIO_NET_HDR_F_NEEDS_CSUM, HdrF::NEEDS_CSUM),
        (header_flag::DATA_VALID, linux::VIRTIO_NET_HDR_F_DATA_VALID, HdrF::DATA_VALID),
        (header_flag::RSC_INFO, linux::VIRTIO_NET_HDR_F_RSC_INFO, HdrF::RSC_INFO),
        (header_flag::UDP_TUNNEL_CSUM, 8, HdrF::UDP_TUNNEL_CSUM),
    ] {
        assert_eq!((u32::from(ours), ours), (of_linux, of_spec.bits()));
    }
    for (ours, of_linux, of_spec) in [
        (gso_type::NONE, linux::VIRTIO_NET_HDR_GSO_NONE, HdrGso::None),
        (gso_type::TCPV4, linux::VIRTIO_NET_HDR_GSO_TCPV4, HdrGso::Tcpv4),
        (gso_type::UDP, linux::VIRTIO_NET_HDR_GSO_UDP, HdrGso::Udp),
        (gso_type::TCPV6, linux::VIRTIO_NET_HDR_GSO_TCPV6, HdrGso::Tcpv6),
        (gso_type::UDP_L4, linux::VIRTIO_NET_HDR_GSO_UDP_L4, HdrGso::UdpL4),
        (gso_type::UDP_TUNNEL_IPV4, 0x20, HdrGso::UdpTunnelIpv4),
        (gso_type::UDP_TUNNEL_IPV6, 0x40, HdrGso::UdpTunnelIpv6),
        (gso_type::ECN, linux::VIRTIO_NET_HDR_GSO_ECN, HdrGso::Ecn),
    ] {
        assert_eq!((u32::from(ours), ours), (of_linux, of_spec.into()));
    }
    for (ours, of_linux, kind) in [
        (hash_report::NONE, linux::VIRTIO_NET_HASH_REPORT_NONE, 0),
        (hash_report::IPV4, linux::VIRTIO_NET_HASH_REPORT_IPv4, linux::VIRTIO_NET_RSS_HASH_TYPE_IPv4),
        (hash_report::TCPV4, linux::VIRTIO_NET_HASH_REPORT_TCPv4, linux::VIRTIO_NET_RSS_HASH_TYPE_TCPv4),
        (hash_report::UDPV4, linux::VIRTIO_NET_HASH_REPORT_UDPv4, linux::VIRTIO_NET_RSS_HASH_TYPE_UDPv4),
        (hash_report::IPV6, linux::VIRTIO_NET_HASH_REPORT_IPv6, linux::VIRTIO_NET_RSS_HASH_TYPE_IPv6),
        (hash_report::TCPV6, linux::VIRTIO_NET_HASH_REPORT_TCPv6, linux::VIRTIO_NET_RSS_HASH_TYPE_TCPv6),
        (hash_report::UDPV6, linux::VIRTIO_NET_HASH_REPORT_UDPv6, linux::VIRTIO_NET_RSS_HASH_TYPE_UDPv6),
        (hash_report::IPV6_EX, linux::VIRTIO_NET_HASH_REPORT_IPv6_EX, linux::VIRTIO_NET_RSS_HASH_TYPE_IP_EX),
        (
            hash_report::TCPV6_EX,
            linux::VIRTIO_NET_HASH_REPORT_TCPv6_EX,
            linux::VIRTIO_NET_RSS_HASH_TYPE_TCP_EX,
        ),
        (
            hash_report::UDPV6_EX,
            linux::VIRTIO_NET_HASH_REPORT_UDPv6_EX,
            linux::VIRTIO_NET_RSS_HASH_TYPE_UDP_EX,
        ),
    ] {
        let bit = u32::from(ours).checked_sub(1).map_or(0, |bit| 1 << bit);
        assert_eq!((u32::from(ours), bit), (of_linux, kind));
    }
}

/// Spec: §5.1.9.5 Control Virtqueue.
#[test]
fn commands_are_numbered_as_linux_and_virtio_spec_have_it() {
    for (ours, of_linux) in [
        (command::RX, linux::VIRTIO_NET_CTRL_RX),
        (command::RX_COMMANDS.start, linux::VIRTIO_NET_CTRL_RX_PROMISC),
        (command::RX_COMMANDS.end - 1, linux::VIRTIO_NET_CTRL_RX_NOBCAST),
        (command::MAC, linux::VIRTIO_NET_CTRL_MAC),
        (command::MAC_TABLE_SET, linux::VIRTIO_NET_CTRL_MAC_TABLE_SET),
        (command::MAC_ADDR_SET, linux::VIRTIO_NET_CTRL_MAC_ADDR_SET),
        (command::VLAN, linux::VIRTIO_NET_CTRL_VLAN),
        (command::VLAN_ADD, linux::VIRTIO_NET_CTRL_VLAN_ADD),
        (command::VLAN_DEL, linux::VIRTIO_NET_CTRL_VLAN_DEL),
        (command::ANNOUNCE, linux::VIRTIO_NET_CTRL_ANNOUNCE),
        (command::ANNOUNCE_ACK, linux::VIRTIO_NET_CTRL_ANNOUNCE_ACK),
        (command::MQ, linux::VIRTIO_NET_CTRL_MQ),
        (command::MQ_VQ_PAIRS_SET, linux::VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET),
        (command::MQ_RSS_CONFIG, linux::VIRTIO_NET_CTRL_MQ_RSS_CONFIG),
        (command::MQ_HASH_CONFIG, linux::VIRTIO_NET_CTRL_MQ_HASH_CONFIG),
        (command::GUEST_OFFLOADS, linux::VIRTIO_NET_CTRL_GUEST_OFFLOADS),
        (command::GUEST_OFFLOADS_SET, linux::VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET),
        (command::NOTF_COAL, linux::VIRTIO_NET_CTRL_NOTF_COAL),
        (command::NOTF_COAL_TX_SET, linux::VIRTIO_NET_CTRL_NOTF_COAL_TX_SET),
        (command::NOTF_COAL_RX_SET, linux::VIRTIO_NET_CTRL_NOTF_COAL_RX_SET),
        (command::NOTF_COAL_VQ_SET, linux::VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET),
        (command::NOTF_COAL_VQ_GET, linux::VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET),
        (command::STATS, linux::VIRTIO_NET_CTRL_STATS),
        (command::STATS_QUERY, linux::VIRTIO_NET_CTRL_STATS_QUERY),
        (command::STATS_GET, linux::VIRTIO_NET_CTRL_STATS_GET),
        (ack::OK, linux::VIRTIO_NET_OK),
        (ack::ERR, linux::VIRTIO_NET_ERR),
    ] {
        assert_eq!(u32::from(ours), of_linux);
    }
    let of_spec = [Ctrl::Rx, Ctrl::Mac, Ctrl::Vlan, Ctrl::Announce, Ctrl::Mq, Ctrl::GuestOffloads];
    for (ours, of_spec) in (command::RX..).zip(of_spec) {
        assert_eq!(ours, u8::from(of_spec));
    }
}

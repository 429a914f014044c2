//! The network device: features, configuration, packet header, hashes.

use std::mem::offset_of;

use proptest::prelude::*;
use virtio_bindings::virtio_net as linux;
use virtio_guest::wire::features::{CommonFeatures, close_dependencies};
use virtio_guest::wire::field::Field;
use virtio_guest::wire::net::header::{
    HashFields, HeaderFlags, LEGACY_PACKET_HEADER_BYTES, OutNetFields, PacketHeader, TunnelFields, gso_type,
};
use virtio_guest::wire::net::{HashTypes, LinkStatus, NetFeatures, config, hash_report};
use virtio_spec::FeatureBits;
use virtio_spec::net::{Config, ConfigVolatileFieldAccess, Hdr, HdrF, HdrGso, HdrHash, HdrHashTunnel, S};

use super::by_name;

/// Bits of ours, each with the number that Linux has for it.
macro_rules! bits {
    ($of:ident: $($name:ident => $theirs:ident),* $(,)?) => {
        [$(($of::$name, linux::$theirs)),*]
    };
}

/// Spec: §5.1.3 Feature bits.
#[test]
fn network_feature_bits_are_what_linux_and_virtio_spec_say() {
    let is_common = |name: &str| CommonFeatures::from_name(name).is_some();
    let theirs = by_name::<virtio_spec::net::F>().into_iter().map(|(name, bits)| (name, bits.to_ne()));
    // That crate has no legacy ones.
    let mut ours = by_name::<NetFeatures>();
    ours.retain(|(_, bits)| *bits != NetFeatures::GSO.bits());

    assert_eq!(ours, theirs.filter(|(name, _)| !is_common(name)).collect::<Vec<_>>());
    let of_linux = bits!(NetFeatures:
        CSUM => VIRTIO_NET_F_CSUM, GUEST_CSUM => VIRTIO_NET_F_GUEST_CSUM,
        CTRL_GUEST_OFFLOADS => VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, MTU => VIRTIO_NET_F_MTU,
        MAC => VIRTIO_NET_F_MAC, GSO => VIRTIO_NET_F_GSO, GUEST_TSO4 => VIRTIO_NET_F_GUEST_TSO4,
        GUEST_TSO6 => VIRTIO_NET_F_GUEST_TSO6, GUEST_ECN => VIRTIO_NET_F_GUEST_ECN,
        GUEST_UFO => VIRTIO_NET_F_GUEST_UFO, HOST_TSO4 => VIRTIO_NET_F_HOST_TSO4,
        HOST_TSO6 => VIRTIO_NET_F_HOST_TSO6, HOST_ECN => VIRTIO_NET_F_HOST_ECN,
        HOST_UFO => VIRTIO_NET_F_HOST_UFO, MRG_RXBUF => VIRTIO_NET_F_MRG_RXBUF,
        STATUS => VIRTIO_NET_F_STATUS, CTRL_VQ => VIRTIO_NET_F_CTRL_VQ, CTRL_RX => VIRTIO_NET_F_CTRL_RX,
        CTRL_VLAN => VIRTIO_NET_F_CTRL_VLAN, CTRL_RX_EXTRA => VIRTIO_NET_F_CTRL_RX_EXTRA,
        GUEST_ANNOUNCE => VIRTIO_NET_F_GUEST_ANNOUNCE, MQ => VIRTIO_NET_F_MQ,
        CTRL_MAC_ADDR => VIRTIO_NET_F_CTRL_MAC_ADDR, DEVICE_STATS => VIRTIO_NET_F_DEVICE_STATS,
        VQ_NOTF_COAL => VIRTIO_NET_F_VQ_NOTF_COAL, NOTF_COAL => VIRTIO_NET_F_NOTF_COAL,
        GUEST_USO4 => VIRTIO_NET_F_GUEST_USO4, GUEST_USO6 => VIRTIO_NET_F_GUEST_USO6,
        HOST_USO => VIRTIO_NET_F_HOST_USO, HASH_REPORT => VIRTIO_NET_F_HASH_REPORT,
        GUEST_HDRLEN => VIRTIO_NET_F_GUEST_HDRLEN, RSS => VIRTIO_NET_F_RSS,
        RSC_EXT => VIRTIO_NET_F_RSC_EXT, STANDBY => VIRTIO_NET_F_STANDBY,
        SPEED_DUPLEX => VIRTIO_NET_F_SPEED_DUPLEX,
    );
    for (ours, theirs) in of_linux {
        assert_eq!(ours.bits(), 1 << theirs, "{ours:?}");
    }
}

/// Features that need the control queue although no table says so.
const BY_COMMAND: NetFeatures = NetFeatures::CTRL_GUEST_OFFLOADS.union(NetFeatures::DEVICE_STATS);

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 2000 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Spec: §5.1.3.1 Feature bit requirements.
    #[test]
    fn what_is_agreed_on_has_what_virtio_spec_says_that_it_needs_and_nothing_else_is_left_out(
        some in any::<u128>(),
        more in any::<u128>(),
    ) {
        let is_sound = |features: NetFeatures| {
            let theirs = virtio_spec::net::F::from_bits_retain(features.bits().into());
            theirs.requirements_satisfied() && theirs.recommendations_satisfied()
        };
        let offered = NetFeatures::from_bits_truncate(some | more).difference(NetFeatures::GSO);

        let agreed = close_dependencies(offered);

        prop_assert!(is_sound(agreed), "{agreed:?}");
        for left_out in offered.difference(agreed).difference(BY_COMMAND) {
            prop_assert!(!is_sound(agreed | left_out), "{left_out:?} beside {agreed:?}");
        }
    }
}

/// Spec: §5.1.4 Device configuration layout.
#[test]
fn network_configuration_fields_are_where_linux_and_virtio_spec_have_them() {
    use linux::virtio_net_config as Theirs;
    let ours = [
        config::MAC[0].offset(),
        config::STATUS.offset(),
        config::MAX_VIRTQUEUE_PAIRS.offset(),
        config::MTU.offset(),
        config::SPEED.offset(),
        config::DUPLEX.offset(),
        config::RSS_MAX_KEY_SIZE.offset(),
        config::RSS_MAX_INDIRECTION_TABLE_LENGTH.offset(),
        config::SUPPORTED_HASH_TYPES.offset(),
    ]
    .map(usize::from);
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
    ];
    assert_eq!(ours, of_linux);
    assert_eq!(config::MAC.map(Field::offset), [0, 1, 2, 3, 4, 5]);
    let of_spec = offsets!(Config: mac, status, max_virtqueue_pairs, mtu, speed, duplex, rss_max_key_size, rss_max_indirection_table_length, supported_hash_types, supported_tunnel_types);
    assert_eq!(ours, of_spec[..9]);
    assert_eq!(usize::from(config::SUPPORTED_TUNNEL_TYPES.offset()), of_spec[9]);
    assert_eq!(
        by_name::<LinkStatus>(),
        by_name::<S>().iter().map(|&(name, bits)| (name, bits.to_ne())).collect::<Vec<_>>()
    );
}

/// Spec: §5.1.9 Device Operation.
#[test]
fn the_packet_header_is_laid_out_as_in_linux_and_virtio_spec() {
    use linux::{virtio_net_hdr_v1 as V1, virtio_net_hdr_v1_hash as Hash};
    let ours = [
        offset_of!(PacketHeader, flags),
        offset_of!(PacketHeader, gso_type),
        offset_of!(PacketHeader, hdr_len),
        offset_of!(PacketHeader, gso_size),
        offset_of!(PacketHeader, csum_start),
        offset_of!(PacketHeader, csum_offset),
        offset_of!(PacketHeader, num_buffers),
    ];
    let of_linux = [
        offset_of!(V1, flags),
        offset_of!(V1, gso_type),
        offset_of!(V1, hdr_len),
        offset_of!(V1, gso_size),
        offset_of!(V1, __bindgen_anon_1.csum.start),
        offset_of!(V1, __bindgen_anon_1.csum.offset),
        offset_of!(V1, num_buffers),
    ];
    let of_spec = [
        offset_of!(Hdr, flags),
        offset_of!(Hdr, gso_type),
        offset_of!(Hdr, hdr_len),
        offset_of!(Hdr, gso_size),
        offset_of!(Hdr, csum_start),
        offset_of!(Hdr, csum_offset),
        offset_of!(Hdr, num_buffers),
    ];
    assert_eq!(ours, of_linux);
    assert_eq!(ours, of_spec);
    assert_eq!([LEGACY_PACKET_HEADER_BYTES, size_of::<PacketHeader>()], [10, size_of::<V1>()]);
    let hash = size_of::<PacketHeader>();
    assert_eq!(hash + offset_of!(HashFields, hash_value), offset_of!(Hash, hash_value));
    assert_eq!(hash + offset_of!(HashFields, hash_report), offset_of!(HdrHash, hash_report));
    let tunnel = hash + size_of::<HashFields>();
    assert_eq!([tunnel; 2], [size_of::<Hash>(), size_of::<HdrHash>()]);
    assert_eq!(
        tunnel + offset_of!(TunnelFields, inner_nh_offset),
        offset_of!(HdrHashTunnel, inner_nh_offset)
    );
    let out_net = tunnel + size_of::<TunnelFields>();
    assert_eq!(out_net, size_of::<HdrHashTunnel>());
    assert_eq!(out_net + size_of::<OutNetFields>(), 32);
}

/// Spec: §5.1.9 Device Operation.
#[test]
fn flags_and_kinds_of_segmentation_are_what_linux_and_virtio_spec_say() {
    assert_eq!(
        by_name::<HeaderFlags>(),
        by_name::<HdrF>()
            .into_iter()
            .map(|(name, bits)| (name.trim_start_matches("HDR_F_"), bits))
            .collect::<Vec<_>>()
    );
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
        assert_eq!(u32::from(ours), of_linux);
        assert_eq!(ours, u8::from(of_spec));
    }
}

/// Spec: §5.1.9.4.5 Hash reporting for incoming packets.
#[test]
fn a_hash_is_reported_as_one_more_than_the_number_of_its_bit() {
    let types = by_name::<virtio_spec::net::HashType>();
    let theirs = types.iter().map(|&(name, bits)| (name, bits.to_ne())).collect::<Vec<_>>();
    assert_eq!(by_name::<HashTypes>(), theirs);
    let reports = [
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
    ];
    for (ours, reported, hash_type) in reports {
        assert_eq!((u32::from(ours), 1 << (ours - 1)), (reported, hash_type));
    }
    assert_eq!(u32::from(hash_report::NONE), linux::VIRTIO_NET_HASH_REPORT_NONE);
}

//! The network device's commands: numbers and layouts.

use std::mem::offset_of;

use virtio_bindings::virtio_net as linux;
use virtio_guest::wire::net::control::{
    self, GuestOffloads, WireCoalescing, WireQueueCoalescing, ack, announce, class, guest_offloads, mac, mq,
    notf_coal, rx, stats, vlan,
};
use virtio_guest::wire::net::rss::{HashConfigStart, RssConfigEnd, RssConfigStart};
use virtio_guest::wire::net::statistics::{
    self as ours, STATISTICS_REPLY_HEADER_BYTES, StatisticsReplyHeader, StatisticsRequest, StatisticsTypes,
};
use virtio_spec::net::{Ctrl, ctrl};

/// Spec: §5.1.9.5 Control Virtqueue.
#[test]
fn classes_of_commands_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (class::RX, linux::VIRTIO_NET_CTRL_RX, Ctrl::Rx),
        (class::MAC, linux::VIRTIO_NET_CTRL_MAC, Ctrl::Mac),
        (class::VLAN, linux::VIRTIO_NET_CTRL_VLAN, Ctrl::Vlan),
        (class::ANNOUNCE, linux::VIRTIO_NET_CTRL_ANNOUNCE, Ctrl::Announce),
        (class::MQ, linux::VIRTIO_NET_CTRL_MQ, Ctrl::Mq),
        (class::GUEST_OFFLOADS, linux::VIRTIO_NET_CTRL_GUEST_OFFLOADS, Ctrl::GuestOffloads),
    ] {
        assert_eq!((u32::from(ours), ours), (of_linux, of_spec.into()));
    }
    assert_eq!(u32::from(class::NOTF_COAL), linux::VIRTIO_NET_CTRL_NOTF_COAL);
    assert_eq!(u32::from(class::STATS), linux::VIRTIO_NET_CTRL_STATS);
    assert_eq!([ack::OK, ack::ERR].map(u32::from), [linux::VIRTIO_NET_OK, linux::VIRTIO_NET_ERR]);
    let header = [offset_of!(control::ControlHeader, class), offset_of!(control::ControlHeader, command)];
    assert_eq!(
        header,
        [offset_of!(linux::virtio_net_ctrl_hdr, class), offset_of!(linux::virtio_net_ctrl_hdr, cmd)]
    );
}

/// Spec: §5.1.9.5.1 to §5.1.9.5.9.
#[test]
fn commands_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (rx::PROMISC, linux::VIRTIO_NET_CTRL_RX_PROMISC, ctrl::Rx::Promisc.into()),
        (rx::ALLMULTI, linux::VIRTIO_NET_CTRL_RX_ALLMULTI, ctrl::Rx::Allmulti.into()),
        (rx::ALLUNI, linux::VIRTIO_NET_CTRL_RX_ALLUNI, ctrl::Rx::Alluni.into()),
        (rx::NOMULTI, linux::VIRTIO_NET_CTRL_RX_NOMULTI, ctrl::Rx::Nomulti.into()),
        (rx::NOUNI, linux::VIRTIO_NET_CTRL_RX_NOUNI, ctrl::Rx::Nouni.into()),
        (rx::NOBCAST, linux::VIRTIO_NET_CTRL_RX_NOBCAST, ctrl::Rx::Nobcast.into()),
        (mac::TABLE_SET, linux::VIRTIO_NET_CTRL_MAC_TABLE_SET, ctrl::Mac::TableSet.into()),
        (mac::ADDR_SET, linux::VIRTIO_NET_CTRL_MAC_ADDR_SET, ctrl::Mac::AddrSet.into()),
        (vlan::ADD, linux::VIRTIO_NET_CTRL_VLAN_ADD, ctrl::Vlan::Add.into()),
        (vlan::DEL, linux::VIRTIO_NET_CTRL_VLAN_DEL, ctrl::Vlan::Del.into()),
        (announce::ACK, linux::VIRTIO_NET_CTRL_ANNOUNCE_ACK, ctrl::Announce::Ack.into()),
        (mq::VQ_PAIRS_SET, linux::VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, ctrl::Mq::VqPairsSet.into()),
        (mq::RSS_CONFIG, linux::VIRTIO_NET_CTRL_MQ_RSS_CONFIG, ctrl::Mq::RssConfig.into()),
        (mq::HASH_CONFIG, linux::VIRTIO_NET_CTRL_MQ_HASH_CONFIG, ctrl::Mq::HashConfig.into()),
        (guest_offloads::SET, linux::VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, ctrl::GuestOffloads::Set.into()),
    ] {
        assert_eq!((u32::from(ours), ours), (of_linux, of_spec));
    }
    for (ours, of_linux) in [
        (notf_coal::TX_SET, linux::VIRTIO_NET_CTRL_NOTF_COAL_TX_SET),
        (notf_coal::RX_SET, linux::VIRTIO_NET_CTRL_NOTF_COAL_RX_SET),
        (notf_coal::VQ_SET, linux::VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET),
        (notf_coal::VQ_GET, linux::VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET),
        (stats::QUERY, linux::VIRTIO_NET_CTRL_STATS_QUERY),
        (stats::GET, linux::VIRTIO_NET_CTRL_STATS_GET),
    ] {
        assert_eq!(u32::from(ours), of_linux);
    }
    let pairs = [mq::VQ_PAIRS_MIN, mq::VQ_PAIRS_MAX].map(u32::from);
    assert_eq!(pairs, [linux::VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN, linux::VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX]);
}

/// Spec: §5.1.9.5.9.1 Setting Offloads State.
#[test]
fn offloads_are_numbered_as_the_features_that_linux_has() {
    for (ours, of_linux) in [
        (GuestOffloads::CSUM, linux::VIRTIO_NET_F_GUEST_CSUM),
        (GuestOffloads::TSO4, linux::VIRTIO_NET_F_GUEST_TSO4),
        (GuestOffloads::TSO6, linux::VIRTIO_NET_F_GUEST_TSO6),
        (GuestOffloads::ECN, linux::VIRTIO_NET_F_GUEST_ECN),
        (GuestOffloads::UFO, linux::VIRTIO_NET_F_GUEST_UFO),
        (GuestOffloads::USO4, linux::VIRTIO_NET_F_GUEST_USO4),
        (GuestOffloads::USO6, linux::VIRTIO_NET_F_GUEST_USO6),
    ] {
        assert_eq!(ours.bits(), 1 << of_linux, "{ours:?}");
    }
}

/// Spec: §5.1.9.5.6.4 Hash calculation, §5.1.9.5.7.1 Setting RSS parameters.
#[test]
fn steering_is_laid_out_as_in_linux() {
    use linux::{virtio_net_hash_config as Hash, virtio_net_rss_config as Rss};
    let start = [
        offset_of!(RssConfigStart, hash_types),
        offset_of!(RssConfigStart, indirection_table_mask),
        offset_of!(RssConfigStart, unclassified_queue),
        size_of::<RssConfigStart>(),
    ];
    let theirs = [
        offset_of!(Rss, hash_types),
        offset_of!(Rss, indirection_table_mask),
        offset_of!(Rss, unclassified_queue),
        offset_of!(Rss, indirection_table),
    ];
    assert_eq!(start, theirs);
    let end = [offset_of!(RssConfigEnd, hash_key_length), size_of::<RssConfigEnd>()];
    let base = offset_of!(Rss, max_tx_vq);
    assert_eq!(
        end.map(|offset| base + offset),
        [offset_of!(Rss, hash_key_length), offset_of!(Rss, hash_key_data)]
    );
    let hash = [
        offset_of!(HashConfigStart, reserved),
        offset_of!(HashConfigStart, hash_key_length),
        size_of::<HashConfigStart>(),
    ];
    let theirs =
        [offset_of!(Hash, reserved), offset_of!(Hash, hash_key_length), offset_of!(Hash, hash_key_data)];
    assert_eq!(hash, theirs);
}

/// Spec: §5.1.9.5.10 Notifications Coalescing.
#[test]
fn coalescing_is_laid_out_as_in_linux() {
    use linux::{virtio_net_ctrl_coal as Theirs, virtio_net_ctrl_coal_vq as OfQueue};
    assert_eq!(offset_of!(WireCoalescing, max_packets), offset_of!(Theirs, max_packets));
    assert_eq!(offset_of!(WireCoalescing, max_usecs), offset_of!(Theirs, max_usecs));
    assert_eq!(offset_of!(WireQueueCoalescing, queue.vq_index), offset_of!(OfQueue, vqn));
    assert_eq!(offset_of!(WireQueueCoalescing, coalescing), offset_of!(OfQueue, coal));
    assert_eq!(size_of::<WireQueueCoalescing>(), size_of::<OfQueue>());
}

/// Where counters are in a structure of ours and in one of theirs, which has a header before them: `our => their` field.
macro_rules! counters {
    ($($wire:ident, $theirs:ident { $($ours:ident $(=> $their:ident)?),+ })+) => {$(
        $(assert_eq!(
            STATISTICS_REPLY_HEADER_BYTES + offset_of!(ours::$wire, $ours),
            counters!(@at $theirs, $ours $($their)?),
        );)+
        assert_eq!(STATISTICS_REPLY_HEADER_BYTES + size_of::<ours::$wire>(), size_of::<linux::$theirs>());
    )+};
    (@at $theirs:ident, $ours:ident) => { offset_of!(linux::$theirs, $ours) };
    (@at $theirs:ident, $ours:ident $their:ident) => { offset_of!(linux::$theirs, $their) };
}

/// Spec: §5.1.9.5.11 Device Statistics.
#[test]
fn counters_are_where_linux_has_them() {
    use linux::virtio_net_ctrl_queue_stats__bindgen_ty_1 as Request;
    use linux::virtio_net_stats_reply_hdr as Header;
    counters! {
        WireCvq, virtio_net_stats_cvq { command_num, ok_num }
        WireRxBasic, virtio_net_stats_rx_basic { rx_notifications, rx_packets, rx_bytes, rx_interrupts, rx_drops, rx_drop_overruns }
        WireTxBasic, virtio_net_stats_tx_basic { tx_notifications, tx_packets, tx_bytes, tx_interrupts, tx_drops, tx_drop_malformed }
        WireRxCsum, virtio_net_stats_rx_csum { rx_csum_valid, rx_needs_csum, rx_csum_none, rx_csum_bad }
        WireTxCsum, virtio_net_stats_tx_csum { tx_csum_none, tx_needs_csum }
        WireRxGso, virtio_net_stats_rx_gso { rx_gso_packets, rx_gso_bytes, rx_gso_packets_coalesced, rx_gso_bytes_coalesced }
        WireTxGso, virtio_net_stats_tx_gso { tx_gso_packets, tx_gso_bytes, tx_gso_segments, tx_gso_segments_bytes, tx_gso_packets_noseg, tx_gso_bytes_noseg }
        WireRxSpeed, virtio_net_stats_rx_speed { rx_packets_allowance_exceeded => rx_ratelimit_packets, rx_bytes_allowance_exceeded => rx_ratelimit_bytes }
        WireTxSpeed, virtio_net_stats_tx_speed { tx_packets_allowance_exceeded => tx_ratelimit_packets, tx_bytes_allowance_exceeded => tx_ratelimit_bytes }
    }
    assert_eq!(offset_of!(StatisticsRequest, vq_index), offset_of!(Request, vq_index));
    assert_eq!(offset_of!(StatisticsRequest, types_bitmap), offset_of!(Request, types_bitmap));
    assert_eq!(offset_of!(StatisticsReplyHeader, reply_type), offset_of!(Header, type_));
    assert_eq!(offset_of!(StatisticsReplyHeader, vq_index), offset_of!(Header, vq_index));
    assert_eq!(offset_of!(StatisticsReplyHeader, size), offset_of!(Header, size));
    assert_eq!(STATISTICS_REPLY_HEADER_BYTES, size_of::<Header>());
}

/// Spec: §5.1.9.5.11.1 Query Statistic Capabilities, §5.1.9.5.11.2 Get Statistics.
#[test]
fn types_of_counters_are_bits_whose_numbers_linux_has() {
    for (ours, number) in [
        (StatisticsTypes::CVQ, linux::VIRTIO_NET_STATS_TYPE_REPLY_CVQ),
        (StatisticsTypes::RX_BASIC, linux::VIRTIO_NET_STATS_TYPE_REPLY_RX_BASIC),
        (StatisticsTypes::RX_CSUM, linux::VIRTIO_NET_STATS_TYPE_REPLY_RX_CSUM),
        (StatisticsTypes::RX_GSO, linux::VIRTIO_NET_STATS_TYPE_REPLY_RX_GSO),
        (StatisticsTypes::RX_SPEED, linux::VIRTIO_NET_STATS_TYPE_REPLY_RX_SPEED),
        (StatisticsTypes::TX_BASIC, linux::VIRTIO_NET_STATS_TYPE_REPLY_TX_BASIC),
        (StatisticsTypes::TX_CSUM, linux::VIRTIO_NET_STATS_TYPE_REPLY_TX_CSUM),
        (StatisticsTypes::TX_GSO, linux::VIRTIO_NET_STATS_TYPE_REPLY_TX_GSO),
        (StatisticsTypes::TX_SPEED, linux::VIRTIO_NET_STATS_TYPE_REPLY_TX_SPEED),
    ] {
        assert_eq!(ours.bits(), 1 << number, "{ours:?}");
    }
}

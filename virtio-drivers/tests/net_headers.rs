//! Headers of every size, both ways.
//!
//! Spec: §5.1.9 Device Operation: how long a header is depends on what was agreed on, and is the same for frames that come and frames that go.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use support::card::{Make, incoming};
use support::commands::bits;
use support::frames::{FrameBench, bytes, frame};
use virtio_guest::device::net::{
    Checksum, HashReport, NetFeatures, Offload, Segmentation, SegmentationKind, TransmitError, Tunnel,
    TunnelKind,
};
use virtio_model::block::WrittenLen;
use virtio_model::net::{Header, NicMisbehaviour, Packet, feature, gso_type, header_bytes, header_flag};

const VERSION_1: u128 = 1 << 32;

/// What a frame says of itself that is to be cut, in a tunnel: the specification's own example.
fn tunnelled() -> Header {
    Header {
        flags: header_flag::NEEDS_CSUM,
        gso_type: gso_type::TCPV4 | gso_type::UDP_TUNNEL_IPV4,
        hdr_len: 104,
        gso_size: 100,
        csum_start: 84,
        csum_offset: 16,
        outer_th_offset: 34,
        inner_nh_offset: 64,
        ..Header::default()
    }
}

fn tunnel_features() -> u128 {
    bits(&[
        feature::CSUM,
        feature::HOST_TSO4,
        feature::HOST_TSO6,
        feature::HOST_USO,
        feature::HOST_UDP_TUNNEL_GSO,
        feature::GUEST_CSUM,
        feature::GUEST_TSO4,
        feature::GUEST_TSO6,
        feature::GUEST_USO4,
        feature::GUEST_USO6,
        feature::GUEST_UDP_TUNNEL_GSO,
        feature::MRG_RXBUF,
    ])
}

/// A frame each way, through a header of this length.
fn both_ways(mut bench: FrameBench, header: usize) {
    assert_eq!(header_bytes(bench.0.device.negotiated_features()), header, "bytes of a header");
    for len in [14, 60, 1514] {
        let received = bench.arrive(Packet::new(frame(len))).expect("it arrives");
        assert_eq!((bytes(&received), received.offload()), (frame(len), Offload::default()));
        drop(received);

        let sent = bench.transmit(&frame(len), Offload::default());
        assert_eq!((sent.frame, sent.complaint), (frame(len), None));
    }
    bench.finish();
}

#[test]
fn frames_are_whole_behind_headers_of_every_length() {
    let hash = bits(&[feature::HASH_REPORT, feature::CTRL_VQ]);
    let merge = bits(&[feature::MRG_RXBUF]);
    for (features, header) in [
        (0, 12),
        (merge, 12),
        (hash, 20),
        (hash | merge, 20),
        (tunnel_features(), 24),
        (tunnel_features() & !bits(&[feature::GUEST_UDP_TUNNEL_GSO]), 24),
        (tunnel_features() & !bits(&[feature::HOST_UDP_TUNNEL_GSO]), 24),
        (tunnel_features() | hash, 24),
        (bits(&[feature::OUT_NET_HEADER]), 32),
        (bits(&[feature::OUT_NET_HEADER]) | hash | tunnel_features(), 32),
    ] {
        FrameBench::each(features).for_each(|bench| both_ways(bench, header));
    }
}

/// Spec: §5.1.9.1 Legacy Interface: Device Operation, §5.1.9.8 Legacy Interface: Framing Requirements.
#[test]
fn a_legacy_header_is_two_bytes_shorter_unless_buffers_are_merged() {
    let merge = bits(&[feature::MRG_RXBUF]);
    let any_layout = bits(&[feature::ANY_LAYOUT]);
    for (features, header) in [(0, 10), (any_layout, 10), (merge, 12), (merge | any_layout, 12)] {
        let bench = FrameBench::legacy(features);
        assert_eq!(bench.0.device.negotiated_features() & VERSION_1, 0);
        both_ways(bench, header);
    }
}

/// Spec: §5.1.9.1 Legacy Interface: Device Operation — what such a device says that it wrote to what it can only read, or to an answer, is not looked at.
#[test]
fn a_legacy_device_may_say_any_length_of_what_it_sent_and_was_asked() {
    let mut bench = FrameBench::legacy(bits(&[feature::CTRL_VQ, feature::CTRL_RX]));
    for written in [1, 70, u32::MAX] {
        let written = WrittenLen::Exactly(written);
        bench.0.nic.misbehave(|lies| (lies.transmit_written, lies.command_written) = (written, written));

        assert_eq!(bench.transmit(&frame(60), Offload::default()).complaint, None);
        assert_eq!(bench.0.pairs[0].1.reap(), Ok(1), "{written:?}");
        assert_eq!(bench.0.ask(|card, wait| card.set_promiscuous(true, wait)), Ok(()), "{written:?}");
    }
    bench.0.nic.misbehave(|lies| *lies = NicMisbehaviour::default());
    bench.finish();
}

/// Spec: §5.1.9.3.1 Driver Requirements: Setting Up Receive Buffers. However short a pool's buffers are to be: each has room for the longest header.
#[test]
fn the_shortest_buffers_have_room_for_a_header() {
    let all = NetFeatures::MRG_RXBUF | NetFeatures::OUT_NET_HEADER;
    for features in [NetFeatures::MRG_RXBUF, all] {
        let mut bench = Make { features: features.bits(), buffer_bytes: 1, ..Make::default() }.start();
        for len in [14, 60, 600] {
            bench.nic.inject(Packet::new(incoming(len, 1)));
            bench.serve();
            assert_eq!(bench.received(), Some(incoming(len, 1)));
        }
        bench.end();
    }
}

#[test]
fn a_hash_is_told_with_its_frame() {
    for mut bench in FrameBench::each(bits(&[feature::HASH_REPORT, feature::CTRL_VQ])) {
        let packet = Packet::new(frame(60)).with_header(|header| {
            (header.hash_report, header.hash_value) = (2, 0x0102_0304);
        });
        let hash = bench.arrive(packet).and_then(|frame| frame.hash()).expect("it has one");
        assert_eq!((hash.report, hash.value), (HashReport(2), 0x0102_0304));

        assert_eq!(bench.arrive(Packet::new(frame(60))).expect("it arrives").hash(), None);
        bench.finish();
    }
}

#[test]
fn a_tunnel_is_told_as_it_came_and_goes_as_it_was_told_if_its_headers_are_in_order() {
    for mut bench in FrameBench::each(tunnel_features() | bits(&[feature::OUT_NET_HEADER])) {
        let header = Header { outer_nh_offset: 14, ..tunnelled() };
        let received = bench.arrive(Packet { header, ..Packet::new(frame(400)) }).expect("it arrives");
        let segmentation =
            Segmentation { kind: SegmentationKind::Tcp4, ecn: false, size: 100, header_len: 104 };
        let tunnel =
            Tunnel { kind: TunnelKind::Ipv4, outer_transport: 34, inner_network: 64, checksum: false };
        let expected = Offload::default()
            .with_checksum(Checksum::Partial { start: 84, offset: 16 })
            .with_segmentation(segmentation)
            .with_tunnel(tunnel)
            .with_outer_network(14);
        assert_eq!(received.offload(), expected);
        drop(received);

        let sent = bench.transmit(&frame(400), expected);
        assert_eq!((sent.header, sent.complaint), (header, None));

        for (outer_transport, inner_network) in [(57, 64), (34, 84), (64, 34), (34, u16::MAX)] {
            let tunnel = Tunnel { outer_transport, inner_network, ..tunnel };
            let error = bench.refuse(&frame(400), expected.with_tunnel(tunnel));
            assert_eq!(error, TransmitError::BadOffload, "headers at {outer_transport} and {inner_network}");
        }
        bench.finish();
    }
}

/// Congestion is TCP's affair: a datagram that is said to have its bit contradicts itself.
#[test]
fn datagrams_are_not_said_to_have_the_bit_of_tcp() {
    let features = [feature::CSUM, feature::HOST_TSO4, feature::HOST_USO, feature::HOST_ECN];
    let mut bench = FrameBench::each(bits(&features)).next().unwrap();
    let cut = Segmentation { kind: SegmentationKind::Udp, ecn: true, size: 500, header_len: 42 };
    let (receive, transmit) = &mut bench.0.pairs[0];
    let mut datagram = receive.supply().frame_for(1200).unwrap();
    datagram.append(&frame(1200)).unwrap();
    let partial = Offload::default().with_checksum(Checksum::Partial { start: 34, offset: 6 });
    datagram.set_offload(partial.with_segmentation(cut));

    let refused = transmit.transmit(datagram).unwrap_err();

    assert_eq!(refused.error, TransmitError::BadOffload);
    drop(refused);
    bench.finish();
}

//! Nothing is left to a card that did not agree to it, and nothing is taken from one that was not told that it may.
//!
//! Spec: §5.1.9.2.1 Driver Requirements: Packet Transmission, §5.1.9.4.1 and §5.1.9.4.2 (processing of incoming packets). Not under miri: headers are judged by safe code, and their bytes are copied in other tests as well.

#![cfg(not(miri))]

mod support;

use virtio_guest::device::net::{
    Checksum, NetFeatures, Offload, Segmentation, SegmentationKind, TransmitError, Tunnel, TunnelKind,
};
use virtio_model::net::{Header, Packet, gso_type, header_flag};

use support::card::{Make, bytes, incoming};

const TRANSMIT: NetFeatures = NetFeatures::CSUM
    .union(NetFeatures::HOST_TSO4)
    .union(NetFeatures::HOST_TSO6)
    .union(NetFeatures::HOST_UFO)
    .union(NetFeatures::HOST_USO)
    .union(NetFeatures::HOST_ECN)
    .union(NetFeatures::HOST_UDP_TUNNEL_GSO)
    .union(NetFeatures::HOST_UDP_TUNNEL_GSO_CSUM);

const RECEIVE: NetFeatures = NetFeatures::GUEST_CSUM
    .union(NetFeatures::GUEST_TSO4)
    .union(NetFeatures::GUEST_TSO6)
    .union(NetFeatures::GUEST_UFO)
    .union(NetFeatures::GUEST_USO4)
    .union(NetFeatures::GUEST_USO6)
    .union(NetFeatures::GUEST_UDP_TUNNEL_GSO)
    .union(NetFeatures::GUEST_UDP_TUNNEL_GSO_CSUM)
    // Headers have room for tunnels, whether frames that come may be in one or not.
    .union(TRANSMIT);

fn partial() -> Offload {
    Offload::default().with_checksum(Checksum::Partial { start: 84, offset: 6 })
}

fn cut(kind: SegmentationKind, ecn: bool) -> Offload {
    partial().with_segmentation(Segmentation { kind, ecn, size: 100, header_len: 104 })
}

fn tunnelled(checksum: bool) -> Offload {
    let tunnel = Tunnel { kind: TunnelKind::Ipv4, outer_transport: 34, inner_network: 64, checksum };
    cut(SegmentationKind::Tcp4, false).with_tunnel(tunnel)
}

/// Offloads, and the feature without which each is refused. All others may be there.
fn needs() -> [(Offload, NetFeatures); 8] {
    [
        (partial(), NetFeatures::CSUM),
        (cut(SegmentationKind::Tcp4, false), NetFeatures::HOST_TSO4),
        (cut(SegmentationKind::Tcp6, false), NetFeatures::HOST_TSO6),
        (cut(SegmentationKind::UdpFragments, false), NetFeatures::HOST_UFO),
        (cut(SegmentationKind::Udp, false), NetFeatures::HOST_USO),
        (cut(SegmentationKind::Tcp6, true), NetFeatures::HOST_ECN),
        (tunnelled(false), NetFeatures::HOST_UDP_TUNNEL_GSO),
        (tunnelled(true), NetFeatures::HOST_UDP_TUNNEL_GSO_CSUM),
    ]
}

#[test]
fn what_was_agreed_on_may_be_left_to_the_device() {
    let mut bench = Make { features: TRANSMIT.bits(), ..Make::default() }.start();
    for (offload, _) in needs() {
        let mut frame = bench.frame(&incoming(400, 0));
        frame.set_offload(offload);

        bench.card.transmit(frame).unwrap();
        bench.serve();

        let left = bench.nic.take_transmitted();
        assert_eq!((left.len(), &left[0].complaint), (1, &None), "{offload:?}");
    }
    bench.end();
}

#[test]
fn what_was_not_agreed_on_comes_back_with_its_feature() {
    for (offload, needed) in needs() {
        let features = TRANSMIT.difference(needed);
        let mut bench = Make { features: features.bits(), ..Make::default() }.start();
        let mut frame = bench.frame(&incoming(400, 0));
        frame.set_offload(offload);

        let refused = bench.card.transmit(frame).unwrap_err();

        assert_eq!(refused.error, TransmitError::NotNegotiated(needed));
        assert_eq!((bytes(&refused.frame), refused.frame.offload()), (incoming(400, 0), offload));
        drop(refused);
        bench.serve();
        assert_eq!(bench.nic.take_transmitted(), []);
        bench.end();
    }
}

/// What contradicts itself or the frame is refused, whatever was agreed on.
#[test]
fn offloads_that_make_no_sense_come_back() {
    let mut bench = Make { features: TRANSMIT.bits(), ..Make::default() }.start();
    let tcp4 = Segmentation { kind: SegmentationKind::Tcp4, ecn: false, size: 100, header_len: 104 };
    let tunnel = Tunnel { kind: TunnelKind::Ipv4, outer_transport: 34, inner_network: 64, checksum: false };
    for offload in [
        Offload::default().with_checksum(Checksum::Partial { start: 390, offset: 9 }),
        Offload::default().with_checksum(Checksum::Partial { start: u16::MAX, offset: u16::MAX }),
        Offload::default().with_checksum(Checksum::PartialSomewhere),
        Offload::default().with_segmentation(tcp4),
        partial().with_segmentation(Segmentation { size: 0, ..tcp4 }),
        partial().with_segmentation(Segmentation { header_len: 401, ..tcp4 }),
        partial().with_tunnel(tunnel),
        partial().with_segmentation(tcp4).with_tunnel(Tunnel { kind: TunnelKind::Ipv6, ..tunnel }),
        cut(SegmentationKind::UdpFragments, false).with_tunnel(tunnel),
        partial().with_segmentation(tcp4).with_tunnel(Tunnel { outer_transport: 64, ..tunnel }),
        partial().with_segmentation(tcp4).with_tunnel(Tunnel { inner_network: 400, ..tunnel }),
    ] {
        let mut frame = bench.frame(&incoming(400, 0));
        frame.set_offload(offload);
        let refused = bench.card.transmit(frame).unwrap_err();
        assert_eq!(refused.error, TransmitError::BadOffload, "{offload:?}");
        assert_eq!(refused.frame.offload(), offload);
    }
    bench.end();
}

/// A frame to be cut, of this type and with these flags besides.
fn large(gso_type: u8, flags: u8) -> Header {
    Header {
        flags: header_flag::NEEDS_CSUM | flags,
        gso_type,
        hdr_len: 104,
        gso_size: 100,
        csum_start: 84,
        csum_offset: 6,
        outer_th_offset: 34,
        inner_nh_offset: 64,
        ..Header::default()
    }
}

#[test]
fn a_device_that_was_not_told_that_it_may_is_not_believed() {
    let uso = NetFeatures::GUEST_USO4 | NetFeatures::GUEST_USO6;
    let in_tunnel = gso_type::TCPV4 | gso_type::UDP_TUNNEL_IPV4;
    for (header, needed) in [
        (large(gso_type::NONE, 0), NetFeatures::GUEST_CSUM),
        (large(gso_type::TCPV4, 0), NetFeatures::GUEST_TSO4),
        (large(gso_type::TCPV6, 0), NetFeatures::GUEST_TSO6),
        (large(gso_type::UDP, 0), NetFeatures::GUEST_UFO),
        (large(gso_type::UDP_L4, 0), uso),
        (large(in_tunnel, 0), NetFeatures::GUEST_UDP_TUNNEL_GSO),
        (large(in_tunnel, header_flag::UDP_TUNNEL_CSUM), NetFeatures::GUEST_UDP_TUNNEL_GSO_CSUM),
    ] {
        for features in [RECEIVE, RECEIVE.difference(needed)] {
            let features = (features | NetFeatures::MRG_RXBUF).bits();
            let mut bench = Make { features, ..Make::default() }.start();
            bench.nic.inject(Packet { header, ..Packet::new(incoming(400, 0)) });
            bench.serve();

            let frame = bench.card.receive().unwrap();

            let may = bench.features().contains(needed);
            assert_eq!(frame.is_some(), may, "{needed:?}: {header:?}");
            assert_eq!(bench.card.receive_queue().counts().malformed, u64::from(!may));
            drop(frame);
            bench.end();
        }
    }
}

/// Spec: §5.1.4.2 Driver Requirements: Device configuration layout.
#[test]
fn no_frame_is_longer_than_the_device_takes() {
    let features = NetFeatures::MTU | NetFeatures::CSUM | NetFeatures::HOST_TSO4;
    let mut bench = Make { features: features.bits(), mtu: 1000, ..Make::default() }.start();
    bench.transmit(&incoming(1014, 0));
    let mut tagged = incoming(1018, 1);
    tagged[12..14].copy_from_slice(&[0x81, 0x00]);
    bench.transmit(&tagged);
    let mut cut_by_the_device = bench.frame(&incoming(1900, 2));
    cut_by_the_device.set_offload(cut(SegmentationKind::Tcp4, false));
    bench.card.transmit(cut_by_the_device).unwrap();
    bench.serve();
    assert!(bench.nic.take_transmitted().iter().all(|packet| packet.complaint.is_none()));

    tagged.push(0);
    for too_long in [incoming(1015, 3), incoming(1018, 4), tagged] {
        let frame = bench.frame(&too_long);
        let refused = bench.card.transmit(frame).unwrap_err();
        assert_eq!(refused.error, TransmitError::TooLong { bytes_max: 1014 });
        assert_eq!(bytes(&refused.frame), too_long);
    }
    bench.end();
}

/// Spec: §5.1.9.3.1 Driver Requirements: Setting Up Receive Buffers.
#[test]
fn jumbo_frames_fit_into_chains_where_buffers_do_not_merge() {
    let mut bench =
        Make { features: NetFeatures::MTU.bits(), mtu: 9000, buffers: 80, ..Make::default() }.start();
    bench.nic.inject(Packet::new(incoming(9014, 1)));
    bench.nic.inject(Packet::new(incoming(9018, 2)));
    for number in 1..=2 {
        bench.serve();
        let len = if number == 1 { 9014 } else { 9018 };
        assert_eq!(bench.received(), Some(incoming(len, number)));
    }
    bench.end();
}

/// Spec: §5.1.9.3.1 Driver Requirements: Setting Up Receive Buffers.
#[test]
fn chains_of_small_buffers_are_as_long_as_frames_can_be_where_buffers_do_not_merge() {
    let hash = NetFeatures::HASH_REPORT | NetFeatures::CTRL_VQ;
    let large = NetFeatures::GUEST_CSUM | NetFeatures::GUEST_TSO4;
    for (features, buffer_bytes, longest) in [
        (NetFeatures::empty(), 576, 1526),
        (hash, 576, 1534),
        (large, 8192, 65_601),
        (large | hash, 8192, 65_609),
    ] {
        let make = Make { features: features.bits(), buffers: 90, buffer_bytes, ..Make::default() };
        let mut bench = make.start();
        assert!(bench.card.receive_queue().in_flight() > 0);
        let len = longest - usize::from(bench.card.active_paths().header_bytes);
        bench.nic.inject(Packet::new(incoming(len, 1)));
        bench.serve();
        assert_eq!(bench.received(), Some(incoming(len, 1)), "with {features:?}");
        bench.end();
    }
}

/// How long headers are is measured, whatever came with the frame.
#[test]
fn exact_lengths_of_headers_are_measured() {
    let features = TRANSMIT | NetFeatures::GUEST_HDRLEN;
    let mut bench = Make { features: features.bits(), ..Make::default() }.start();
    for (kind, tcp_words, header_len) in [
        (SegmentationKind::Tcp4, 5, Some(104)),
        (SegmentationKind::Tcp6, 8, Some(116)),
        (SegmentationKind::Tcp4, 15, Some(144)),
        (SegmentationKind::Udp, 0, Some(92)),
        (SegmentationKind::Tcp4, 4, None),
    ] {
        let mut contents = incoming(400, 0);
        contents[84 + 12] = tcp_words << 4 | 3;
        let mut frame = bench.frame(&contents);
        let said = Segmentation { kind, ecn: false, size: 100, header_len: 7 };
        frame.set_offload(partial().with_segmentation(said));

        let result = bench.card.transmit(frame);
        bench.serve();

        match header_len {
            Some(header_len) => {
                result.unwrap();
                let left = bench.nic.take_transmitted();
                assert_eq!((left[0].header.hdr_len, &left[0].complaint), (header_len, &None));
            }
            None => assert_eq!(result.unwrap_err().error, TransmitError::BadOffload),
        }
    }
    let mut short = bench.frame(&incoming(95, 0));
    short.set_offload(cut(SegmentationKind::Tcp4, false));
    assert_eq!(bench.card.transmit(short).unwrap_err().error, TransmitError::BadOffload);
    bench.end();
}

//! What headers say, field by field: what is put there, and what is taken from there.
//!
//! Spec: §5.1.9.2.1 Driver Requirements: Packet Transmission, §5.1.9.4.2 Driver Requirements: Processing of Incoming Packets. Not under miri: headers are judged by safe code, and their bytes are copied in other tests as well.

#![cfg(not(miri))]

mod support;

use virtio_guest::device::net::{
    Checksum, NetFeatures, Offload, Segmentation, SegmentationKind, TransmitError, Tunnel, TunnelKind,
};
use virtio_model::net::{Header, Packet, gso_type, header_flag};

use support::card::{CardBench, Make, bytes, incoming};

const TRANSMIT: NetFeatures = NetFeatures::CSUM
    .union(NetFeatures::HOST_TSO4)
    .union(NetFeatures::HOST_TSO6)
    .union(NetFeatures::HOST_UFO)
    .union(NetFeatures::HOST_USO)
    .union(NetFeatures::HOST_ECN)
    .union(NetFeatures::HOST_UDP_TUNNEL_GSO)
    .union(NetFeatures::HOST_UDP_TUNNEL_GSO_CSUM)
    .union(NetFeatures::OUT_NET_HEADER);

const RECEIVE: NetFeatures = NetFeatures::GUEST_CSUM
    .union(NetFeatures::GUEST_TSO4)
    .union(NetFeatures::GUEST_TSO6)
    .union(NetFeatures::GUEST_USO4)
    .union(NetFeatures::GUEST_USO6)
    .union(NetFeatures::GUEST_UDP_TUNNEL_GSO)
    .union(NetFeatures::GUEST_UDP_TUNNEL_GSO_CSUM)
    .union(NetFeatures::MRG_RXBUF);

/// Flags that no version of the specification has, or that only come with IPsec.
const UNKNOWN: [u8; 5] = [0x10, 0x20, 0x40, 0x80, 0xf0];

fn card(features: NetFeatures) -> CardBench {
    Make { features: features.bits(), ..Make::default() }.start()
}

fn partial() -> Offload {
    Offload::default().with_checksum(Checksum::Partial { start: 84, offset: 6 })
}

fn cut(kind: SegmentationKind, ecn: bool) -> Offload {
    partial().with_segmentation(Segmentation { kind, ecn, size: 100, header_len: 104 })
}

fn tunnelled(cut_as: SegmentationKind, kind: TunnelKind, checksum: bool) -> Offload {
    cut(cut_as, false).with_tunnel(Tunnel { kind, outer_transport: 34, inner_network: 64, checksum })
}

/// A header of a partial checksum, and no other field.
fn partial_header() -> Header {
    Header { flags: header_flag::NEEDS_CSUM, csum_start: 84, csum_offset: 6, ..Header::default() }
}

fn cut_header(gso_type: u8) -> Header {
    Header { gso_type, gso_size: 100, hdr_len: 104, ..partial_header() }
}

fn tunnel_header(gso_type: u8, flags: u8) -> Header {
    let plain = cut_header(gso_type);
    Header { flags: plain.flags | flags, outer_th_offset: 34, inner_nh_offset: 64, ..plain }
}

/// A frame, which any header below goes with.
fn contents() -> Vec<u8> {
    incoming(400, 0)
}

/// What comes of a packet with this header.
fn arrive(bench: &mut CardBench, header: Header) -> Option<Offload> {
    bench.nic.inject(Packet { header, ..Packet::new(contents()) });
    bench.serve();
    let frame = bench.card.receive().expect("the device keeps to the protocol")?;
    assert_eq!(bytes(&frame), contents(), "whatever its header says");
    Some(frame.offload())
}

/// Frames with what may be left to a device, and each field of the header that says so; all others are 0.
fn transmitted() -> Vec<(Offload, Header)> {
    use SegmentationKind::{Tcp4, Tcp6, Udp, UdpFragments};
    use TunnelKind::{Ipv4, Ipv6};
    use gso_type::{ECN, TCPV4, TCPV6, UDP, UDP_L4, UDP_TUNNEL_IPV4, UDP_TUNNEL_IPV6};
    let outer = header_flag::UDP_TUNNEL_CSUM;
    vec![
        (Offload::default(), Header::default()),
        (Offload::default().with_checksum(Checksum::Valid), Header::default()),
        (Offload::default().with_outer_network(14), Header { outer_nh_offset: 14, ..Header::default() }),
        (partial(), partial_header()),
        (cut(Tcp4, false), cut_header(TCPV4)),
        (cut(Tcp6, false), cut_header(TCPV6)),
        (cut(UdpFragments, false), cut_header(UDP)),
        (cut(Udp, false), cut_header(UDP_L4)),
        (cut(Tcp4, true), cut_header(TCPV4 | ECN)),
        (cut(Tcp6, true), cut_header(TCPV6 | ECN)),
        (tunnelled(Tcp4, Ipv4, false), tunnel_header(TCPV4 | UDP_TUNNEL_IPV4, 0)),
        (tunnelled(Tcp6, Ipv6, false), tunnel_header(TCPV6 | UDP_TUNNEL_IPV6, 0)),
        (tunnelled(Udp, Ipv4, false), tunnel_header(UDP_L4 | UDP_TUNNEL_IPV4, 0)),
        (tunnelled(Udp, Ipv6, false), tunnel_header(UDP_L4 | UDP_TUNNEL_IPV6, 0)),
        (tunnelled(Tcp4, Ipv4, true), tunnel_header(TCPV4 | UDP_TUNNEL_IPV4, outer)),
        (tunnelled(Udp, Ipv6, true), tunnel_header(UDP_L4 | UDP_TUNNEL_IPV6, outer)),
    ]
}

#[test]
fn what_is_left_to_the_device_is_said_in_its_own_fields_and_the_frame_stays_as_it_is() {
    let mut bench = card(TRANSMIT);
    for (offload, header) in transmitted() {
        let mut frame = bench.frame(&contents());
        frame.set_offload(offload);

        bench.card.transmit(frame).unwrap();

        bench.serve();
        let packet = bench.nic.take_transmitted().pop().unwrap();
        assert_eq!((packet.header, packet.frame), (header, contents()), "{offload:?}");
        assert_eq!(packet.complaint, None, "{offload:?}");
    }
    bench.end();
}

/// Whose checksum is whole is not said, nor of how many segments it is: both are what a device tells a driver.
#[test]
fn what_one_device_found_out_is_not_said_to_another() {
    let counts = Header { flags: header_flag::RSC_INFO, csum_start: 3, csum_offset: 2, ..Header::default() };
    let valid = Header { flags: counts.flags | header_flag::DATA_VALID, ..counts };
    let mut bench = card(TRANSMIT | RECEIVE | NetFeatures::RSC_EXT);
    for header in [counts, valid] {
        bench.nic.inject(Packet { header, ..Packet::new(contents()) });
        bench.serve();
        let frame = bench.card.receive().unwrap().unwrap();
        let joined = frame.offload().coalesced().unwrap();
        assert_eq!((joined.segments, joined.duplicate_acks), (3, 2));

        bench.card.transmit(frame).unwrap();

        bench.serve();
        let packet = bench.nic.take_transmitted().pop().unwrap();
        assert_eq!((packet.header, packet.complaint), (Header::default(), None));
    }
    bench.end();
}

#[test]
fn flags_that_nobody_knows_change_nothing() {
    let mut bench = card(RECEIVE);
    let tunnel = tunnel_header(gso_type::TCPV4 | gso_type::UDP_TUNNEL_IPV4, 0);
    let valid = Header { flags: header_flag::DATA_VALID, ..Header::default() };
    for known in [Header::default(), valid, partial_header(), cut_header(gso_type::TCPV6), tunnel] {
        let expected = arrive(&mut bench, known);
        assert!(expected.is_some());
        for unknown in UNKNOWN {
            let header = Header { flags: known.flags | unknown, ..known };
            assert_eq!(arrive(&mut bench, header), expected, "{header:?}");
        }
    }
    bench.end();
}

/// The fields are there in every header, and mean something only with their flag.
#[test]
fn the_place_of_a_checksum_counts_only_where_its_flag_says_so() {
    let in_tunnel = tunnel_header(gso_type::TCPV4 | gso_type::UDP_TUNNEL_IPV4, header_flag::RSC_INFO);
    for more in [NetFeatures::empty(), NetFeatures::RSC_EXT | NetFeatures::CSUM | NetFeatures::HOST_TSO4] {
        let mut bench = card(RECEIVE | more);
        for (flags, checksum) in [
            (0, Checksum::None),
            (header_flag::DATA_VALID, Checksum::Valid),
            (header_flag::RSC_INFO, Checksum::None),
            (header_flag::NEEDS_CSUM | header_flag::RSC_INFO, Checksum::PartialSomewhere),
        ] {
            for (csum_start, csum_offset) in [(84, 6), (u16::MAX, u16::MAX)] {
                let header = Header { flags, csum_start, csum_offset, ..Header::default() };
                let offload = arrive(&mut bench, header).expect("nothing is wrong with it");
                assert_eq!(offload.checksum(), checksum, "{header:?}");
                let has_counts = flags & header_flag::RSC_INFO != 0 && !more.is_empty();
                assert_eq!(offload.coalesced().is_some(), has_counts, "{header:?}");
            }
        }
        for csum_start in [0, 84, u16::MAX] {
            let offload = arrive(&mut bench, Header { csum_start, ..in_tunnel });
            assert_eq!(offload.unwrap().checksum(), Checksum::PartialSomewhere);
        }
        bench.end();
    }
}

#[test]
fn the_places_of_a_tunnel_count_only_where_there_is_one() {
    let mut bench = card(RECEIVE | TRANSMIT);
    for header in [Header::default(), partial_header(), cut_header(gso_type::TCPV4)] {
        let expected = arrive(&mut bench, header).unwrap();
        for (outer_th_offset, inner_nh_offset) in [(34, 64), (64, 34), (u16::MAX, u16::MAX)] {
            let offload = arrive(&mut bench, Header { outer_th_offset, inner_nh_offset, ..header });
            assert_eq!((offload, expected.tunnel()), (Some(expected), None));
        }
    }
    bench.end();
}

/// Neither read nor written without the feature: what would be its bytes is the frame's.
#[test]
fn the_place_of_an_outer_network_header_counts_only_where_it_was_agreed_on() {
    for features in [RECEIVE | TRANSMIT, RECEIVE | TRANSMIT.difference(NetFeatures::OUT_NET_HEADER)] {
        let is_agreed = features.contains(NetFeatures::OUT_NET_HEADER);
        let mut bench = card(features);
        for (place, expected) in [(14, Some(14)), (0, None), (400, None), (u16::MAX, None)] {
            for plain in [Header::default(), partial_header()] {
                let offload = arrive(&mut bench, Header { outer_nh_offset: place, ..plain }).unwrap();
                assert_eq!(offload.outer_network(), expected.filter(|_| is_agreed));
            }
            let mut frame = bench.frame(&contents());
            frame.set_offload(partial().with_outer_network(place));
            bench.card.transmit(frame).unwrap();
            bench.serve();
            let packet = bench.nic.take_transmitted().pop().unwrap();
            let outer_nh_offset = expected.filter(|_| is_agreed).unwrap_or(0);
            assert_eq!(packet.header, Header { outer_nh_offset, ..partial_header() });
            assert_eq!((packet.frame, packet.complaint), (contents(), None));
        }
        bench.end();
    }
}

/// Some devices say nothing there, or nonsense. It is passed on as the hint that it is, and no byte of the frame depends on it.
#[test]
fn a_received_length_of_headers_is_a_hint_that_may_be_wrong() {
    let mut bench = card(RECEIVE | TRANSMIT);
    for hdr_len in [0, 1, 104, 400, 401, u16::MAX] {
        let header = Header { hdr_len, ..cut_header(gso_type::TCPV4) };
        let offload = arrive(&mut bench, header).expect("it is received all the same");
        assert_eq!(offload.segmentation().map(|cut| cut.header_len), Some(hdr_len));
        let plain = arrive(&mut bench, Header { hdr_len, ..partial_header() });
        assert_eq!(plain, Some(partial()), "nothing is to be cut");
        // To be sent on it has to be possible.
        let mut frame = bench.frame(&contents());
        frame.set_offload(offload);
        let refused = bench.card.transmit(frame).err().map(|refused| refused.error);
        assert_eq!(refused, (hdr_len > 400).then_some(TransmitError::BadOffload));
    }
    bench.serve();
    bench.end();
}

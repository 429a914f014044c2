//! What a driver must not transmit.

use super::super::{gso_type, header_flag};
use super::{Bench, Header, MAC, Nic, bit, feature, frame};

const NEEDS: u8 = header_flag::NEEDS_CSUM;

/// A packet to be cut, as it should be.
fn large() -> Header {
    Header {
        flags: NEEDS,
        gso_type: gso_type::TCPV4,
        hdr_len: 54,
        gso_size: 100,
        csum_start: 34,
        csum_offset: 16,
        ..Header::default()
    }
}

/// The same, in a tunnel.
fn tunnelled() -> Header {
    Header {
        gso_type: gso_type::TCPV4 | gso_type::UDP_TUNNEL_IPV4,
        hdr_len: 104,
        outer_th_offset: 34,
        inner_nh_offset: 64,
        csum_start: 84,
        ..large()
    }
}

fn tso() -> u128 {
    bit(feature::CSUM) | bit(feature::HOST_TSO4)
}

fn tunnels() -> u128 {
    let others = [feature::HOST_TSO6, feature::HOST_USO, feature::HOST_UDP_TUNNEL_GSO];
    others.into_iter().fold(tso(), |set, feature| set | bit(feature))
}

/// A frame whose TCP header of 20 bytes is at `transport`.
fn tcp_frame(transport: usize) -> Vec<u8> {
    let mut frame = frame(400);
    frame[transport + 12] = 0x50;
    frame
}

/// Spec: §5.1.9.2.1 — what the features permit is no mistake.
#[test]
fn packets_that_features_permit_earn_no_complaint() {
    let ecn = bit(feature::HOST_ECN);
    let outer = bit(feature::HOST_UDP_TUNNEL_GSO_CSUM);
    for (features, header, transport) in [
        (tso(), large(), 34),
        (tso() | bit(feature::GUEST_HDRLEN), large(), 34),
        (tso() | ecn, Header { gso_type: gso_type::TCPV4 | gso_type::ECN, ..large() }, 34),
        (tunnels(), tunnelled(), 84),
        (tunnels() | bit(feature::GUEST_HDRLEN), tunnelled(), 84),
        (tunnels() | outer, Header { flags: NEEDS | header_flag::UDP_TUNNEL_CSUM, ..tunnelled() }, 84),
        (bit(feature::OUT_NET_HEADER), Header { outer_nh_offset: 14, ..Header::default() }, 34),
    ] {
        let mut bench = Bench::new(Nic::new(MAC).with_features(features));
        assert_eq!(bench.transmit(header, &tcp_frame(transport)), None, "{header:?}");
    }
}

/// Spec: §5.1.9.2.1 — each rule has its complaint.
#[test]
fn each_broken_rule_about_packets_is_named() {
    let all = tunnels() | bit(feature::HOST_ECN) | bit(feature::HOST_UDP_TUNNEL_GSO_CSUM);
    let both = gso_type::UDP_TUNNEL_IPV4 | gso_type::UDP_TUNNEL_IPV6;
    let plain = Header::default;
    for (features, header, text) in [
        (0, Header { num_buffers: 1, ..plain() }, "1 buffers"),
        (0, Header { flags: NEEDS, ..plain() }, "flags 0x1"),
        (all, Header { flags: header_flag::DATA_VALID, ..plain() }, "flags 0x2"),
        (all, Header { flags: header_flag::RSC_INFO, ..plain() }, "flags 0x4"),
        (bit(feature::CSUM), large(), "gso_type 1 without"),
        (all, Header { gso_type: 2, ..large() }, "gso_type 2"),
        (tso(), Header { gso_type: gso_type::TCPV4 | gso_type::ECN, ..large() }, "ECN without"),
        (all, Header { gso_type: gso_type::UDP_L4 | gso_type::ECN, ..large() }, "ECN of no TCP"),
        (tso(), Header { flags: 0, ..large() }, "without a partial checksum"),
        (tso(), Header { gso_size: 0, ..large() }, "segments of 0"),
        (tso(), Header { csum_start: 383, ..large() }, "a checksum up to 401"),
        (tso() | bit(feature::GUEST_HDRLEN), Header { hdr_len: 53, ..large() }, "headers of 53"),
        (tso(), tunnelled(), "a tunnel without"),
        (all, Header { gso_type: gso_type::TCPV4 | both, ..tunnelled() }, "both kinds"),
        (all, Header { gso_type: gso_type::UDP_TUNNEL_IPV4, ..tunnelled() }, "a tunnel with gso_type 0"),
        (all, Header { inner_nh_offset: 41, ..tunnelled() }, "tunnel headers at"),
        (all, Header { flags: NEEDS | header_flag::UDP_TUNNEL_CSUM, ..large() }, "an outer checksum without"),
        (bit(feature::MTU), plain(), "more than 314"),
    ] {
        let nic = Nic::new(MAC).with_features(features).with_config(|config| config.mtu = 300);
        let mut bench = Bench::new(nic);
        let complaint = bench.transmit(header, &tcp_frame(34)).unwrap_or_default();
        assert!(complaint.contains(text), "{complaint:?} should say {text:?}");
        assert_eq!(bench.nic.counters(1).malformed, 1);
    }
}

#[test]
fn a_packet_that_is_cut_short_is_named() {
    let mut bench = Bench::new(Nic::new(MAC));
    for (parts, text) in [
        (&[&[0; 11][..]][..], "a packet of 11 bytes"),
        (&[&[0; 12], &[0; 13]], "13 bytes"),
        (&[&[0; 12]], "0 bytes"),
    ] {
        bench.submit(1, parts, &[]);
        bench.serve();
        let complaint = bench.nic.take_transmitted().pop().unwrap().complaint.unwrap();
        assert!(complaint.contains(text), "{complaint:?} should say {text:?}");
    }
    bench.submit(1, &[&[0; 12], &frame(60)], &[1]);
    bench.submit(3 - 2, &[&[0; 10], &[0; 4], &frame(60)], &[]);
    bench.serve();
    let complaints: Vec<_> =
        bench.nic.take_transmitted().into_iter().map(|packet| packet.complaint).collect();
    assert_eq!(complaints, [Some("a packet with writable bytes".into()), None]);
}

#[test]
fn a_pair_that_was_not_switched_on_is_named() {
    let mut bench = Bench::new(Nic::new(MAC).with_pairs(2));
    bench.submit(3, &[&[0; 12], &frame(60)], &[]);
    bench.serve();
    assert!(bench.device.driver_errors()[0].contains("pair 1 is not in use"));

    assert_eq!(bench.ask(4, [4, 0], &[2, 0], 0).0, 0);
    bench.submit(3, &[&[0; 12], &frame(60)], &[]);
    bench.serve();
    assert_eq!(bench.device.driver_errors().len(), 1);
}

//! How hashes are made.

use super::super::{HashSetup, hash_report, toeplitz, tunnel_type};
use super::MAC;

/// The key and the sums that are published with the definition of receive-side scaling.
const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
    0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
    0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];
const SOURCE: [u8; 4] = [66, 9, 149, 187];
const DESTINATION: [u8; 4] = [161, 142, 100, 80];
const PORTS: [u8; 4] = [0x0a, 0xea, 0x06, 0xe6];

pub(super) fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend(SOURCE);
    packet.extend(DESTINATION);
    packet.extend(payload);
    packet
}

pub(super) fn ethernet(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = MAC.to_vec();
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend(ether_type.to_be_bytes());
    frame.extend(packet);
    frame
}

/// A frame of TCP over IPv4.
pub(super) fn tcp() -> Vec<u8> {
    ethernet(0x0800, &v4(6, &[&PORTS[..], &[0; 16]].concat()))
}

fn setup(types: u32, tunnels: u32) -> HashSetup {
    HashSetup { types, key: KEY.to_vec(), tunnels }
}

#[test]
fn a_hash_is_the_one_that_is_published() {
    let addresses = [SOURCE, DESTINATION].concat();
    assert_eq!(toeplitz(&KEY, &addresses), 0x323e_8fc2);
    assert_eq!(toeplitz(&KEY, &[&addresses[..], &PORTS].concat()), 0x51cc_c178);
}

/// Spec: §5.1.9.4.3 — ports if they are enabled and there, else addresses, else nothing.
#[test]
fn a_hash_is_made_of_what_is_enabled() {
    let udp = ethernet(0x0800, &v4(17, &[&PORTS[..], &[0; 4]].concat()));
    for (types, frame, expected) in [
        (0x7, &tcp(), Some((0x51cc_c178, hash_report::TCPV4))),
        (0x5, &tcp(), Some((0x323e_8fc2, hash_report::IPV4))),
        (0x7, &udp, Some((0x51cc_c178, hash_report::UDPV4))),
        (0x2, &udp, None),
        (0x1ff, &ethernet(0x0806, &[0; 28]), None),
        (0x1ff, &ethernet(0x0800, &[0x45, 0]), None),
    ] {
        assert_eq!(setup(types, 0).of(frame), expected);
    }
}

/// Spec: §5.1.9.4.3 — the addresses of extension headers take the place of the others.
#[test]
fn extension_headers_of_ipv6_say_which_addresses_count() {
    let [source, destination, home, routed] = [1u8, 2, 3, 4].map(|byte| [byte; 16]);
    let plain = |next: u8, payload: &[u8]| {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        packet.extend([source, destination].concat());
        packet.extend(payload);
        ethernet(0x86dd, &packet)
    };
    let options = [&[43, 2, 1, 2, 0, 0, 0xc9, 16][..], &home].concat();
    let routing = [&[6, 2, 2, 1, 0, 0, 0, 0][..], &routed].concat();
    let extended = plain(60, &[options, routing, PORTS.to_vec()].concat());
    let of = |parts: &[&[u8]], report| Some((toeplitz(&KEY, &parts.concat()), report));
    for (types, frame, expected) in [
        (0x1f8, &plain(6, &PORTS), of(&[&source, &destination, &PORTS], hash_report::TCPV6)),
        (0x1f8, &extended, of(&[&home, &routed, &PORTS], hash_report::TCPV6_EX)),
        (0x40, &extended, of(&[&home, &routed], hash_report::IPV6_EX)),
        (0x8, &extended, of(&[&source, &destination], hash_report::IPV6)),
    ] {
        assert_eq!(setup(types, 0).of(frame), expected, "{types:#x}");
    }
}

/// Spec: §5.1.9.4.4 — the inner header counts if its tunnel is enabled, else the outer one.
#[test]
fn the_inner_header_counts_in_an_enabled_tunnel() {
    let inner = v4(6, &PORTS);
    let udp = |port: u16, carried: &[u8]| {
        let mut payload = vec![0x11, 0x11];
        payload.extend(port.to_be_bytes());
        payload.extend([0; 4]);
        payload.extend(carried);
        ethernet(0x0800, &v4(17, &payload))
    };
    let gre = |protocol: u8, header: &[u8], carried: &[u8]| {
        ethernet(0x0800, &v4(protocol, &[header, carried].concat()))
    };
    for (tunnel, frame) in [
        (tunnel_type::IPIP, gre(4, &[], &inner)),
        (tunnel_type::GRE_2784, gre(47, &[0, 0, 8, 0], &inner)),
        (tunnel_type::GRE_2890, gre(47, &[0x20, 0, 8, 0, 1, 2, 3, 4], &inner)),
        (tunnel_type::NVGRE, gre(47, &[0x20, 0, 0x65, 0x58, 1, 2, 3, 4], &tcp())),
        (tunnel_type::VXLAN, udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &tcp()].concat())),
        (tunnel_type::VXLAN_GPE, udp(4790, &[&[12, 0, 0, 1, 0, 0, 1, 0][..], &inner].concat())),
        (tunnel_type::GENEVE, udp(6081, &[&[0, 0, 0x65, 0x58, 0, 0, 1, 0][..], &tcp()].concat())),
        (tunnel_type::GRE_UDP, udp(4754, &[&[0, 0, 8, 0][..], &inner].concat())),
    ] {
        let hash = |tunnels| setup(0x3, tunnels).of(&frame).map(|(_, report)| report);
        assert_eq!(hash(tunnel), Some(hash_report::TCPV4), "tunnel {tunnel:#x}");
        assert_eq!(hash(0x1ff & !tunnel), Some(hash_report::IPV4), "tunnel {tunnel:#x}");
    }
}

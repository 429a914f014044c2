//! What the tests of network cards rely on, without a guest: the host's own end of the cable.

use std::time::Duration;

use qemu_tests::frames::{Host, Packet, Transport, Version, headers};
use qemu_tests::net::{FrameHeader, Namespace};
use qemu_tests::pattern::fill;

const ONE: Host = Host { mac: [2, 0, 0, 0, 0, 1], number: 1 };
const OTHER: Host = Host { mac: [2, 0, 0, 0, 0, 2], number: 2 };
const LIMIT: Duration = Duration::from_secs(2);

/// What a card that has TCP segmented hands over comes out as frames of the network, finished: else the tests of that would see nothing.
#[test]
fn the_host_segments_what_a_card_leaves_to_it_and_computes_checksums() {
    let namespace = Namespace::new();
    namespace.bridge("lan");
    let [mut one, mut other] = ["one", "other"].map(|name| namespace.port(name, "lan", 1500));
    for (version, kind) in [(Version::V4, 1), (Version::V6, 4)] {
        let mut payload = vec![0; 30_000];
        fill(1, 2, &mut payload);
        let transport = Transport::Tcp { sequence: 1000 };
        let packet = Packet { from: ONE, to: OTHER, version, transport, ports: (5, 6), payload };
        let (frame, unfinished) = packet.unfinished();
        let checksum = Some((unfinished.start, unfinished.offset));

        one.send(FrameHeader { checksum, segments: Some((kind, 1400, unfinished.header_len)) }, &frame);

        let (mut received, mut sequence) = (Vec::new(), 1000);
        while received.len() < packet.payload.len() {
            let (segment, is_right) = other
                .receive_one(LIMIT, |frame| {
                    assert!(frame.len() <= headers(version, transport) + 1400, "{} bytes", frame.len());
                    Packet::read(frame).filter(|(segment, _)| segment.ports == (5, 6))
                })
                .expect("another segment");
            assert!(is_right, "its checksum is right");
            assert_eq!(segment.transport, Transport::Tcp { sequence });
            sequence += u32::try_from(segment.payload.len()).expect("a short segment");
            received.extend(segment.payload);
        }
        assert_eq!(received, packet.payload);
    }
}

//! Received frames that are none: lengths, buffers, headers without sense.
//!
//! Spec: §5.1.9.4 Processing of Incoming Packets. Such a frame counts as malformed and is not delivered; its buffers go back, and the next frame is received as if nothing had been. Not under miri: headers are judged by safe code, and their bytes are copied in other tests as well.

#![cfg(not(miri))]

mod support;

use support::commands::bits;
use support::frames::{FrameBench, bytes, frame};
use virtio_guest::device::net::Checksum;
use virtio_model::block::WrittenLen;
use virtio_model::net::{Header, NicMisbehaviour, Packet, RawBuffer, feature, gso_type, header_flag};

/// The card's driver has a frame now that is as it should be.
fn expect_a_good_frame(bench: &mut FrameBench) {
    bench.0.nic.misbehave(|lies| *lies = NicMisbehaviour::default());
    let received = bench.arrive(Packet::new(frame(300))).expect("a frame that is in order");
    assert_eq!(bytes(&received), frame(300));
}

/// A buffer of a plain header, of which so many more bytes are claimed to be written.
fn short(header: usize, more: usize) -> RawBuffer {
    RawBuffer { bytes: vec![0; header + more], written: None }
}

#[test]
fn a_frame_shorter_than_its_header_or_its_addresses_is_not_delivered() {
    let hash = bits(&[feature::HASH_REPORT, feature::CTRL_VQ]);
    for (features, header) in
        [(0, 12), (bits(&[feature::MRG_RXBUF]), 12), (hash, 20), (bits(&[feature::OUT_NET_HEADER]), 32)]
    {
        for mut bench in FrameBench::each(features) {
            let lengths = [1, header - 1, header, header + 1, header + 13];
            for (count, len) in (1..).zip(lengths) {
                let mut buffer = short(header, 14);
                // One buffer, where the header says it.
                buffer.bytes[10] = 1;
                buffer.written = Some(u32::try_from(len).unwrap());
                bench.0.nic.inject_raw(0, vec![buffer]);
                assert!(bench.receive().is_none(), "{len} bytes behind a header of {header}");
                assert_eq!(bench.malformed(), count);
            }
            expect_a_good_frame(&mut bench);
            bench.finish();
        }
    }
}

#[test]
fn a_legacy_frame_of_13_bytes_is_not_delivered_and_one_of_14_is() {
    let mut bench = FrameBench::legacy(0);
    bench.0.nic.inject_raw(0, vec![short(10, 13)]);
    assert!(bench.receive().is_none());
    bench.0.nic.inject_raw(0, vec![short(10, 14)]);
    assert_eq!(bench.receive().map(|frame| frame.len()), Some(14));
    assert_eq!(bench.malformed(), 1);
    bench.finish();
}

/// More rejected frames than there are buffers: each of these has gone back.
#[test]
fn a_rejected_frame_gives_its_buffers_back() {
    for features in [0, bits(&[feature::MRG_RXBUF])] {
        for mut bench in FrameBench::each(features) {
            let rounds: u64 = 100;
            for count in 1..=rounds {
                let header = Header { gso_type: 0x7f, ..Header::default() };
                let packet = Packet { header, ..Packet::new(frame(100)) };
                assert!(bench.arrive(packet).is_none());
                assert_eq!(bench.malformed(), count);
                bench.assert_no_buffer_is_lost();
            }
            expect_a_good_frame(&mut bench);
            bench.finish();
        }
    }
}

#[test]
fn a_number_of_buffers_that_cannot_be_is_not_believed() {
    for number in [0, 17, u16::MAX] {
        for mut bench in FrameBench::each(bits(&[feature::MRG_RXBUF])) {
            bench.0.nic.misbehave(|lies| lies.num_buffers = Some(number));
            assert!(bench.arrive(Packet::new(frame(300))).is_none(), "{number} buffers");
            assert_eq!(bench.malformed(), 1);
            expect_a_good_frame(&mut bench);
            bench.finish();
        }
    }
}

/// The first buffer is not full, or there are fewer than the header says: the frame ends with what was used together with it.
#[test]
fn a_frame_of_fewer_buffers_than_it_says_is_not_delivered() {
    for mut bench in FrameBench::each(bits(&[feature::MRG_RXBUF])) {
        let room = bench.0.pairs[0].0.supply().buffer_room();
        for (count, len) in (1..).zip([300, room, room + 100, room + room + 12]) {
            bench.0.nic.misbehave(|lies| lies.num_buffers = Some(3));
            assert!(bench.arrive(Packet::new(frame(len))).is_none(), "{len} bytes");
            assert_eq!(bench.malformed(), count);
        }
        expect_a_good_frame(&mut bench);
        bench.finish();
    }
}

#[test]
fn a_buffer_that_is_not_full_ends_no_frame_in_its_middle() {
    for mut bench in FrameBench::each(bits(&[feature::MRG_RXBUF])) {
        for (count, lies) in [
            (1, NicMisbehaviour { written: WrittenLen::Less(1), ..NicMisbehaviour::default() }),
            (2, NicMisbehaviour { written_later: WrittenLen::Exactly(0), ..NicMisbehaviour::default() }),
            (3, NicMisbehaviour { written_later: WrittenLen::Exactly(9), ..NicMisbehaviour::default() }),
        ] {
            bench.0.nic.misbehave(|now| *now = lies);
            assert!(bench.arrive(Packet::new(frame(5000))).is_none());
            assert_eq!(bench.malformed(), count);
        }
        bench.0.nic.misbehave(|lies| *lies = NicMisbehaviour::default());
        let received = bench.arrive(Packet::new(frame(5000))).expect("a frame that is in order");
        assert_eq!((bytes(&received), received.buffers()), (frame(5000), 3));
        drop(received);
        bench.finish();
    }
}

/// Spec: §5.1.9.4.1 Device Requirements: Processing of Incoming Packets — it should be 1, and some devices write nothing there.
#[test]
fn without_merged_buffers_their_number_does_not_count() {
    for number in [0, 2, u16::MAX] {
        for mut bench in FrameBench::each(0) {
            bench.0.nic.misbehave(|lies| lies.num_buffers = Some(number));
            let received = bench.arrive(Packet::new(frame(300))).expect("a frame that is in order");
            assert_eq!((bytes(&received), bench.malformed()), (frame(300), 0));
            drop(received);
            bench.finish();
        }
    }
}

/// What a frame says that is to be cut.
fn large() -> Header {
    Header {
        flags: header_flag::NEEDS_CSUM,
        gso_type: gso_type::TCPV4,
        hdr_len: 54,
        gso_size: 100,
        csum_start: 34,
        csum_offset: 16,
        ..Header::default()
    }
}

fn receive_offloads() -> u128 {
    bits(&[
        feature::GUEST_CSUM,
        feature::GUEST_TSO4,
        feature::GUEST_TSO6,
        feature::GUEST_USO4,
        feature::GUEST_USO6,
        feature::GUEST_UDP_TUNNEL_GSO,
        feature::GUEST_UDP_TUNNEL_GSO_CSUM,
        feature::MRG_RXBUF,
    ])
}

#[test]
fn a_header_that_contradicts_its_frame_or_itself_is_not_believed() {
    const IPV4: u8 = gso_type::UDP_TUNNEL_IPV4;
    let tunnel = Header {
        gso_type: gso_type::TCPV4 | IPV4,
        outer_th_offset: 34,
        inner_nh_offset: 64,
        csum_start: 84,
        ..large()
    };
    let both = gso_type::UDP_TUNNEL_IPV6 | IPV4;
    let outer = header_flag::NEEDS_CSUM | header_flag::UDP_TUNNEL_CSUM;
    let headers = [
        ("a checksum behind the end", Header { csum_start: 383, ..large() }),
        ("a checksum far behind", Header { csum_start: u16::MAX, csum_offset: u16::MAX, ..large() }),
        (
            "a checksum behind the end, nothing to cut",
            Header { gso_type: 0, csum_start: 0, csum_offset: 399, ..large() },
        ),
        ("segments of 0 bytes", Header { gso_size: 0, ..large() }),
        ("to be cut, with a whole checksum", Header { flags: 0, ..large() }),
        ("an unknown kind", Header { gso_type: 2, ..large() }),
        ("fragments that were not agreed on", Header { gso_type: gso_type::UDP, ..large() }),
        ("an outer checksum and no tunnel", Header { flags: outer, ..large() }),
        ("a tunnel of both kinds", Header { gso_type: gso_type::TCPV4 | both, ..tunnel }),
        ("a tunnel and nothing to cut", Header { gso_type: IPV4, ..tunnel }),
        (
            "a tunnel with a checksum that is right",
            Header { flags: header_flag::NEEDS_CSUM | header_flag::DATA_VALID, ..tunnel },
        ),
        ("a tunnel without a partial checksum", Header { flags: 0, ..tunnel }),
        ("a tunnel behind the end", Header { inner_nh_offset: 400, ..tunnel }),
        ("a tunnel whose headers overlap", Header { outer_th_offset: 57, ..tunnel }),
        ("a tunnel behind what it carries", Header { inner_nh_offset: 84, ..tunnel }),
    ];
    for mut bench in FrameBench::each(receive_offloads()) {
        for (count, (name, header)) in (1..).zip(headers) {
            let packet = Packet { header, ..Packet::new(frame(400)) };
            assert!(bench.arrive(packet).is_none(), "{name}");
            assert_eq!(bench.malformed(), count, "{name}");
        }
        for header in [large(), tunnel] {
            assert!(bench.arrive(Packet { header, ..Packet::new(frame(400)) }).is_some());
        }
        bench.finish();
    }
}

#[test]
fn a_partial_checksum_is_never_passed_on_as_valid() {
    let (needs, valid) = (header_flag::NEEDS_CSUM, header_flag::DATA_VALID);
    let partial = Checksum::Partial { start: 34, offset: 16 };
    let agreed = bits(&[feature::GUEST_CSUM]);
    for (features, flags, expected) in [
        (agreed, needs, Some(partial)),
        (agreed, needs | valid, Some(partial)),
        (agreed, valid, Some(Checksum::Valid)),
        (agreed, 0, Some(Checksum::None)),
        (0, needs, None),
        (0, needs | valid, None),
        (0, valid, Some(Checksum::None)),
    ] {
        for mut bench in FrameBench::each(features) {
            let header = Header { flags, gso_type: 0, ..large() };
            let received = bench.arrive(Packet { header, ..Packet::new(frame(400)) });
            assert_eq!(received.map(|frame| frame.offload().checksum()), expected, "flags {flags:#x}");
            bench.finish();
        }
    }
}

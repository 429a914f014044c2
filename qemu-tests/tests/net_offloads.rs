//! What guest and host leave to each other: checksums, and cutting large packets.
//!
//! Through a tap with headers before its frames. At the bridge's other port the host finishes what was left to it, so what comes out there is what another machine would receive. Spec: §5.1.9.2 Packet Transmission,
//! §5.1.9.4 Processing of Incoming Packets.

#[path = "common/net.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod net;

use net::{Agent, COMMANDS, DESCRIBED, Setup, datagram};
use qemu_tests::frames::{Packet, Transport, Version, headers};
use qemu_tests::net::{Capture, FrameHeader, NetDevice};
use qemu_tests::pattern::{checksum, fill};
use qemu_tests::{Connection, Machine};

/// Long enough to be cut into many.
const BYTES: usize = 60_000;
const SIZE: usize = 1400;

/// Cards of each architecture, over each connection; half with packed rings, half without mergeable buffers.
fn cards() -> impl Iterator<Item = (Machine, NetDevice)> {
    let switches = [(false, true), (true, false), (true, true), (false, false)];
    Machine::MODERN.into_iter().zip(switches.into_iter().cycle()).map(
        |((machine, connection), (packed, mergeable))| {
            let device =
                NetDevice { connection: Some(connection), packed, mergeable, ..NetDevice::default() };
            (machine, device)
        },
    )
}

fn contents(bytes: usize, seed: u64) -> Vec<u8> {
    let mut contents = vec![0; bytes];
    fill(seed, seed, &mut contents);
    contents
}

/// Has the guest send a packet for the card to cut, and puts together what comes out.
fn cut_by_the_card(agent: &mut Agent, kind: &str) {
    agent.tell(&format!("send {kind} {BYTES} {SIZE}"));
    let packets = agent.receive_bytes(COMMANDS + 1, BYTES);

    assert_eq!(packets.len(), BYTES.div_ceil(SIZE), "{kind}");
    let mut sequence = 1000;
    for packet in &packets {
        assert!(packet.payload.len() <= SIZE, "{kind}");
        if let Transport::Tcp { sequence: first } = packet.transport {
            assert_eq!(first, sequence, "{kind}");
        }
        sequence += u32::try_from(packet.payload.len()).expect("a short packet");
    }
    let together: Vec<u8> = packets.into_iter().flat_map(|packet| packet.payload).collect();
    assert!(together == contents(BYTES, 1), "{kind}: every byte is there, once");
}

#[test]
fn what_the_guest_leaves_to_the_card_comes_out_cut_and_with_right_checksums() {
    for (machine, device) in cards() {
        let mut agent = Setup::new(machine, device).boot();

        for kind in ["tcp4", "tcp6", "udp4", "udp6"] {
            cut_by_the_card(&mut agent, kind);
            // Not cut: only the checksum is the card's.
            agent.tell(&format!("send {kind} 1000 0"));
            let packet = agent.receive(COMMANDS + 1).expect("the packet");
            assert!(packet.payload == contents(1000, 1), "{kind}");
        }

        agent.end();
    }
}

/// QEMU's own capture of the cable shows that the card was handed one large frame.
#[test]
fn a_large_packet_goes_to_the_card_in_one_piece() {
    let capture = Capture::new();
    let device = NetDevice { capture: Some(capture.path()), ..NetDevice::default() };
    let mut agent = Setup::new(Machine::Q35, device).boot();
    agent.tell(&format!("send tcp4 {BYTES} {SIZE}"));
    agent.receive_bytes(COMMANDS + 1, BYTES);
    agent.end();

    let frames = capture.frames();

    let sent = frames.iter().filter_map(|frame| Packet::read(frame));
    let sent: Vec<_> = sent.filter(|(packet, _)| packet.ports.0 == COMMANDS + 1).collect();
    let lengths: Vec<_> = sent.iter().map(|(packet, is_right)| (packet.payload.len(), *is_right)).collect();
    assert_eq!(lengths, [(BYTES, false)], "one frame, whose checksum was the card's business");
}

#[test]
fn what_was_not_agreed_on_is_refused_and_not_sent() {
    let device = NetDevice { off: vec!["host_tso4", "host_uso"], ..NetDevice::default() };
    let mut agent = Setup::new(Machine::Q35, device).boot();

    for kind in ["tcp4", "udp4", "udp6"] {
        let said = agent.ask(&format!("send {kind} {BYTES} {SIZE}"));
        assert!(said.starts_with("error: "), "{kind}: {said}");
    }
    cut_by_the_card(&mut agent, "tcp6");

    agent.end();
}

/// A packet that the host did not cut, with its checksum not computed.
fn large(version: Version) -> (Packet, FrameHeader, Vec<u8>) {
    let transport = Transport::Tcp { sequence: 1000 };
    let packet = Packet { transport, ..datagram(version, DESCRIBED, contents(BYTES, 2)) };
    let (frame, unfinished) = packet.unfinished();
    let kind = if version == Version::V4 { 1 } else { 4 };
    let size = u16::try_from(SIZE).expect("short");
    let header = FrameHeader {
        checksum: Some((unfinished.start, unfinished.offset)),
        segments: Some((kind, size, unfinished.header_len)),
    };
    (packet, header, frame)
}

#[test]
fn large_packets_are_received_in_one_piece_with_what_is_left_to_do() {
    for (machine, device) in cards() {
        let mut agent = Setup::new(machine, device).boot();

        for (version, name) in [(Version::V4, "Tcp4"), (Version::V6, "Tcp6")] {
            let (packet, header, frame) = large(version);
            agent.port.send(header, &frame);
            let said = agent.words(DESCRIBED);

            let sum = checksum(&packet.payload);
            let length = headers(version, packet.transport) + BYTES;
            assert!(
                said.contains(&format!("length={length} payload={BYTES} sum={sum:016x} right=false")),
                "{said}"
            );
            assert!(said.contains("checksum=Partial { start: "), "{said}");
            assert!(said.contains(&format!("segmentation=Some(Segmentation {{ kind: {name}, ")), "{said}");
            assert!(said.contains(&format!("size: {SIZE}")), "{said}");
        }

        agent.end();
    }
}

/// Spec: §5.1.9.4 — a driver that did not agree to anything gets finished frames.
#[test]
fn a_guest_that_wants_finished_frames_gets_finished_frames() {
    for (machine, connection) in [(Machine::Q35, Connection::Pci), (Machine::Aarch64Virt, Connection::Mmio)] {
        let device = NetDevice { connection: Some(connection), ..NetDevice::default() };
        let mut agent = Setup { words: "features=plain", ..Setup::new(machine, device) }.boot();

        for version in [Version::V4, Version::V6] {
            let (packet, header, frame) = large(version);
            agent.port.send(header, &frame);
            let mut rest = &packet.payload[..];
            while !rest.is_empty() {
                let (segment, others) = rest.split_at(SIZE.min(rest.len()));
                rest = others;
                let said = agent.words(DESCRIBED);
                let expected = format!("payload={} sum={:016x} right=true", segment.len(), checksum(segment));
                assert!(said.contains(&expected), "not {expected}: {said}");
                assert!(said.contains("segmentation=None"), "{said}");
            }
        }

        agent.end();
    }
}

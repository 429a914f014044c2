//! Frames that nearly all are like, in one buffer and with nothing that goes with them, take a shorter way: nobody can tell.
//!
//! Spec: §5.1.9.2 Packet Transmission, §5.1.9.4 Processing of Incoming Packets.

mod support;

use virtio_guest::device::net::{Checksum, NotTransmitted, Offload, TransmitError};
use virtio_guest::ring::RefusedReason;
use virtio_guest::wire::net::NetFeatures;
use virtio_model::net::{Packet, header_flag};

use support::card::{CardBench, Make, bytes, incoming};

/// Frames may be spread over buffers of 256 bytes, and checksums left to the device.
const MIXED: Make = Make {
    features: NetFeatures::CSUM.bits() | NetFeatures::GUEST_CSUM.bits() | NetFeatures::MRG_RXBUF.bits(),
    ring: 0,
    legacy: false,
    buffers: 60,
    buffer_bytes: 256,
    notified: false,
    mtu: 1500,
};

const PARTIAL: Checksum = Checksum::Partial { start: 34, offset: 16 };

/// Lengths of frames of one buffer, and of several, mixed; of the fourth the checksum is left to the device.
const LENS: [usize; 8] = [60, 150, 1000, 100, 64, 700, 14, 192];
const WITH_CHECKSUM: usize = 3;

fn mixed_cards() -> impl Iterator<Item = CardBench> {
    let interfaces = [MIXED, Make { legacy: true, ..MIXED }];
    let rings = MIXED.each_ring().chain(interfaces.into_iter().skip(1));
    rings.map(Make::start)
}

#[test]
fn in_a_burst_of_all_kinds_each_frame_leaves_in_its_turn_with_what_goes_with_it() {
    for mut bench in mixed_cards() {
        let mut frames = Vec::new();
        for (number, len) in LENS.into_iter().enumerate() {
            let mut frame = bench.frame(&incoming(len, number));
            if number == WITH_CHECKSUM {
                frame.set_offload(Offload::default().with_checksum(PARTIAL));
            }
            frames.push(frame);
        }

        assert_eq!(bench.card.transmit_queue().transmit_burst(frames).unwrap(), LENS.len());

        bench.serve();
        let left = bench.nic.take_transmitted();
        assert_eq!(left.len(), LENS.len());
        for (number, (packet, len)) in left.into_iter().zip(LENS).enumerate() {
            assert_eq!((packet.complaint, packet.frame), (None, incoming(len, number)));
            let is_partial = packet.header.flags == header_flag::NEEDS_CSUM;
            assert_eq!(is_partial, number == WITH_CHECKSUM, "frame {number}");
        }
        bench.end();
    }
}

#[test]
fn of_frames_of_all_kinds_each_is_received_in_its_turn_with_what_goes_with_it() {
    for mut bench in mixed_cards() {
        for (number, len) in LENS.into_iter().enumerate() {
            bench.nic.inject(Packet::new(incoming(len, number)).with_header(|header| {
                header.flags = if number == WITH_CHECKSUM { header_flag::DATA_VALID } else { 0 };
            }));
        }
        bench.serve();

        let mut frames = Vec::new();
        while bench.card.receive_queue().receive_burst(3, |frame| frames.push(frame)).unwrap() > 0 {}

        assert_eq!(frames.len(), LENS.len());
        for (number, (frame, len)) in frames.iter().zip(LENS).enumerate() {
            assert_eq!(bytes(frame), incoming(len, number));
            let is_valid = frame.offload().checksum() == Checksum::Valid;
            assert_eq!(is_valid, number == WITH_CHECKSUM, "frame {number}");
        }
        assert_eq!(bench.card.receive_queue().counts().frames, LENS.len() as u64);
        drop(frames);
        bench.end();
    }
}

/// Spec: §5.1.9.4 — only the first buffer of a frame begins with a header, whatever the bytes in the others look like.
#[test]
fn bytes_that_look_like_a_header_in_the_middle_of_a_frame_are_bytes() {
    for make in MIXED.each_ring() {
        let mut bench = make.start();
        let mut frame = incoming(600, 1);
        // A buffer has 204 bytes, of the first one 12 are the header's.
        for begin in [192, 396] {
            frame[begin..begin + 12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        }
        bench.nic.inject(Packet::new(frame.clone()));
        bench.nic.inject(Packet::new(incoming(60, 2)));
        bench.serve();

        let mut received = Vec::new();
        bench.card.receive_queue().receive_burst(32, |frame| received.push(bytes(&frame))).unwrap();

        assert_eq!(received, [frame, incoming(60, 2)]);
        bench.end();
    }
}

/// Spec: §5.1.9.2.1 — nothing is left of what another device wrote there.
#[test]
fn a_frame_that_was_received_leaves_behind_a_header_of_zeros() {
    for make in MIXED.each_ring() {
        let mut from = make.start();
        let mut to = make.start_with(from.hal.clone());
        for flags in [0, header_flag::DATA_VALID] {
            from.nic.inject(Packet::new(incoming(100, 1)).with_header(|header| {
                (header.flags, header.hdr_len, header.gso_size) = (flags, 0x1234, 0x5678);
                (header.csum_start, header.csum_offset) = (0x9abc, 0xdef0);
            }));
        }
        from.serve();

        let frames: Vec<_> = std::iter::from_fn(|| from.card.receive().unwrap()).collect();
        assert_eq!(to.card.transmit_queue().transmit_burst(frames).unwrap(), 2);

        to.serve();
        for packet in to.nic.take_transmitted() {
            assert_eq!((packet.complaint, packet.frame), (None, incoming(100, 1)));
            assert_eq!(packet.header, Packet::default().header, "all zeros");
        }
    }
}

/// Headers are not written where they are already: of another one, each byte counts.
#[test]
fn a_device_that_changes_a_byte_of_a_header_finds_zeros_in_the_next_one() {
    for make in MIXED.each_ring() {
        let mut bench = make.start();
        let bytes = u64::from(make.buffer_bytes);
        let [pool] = bench.hal.dma_addresses((make.buffers * make.buffer_bytes) as usize)[..] else {
            panic!("one region is a pool");
        };
        for byte in 0..12 {
            let mut header = [0; 12];
            header[byte] = 0xa5;
            for buffer in 0..u64::from(make.buffers) {
                bench.hal.space.write(pool + buffer * bytes + 52, &header).unwrap();
            }

            bench.transmit(&incoming(100, 1));

            bench.serve();
            let packet = bench.nic.take_transmitted().pop().unwrap();
            assert_eq!((packet.complaint, packet.frame), (None, incoming(100, 1)));
            assert_eq!(packet.header, Packet::default().header, "all zeros");
        }
        bench.end();
    }
}

#[test]
fn a_frame_of_another_domain_comes_back_as_it_was() {
    for make in MIXED.each_ring() {
        let (mut from, mut to) = (make.start(), make.start());
        let frames = [to.frame(&incoming(60, 1)), from.frame(&incoming(60, 2)), to.frame(&incoming(60, 3))];
        let mut frames = frames.into_iter();

        let burst = to.card.transmit_queue().transmit_burst(&mut frames).unwrap_err();

        let NotTransmitted { error, frame } = burst.refused;
        let why = TransmitError::Refused(RefusedReason::OtherDomain);
        assert_eq!((burst.transmitted, error, bytes(&frame)), (1, why, incoming(60, 2)));
        assert_eq!(frames.len(), 1, "the one after it was not asked for");
        assert_eq!(to.card.transmit_queue().transmit_burst(frames).unwrap(), 1);
        to.serve();
        assert_eq!(to.nic.take_transmitted().len(), 2);
        drop(frame);
        from.end();
        to.end();
    }
}

#[test]
fn a_full_ring_takes_all_that_fit_and_returns_the_next_as_it_was() {
    for make in MIXED.each_ring() {
        let mut bench = make.start();
        bench.nic.hold();
        let mut frames =
            (0..20).map(|number| bench.frame(&incoming(100, number))).collect::<Vec<_>>().into_iter();

        let burst = bench.card.transmit_queue().transmit_burst(&mut frames).unwrap_err();

        let NotTransmitted { error, frame } = burst.refused;
        assert_eq!((burst.transmitted, error), (16, TransmitError::Full));
        assert_eq!((bytes(&frame), frame.offload()), (incoming(100, 16), Offload::default()));
        assert_eq!(frames.len(), 3, "the others were not asked for");
        bench.nic.release_all();
        bench.serve();
        let again = std::iter::once(frame).chain(frames);
        assert_eq!(bench.card.transmit_queue().transmit_burst(again).unwrap(), 4);
        bench.serve();
        assert_eq!(bench.nic.take_transmitted().len(), 20);
        bench.end();
    }
}

/// Exactly as many as fit: nobody is told that the ring is full.
#[test]
fn a_burst_that_fills_the_ring_to_the_last_descriptor_is_taken() {
    for make in MIXED.each_ring() {
        let mut bench = make.start();
        let frames: Vec<_> = (0..16).map(|number| bench.frame(&incoming(100, number))).collect();

        assert_eq!(bench.card.transmit_queue().transmit_burst(frames).unwrap(), 16);

        bench.serve();
        assert_eq!(bench.nic.take_transmitted().len(), 16);
        bench.end();
    }
}

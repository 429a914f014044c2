//! Frames come and go as they are, in bursts, and every buffer comes back.

mod support;

use virtio_guest::device::net::{
    Checksum, NotTransmitted, Offload, Segmentation, SegmentationKind, TransmitError,
};
use virtio_guest::hal::Attempts;
use virtio_guest::ring::{QueueStatistics, RefusedReason};
use virtio_guest::wire::net::NetFeatures;
use virtio_model::net::{Packet, gso_type, header_flag};

use support::card::{CardBench, Make, bytes, incoming};

const MERGEABLE: Make = Make {
    features: NetFeatures::MRG_RXBUF.bits(),
    ring: 0,
    legacy: false,
    buffers: 40,
    buffer_bytes: 2048,
    notified: false,
    mtu: 1500,
};

/// Offloads of both directions.
const OFFLOADS: u128 = NetFeatures::CSUM.bits()
    | NetFeatures::GUEST_CSUM.bits()
    | NetFeatures::HOST_TSO4.bits()
    | NetFeatures::GUEST_TSO4.bits()
    | NetFeatures::MRG_RXBUF.bits();

/// With each kind of ring, with mergeable buffers and without, through both interfaces.
fn each_card() -> impl Iterator<Item = Make> {
    let kinds = [Make::default(), MERGEABLE];
    let rings = kinds.into_iter().flat_map(Make::each_ring);
    let legacy = kinds.map(|make| Make { legacy: true, ..make });
    rings.chain(legacy).step_by(if cfg!(miri) { 2 } else { 1 })
}

#[test]
fn what_arrives_is_received_byte_for_byte_and_in_order() {
    for make in each_card() {
        let mut bench = make.start();
        let lens = [14, 60, 64, 65, 590, 1514, 1518];
        for (number, len) in lens.into_iter().enumerate() {
            bench.nic.inject(Packet::new(incoming(len, number)));
        }
        assert_eq!(bench.received(), None, "nothing was there yet");
        bench.serve();

        for (number, len) in lens.into_iter().enumerate() {
            assert_eq!(bench.received(), Some(incoming(len, number)));
        }

        assert_eq!(bench.received(), None);
        assert_eq!(bench.card.receive_queue().counts().frames, 7);
        bench.end();
    }
}

#[test]
fn what_is_transmitted_leaves_byte_for_byte_and_in_order() {
    for make in each_card() {
        let mut bench = make.start();
        let lens = [14, 60, 64, 65, 590, 1514];
        for (number, len) in lens.into_iter().enumerate() {
            bench.transmit(&incoming(len, number));
        }
        bench.serve();

        let transmitted = bench.nic.take_transmitted();

        assert_eq!(transmitted.len(), lens.len());
        for (number, (len, packet)) in lens.into_iter().zip(transmitted).enumerate() {
            assert_eq!(packet.complaint, None);
            assert_eq!(packet.frame, incoming(len, number));
            assert_eq!(packet.header, Packet::default().header, "all zeros");
            // Header and frame in one piece, unless the device is so old that it wants them apart.
            assert_eq!(packet.lens.len(), if make.legacy { 2 } else { 1 });
        }
        bench.end();
    }
}

/// Many more frames than there are buffers, so each is used again and again.
#[test]
fn bursts_go_around_the_rings_without_loss() {
    let rounds = if cfg!(miri) { 3 } else { 40 };
    for make in each_card() {
        let mut bench = make.start();
        let mut numbers = 0..;
        let mut expected = 0;
        for round in 0..rounds {
            let count = 1 + round % 14;
            for number in numbers.by_ref().take(count) {
                bench.nic.inject(Packet::new(incoming(60, number)));
            }
            bench.serve();
            let (_, receive, transmit) = bench.card.parts();
            let mut frames = Vec::new();
            while receive.receive_burst(5, |frame| frames.push(frame)).unwrap() > 0 {}
            assert_eq!(frames.len(), count);
            // Back to where they came from, with one notification.
            let before = transmit.statistics();
            assert_eq!(transmit.transmit_burst(frames).unwrap(), count);
            let after = transmit.statistics();
            let asked = |seen: QueueStatistics| seen.notifications_sent + seen.notifications_suppressed;
            assert_eq!(asked(after) - asked(before), 1);
            bench.serve();
            for packet in bench.nic.take_transmitted() {
                assert_eq!(packet.frame, incoming(60, expected));
                expected += 1;
            }
        }
        assert_eq!(expected, numbers.start);
        bench.end();
    }
}

#[test]
fn a_frame_that_is_spread_over_several_buffers_is_one_frame() {
    for make in (Make { buffer_bytes: 576, ..MERGEABLE }).each_ring() {
        let mut bench = make.start();
        // 524 bytes of a buffer are the device's, 12 of them for the header in the first.
        let lens = [511, 512, 513, 524 + 512, 524 + 513, 3000];
        for (number, len) in lens.into_iter().enumerate() {
            bench.nic.inject(Packet::new(incoming(len, number)));
        }
        let mut got = Vec::new();
        for _ in lens {
            bench.serve();
            // Within the frame the limit does not count.
            bench.card.receive_queue().receive_burst(1, |frame| got.push(bytes(&frame))).unwrap();
        }
        let expected: Vec<_> =
            lens.into_iter().enumerate().map(|(number, len)| incoming(len, number)).collect();
        assert_eq!(got, expected);
        bench.end();
    }
}

/// Spec: §5.1.9.3.1 — without mergeable buffers each chain has room for the longest frame.
#[test]
fn a_large_frame_fits_into_a_chain_of_buffers() {
    let features = OFFLOADS & !NetFeatures::MRG_RXBUF.bits();
    for make in (Make { features, buffers: 90, buffer_bytes: 8192, ..Make::default() }).each_ring() {
        let mut bench = make.start();
        let len = if cfg!(miri) { 9000 } else { 65_000 };
        bench.nic.inject(Packet::new(incoming(len, 1)));
        bench.nic.inject(Packet::new(incoming(60, 2)));
        bench.serve();

        assert_eq!(bench.received(), Some(incoming(len, 1)));
        assert_eq!(bench.received(), Some(incoming(60, 2)));

        assert!(bench.card.receive_queue().in_flight() > 0, "there is room for more");
        bench.end();
    }
}

/// What one card receives another transmits: nobody computes a checksum, nobody cuts anything, and no byte is copied.
#[test]
fn a_frame_is_forwarded_with_what_goes_with_it() {
    for make in (Make { features: OFFLOADS, ..Make::default() }).each_ring() {
        let mut from = make.start();
        let mut to = Make { buffers: 2, ..make }.start_with(from.hal.clone());
        let packet = Packet::new(incoming(4000, 3)).with_header(|header| {
            (header.flags, header.gso_type) = (header_flag::NEEDS_CSUM, gso_type::TCPV4);
            (header.hdr_len, header.gso_size) = (54, 1460);
            (header.csum_start, header.csum_offset) = (34, 16);
        });
        from.nic.inject(packet.clone());
        from.nic.inject(
            Packet::new(incoming(64, 4)).with_header(|header| header.flags = header_flag::DATA_VALID),
        );
        from.serve();

        let large = from.card.receive().unwrap().unwrap();
        let valid = from.card.receive().unwrap().unwrap();
        assert_eq!(large.offload().checksum(), Checksum::Partial { start: 34, offset: 16 });
        let segmentation =
            Segmentation { kind: SegmentationKind::Tcp4, ecn: false, size: 1460, header_len: 54 };
        assert_eq!(large.offload().segmentation(), Some(segmentation));
        assert_eq!(valid.offload(), Offload::default().with_checksum(Checksum::Valid));
        to.card.transmit_queue().transmit_burst([large, valid]).unwrap();
        to.serve();

        let left = to.nic.take_transmitted();
        let header = virtio_model::net::Header { num_buffers: 0, ..packet.header };
        assert_eq!((&left[0].header, &left[0].frame), (&header, &packet.frame));
        assert_eq!(left[1].header.flags, 0, "it is complete");
        assert!(left.iter().all(|packet| packet.complaint.is_none()));
    }
}

#[test]
fn a_full_ring_returns_the_frame_as_it_was() {
    for make in (Make { features: OFFLOADS, ..Make::default() }).each_ring() {
        let mut bench = make.start();
        bench.nic.hold();
        let offload = Offload::default().with_checksum(Checksum::Partial { start: 34, offset: 16 });
        let mut frames: Vec<_> = (0..20).map(|number| bench.frame(&incoming(100, number))).collect();
        for frame in &mut frames {
            frame.set_offload(offload);
        }
        let mut frames = frames.into_iter();

        let burst = bench.card.transmit_queue().transmit_burst(&mut frames).unwrap_err();

        let NotTransmitted { error, frame } = burst.refused;
        assert_eq!((burst.transmitted, error), (16, TransmitError::Full));
        assert_eq!((bytes(&frame), frame.offload()), (incoming(100, 16), offload));
        assert_eq!(frames.len(), 3, "the others were not asked for");
        bench.serve();
        assert_eq!(bench.card.transmit_queue().reap(), Ok(0), "the device holds them");
        bench.nic.release_all();
        bench.serve();
        assert_eq!(bench.card.transmit_queue().transmit_burst([frame]).unwrap(), 1);
        assert!(bench.card.transmit_queue().in_flight() < 16, "the others were taken back");
        bench.serve();
        assert_eq!(bench.nic.take_transmitted().len(), 17);
        drop(frames);
        bench.end();
    }
}

/// Lazily: not with every frame, and before the ring is full.
#[test]
fn what_was_sent_is_taken_back_when_the_ring_is_half_full() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        let mut in_flight = Vec::new();
        for number in 0..12 {
            bench.transmit(&incoming(60, number));
            bench.serve();
            in_flight.push(bench.card.transmit_queue().in_flight());
        }
        assert_eq!(in_flight, [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3]);
        bench.end();
    }
}

#[test]
fn what_was_not_agreed_on_is_not_left_to_the_device() {
    let mut bench = Make::default().start();
    let partial = Offload::default().with_checksum(Checksum::Partial { start: 34, offset: 16 });
    let mut frame = bench.frame(&incoming(60, 0));
    frame.set_offload(partial);

    let refused = bench.card.transmit(frame).unwrap_err();

    assert_eq!(refused.error, TransmitError::NotNegotiated(NetFeatures::CSUM));
    assert_eq!((bytes(&refused.frame), refused.frame.offload()), (incoming(60, 0), partial));
    let mut frame = refused.frame;
    frame.truncate(13);
    frame.set_offload(Offload::default());
    assert_eq!(bench.card.transmit(frame).unwrap_err().error, TransmitError::TooShort);
    bench.end();
}

/// More segments than the ring has descriptors would never fit.
#[test]
fn a_frame_of_too_many_buffers_is_refused_for_good() {
    let mut bench = Make { buffer_bytes: 128, buffers: 80, ..MERGEABLE }.start();
    let frame = bench.frame(&incoming(2200, 0));
    assert!(frame.buffers() > 16);

    let refused = bench.card.transmit(frame).unwrap_err();

    assert_eq!(refused.error, TransmitError::Refused(RefusedReason::TooLong));
    assert_eq!(bytes(&refused.frame), incoming(2200, 0));
    drop(refused);
    bench.transmit(&incoming(1000, 1));
    bench.serve();
    assert_eq!(bench.nic.take_transmitted()[0].frame, incoming(1000, 1));
    bench.end();
}

#[test]
fn frames_that_are_kept_starve_the_ring_and_dropped_ones_fill_it_again() {
    for make in (Make { buffers: 4, ..MERGEABLE }).each_ring() {
        let mut bench = make.start();
        let mut kept = Vec::new();
        for number in 0..6 {
            bench.nic.inject(Packet::new(incoming(60, number)));
        }
        bench.serve();
        while let Some(frame) = bench.card.receive().unwrap() {
            kept.push(frame);
        }
        assert_eq!((kept.len(), bench.card.receive_queue().in_flight()), (4, 0));
        assert!(bench.card.frame().is_none());

        kept.drain(..2);
        assert_eq!(bench.card.receive_queue().refill(), 2);
        bench.serve();

        assert_eq!([bench.received(), bench.received()], [Some(incoming(60, 4)), Some(incoming(60, 5))]);
        drop(kept);
        bench.end();
    }
}

#[test]
fn blocking_calls_copy_a_frame_and_end_in_time() {
    for make in each_card() {
        let CardBench { nic, device, hal, mut card, .. } = make.start();
        let serve = || nic.serve(&device, &hal.space);
        let serving = |rounds: usize| {
            let mut left = rounds;
            let serve = &serve;
            move || {
                serve();
                left -= 1;
                left > 0
            }
        };
        nic.inject(Packet::new(incoming(100, 1)));
        nic.inject(Packet::new(incoming(100, 2)));
        let mut into = [0; 1600];

        assert_eq!(card.receive_blocking(&mut into, serving(3)), Ok(100));
        assert_eq!(into[..100], incoming(100, 1));
        let too_long = virtio_guest::device::net::BlockingError::TooLong { len: 100 };
        assert_eq!(card.receive_blocking(&mut into[..99], serving(3)), Err(too_long));
        let late = card.receive_blocking(&mut into, serving(3));
        assert_eq!(late, Err(virtio_guest::device::net::BlockingError::TimedOut));

        for number in 0..50 {
            card.transmit_blocking(&incoming(70, number), serving(3)).unwrap();
        }
        serve();
        assert_eq!(nic.take_transmitted().len(), 50);
        card.close(Attempts(10)).unwrap();
        device.assert_driver_was_correct();
    }
}

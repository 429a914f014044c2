//! Room between a network stack and a card: for packets that are long, many, or to be answered.
//!
//! Crate `smoltcp`. Not under miri: adapters are safe code over calls that other tests make there.

#![cfg(all(feature = "smoltcp", not(miri)))]

mod support;

use smoltcp::phy::{Device, RxToken, TxToken};
use smoltcp::time::Instant;
use support::{DESCRIPTORS, PacketBench};
use virtio_guest::ring::Rearmed;
use virtio_guest::wire::net::NetFeatures;
use virtio_model::net::Packet;

/// The next packet, if there is one.
fn receive(bench: &mut PacketBench) -> Option<Vec<u8>> {
    let (packet, _) = bench.packets.receive(Instant::ZERO)?;
    Some(packet.consume(<[u8]>::to_vec))
}

#[test]
fn a_packet_that_is_longer_than_the_memory_for_it_is_dropped_and_counted() {
    let mut bench = PacketBench::new(|config| config.packet_bytes = 100);
    for bytes in [101, 100] {
        bench.nic.inject(Packet::new(vec![7; bytes]));
    }
    bench.serve();

    assert_eq!(receive(&mut bench).map(|packet| packet.len()), Some(100));
    assert_eq!(bench.packets.counts().too_long, 1);
    bench.finish();
}

fn send(bench: &mut PacketBench, byte: u8) -> bool {
    let token = bench.packets.transmit(Instant::ZERO);
    token.map(|token| token.consume(60, |into| into.fill(byte))).is_some()
}

#[test]
fn a_full_ring_takes_packets_again_once_some_are_sent() {
    let mut bench = PacketBench::new(|_| {});
    bench.nic.hold();
    let sent = (0..=u8::MAX).take_while(|byte| send(&mut bench, *byte)).count();
    assert_eq!(sent, DESCRIPTORS);
    bench.nic.inject(Packet::new([9; 60]));
    bench.serve();
    assert_eq!(receive(&mut bench), None, "there is no room for an answer");
    assert_eq!(bench.packets.rearm(), Rearmed::Quiet);

    bench.nic.release(1);
    bench.serve();

    assert_eq!(bench.packets.rearm(), Rearmed::MoreWaiting, "there is room");
    assert_eq!(receive(&mut bench), Some(vec![9; 60]));
    assert!(send(&mut bench, 77) && !send(&mut bench, 78));
    bench.nic.release_all();
    let frames = bench.transmitted();
    let bytes: Vec<_> = frames.iter().map(|frame| usize::from(frame.frame[0])).collect();
    assert_eq!(bytes, (0..sent).chain([77]).collect::<Vec<_>>());
    assert_eq!(bench.packets.counts().not_transmitted, 0);
    bench.finish();
}

/// All buffers are in the receive queue's ring: the first that comes back with a packet is for the answer.
#[test]
fn a_pool_that_the_receive_queue_uses_up_leaves_room_for_an_answer() {
    let mut bench = PacketBench::new(|config| config.buffers = DESCRIPTORS);
    assert!(!send(&mut bench, 1), "no frame is left");
    bench.nic.inject(Packet::new([9; 60]));
    bench.serve();

    let (packet, answer) = bench.packets.receive(Instant::ZERO).expect("a packet");
    packet.consume(|packet| answer.consume(packet.len(), |into| into.copy_from_slice(packet)));

    assert_eq!(bench.transmitted().iter().map(|sent| sent.frame.clone()).collect::<Vec<_>>(), [vec![9; 60]]);
    bench.finish();
}

#[test]
fn whoever_wants_to_sleep_is_told_of_packets_that_are_there_already() {
    let mut bench = PacketBench::new(|_| {});
    assert_eq!(bench.packets.rearm(), Rearmed::Quiet);
    bench.nic.inject(Packet::new([9; 60]));
    bench.serve();

    assert_eq!(bench.packets.rearm(), Rearmed::MoreWaiting);
    assert_eq!(receive(&mut bench), Some(vec![9; 60]));
    assert_eq!(bench.packets.rearm(), Rearmed::Quiet);
    bench.finish();
}

#[test]
fn frames_longer_than_a_buffer_are_sent_and_received() {
    let mut bench = PacketBench::new(|config| {
        (config.features, config.mtu, config.packet_bytes) = (NetFeatures::MRG_RXBUF, Some(9000), 9014);
    });
    let frame: Vec<u8> = (0..9014_u32).map(|at| (at % 251) as u8).collect();
    bench.nic.inject(Packet::new(frame.clone()));
    bench.serve();

    assert!(receive(&mut bench) == Some(frame.clone()));
    let token = bench.packets.transmit(Instant::ZERO).expect("room");
    token.consume(9014, |into| into.copy_from_slice(&frame));
    assert!(bench.transmitted().iter().map(|sent| &sent.frame).eq([&frame]));
    bench.finish();
}

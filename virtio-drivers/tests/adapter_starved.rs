//! A network stack on a card whose frames are all out.
//!
//! Crate `smoltcp`. Not under miri, as `adapter_smoltcp`.

#![cfg(all(feature = "smoltcp", not(miri)))]

mod support;

use smoltcp::phy::{Device, TxToken};
use smoltcp::time::Instant;
use support::PacketBench;
use virtio_guest::ring::Rearmed;
use virtio_model::net::Packet;

/// Has a packet arrive, and answers it, if it did.
fn answer(bench: &mut PacketBench) -> bool {
    bench.serve();
    let tokens = bench.packets.receive(Instant::ZERO);
    tokens.map(|(_, answer)| answer.consume(60, |bytes| bytes.fill(7))).is_some()
}

/// Each answer goes out in the buffer in which came what it answers: nothing arrives before those that were sent are taken back.
#[test]
fn a_receive_ring_that_ran_dry_has_the_buffers_of_frames_that_were_sent() {
    for are_sent in [true, false] {
        let mut bench = PacketBench::new(|config| config.buffers = 6);
        (0..20).for_each(|_| bench.nic.inject(Packet::new([9; 60])));
        if !are_sent {
            bench.nic.hold();
        }
        while answer(&mut bench) {}
        assert_eq!(bench.packets.receive_queue().in_flight(), 0);

        let rearmed = bench.packets.rearm();

        if !are_sent {
            assert_eq!(rearmed, Rearmed::Quiet);
            bench.nic.release_all();
            bench.serve();
            assert_eq!(bench.packets.rearm(), Rearmed::MoreWaiting, "it was asked for an interrupt");
        }
        assert!(answer(&mut bench) || answer(&mut bench));
        bench.nic.release_all();
        bench.finish();
    }
}

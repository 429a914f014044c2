//! How packets are transmitted.

use super::super::{header_flag, ones_complement_sum};
use super::{Bench, Header, MAC, Nic, bit, feature, frame};
use crate::block::{Order, WrittenLen};

#[test]
fn packets_are_held_back_and_given_back_in_the_order_asked_for() {
    let mut bench = Bench::new(Nic::new(MAC));
    bench.nic.hold();
    bench.nic.complete_in(Order::Reverse);
    for _ in 0..3 {
        bench.submit(1, &[&[0; 12], &frame(60)], &[]);
    }

    assert_eq!((bench.serve(), bench.nic.held(), bench.nic.take_transmitted().len()), (0, 3, 3));
    bench.nic.release(2);
    assert_eq!(bench.serve(), 2);
    bench.nic.release_all();
    assert_eq!(bench.serve(), 1);

    assert_eq!(bench.used(1), [(4, 0), (2, 0), (0, 0)]);
    bench.device.assert_driver_was_correct();
}

#[test]
fn lies_about_transmitted_packets_are_told() {
    let mut bench = Bench::new(Nic::new(MAC));
    bench.nic.misbehave(|lies| {
        lies.transmit_written = WrittenLen::Exactly(5);
        lies.transmit_id = Some(9);
    });
    bench.submit(1, &[&[0; 12], &frame(60)], &[]);
    bench.serve();

    assert_eq!(bench.used(1), [(9, 5)]);
}

/// Spec: §5.1.9.2 — the checksum is summed up from its start to the end, what is in its place included.
#[test]
fn a_partial_checksum_is_completed_as_a_device_would() {
    let mut bench = Bench::new(Nic::new(MAC).with_features(bit(feature::CSUM)));
    let mut bytes = frame(61);
    bytes[40..42].copy_from_slice(&0x1234u16.to_be_bytes());
    let header =
        Header { flags: header_flag::NEEDS_CSUM, csum_start: 34, csum_offset: 6, ..Header::default() };
    bench.submit(1, &[&header.bytes(12), &bytes], &[]);
    bench.serve();

    let packet = bench.nic.take_transmitted().pop().unwrap();
    assert_eq!((&packet.frame, packet.lens.as_slice()), (&bytes, &[12, 61][..]));
    let done = packet.completed();
    assert_eq!(done[..40], bytes[..40]);
    // With its complement in place of the seed, the sum is the seed's complement.
    let sum = ones_complement_sum(&done[34..]);
    assert_eq!(sum, !0x1234);
    bench.device.assert_driver_was_correct();
}

/// Spec: §5.1.9.5.10 — the driver is told when there are enough, or when time has passed.
#[test]
fn coalesced_packets_are_told_of_together() {
    let features = bit(feature::CTRL_VQ) | bit(feature::NOTF_COAL);
    let mut bench = Bench::new(Nic::new(MAC).with_features(features));
    let data = [3u32.to_le_bytes(), 50u32.to_le_bytes()].concat();
    assert_eq!(bench.ask(2, [6, 0], &data, 0).0, 0);
    let before = bench.device.used_interrupts();
    let told = |bench: &Bench| bench.device.used_interrupts() - before;

    for expected in [0, 0, 1, 1] {
        bench.transmit(Header::default(), &frame(60));
        assert_eq!(told(&bench), expected);
    }
    bench.nic.let_time_pass(&bench.device);
    assert_eq!(told(&bench), 2);
    bench.nic.let_time_pass(&bench.device);
    assert_eq!(told(&bench), 2);
}

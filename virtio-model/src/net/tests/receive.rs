//! How packets arrive.

use super::super::{Header, NicMisbehaviour, RawBuffer};
use super::{Bench, MAC, Nic, Packet, bit, feature, frame};
use crate::block::WrittenLen;

/// Spec: §5.1.9.3.2 — all buffers but the last one are filled, and used together.
#[test]
fn a_packet_is_spread_over_as_many_buffers_as_it_needs() {
    let mut bench = Bench::new(Nic::new(MAC).with_features(bit(feature::MRG_RXBUF)));
    let buffers = [(); 3].map(|()| bench.supply(0, 100));
    bench.arrive(Packet::new(frame(300)));

    assert_eq!(bench.nic.arriving(), 1, "it waits for a fourth one");
    assert_eq!(bench.used(0), []);
    let last = bench.supply(0, 100);
    bench.serve();

    assert_eq!(bench.used(0), [(0, 100), (1, 100), (2, 100), (3, 12)]);
    assert_eq!(bench.read(buffers[0] + 10, 2), [4, 0]);
    let got = [bench.read(buffers[0] + 12, 88), bench.read(buffers[1], 100), bench.read(buffers[2], 100)];
    assert_eq!([got.concat(), bench.read(last, 12)].concat(), frame(300));
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_packet_that_no_buffer_is_large_enough_for_is_dropped() {
    let mut bench = Bench::new(Nic::new(MAC));
    bench.supply(0, 1526);

    bench.arrive(Packet::new(frame(1515)));
    bench.arrive(Packet::new(frame(1514)));

    assert_eq!((bench.nic.dropped(), bench.used(0)), (1, vec![(0, 1526)]));
}

/// Spec: §5.1.9.3 — which fields there are.
#[test]
fn headers_are_as_long_as_features_make_them() {
    let hash = bit(feature::HASH_REPORT) | bit(feature::CTRL_VQ);
    for (features, bytes) in [
        (0, 12),
        (hash, 20),
        (bit(feature::GUEST_UDP_TUNNEL_GSO), 24),
        (bit(feature::HOST_UDP_TUNNEL_GSO) | hash, 24),
        (bit(feature::OUT_NET_HEADER), 32),
    ] {
        let mut bench = Bench::new(Nic::new(MAC).with_features(features | bit(feature::MRG_RXBUF)));
        let at = bench.supply(0, 1600);
        let header = Header {
            csum_offset: 0x0102,
            hash_report: 0x0304,
            hash_value: 0x0506_0708,
            outer_th_offset: 0x090a,
            inner_nh_offset: 0x0b0c,
            outer_nh_offset: 0x0d0e,
            ..Header::default()
        };
        bench.arrive(Packet { header, ..Packet::new(frame(60)) });

        assert_eq!(bench.used(0), [(0, bytes + 60)]);
        let whole = [
            0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 0, 8, 7, 6, 5, 4, 3, 0, 0, 0x0a, 9, 0x0c, 0x0b, 0x0e, 0x0d, 0,
            0, 0, 0, 0, 0,
        ];
        let len = usize::try_from(bytes).unwrap();
        assert_eq!(bench.read(at, len), whole[..len]);
        assert_eq!(bench.read(at + u64::from(bytes), 60), frame(60));
        bench.device.assert_driver_was_correct();
    }
}

#[test]
fn lies_about_received_packets_are_told() {
    let mut bench = Bench::new(Nic::new(MAC).with_features(bit(feature::MRG_RXBUF)));
    let buffers = [(); 3].map(|()| bench.supply(0, 100));
    bench.nic.misbehave(|lies| {
        lies.num_buffers = Some(7);
        lies.written = WrittenLen::Less(1);
        lies.written_later = WrittenLen::Exactly(9);
        lies.receive_id = Some(0x1_0000);
    });
    bench.arrive(Packet::new(frame(150)));
    bench.nic.misbehave(|lies| *lies = NicMisbehaviour::default());
    bench.nic.inject_raw(0, vec![RawBuffer { bytes: vec![1, 2, 3], written: Some(2) }]);
    bench.serve();

    assert_eq!(bench.read(buffers[0] + 10, 2), [7, 0]);
    assert_eq!(bench.used(0), [(0x1_0000, 99), (0x1_0000, 9), (2, 2)]);
    assert_eq!(bench.read(buffers[2], 4), [1, 2, 3, 0]);
}

/// Spec: §5.1.9.3.1 — what a driver should supply.
#[test]
fn a_receive_buffer_that_is_too_small_is_a_driver_error() {
    let large = bit(feature::GUEST_CSUM) | bit(feature::GUEST_TSO4);
    for (features, len) in [
        (0, 1526),
        (bit(feature::HASH_REPORT) | bit(feature::CTRL_VQ), 1534),
        (large, 65_601),
        (large | bit(feature::HASH_REPORT), 65_609),
        (bit(feature::MRG_RXBUF), 12),
        (bit(feature::MTU), 9026),
    ] {
        let nic = || Nic::new(MAC).with_features(features).with_config(|config| config.mtu = 9000);
        let mut bench = Bench::new(nic());
        bench.supply(0, len);
        bench.serve();
        bench.device.assert_driver_was_correct();

        bench.supply(0, len - 1);
        bench.serve();
        assert!(bench.device.driver_errors()[0].contains(&format!("less than {len}")));
    }
}

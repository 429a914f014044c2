//! Which packets arrive, and where.

use super::hashes::{ethernet, tcp};
use super::{Bench, MAC, Nic, Packet, bit, feature, frame};

/// What a command to steer by hashes says, for a table of four.
pub(super) fn rss(table: [u16; 4], unclassified: u16, max_tx_vq: u16, key: &[u8]) -> Vec<u8> {
    let mut data = 0x3fu32.to_le_bytes().to_vec();
    for word in [&[3, unclassified][..], &table, &[max_tx_vq]].concat() {
        data.extend(word.to_le_bytes());
    }
    data.push(key.len().try_into().unwrap());
    data.extend(key);
    data
}

/// Tells through which pair a frame arrives, and supplies another buffer there.
fn pair_of(bench: &mut Bench, frame: Vec<u8>) -> Option<u16> {
    bench.arrive(Packet::new(frame));
    let pair = (0..2).find(|pair| !bench.used(2 * pair).is_empty())?;
    bench.supply(pair, 100);
    Some(pair)
}

fn two_pairs(features: u128) -> Bench {
    let nic = Nic::new(MAC).with_pairs(2).with_features(features | bit(feature::MRG_RXBUF));
    let mut bench = Bench::new(nic);
    for pair in 0..2 {
        bench.supply(pair, 100);
    }
    bench
}

/// Spec: §5.1.9.5.6 — answers arrive where their flow was transmitted.
#[test]
fn automatic_steering_follows_what_was_transmitted() {
    let mut bench = two_pairs(0);
    assert_eq!(pair_of(&mut bench, tcp()), Some(0));
    assert_eq!(bench.ask(4, [4, 0], &[2, 0], 0).0, 0);
    let mut answer = tcp();
    let (source, destination) = (answer[26..30].to_vec(), answer[30..34].to_vec());
    answer[26..30].copy_from_slice(&destination);
    answer[30..34].copy_from_slice(&source);
    let ports = [[answer[36], answer[37]], [answer[34], answer[35]]].concat();
    answer[34..38].copy_from_slice(&ports);

    for (transmitted, pair) in [(1, 0), (3, 1)] {
        bench.submit(transmitted, &[&[0; 12], &tcp()], &[]);
        bench.serve();
        assert_eq!(pair_of(&mut bench, answer.clone()), Some(pair));
    }
    bench.device.assert_driver_was_correct();
}

/// Spec: §5.1.9.5.7 — the masked hash is an index; without a hash there is a queue for the rest.
#[test]
fn packets_are_steered_by_their_hash() {
    let mut bench = two_pairs(bit(feature::RSS));
    for (table, unclassified) in [([0, 1, 0, 0], 1), ([1, 0, 1, 1], 0)] {
        let key = [0; 40];
        assert_eq!(bench.ask(4, [4, 1], &rss(table, unclassified, 2, &key), 0).0, 0);
        // A key of zeros makes each hash 0.
        assert_eq!(pair_of(&mut bench, tcp()), Some(table[0]));
        assert_eq!(pair_of(&mut bench, ethernet(0x0806, &[0; 28])), Some(unclassified));
        let mut key = [0; 40];
        // The lowest bit of the last port counts for the lowest bit of the hash.
        key[15] = 0b10;
        assert_eq!(bench.ask(4, [4, 1], &rss(table, unclassified, 2, &key), 0).0, 0);
        let mut odd = tcp();
        odd[37] |= 1;
        assert_eq!(pair_of(&mut bench, odd), Some(table[1]));
    }
    bench.device.assert_driver_was_correct();
}

/// Spec: §5.1.9.4.5 — the report says the hash that steering goes by.
#[test]
fn a_hash_is_reported_once_it_is_configured() {
    let features = bit(feature::HASH_REPORT) | bit(feature::CTRL_VQ) | bit(feature::MRG_RXBUF);
    let mut bench = Bench::new(Nic::new(MAC).with_features(features));
    let reported = |bench: &mut Bench| {
        let at = bench.supply(0, 1600);
        bench.arrive(Packet::new(tcp()));
        (bench.read(at + 12, 4), bench.read(at + 16, 2))
    };
    assert_eq!(reported(&mut bench), (vec![0; 4], vec![0; 2]));

    // The second bit of the source, 66, is the first one that is set.
    let mut data = 0x2u32.to_le_bytes().to_vec();
    data.extend([0; 8]);
    data.extend([1, 0x40]);
    assert_eq!(bench.ask(2, [4, 2], &data, 0).0, 0);

    assert_eq!(reported(&mut bench), (0x8000_0000u32.to_le_bytes().to_vec(), vec![2, 0]));
    bench.device.assert_driver_was_correct();
}

/// Spec: §5.1.9.5.1 to §5.1.9.5.3 — what the driver did not ask for is dropped.
#[test]
fn packets_are_filtered_by_modes_addresses_and_vlans() {
    let features = [feature::CTRL_VQ, feature::CTRL_RX, feature::CTRL_RX_EXTRA, feature::CTRL_VLAN];
    let features = features.into_iter().fold(bit(feature::MRG_RXBUF), |set, feature| set | bit(feature));
    let mut bench = Bench::new(Nic::new(MAC).with_features(features).with_filters());
    bench.supply(0, 100);
    let to = |mac: [u8; 6]| [&mac[..], &frame(60)[6..]].concat();
    let own = to(MAC);
    let (other, group, all) = (to([2, 0, 0, 0, 0, 9]), to([0x33, 0, 0, 0, 0, 1]), to([0xff; 6]));
    let tagged = [&MAC[..], &[2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7], &[0; 46]].concat();
    let passes = |bench: &mut Bench| {
        [&own, &other, &group, &all, &tagged].map(|frame| {
            bench.arrive(Packet::new(frame.clone()));
            let passes = bench.used(0).len() == 1;
            if passes {
                bench.supply(0, 100);
            }
            passes
        })
    };
    assert_eq!(passes(&mut bench), [true, false, false, true, false]);
    for (command, data, expected) in [
        ([0, 1], &[1][..], [true, false, true, true, false]),
        ([2, 0], &[7, 0], [true, false, true, true, true]),
        ([0, 3], &[1], [true, false, false, true, true]),
        ([0, 2], &[1], [true, true, false, true, true]),
        ([0, 4], &[1], [false, false, false, true, false]),
        ([0, 5], &[1], [false; 5]),
        ([0, 0], &[1], [true; 5]),
        ([2, 1], &[7, 0], [true; 5]),
    ] {
        assert_eq!(bench.ask(2, command, data, 0).0, 0);
        assert_eq!(passes(&mut bench), expected, "after {command:?}");
    }
    for (command, data) in [([0, 0], [0]), ([0, 3], [0]), ([0, 4], [0]), ([0, 1], [0]), ([0, 2], [0])] {
        bench.ask(2, command, &data, 0);
    }
    let table = [&[1, 0, 0, 0, 2, 0, 0, 0, 0, 9][..], &[1, 0, 0, 0, 0x33, 0, 0, 0, 0, 1]].concat();
    assert_eq!(bench.ask(2, [1, 0], &table, 0).0, 0);
    assert_eq!(passes(&mut bench), [true, true, true, false, false]);
    bench.device.assert_driver_was_correct();
}

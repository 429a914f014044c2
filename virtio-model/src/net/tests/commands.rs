//! What commands set, and what is wrong with some.

use super::super::{Coalescing, RssSetup, Steering, link_status};
use super::steering::rss;
use super::{Bench, Header, MAC, Nic, bit, feature, frame};
use crate::block::WrittenLen;

/// All features with commands, and two pairs.
fn bench() -> Bench {
    let features = [
        feature::CTRL_RX,
        feature::CTRL_RX_EXTRA,
        feature::CTRL_VLAN,
        feature::CTRL_MAC_ADDR,
        feature::GUEST_ANNOUNCE,
        feature::CTRL_GUEST_OFFLOADS,
        feature::GUEST_CSUM,
        feature::RSS,
        feature::HASH_REPORT,
        feature::HASH_TUNNEL,
        feature::NOTF_COAL,
        feature::VQ_NOTF_COAL,
        feature::DEVICE_STATS,
        feature::RSS_CONTEXT,
    ];
    let features = features.into_iter().fold(0, |set, feature| set | bit(feature));
    Bench::new(Nic::new(MAC).with_pairs(2).with_features(features))
}

const CONTROL: u16 = 4;

#[test]
fn what_commands_set_can_be_seen() {
    let mut bench = bench();
    bench.nic.ask_for_announcement(&bench.device);
    let coalescing = [7u32.to_le_bytes(), 8u32.to_le_bytes()].concat();
    let one_queue = [&[2, 0, 0xaa, 0xbb][..], &[9, 0, 0, 0, 10, 0, 0, 0]].concat();
    let context = [&[1, 0][..], &[0; 6], &rss([0, 1, 0, 1], 1, 2, &[5; 40])].concat();
    for (command, data) in [
        ([0, 0], &[1][..]),
        ([2, 0], &[5, 0]),
        ([1, 1], &[2, 2, 2, 2, 2, 2]),
        ([3, 0], &[]),
        ([4, 0], &[2, 0]),
        ([5, 0], &[2, 0, 0, 0, 0, 0, 0, 0]),
        ([6, 1], &coalescing),
        ([6, 2], &one_queue),
        ([7, 0], &[0x10, 0, 0, 0]),
        ([9, 1], &context),
    ] {
        assert_eq!(bench.ask(CONTROL, command, data, 0).0, 0, "{command:?}");
    }
    bench.device.assert_driver_was_correct();

    let settings = bench.nic.settings();
    assert!(settings.modes.promiscuous && settings.vlans.contains(&5));
    assert_eq!((bench.nic.config().mac, &bench.device.config()[..6]), ([2; 6], &[2; 6][..]));
    assert_eq!(bench.nic.config().status, link_status::LINK_UP);
    assert_eq!((settings.acknowledgements, settings.guest_offloads), (1, Some(2)));
    assert_eq!(settings.steering, Steering::Automatic { pairs: 2 });
    assert_eq!(settings.coalescing_of(0), Coalescing { max_packets: 7, max_usecs: 8 });
    assert_eq!(settings.coalescing_of(2), Coalescing { max_packets: 9, max_usecs: 10 });
    assert_eq!(settings.coalescing_of(1), Coalescing::default());
    assert_eq!(settings.hash.tunnels, 0x10);
    let setup = RssSetup {
        hash_types: 0x3f,
        unclassified_queue: 1,
        table: vec![0, 1, 0, 1],
        max_tx_vq: 2,
        key: vec![5; 40],
    };
    assert_eq!(settings.contexts[&1], setup);
    assert_eq!(bench.nic.take_commands().len(), 10);
}

#[test]
fn commands_that_ask_are_answered() {
    let mut bench = bench();
    bench.transmit(Header::default(), &frame(60));
    assert_eq!(bench.ask(CONTROL, [9, 0], &[], 2), (0, vec![4, 0]));
    let (ack, supported) = bench.ask(CONTROL, [8, 0], &[], 8);
    assert_eq!((ack, supported), (0, (1u64 << 32 | 0x9_000b).to_le_bytes().to_vec()));
    assert_eq!(bench.ask(CONTROL, [6, 3], &[1, 0, 0, 0], 8), (0, vec![0; 8]));

    let ask = |queue: u8, types: u64| [&[queue, 0, 0, 0, 0, 0, 0, 0][..], &types.to_le_bytes()].concat();
    let both = [ask(1, 1 << 16), ask(4, 1 << 32)].concat();
    let (ack, result) = bench.ask(CONTROL, [8, 1], &both, 80);
    let counters = |bytes: &[u8]| {
        let (words, _) = bytes.as_chunks();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>()
    };
    assert_eq!((ack, result.len()), (0, 56 + 24));
    assert_eq!(result[..8], [16, 0, 1, 0, 0, 0, 56, 0]);
    assert_eq!(counters(&result[8..56]), [0, 1, 60, 1, 0, 0]);
    assert_eq!(result[56..64], [32, 0, 4, 0, 0, 0, 24, 0]);
    assert_eq!(counters(&result[64..]), [4, 4]);
    bench.device.assert_driver_was_correct();
    assert_eq!(bench.ask(CONTROL, [8, 1], &both, 10).1.len(), 10, "as much as there is room for");
}

/// Spec: §5.1.9.5 — each command that must not be sent is named, and answered with an error.
#[test]
fn a_malformed_command_is_a_driver_error() {
    let key = [0; 40];
    let long_key = [0; 41];
    for (command, data, text) in [
        ([0, 0], &[2][..], "a switch of 2"),
        ([0, 0], &[1, 0], "2 bytes of data"),
        ([0, 6], &[1], "no such command"),
        ([99, 0], &[], "no such command"),
        ([1, 0], &[1, 0, 0, 0, 2, 2, 2, 2, 2], "a table of"),
        ([1, 0], &[1, 0, 0, 0, 3, 2, 2, 2, 2, 2, 0, 0, 0, 0], "a multicast address among"),
        ([1, 0], &[0, 0, 0, 0, 1, 0, 0, 0, 2, 2, 2, 2, 2, 2], "a unicast address among"),
        ([2, 0], &[0, 0x10], "VLAN 4096"),
        ([4, 0], &[0, 0], "0 pairs"),
        ([4, 0], &[3, 0], "3 pairs"),
        ([4, 1], &rss([0, 1, 2, 0], 0, 2, &key), "pair 2 of 2"),
        ([4, 1], &rss([0, 1, 1, 0], 0, 3, &key), "3 transmit queues"),
        ([4, 1], &rss([0, 1, 1, 0], 0, 2, &long_key), "a key of 41"),
        ([4, 2], &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], "reserved"),
        ([4, 2], &[0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "hash types 0x200"),
        ([5, 0], &[0x80, 0, 0, 0, 0, 0, 0, 0], "offloads 0x80"),
        ([6, 2], &[4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], "queue 4 is no"),
        ([7, 0], &[0, 2, 0, 0], "tunnel types 0x200"),
        ([8, 1], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], "types 0x10000 of queue 0"),
        ([9, 3], &[5, 0], "context 5 of 4"),
    ] {
        let mut bench = bench();
        assert_eq!(bench.ask(CONTROL, command, data, 0).0, 1);
        let errors = bench.device.driver_errors();
        assert!(errors[0].contains(text), "{errors:?} should say {text:?}");
    }
    let mut plain = Bench::new(Nic::new(MAC).with_features(bit(feature::CTRL_VQ)));
    assert_eq!(plain.ask(2, [0, 0], &[1], 0).0, 1);
    assert!(plain.device.driver_errors()[0].contains("without feature 18"));
}

#[test]
fn lies_about_commands_are_told() {
    let mut bench = bench();
    bench.nic.misbehave(|lies| lies.ack = Some(77));
    assert_eq!(bench.ask(CONTROL, [0, 0], &[1], 0).0, 77);
    bench.nic.misbehave(|lies| {
        lies.skips_ack = true;
        lies.command_written = WrittenLen::Exactly(1);
    });
    assert_eq!(bench.ask(CONTROL, [0, 0], &[1], 0).0, 0xee);
    bench.nic.misbehave(|lies| *lies = super::super::NicMisbehaviour::default());
    assert!(!bench.nic.settings().modes.promiscuous);

    bench.nic.misbehave(|lies| lies.ignores_commands = true);
    bench.submit(CONTROL, &[&[0, 0], &[1]], &[1]);
    assert_eq!(bench.serve(), 0);
    bench.nic.misbehave(|lies| lies.ignores_commands = false);
    assert_eq!(bench.serve(), 1);
    assert!(bench.nic.settings().modes.promiscuous);
    bench.device.assert_driver_was_correct();
}

#[test]
fn the_link_and_what_else_changes_is_notified() {
    let bench = bench();
    bench.nic.set_link(&bench.device, false);
    assert_eq!((bench.device.config_byte(6), bench.device.config_interrupts()), (Some(0), 1));
    bench.nic.set_link(&bench.device, true);
    assert_eq!((bench.device.config_byte(6), bench.device.config_interrupts()), (Some(1), 2));
}

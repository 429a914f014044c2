//! Each command goes to a device that agreed to its own feature, whatever else was agreed on; and in the device's order of bytes.
//!
//! Spec: §5.1.9.5 Control Virtqueue. The model complains of every command whose feature is not there. Not under miri: commands are copied in `net_commands.rs` as well.

#![cfg(not(miri))]

mod support;

use virtio_guest::device::net::{ControlError, GuestOffloads};
use virtio_model::Nic;
use virtio_model::net::{Steering, feature};

use support::commands::{ADDRESS, COMMANDS, CommandBench, FEATURES, PAIRS, bits};

/// Each command, and the features without one of which it is not sent.
const NEEDED: [(&str, &[u32]); 23] = [
    ("promiscuous", &[feature::CTRL_RX]),
    ("all multicast", &[feature::CTRL_RX]),
    ("all unicast", &[feature::CTRL_RX_EXTRA]),
    ("no multicast", &[feature::CTRL_RX_EXTRA]),
    ("no unicast", &[feature::CTRL_RX_EXTRA]),
    ("no broadcast", &[feature::CTRL_RX_EXTRA]),
    ("address table", &[feature::CTRL_RX]),
    // Its own feature, and that of its class.
    ("address", &[feature::CTRL_MAC_ADDR, feature::CTRL_RX]),
    ("VLAN added", &[feature::CTRL_VLAN]),
    ("VLAN removed", &[feature::CTRL_VLAN]),
    ("announcement", &[feature::GUEST_ANNOUNCE]),
    ("pairs", &[feature::MQ]),
    ("offloads", &[feature::CTRL_GUEST_OFFLOADS]),
    ("hash", &[feature::HASH_REPORT]),
    ("tunnels", &[feature::HASH_TUNNEL]),
    ("steering", &[feature::RSS]),
    ("receive coalescing", &[feature::NOTF_COAL]),
    ("transmit coalescing", &[feature::NOTF_COAL]),
    ("coalescing of a queue", &[feature::VQ_NOTF_COAL]),
    ("coalescing asked for", &[feature::VQ_NOTF_COAL]),
    ("types of counters", &[feature::DEVICE_STATS]),
    ("counters", &[feature::DEVICE_STATS]),
    ("contexts", &[feature::RSS_CONTEXT]),
];

/// A device that has all features that commands need, and are needed beside them, but for these.
fn bench_without(missing: u128) -> CommandBench {
    let has_pairs = missing & bits(&[feature::MQ]) == 0;
    let nic = Nic::new(ADDRESS).with_rss_contexts(2).with_features(bits(&FEATURES) & !missing);
    CommandBench::with_settings(if has_pairs { nic.with_pairs(PAIRS) } else { nic }, |_| {})
}

#[test]
fn a_command_whose_own_feature_is_the_only_one_that_is_missing_is_not_sent() {
    assert_eq!(NEEDED.map(|(name, _)| name), COMMANDS.map(|(name, _)| name));
    for ((name, ask), (_, needed)) in COMMANDS.into_iter().zip(NEEDED) {
        for feature in needed {
            let mut bench = bench_without(bits(&[*feature]));
            assert_eq!(bench.unasked(ask), Err(ControlError::Unsupported), "{name} without {feature}");
            bench.finish();
        }
    }
}

/// And with it, it is sent: what is missing above is all that was missing.
#[test]
fn a_command_is_sent_where_its_features_and_those_that_they_need_are_there() {
    for ((name, ask), (_, needed)) in COMMANDS.into_iter().zip(NEEDED) {
        let others = bits(&FEATURES) & !bits(needed);
        // What others need, or are about: pairs, and checksums that may be partial.
        let kept = bits(&[feature::CTRL_VQ, feature::RSS, feature::MQ, feature::GUEST_CSUM]);
        let mut bench = bench_without(others & !kept);
        assert_eq!(bench.ask(ask), Ok(()), "{name}");
        bench.finish();
    }
}

/// Spec: the sections "Legacy Interface" of §5.1.9.5: in the driver's own order of bytes, which is little-endian wherever these drivers use a legacy device.
#[test]
fn a_legacy_device_understands_the_numbers_in_commands() {
    let features = [
        feature::CTRL_VQ,
        feature::CTRL_RX,
        feature::CTRL_VLAN,
        feature::CTRL_GUEST_OFFLOADS,
        feature::GUEST_CSUM,
        feature::GUEST_TSO4,
        feature::MRG_RXBUF,
    ];
    let nic = Nic::new(ADDRESS).with_pairs(PAIRS).with_features(bits(&features));
    let mut bench = CommandBench::legacy(nic);
    assert_eq!((bench.card.pairs_max(), bench.pairs.len()), (PAIRS, PAIRS.into()));
    let (stations, groups) = ([[2, 1, 1, 1, 1, 1], [4; 6]], [[3; 6]; 3]);
    let offloads = GuestOffloads::CSUM | GuestOffloads::TSO4;

    assert_eq!(bench.ask(|card, wait| card.set_mac_table(&stations, &groups, wait)), Ok(()));
    assert_eq!(bench.ask(|card, wait| card.add_vlan(0x123, wait)), Ok(()));
    assert_eq!(bench.ask(|card, wait| card.set_pairs(2, wait)), Ok(()));
    assert_eq!(bench.ask(|card, wait| card.set_guest_offloads(offloads, wait)), Ok(()));

    let settings = bench.nic.settings();
    assert_eq!((&settings.unicast[..], &settings.multicast[..]), (&stations[..], &groups[..]));
    assert!(settings.vlans.iter().eq(&[0x123]));
    assert_eq!(settings.steering, Steering::Automatic { pairs: 2 });
    assert_eq!(settings.guest_offloads, Some(1 << feature::GUEST_CSUM | 1 << feature::GUEST_TSO4));
    bench.finish();
}

/// Spec: §5.1.9.8 Legacy Interface: Framing Requirements — the first table is that of stations, the second one that of groups.
#[test]
fn a_legacy_device_gets_each_table_in_a_descriptor_of_its_own() {
    let nic = Nic::new(ADDRESS).with_features(bits(&[feature::CTRL_VQ, feature::CTRL_RX]));
    let mut bench = CommandBench::legacy(nic);
    for (stations, groups, lens) in [
        (&[[2; 6]; 3][..], &[[3; 6]][..], [2, 4 + 3 * 6, 4 + 6]),
        (&[], &[[3; 6]; 2], [2, 4, 4 + 2 * 6]),
        (&[[2; 6]], &[], [2, 4 + 6, 4]),
        (&[], &[], [2, 4, 4]),
    ] {
        assert_eq!(bench.ask(|card, wait| card.set_mac_table(stations, groups, wait)), Ok(()));
        let command = bench.nic.take_commands().pop().unwrap();
        assert_eq!((&command.readable_lens[..], &command.writable_lens[..]), (&lens[..], &[1][..]));
        let settings = bench.nic.settings();
        assert_eq!((&settings.unicast[..], &settings.multicast[..]), (stations, groups));
    }
    bench.finish();
}

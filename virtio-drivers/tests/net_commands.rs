//! What a network device is told by commands, and what it makes of it.
//!
//! Spec: §5.1.9.5 Control Virtqueue. The model complains of every command that it must not be sent, and of what is wrong with one.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use std::collections::BTreeSet;

use support::commands::{ADDRESS, Ask, COMMANDS, CommandBench, FEATURES, PAIRS, bits, commands, nic};
use virtio_guest::device::net::ControlError;
use virtio_model::Nic;
use virtio_model::net::{ReceiveModes, feature};

/// Spec: §5.1.9.5.1 Packet Receive Filtering.
#[test]
fn each_receive_mode_is_switched_by_itself() {
    let none = ReceiveModes::default();
    let modes: [(Ask, Ask, ReceiveModes); 6] = [
        (
            ("on", |card, wait| card.set_promiscuous(true, wait)),
            ("off", |card, wait| card.set_promiscuous(false, wait)),
            ReceiveModes { promiscuous: true, ..none },
        ),
        (
            ("on", |card, wait| card.set_all_multicast(true, wait)),
            ("off", |card, wait| card.set_all_multicast(false, wait)),
            ReceiveModes { all_multicast: true, ..none },
        ),
        (
            ("on", |card, wait| card.set_all_unicast(true, wait)),
            ("off", |card, wait| card.set_all_unicast(false, wait)),
            ReceiveModes { all_unicast: true, ..none },
        ),
        (
            ("on", |card, wait| card.set_no_multicast(true, wait)),
            ("off", |card, wait| card.set_no_multicast(false, wait)),
            ReceiveModes { no_multicast: true, ..none },
        ),
        (
            ("on", |card, wait| card.set_no_unicast(true, wait)),
            ("off", |card, wait| card.set_no_unicast(false, wait)),
            ReceiveModes { no_unicast: true, ..none },
        ),
        (
            ("on", |card, wait| card.set_no_broadcast(true, wait)),
            ("off", |card, wait| card.set_no_broadcast(false, wait)),
            ReceiveModes { no_broadcast: true, ..none },
        ),
    ];
    for mut bench in CommandBench::each(nic) {
        for ((_, on), (_, off), mode) in modes {
            assert_eq!(bench.ask(on), Ok(()));
            assert_eq!(bench.nic.settings().modes, mode);
            assert_eq!(bench.ask(off), Ok(()));
            assert_eq!(bench.nic.settings().modes, none);
        }
        bench.finish();
    }
}

/// Spec: §5.1.9.5.2 Setting MAC Address Filtering.
#[test]
fn a_table_of_addresses_takes_the_place_of_the_one_before() {
    let (stations, groups) = ([[2, 1, 1, 1, 1, 1], [4; 6]], [[3; 6], [0x33, 0x33, 0, 0, 0, 1], [0xff; 6]]);
    for mut bench in CommandBench::each(nic) {
        for (unicast, multicast) in
            [(&stations[..], &groups[..]), (&stations[..1], &[]), (&[], &groups), (&[], &[])]
        {
            assert_eq!(bench.ask(|card, wait| card.set_mac_table(unicast, multicast, wait)), Ok(()));
            let settings = bench.nic.settings();
            assert_eq!((&settings.unicast[..], &settings.multicast[..]), (unicast, multicast));
        }
        for (unicast, multicast) in
            [(&groups[..1], &[][..]), (&[], &stations[..1]), (&[ADDRESS, [1; 6]], &[])]
        {
            let refused = bench.unasked(|card, wait| card.set_mac_table(unicast, multicast, wait));
            assert_eq!(refused, Err(ControlError::InvalidArgument));
        }
        bench.finish();
    }
}

/// Spec: §5.1.9.5.2 Setting MAC Address Filtering.
#[test]
fn another_address_is_the_devices_and_the_drivers() {
    let other = [2, 0, 0, 0, 0, 9];
    for mut bench in CommandBench::each(nic) {
        assert_eq!(bench.card.mac(), ADDRESS);
        assert_eq!(bench.ask(|card, wait| card.set_mac(other, wait)), Ok(()));
        assert_eq!((bench.card.mac(), bench.nic.config().mac), (other, other));
        for nonsense in [[3, 0, 0, 0, 0, 9], [0xff; 6], [0; 6]] {
            let refused = bench.unasked(|card, wait| card.set_mac(nonsense, wait));
            assert_eq!((refused, bench.card.mac()), (Err(ControlError::InvalidArgument), other));
        }
        bench.finish();
    }
}

/// Spec: §5.1.4.3 Legacy Interface: Device configuration layout.
#[test]
fn a_legacy_device_is_told_its_address_by_its_configuration() {
    let mut bench = CommandBench::legacy(Nic::new(ADDRESS));
    let other = [2, 0, 0, 0, 0, 9];
    assert_eq!(bench.ask(|card, wait| card.set_mac(other, wait)), Ok(()));
    let written: Vec<_> = (0..).zip(other).map(|(at, byte)| (at, 1, byte.into())).collect();
    assert_eq!(
        (bench.card.mac(), bench.device.config_writes()),
        (other, written),
        "from the first byte to the last"
    );
    bench.finish();
}

/// Spec: §5.1.4.2 — no field is written, and a device without an address takes any.
#[test]
fn an_address_is_not_set_where_that_was_not_agreed_on() {
    let other = [2, 0, 0, 0, 0, 9];
    for without in [feature::CTRL_MAC_ADDR, feature::CTRL_RX] {
        let features = bits(&FEATURES) & !bits(&[without]);
        let nic = Nic::new(ADDRESS).with_pairs(PAIRS).with_features(features);
        let mut bench = CommandBench::with_settings(nic, |_| {});
        let refused = bench.unasked(|card, wait| card.set_mac(other, wait));
        assert_eq!((refused, bench.card.mac()), (Err(ControlError::Unsupported), ADDRESS));
        assert_eq!(bench.device.config_write_count(), 0);
        bench.finish();
    }
    let nic = Nic::new(ADDRESS);
    let device = nic.builder().features(nic.features() & !bits(&[feature::MAC])).build();
    let mut bench = CommandBench::start(nic, device, 0, |_| {});
    assert_eq!(bench.card.mac()[0] & 3, 2, "locally administered");
    assert_eq!(bench.unasked(|card, wait| card.set_mac(other, wait)), Ok(()));
    assert_eq!((bench.card.mac(), bench.device.config_write_count()), (other, 0));
    bench.finish();
}

/// Spec: §5.1.9.5.3 VLAN Filtering.
#[test]
fn vlans_come_and_go() {
    for mut bench in CommandBench::each(nic) {
        for vlan in [0, 1, 0x123, 0xfff] {
            assert_eq!(bench.ask(|card, wait| card.add_vlan(vlan, wait)), Ok(()));
        }
        assert_eq!(bench.ask(|card, wait| card.remove_vlan(1, wait)), Ok(()));
        assert_eq!(bench.nic.settings().vlans, BTreeSet::from([0, 0x123, 0xfff]));
        let refused = bench.unasked(|card, wait| card.add_vlan(0x1000, wait));
        assert_eq!(refused, Err(ControlError::InvalidArgument));
        bench.finish();
    }
}

/// Spec: §5.1.9.5 — each command has a feature, and is not sent without.
#[test]
fn what_was_not_agreed_on_is_not_asked_for() {
    let with_a_queue = Nic::new(ADDRESS).with_features(bits(&[feature::CTRL_VQ]));
    for nic in [with_a_queue, Nic::new(ADDRESS)] {
        let mut bench = CommandBench::with_settings(nic, |_| {});
        for (name, ask) in commands() {
            assert_eq!(bench.unasked(ask), Err(ControlError::Unsupported), "{name}");
        }
        bench.finish();
    }
}

/// Spec: §5.1.9.8 Legacy Interface: Framing Requirements.
#[test]
fn a_legacy_device_gets_the_descriptors_that_it_wants() {
    let features = [
        feature::CTRL_VQ,
        feature::CTRL_RX,
        feature::CTRL_VLAN,
        feature::CTRL_MAC_ADDR,
        feature::GUEST_ANNOUNCE,
        feature::MQ,
    ];
    let mut bench = CommandBench::legacy(Nic::new(ADDRESS).with_pairs(PAIRS).with_features(bits(&features)));
    let chains: [(&str, &[u32]); 6] = [
        ("promiscuous", &[2, 1]),
        ("address table", &[2, 10, 16]),
        ("address", &[2, 6]),
        ("VLAN added", &[2, 2]),
        ("announcement", &[2]),
        ("pairs", &[2, 2]),
    ];
    for (name, readable) in chains {
        let (_, ask) = COMMANDS.into_iter().find(|(command, _)| *command == name).unwrap();
        assert_eq!(bench.ask(ask), Ok(()), "{name}");
        let command = bench.nic.take_commands().pop().unwrap();
        assert_eq!((&command.readable_lens[..], &command.writable_lens[..]), (readable, &[1][..]), "{name}");
    }
    bench.finish();
}

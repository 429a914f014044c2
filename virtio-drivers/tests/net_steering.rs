//! Where a network device receives, what it hashes, gathers and counts.
//!
//! Spec: §5.1.9.5.5 Device operation in multiqueue mode to §5.1.9.5.11 Device Statistics. The model complains of every command that it must not be sent, and of what is wrong with one. Not under miri: commands are copied in `net_commands.rs` as well.

#![cfg(not(miri))]

mod support;

use support::commands::{ADDRESS, Ask, COALESCING, CommandBench, KEY, PAIRS, bits, nic, rss};
use virtio_guest::device::net::{
    Coalescing, CommandCounters, ControlError, GuestOffloads, HashTypes, RssConfig, StatisticsTypes,
    TransmitError, TunnelTypes,
};
use virtio_model::Nic;
use virtio_model::net::{Coalescing as Gathered, Packet, RssSetup, Steering, feature};

/// Spec: §5.1.9.5.6.1 Driver Requirements: Automatic receive steering in multiqueue mode.
#[test]
fn no_more_pairs_are_used_than_were_installed() {
    for mut bench in CommandBench::each(nic) {
        for pairs in [PAIRS, 1, 2] {
            assert_eq!(bench.ask(|card, wait| card.set_pairs(pairs, wait)), Ok(()));
            assert_eq!(bench.nic.settings().steering, Steering::Automatic { pairs });
        }
        for pairs in [0, PAIRS + 1, 0x8000, 0xffff] {
            let refused = bench.unasked(|card, wait| card.set_pairs(pairs, wait));
            assert_eq!(refused, Err(ControlError::InvalidArgument));
        }
        bench.finish();
    }
    let mut bench = CommandBench::with_settings(nic(), |settings| settings.pairs_max = 2);
    assert_eq!((bench.pairs.len(), bench.card.pairs_max()), (2, PAIRS));
    assert_eq!(bench.ask(|card, wait| card.set_pairs(2, wait)), Ok(()));
    assert_eq!(bench.unasked(|card, wait| card.set_pairs(PAIRS, wait)), Err(ControlError::InvalidArgument));
    bench.finish();
}

/// Spec: §5.1.9.3.1 Driver Requirements: Setting Up Receive Buffers.
#[test]
fn every_pair_can_receive_from_the_beginning() {
    for mut bench in CommandBench::each(nic) {
        for (pair, (receive, _)) in (0..).zip(&bench.pairs) {
            assert_eq!(receive.in_flight(), receive.size(), "buffers of pair {pair}");
            bench.nic.inject(Packet::new([0xff; 60]).on(pair));
        }
        assert_eq!(bench.ask(|card, wait| card.set_pairs(PAIRS, wait)), Ok(()));
        for (receive, _) in &mut bench.pairs {
            assert_eq!(receive.receive().unwrap().map(|frame| frame.len()), Some(60));
        }
        bench.finish();
    }
}

/// Spec: §5.1.9.5.6 Automatic receive steering in multiqueue mode, §5.1.9.5.7 Receive-side scaling (RSS). The model complains of what comes through a pair that is not in use.
#[test]
fn every_pair_transmits_once_it_is_in_use() {
    let by_number: Ask = ("pairs", |card, wait| card.set_pairs(PAIRS, wait));
    let by_hash: Ask =
        ("steering", |card, wait| card.set_rss(&RssConfig { max_transmit_queues: PAIRS, ..rss() }, wait));
    for (name, use_all) in [by_number, by_hash] {
        for mut bench in CommandBench::each(nic) {
            assert_eq!(bench.ask(use_all), Ok(()), "{name}");
            for (receive, transmit) in &mut bench.pairs {
                let mut frame = receive.frame().unwrap();
                frame.append(&[0xff; 60]).unwrap();
                transmit.transmit(frame).unwrap();
            }
            bench.nic.serve(&bench.device, &bench.hal.space);
            let transmitted = bench.nic.take_transmitted();
            let pairs: Vec<_> = transmitted.iter().map(|packet| (packet.pair, &packet.complaint)).collect();
            assert_eq!(pairs, (0..PAIRS).map(|pair| (pair, &None)).collect::<Vec<_>>(), "{name}");
            bench.finish();
        }
    }
}

/// Hands a frame to each pair: says which took it. The others give theirs back, and what was taken is sent.
fn pairs_that_transmit(bench: &mut CommandBench) -> Vec<u16> {
    let mut taken = Vec::new();
    for (receive, transmit) in &mut bench.pairs {
        let mut frame = receive.frame().expect("the pool has some left");
        frame.append(&[0xff; 60]).unwrap();
        let (pair, in_flight) = (transmit.pair(), transmit.in_flight());
        assert_eq!(transmit.transmit_burst([]).unwrap(), 0, "an empty burst on pair {pair}");
        match transmit.transmit_burst([frame]) {
            Ok(count) => {
                assert_eq!((count, transmit.is_in_use()), (1, true), "pair {pair}");
                taken.push(pair);
            }
            Err(burst) => {
                assert_eq!(burst.refused.error, TransmitError::PairNotInUse);
                assert_eq!((burst.transmitted, burst.refused.frame.len()), (0, 60), "pair {pair}");
                assert_eq!((transmit.in_flight(), transmit.is_in_use()), (in_flight, false), "pair {pair}");
            }
        }
    }
    bench.nic.serve(&bench.device, &bench.hal.space);
    for packet in bench.nic.take_transmitted() {
        assert_eq!(packet.complaint, None, "pair {}", packet.pair);
    }
    for (_, transmit) in &mut bench.pairs {
        transmit.reap().unwrap();
        assert_eq!(transmit.in_flight(), 0, "pair {}", transmit.pair());
    }
    taken
}

/// Spec: §5.1.9.5.6.1 Driver Requirements: Automatic receive steering in multiqueue mode.
#[test]
fn a_pair_transmits_only_while_the_device_was_told_to_use_it() {
    for mut bench in CommandBench::each(nic) {
        assert_eq!(pairs_that_transmit(&mut bench), [0], "before any command");
        for (pairs, expected) in [(2, &[0, 1][..]), (1, &[0]), (PAIRS, &[0, 1, 2]), (2, &[0, 1])] {
            assert_eq!(bench.ask(|card, wait| card.set_pairs(pairs, wait)), Ok(()));
            assert_eq!(pairs_that_transmit(&mut bench), expected, "{pairs} pairs");
        }
        for (max_transmit_queues, expected) in [(1, &[0][..]), (PAIRS, &[0, 1, 2]), (2, &[0, 1])] {
            let config = RssConfig { max_transmit_queues, ..rss() };
            assert_eq!(bench.ask(|card, wait| card.set_rss(&config, wait)), Ok(()));
            assert_eq!(pairs_that_transmit(&mut bench), expected, "{max_transmit_queues} by hash");
        }
        bench.finish();
    }
}

/// Whether the device took the command or not: no pair transmits that it may not use. Commands that never reach it change nothing.
///
/// Spec: §5.1.9.5.6.1 Driver Requirements: Automatic receive steering in multiqueue mode.
#[test]
fn a_command_that_fails_leaves_the_fewer_pairs_in_use() {
    let refuses = |bench: &CommandBench, ack| bench.nic.misbehave(|lies| lies.ack = ack);
    for mut bench in CommandBench::each(nic) {
        refuses(&bench, Some(1));
        assert_eq!(bench.ask(|card, wait| card.set_pairs(2, wait)), Err(ControlError::Refused));
        assert_eq!(pairs_that_transmit(&mut bench), [0], "refused");
        refuses(&bench, None);
        assert_eq!(bench.ask(|card, wait| card.set_pairs(PAIRS, wait)), Ok(()));
        assert_eq!(
            bench.unasked(|card, wait| card.set_pairs(PAIRS + 1, wait)),
            Err(ControlError::InvalidArgument)
        );
        assert_eq!(pairs_that_transmit(&mut bench), [0, 1, 2], "never sent");
        refuses(&bench, Some(1));
        assert_eq!(bench.ask(|card, wait| card.set_rss(&rss(), wait)), Err(ControlError::Refused));
        assert_eq!(pairs_that_transmit(&mut bench), [0, 1], "fewer, refused");
        refuses(&bench, None);

        assert_eq!(bench.card.set_pairs(PAIRS, || false), Err(ControlError::TimedOut));
        assert_eq!(pairs_that_transmit(&mut bench), [0, 1], "not answered in time");
        assert_eq!(bench.card.set_pairs(1, || false), Err(ControlError::TimedOut));
        assert_eq!(pairs_that_transmit(&mut bench), [0], "fewer, not answered in time");
        assert_eq!(bench.ask(|card, wait| card.set_pairs(PAIRS, wait)), Ok(()));
        assert_eq!(pairs_that_transmit(&mut bench), [0, 1, 2], "asked for again");
        bench.finish();
    }
}

/// A pair is out of use from before the device hears of it; its ring gives back what it has.
///
/// Spec: §5.1.9.5.6.1 Driver Requirements: Automatic receive steering in multiqueue mode.
#[test]
fn frames_in_flight_on_a_pair_that_goes_out_of_use_come_back() {
    for mut bench in CommandBench::each(nic) {
        assert_eq!(bench.ask(|card, wait| card.set_pairs(2, wait)), Ok(()));
        let (receive, transmit) = &mut bench.pairs[1];
        let mut frame = receive.frame().unwrap();
        frame.append(&[0xff; 60]).unwrap();
        transmit.transmit(frame).unwrap();
        bench.nic.serve(&bench.device, &bench.hal.space);

        // While the command waits, its pair is out of use already.
        let mut was_in_use = None;
        let CommandBench { card, pairs, nic, device, hal } = &mut bench;
        let set = card.set_pairs(1, || {
            was_in_use.get_or_insert(pairs[1].1.is_in_use());
            nic.serve(device, &hal.space);
            true
        });

        assert_eq!((set, was_in_use), (Ok(()), Some(false)));
        let (_, transmit) = &mut bench.pairs[1];
        assert_eq!((transmit.reap(), transmit.in_flight()), (Ok(1), 0));
        bench.finish();
    }
}

fn setup(config: &RssConfig<'_>) -> RssSetup {
    RssSetup {
        hash_types: config.hash_types.bits(),
        unclassified_queue: config.unclassified_queue,
        table: config.table.to_vec(),
        max_tx_vq: config.max_transmit_queues,
        key: config.key.to_vec(),
    }
}

/// Spec: §5.1.9.5.7.1 Setting RSS parameters.
#[test]
fn a_device_steers_by_hash_as_it_is_told() {
    let table: Vec<u16> = (0..128).map(|entry| entry % PAIRS).collect();
    let configs = [
        rss(),
        RssConfig { table: &[2], max_transmit_queues: 1, ..rss() },
        RssConfig { table: &table, max_transmit_queues: PAIRS, hash_types: HashTypes::UDP_EX, ..rss() },
        RssConfig { hash_types: HashTypes::empty(), unclassified_queue: 2, key: &[], ..rss() },
    ];
    for mut bench in CommandBench::each(nic) {
        for config in &configs {
            assert_eq!(bench.ask(|card, wait| card.set_rss(config, wait)), Ok(()));
            assert_eq!(bench.nic.settings().steering, Steering::Rss(setup(config)));
        }
        bench.finish();
    }
}

/// Spec: §5.1.9.5.7.2 Driver Requirements: Setting RSS parameters.
#[test]
fn a_device_is_not_told_to_steer_as_it_cannot() {
    let long = [0; 256];
    let nic = || nic().with_config(|config| config.supported_hash_types = 0x8000_0007);
    let sound = RssConfig { hash_types: HashTypes::IPV4 | HashTypes::UDPV4, ..rss() };
    let wrong = [
        RssConfig { table: &[], ..sound },
        RssConfig { table: &[0, 1, 0], ..sound },
        RssConfig { table: &long, ..sound },
        RssConfig { table: &[0, PAIRS], ..sound },
        RssConfig { table: &[0x8000], ..sound },
        RssConfig { unclassified_queue: PAIRS, ..sound },
        RssConfig { max_transmit_queues: 0, ..sound },
        RssConfig { max_transmit_queues: PAIRS + 1, ..sound },
        RssConfig { key: &[0; 41], ..sound },
        RssConfig { key: &[0; 256 + 40], ..sound },
        RssConfig { hash_types: HashTypes::IPV6, ..sound },
        RssConfig { hash_types: HashTypes::from_bits_retain(1 << 31), ..sound },
    ];
    for mut bench in CommandBench::each(nic) {
        assert_eq!(bench.card.hash_limits().hash_types.bits(), 7, "what nobody knows is ignored");
        for config in &wrong {
            for refused in [
                bench.unasked(|card, wait| card.set_rss(config, wait)),
                bench.ask(|card, wait| card.add_rss_context(1, config, wait)),
            ] {
                assert_eq!(refused, Err(ControlError::InvalidArgument), "{config:?}");
            }
        }
        for (hash_types, key) in [(HashTypes::TCPV6, &KEY[..]), (HashTypes::IPV4, &[0; 41][..])] {
            let refused = bench.unasked(|card, wait| card.set_hash(hash_types, key, wait));
            assert_eq!(refused, Err(ControlError::InvalidArgument));
        }
        assert_eq!(bench.ask(|card, wait| card.set_rss(&sound, wait)), Ok(()));
        bench.finish();
    }
}

/// Spec: §5.1.9.5.6.4 Hash calculation, §5.1.9.4.4 Inner Header Hash.
#[test]
fn hashes_are_made_of_what_the_driver_says() {
    let nic = || nic().with_config(|config| config.supported_tunnel_types = 0x8000_0011);
    for mut bench in CommandBench::each(nic) {
        let types = HashTypes::TCPV4 | HashTypes::IP_EX;
        assert_eq!(bench.ask(|card, wait| card.set_hash(types, &KEY[..7], wait)), Ok(()));
        let hash = bench.nic.settings().hash;
        assert_eq!((hash.types, &hash.key[..]), (types.bits(), &KEY[..7]));

        let tunnels = TunnelTypes::GRE_2784 | TunnelTypes::VXLAN;
        assert_eq!(bench.card.hash_limits().tunnel_types, tunnels, "what nobody knows is ignored");
        for tunnels in [tunnels, TunnelTypes::VXLAN, TunnelTypes::empty()] {
            assert_eq!(bench.ask(|card, wait| card.set_hash_tunnels(tunnels, wait)), Ok(()));
            assert_eq!(bench.nic.settings().hash.tunnels, tunnels.bits());
        }
        let refused = bench.unasked(|card, wait| card.set_hash_tunnels(TunnelTypes::GENEVE, wait));
        assert_eq!(refused, Err(ControlError::InvalidArgument));
        bench.finish();
    }
}

/// Spec: §5.1.9.5.8.4 Driver Requirements: RSS Context.
#[test]
fn contexts_are_numbered_from_one_and_keep_the_number_of_pairs() {
    for mut bench in CommandBench::each(nic) {
        let (first, second) = (rss(), RssConfig { table: &[2, 2], ..rss() });
        assert_eq!(bench.ask(|card, wait| card.rss_contexts_max(wait)), Ok(2));
        for id in [0, 3, 0xffff] {
            let wrong = bench.unasked(|card, wait| card.add_rss_context(id, &first, wait));
            assert_eq!(wrong, Err(ControlError::InvalidArgument));
            let wrong = bench.unasked(|card, wait| card.remove_rss_context(id, wait));
            assert_eq!(wrong, Err(ControlError::InvalidArgument));
        }
        assert_eq!(bench.ask(|card, wait| card.add_rss_context(2, &first, wait)), Ok(()));
        assert_eq!(bench.nic.settings().contexts[&2], setup(&first));
        assert_eq!(bench.ask(|card, wait| card.change_rss_context(2, &second, wait)), Ok(()));
        assert_eq!(bench.nic.settings().contexts[&2], setup(&second));
        let change = bench.ask(|card, wait| card.change_rss_context(1, &second, wait));
        assert_eq!(change, Err(ControlError::Refused), "there is none");
        let add = bench.ask(|card, wait| card.add_rss_context(2, &second, wait));
        assert_eq!(add, Err(ControlError::Refused), "there is one");

        let pairs = bench.unasked(|card, wait| card.set_pairs(1, wait));
        assert_eq!(pairs, Err(ControlError::InvalidArgument), "as long as there is a context");
        assert_eq!(bench.ask(|card, wait| card.remove_rss_context(2, wait)), Ok(()));
        assert!(bench.nic.settings().contexts.is_empty());
        assert_eq!(bench.ask(|card, wait| card.set_pairs(1, wait)), Ok(()));
        bench.finish();
    }
}

/// Spec: §5.1.9.5.9 Offloads State Configuration.
#[test]
fn offloads_are_those_that_were_agreed_on_at_most() {
    let all = GuestOffloads::all();
    for mut bench in CommandBench::each(nic) {
        for offloads in [all, GuestOffloads::CSUM | GuestOffloads::TSO6, GuestOffloads::empty()] {
            assert_eq!(bench.ask(|card, wait| card.set_guest_offloads(offloads, wait)), Ok(()));
            assert_eq!(bench.nic.settings().guest_offloads, Some(offloads.bits()));
        }
        bench.finish();
    }
    let none =
        bits(&[feature::CTRL_VQ, feature::CTRL_GUEST_OFFLOADS, feature::GUEST_CSUM, feature::MRG_RXBUF]);
    let nic = Nic::new(ADDRESS).with_features(none);
    let mut bench = CommandBench::with_settings(nic, |_| {});
    for offload in all {
        let set = bench.ask(|card, wait| card.set_guest_offloads(offload, wait));
        let expected =
            if offload == GuestOffloads::CSUM { Ok(()) } else { Err(ControlError::InvalidArgument) };
        assert_eq!(set, expected, "{offload:?}");
    }
    bench.finish();
}

/// Spec: §5.1.9.5.10 Notifications Coalescing.
#[test]
fn coalescing_is_set_for_all_queues_of_a_kind_or_for_one() {
    let other = Coalescing { max_packets: 1, max_microseconds: 2 };
    let of = |bench: &CommandBench, queue| {
        let Gathered { max_packets, max_usecs } = bench.nic.settings().coalescing_of(queue);
        Coalescing { max_packets, max_microseconds: max_usecs }
    };
    for mut bench in CommandBench::each(nic) {
        assert_eq!(bench.ask(|card, wait| card.set_receive_coalescing(COALESCING, wait)), Ok(()));
        assert_eq!([0, 1, 4, 5].map(|queue| of(&bench, queue) == COALESCING), [true, false, true, false]);
        assert_eq!(bench.ask(|card, wait| card.set_transmit_coalescing(COALESCING, wait)), Ok(()));
        assert_eq!(bench.ask(|card, wait| card.set_queue_coalescing(5, other, wait)), Ok(()));
        assert_eq!([1, 5].map(|queue| of(&bench, queue)), [COALESCING, other]);
        for (queue, coalescing) in [(0, COALESCING), (5, other)] {
            assert_eq!(bench.ask(|card, wait| card.queue_coalescing(queue, wait)), Ok(coalescing));
        }
        for queue in [2 * PAIRS, 2 * PAIRS + 1, 0xffff] {
            let wrong = bench.unasked(|card, wait| card.set_queue_coalescing(queue, other, wait));
            assert_eq!(wrong, Err(ControlError::InvalidArgument));
            let wrong = bench.unasked(|card, wait| card.queue_coalescing(queue, wait));
            assert_eq!(wrong, Err(ControlError::InvalidArgument));
        }
        bench.finish();
    }
}

/// Spec: §5.1.9.5.11.13 Driver Requirements: Device Statistics.
#[test]
fn counters_are_asked_for_where_the_device_has_them() {
    for mut bench in CommandBench::each(nic) {
        let control = 2 * PAIRS;
        let commands = bench.ask(|card, wait| card.statistics(control, StatisticsTypes::CVQ, wait)).unwrap();
        assert_eq!(commands.commands, Some(CommandCounters { commands: 2, succeeded: 2 }), "one asked which");
        let types = StatisticsTypes::RX_BASIC | StatisticsTypes::RX_GSO | StatisticsTypes::RX_CSUM;
        let received = bench.ask(|card, wait| card.statistics(2, types, wait)).unwrap();
        assert_eq!((received.receive.unwrap().packets, received.transmit), (0, None));
        assert!(received.receive_segmentation.is_some() && received.receive_checksums.is_some());
        let types = StatisticsTypes::TX_BASIC | StatisticsTypes::TX_CSUM | StatisticsTypes::TX_GSO;
        assert!(
            bench.ask(|card, wait| card.statistics(1, types, wait)).unwrap().transmit_segmentation.is_some()
        );
        let wrong = [
            (control, StatisticsTypes::RX_BASIC),
            (0, StatisticsTypes::TX_BASIC),
            (1, StatisticsTypes::RX_BASIC | StatisticsTypes::TX_BASIC),
            (0, StatisticsTypes::empty()),
            (0, StatisticsTypes::from_bits_retain(1 << 63)),
            (control + 1, StatisticsTypes::CVQ),
        ];
        for (queue, types) in wrong {
            let wrong = bench.unasked(|card, wait| card.statistics(queue, types, wait));
            assert_eq!(wrong, Err(ControlError::InvalidArgument), "{types:?} of {queue}");
        }
        bench.finish();
    }
    let mut bench = CommandBench::with_settings(nic(), |settings| settings.pairs_max = 1);
    for (queue, types) in [(2, StatisticsTypes::RX_BASIC), (3, StatisticsTypes::TX_BASIC)] {
        let wrong = bench.unasked(|card, wait| card.statistics(queue, types, wait));
        assert_eq!(wrong, Err(ControlError::InvalidArgument), "not installed");
    }
    bench.finish();
    let nic = Nic::new(ADDRESS).with_features(bits(&[feature::CTRL_VQ, feature::DEVICE_STATS]));
    let mut bench = CommandBench::with_settings(nic, |_| {});
    let supported = bench.ask(|card, wait| card.statistics_supported(wait)).unwrap();
    assert!(supported.contains(StatisticsTypes::RX_BASIC) && !supported.contains(StatisticsTypes::RX_CSUM));
    let wrong = bench.unasked(|card, wait| card.statistics(0, StatisticsTypes::RX_CSUM, wait));
    assert_eq!(wrong, Err(ControlError::Unsupported));
    bench.finish();
}

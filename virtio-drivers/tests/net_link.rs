//! What a network device says of itself, at first and when it changes.
//!
//! Spec: §5.1.4 Device configuration layout, §5.1.9.5.4 Gratuitous Packet Sending. The model complains of every field that is read though it is not there. Not under miri: what is said in the configuration is judged by safe code.

#![cfg(not(miri))]

mod support;

use support::commands::{ADDRESS, COMMANDS, CommandBench, FEATURES, PAIRS, Waiting, bits, commands, nic};
use support::tasks::{Task, run_woken};
use virtio_guest::device::net::{ControlError, Duplex, HashLimits, Link, StatisticsTypes};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Condition, ConfigError, Interrupt, Signals, VectorRouting};
use virtio_guest::wire::net::NetFeatures;
use virtio_model::Nic;
use virtio_model::net::{NicConfig, feature};
use virtio_model::pci::PciDevice;

const UP: Link = Link { is_up: true, announce: false };
const DOWN: Link = Link { is_up: false, announce: false };

/// A device with vectors, or with a line only, or behind the legacy interface; and how many messages its driver has for it.
fn with_interrupts(make: impl Fn() -> Nic) -> impl Iterator<Item = CommandBench> {
    let build = move |kind| {
        let nic = make();
        let (builder, messages) = match kind {
            0 => (nic.builder().msi_x(16), 2),
            1 => (nic.builder().msi_x(16), 8),
            2 => (nic.builder(), 0),
            _ => (nic.builder().device_id(0x1000).legacy(), 0),
        };
        let device = builder.build();
        CommandBench::start(nic, device, messages, |settings| settings.notifications = true)
    };
    (0..4).map(build)
}

fn low_features() -> u128 {
    bits(&FEATURES) & 0xffff_ffff
}

/// Connects the interrupts, and gives the objects for their handlers: of all vectors, or of the line.
fn connect(bench: &mut CommandBench) -> Vec<Interrupt<'static>> {
    let signals: &'static Signals<8> = Box::leak(Box::default());
    let interrupts = bench.card.connect_interrupts(signals).unwrap();
    let vectors = (0..16).map_while(|vector| interrupts.vector(vector));
    vectors.chain(interrupts.line()).collect()
}

/// Has the interrupts arrive that the device has sent; says how many there were.
fn interrupt(device: &PciDevice, handlers: &[Interrupt<'_>]) -> usize {
    let messages = device.take_messages();
    for (_, data) in &messages {
        handlers[*data as usize].handle();
    }
    let line = usize::from(device.line_is_raised());
    if line == 1 {
        handlers[0].handle();
        assert!(!device.line_is_raised());
    }
    messages.len() + line
}

#[test]
fn a_card_says_what_it_is_and_how_fast() {
    let nic = || nic().with_config(|config| (config.mtu, config.speed, config.duplex) = (9000, 25_000, 1));
    for bench in CommandBench::each(nic) {
        let card = &bench.card;
        assert_eq!((card.mac(), card.mtu(), card.pairs_max()), (ADDRESS, Some(9000), PAIRS));
        assert_eq!(
            (card.link(), card.speed(), card.duplex()),
            (Ok(UP), Ok(Some(25_000)), Ok(Some(Duplex::Full)))
        );
        assert!(card.offers_standby() && card.features().contains(NetFeatures::STANDBY));
        let limits = card.hash_limits();
        assert_eq!((limits.key_bytes_max, limits.table_entries_max), (40, 128));
        bench.finish();
    }
    let plain = Nic::new(ADDRESS);
    let device = plain.builder().features(1 << 32).build();
    let bench = CommandBench::start(plain, device, 0, |_| {});
    let card = &bench.card;
    assert_eq!((card.link(), card.speed(), card.duplex(), card.mtu()), (Ok(UP), Ok(None), Ok(None), None));
    assert_eq!((card.hash_limits(), card.offers_standby()), (HashLimits::default(), false));
    bench.finish();
}

/// Spec: §5.1.4.2 Driver Requirements: Device configuration layout.
#[test]
fn a_speed_that_is_none_is_not_known() {
    let bench = CommandBench::with_settings(nic(), |_| {});
    for (speed, duplex, expected) in [
        (0x7fff_ffff, 0, (Some(0x7fff_ffff), Some(Duplex::Half))),
        (0x8000_0000, 2, (None, None)),
        (0xffff_ffff, 0xff, (None, None)),
        (0, 1, (Some(0), Some(Duplex::Full))),
    ] {
        bench.nic.change_config(&bench.device, |config| (config.speed, config.duplex) = (speed, duplex));
        assert_eq!((bench.card.speed().unwrap(), bench.card.duplex().unwrap()), expected);
    }
    bench.finish();
}

/// Spec: §5.1.4.2 — the link, as the interrupt for the configuration tells.
#[test]
fn a_link_that_goes_down_and_comes_up_is_told_by_an_interrupt() {
    for mut bench in with_interrupts(|| Nic::new(ADDRESS)) {
        let handlers = connect(&mut bench);
        assert_eq!((bench.card.take_configuration_change(), bench.card.link()), (None, Ok(UP)));
        for (is_up, expected) in [(false, DOWN), (true, UP)] {
            bench.nic.set_link(&bench.device, is_up);
            assert_eq!(interrupt(&bench.device, &handlers), 1);
            assert_eq!(bench.card.take_configuration_change(), Some(Condition::Live));
            assert_eq!((bench.card.take_configuration_change(), bench.card.link()), (None, Ok(expected)));
        }
        bench.finish();
    }
}

#[test]
fn a_task_that_waits_for_the_link_is_woken() {
    for mut bench in with_interrupts(|| Nic::new(ADDRESS)) {
        let handlers = connect(&mut bench);
        let (nic, device) = (bench.nic.clone(), bench.device.clone());
        let card = &mut bench.card;
        let mut link = None;
        let mut task = [Task::new(async {
            assert_eq!(card.configuration_change().await, Condition::Live);
            link = Some(card.link());
        })];
        run_woken(&mut task);
        assert!(!task[0].is_over());
        nic.set_link(&device, false);
        assert_eq!(interrupt(&device, &handlers), 1);
        run_woken(&mut task);
        assert!(task[0].is_over());
        drop(task);
        assert_eq!(link, Some(Ok(DOWN)));
        bench.finish();
    }
}

/// Spec: §5.1.9.5.4 Gratuitous Packet Sending.
#[test]
fn a_device_that_wants_an_announcement_asks_until_it_is_acknowledged() {
    let nic = || Nic::new(ADDRESS).with_features(bits(&[feature::CTRL_VQ, feature::GUEST_ANNOUNCE]));
    for mut bench in with_interrupts(nic) {
        let handlers = connect(&mut bench);
        for acknowledgements in 1..3 {
            bench.nic.ask_for_announcement(&bench.device);
            assert_eq!(interrupt(&bench.device, &handlers), 1);
            assert_eq!(bench.card.take_configuration_change(), Some(Condition::Live));
            assert_eq!(bench.card.link(), Ok(Link { is_up: true, announce: true }));
            assert_eq!(
                bench.card.link(),
                Ok(Link { is_up: true, announce: true }),
                "until it is acknowledged"
            );
            assert_eq!(bench.ask(|card, wait| card.acknowledge_announce(wait)), Ok(()));
            interrupt(&bench.device, &handlers);
            assert_eq!(bench.card.link(), Ok(UP));
            assert_eq!(bench.nic.settings().acknowledgements, acknowledgements);
        }
        bench.finish();
    }
    // Who did not agree to it is not asked.
    let bench = CommandBench::with_settings(Nic::new(ADDRESS), |_| {});
    bench.nic.ask_for_announcement(&bench.device);
    assert_eq!(bench.card.link(), Ok(UP));
    bench.finish();
}

/// Spec: §5.1.4.1 — a device may not change it, and a driver that was told one length keeps to it.
#[test]
fn the_longest_packet_stays_as_it_was_at_bring_up() {
    let mut bench = CommandBench::with_settings(nic(), |_| {});
    for mtu in [9000, 0, 0xffff] {
        bench.nic.change_config(&bench.device, |config| config.mtu = mtu);
        assert_eq!(bench.card.mtu(), Some(1500));
        assert_eq!(bench.ask(COMMANDS[0].1), Ok(()));
    }
    bench.finish();
}

#[test]
fn a_longest_packet_that_is_shorter_than_any_is_not_agreed_on() {
    for (mtu, expected) in [(0, None), (67, None), (68, Some(68)), (9000, Some(9000))] {
        let bench = CommandBench::with_settings(nic().with_config(|config| config.mtu = mtu), |_| {});
        assert_eq!(bench.card.mtu(), expected);
        assert_eq!(bench.card.features().contains(NetFeatures::MTU), expected.is_some());
        bench.finish();
    }
}

/// Spec: §5.1.4.1 — a number of pairs is between 1 and 0x8000, and the control queue comes after them.
#[test]
fn a_number_of_pairs_that_there_cannot_be_is_one() {
    for pairs in [0, 0x8000, 0x8001, 0xffff] {
        let nic = nic().with_config(|config| config.max_virtqueue_pairs = pairs);
        let mut bench = CommandBench::with_settings(nic, |_| {});
        let several = NetFeatures::MQ | NetFeatures::RSS;
        assert_eq!((bench.card.pairs_max(), bench.pairs.len()), (1, 1));
        assert!(!bench.card.features().intersects(several | NetFeatures::RSS_CONTEXT));
        assert_eq!(bench.unasked(|card, wait| card.set_pairs(1, wait)), Err(ControlError::Unsupported));
        assert_eq!(bench.ask(COMMANDS[0].1), Ok(()), "the control queue is right after the one pair");
        bench.finish();
    }
}

/// Queue indices above 255, where a byte would not do.
#[test]
fn a_control_queue_after_many_pairs_is_found() {
    let nic = nic().with_pairs(300);
    let mut bench = CommandBench::with_settings(nic, |settings| settings.pairs_max = 1);
    assert_eq!((bench.card.pairs_max(), bench.pairs.len()), (300, 1));
    assert_eq!(bench.ask(COMMANDS[0].1), Ok(()));
    assert_eq!(bench.device.notifications(600), 1);
    let counters = bench.ask(|card, wait| card.statistics(600, StatisticsTypes::CVQ, wait)).unwrap();
    assert!(counters.commands.is_some());
    bench.finish();
}

/// A device that says one thing before features are agreed on, and another one afterwards.
#[test]
fn a_configuration_that_changes_during_bring_up_is_judged_again() {
    // With the first read it is found out before, with the second one after that.
    for (reads, max_virtqueue_pairs) in [(1, 0), (1, 0xffff), (2, 0), (2, 0xffff)] {
        let nic = nic();
        let device = nic.builder().build();
        device.set_config_after_reads(reads, NicConfig { max_virtqueue_pairs, ..nic.config() }.bytes());
        let mut bench = CommandBench::start(nic, device, 0, |_| {});
        assert_eq!((bench.card.pairs_max(), bench.pairs.len()), (1, 1));
        assert_eq!(bench.card.features().contains(NetFeatures::MQ), reads == 2);
        // To a device that agreed to more pairs the control queue is another one.
        let expected = if reads == 2 { Err(ControlError::TimedOut) } else { Ok(()) };
        assert_eq!(bench.ask(COMMANDS[0].1), expected);
        bench.end();
    }
}

#[test]
fn a_device_that_is_gone_says_nothing_of_its_link() {
    let bench = CommandBench::with_settings(nic(), |_| {});
    bench.device.misbehave(|lies| lies.all_ones = true);
    assert_eq!(bench.card.link(), Err(ConfigError::Removed));
    assert_eq!(bench.card.speed(), Err(ConfigError::Removed));
    assert_eq!(bench.card.condition(), Condition::Removed);
    assert!(bench.card.take_down(Attempts(3)).is_err());
}

/// A patience that sleeps until the device interrupts, for a queue with a vector of its own, and for one that shares the configuration's.
#[test]
fn a_call_sleeps_until_the_device_interrupts() {
    let nic = || Nic::new(ADDRESS).with_pairs(PAIRS).with_features(low_features());
    for mut bench in with_interrupts(nic) {
        let handlers = connect(&mut bench);
        let (nic, device, space) = (bench.nic.clone(), bench.device.clone(), bench.hal.space.clone());
        let mut asleep = || {
            nic.serve(&device, &space);
            assert!(interrupt(&device, &handlers) > 0, "asleep for ever");
            true
        };
        let wait: Waiting<'_> = &mut asleep;
        assert_eq!(bench.card.set_promiscuous(true, &mut *wait), Ok(()));
        assert_eq!(bench.card.add_vlan(9, &mut *wait), Ok(()));
        assert_eq!(bench.card.set_pairs(2, wait), Ok(()));
        bench.finish();
    }
}

/// Who looks by himself is not interrupted.
#[test]
fn a_control_queue_of_a_driver_that_looks_brings_no_interrupts() {
    let nic = nic();
    let device = nic.builder().msi_x(8).build();
    let mut bench = CommandBench::start(nic, device, 8, |_| {});
    for (name, ask) in commands() {
        assert_eq!(bench.ask(ask), Ok(()), "{name}");
    }
    assert_eq!(bench.device.used_interrupts(), 0);
    bench.finish();
}

/// Three messages are for the configuration and a pair of queues, or not enough.
#[test]
fn only_a_card_with_a_control_queue_needs_a_vector_for_it() {
    let expected = [(0, VectorRouting::PerQueue), (1 << feature::CTRL_VQ, VectorRouting::SharedByQueues)];
    for (features, routing) in expected {
        let nic = Nic::new(ADDRESS).with_features(features);
        let device = nic.builder().msi_x(16).build();

        let bench = CommandBench::start(nic, device, 3, |settings| settings.notifications = true);

        assert_eq!(bench.card.vectors(), routing);
        bench.finish();
    }
}

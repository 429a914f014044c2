//! Control queues whose device refuses, answers nonsense, or does not answer.
//!
//! Spec: §5.1.9.5 Control Virtqueue. Every call ends with an error, within the patience of its caller; frames go on meanwhile. Not under miri: answers are judged by safe code, and commands are copied in `net_commands.rs` as well.

#![cfg(not(miri))]

mod support;

use support::commands::{ADDRESS, COMMANDS, CommandBench, PAIRS, bits, commands, nic};
use virtio_guest::device::net::{Coalescing, ControlError, StatisticsTypes};
use virtio_guest::hal::Attempts;
use virtio_guest::ring::Broken;
use virtio_model::Nic;
use virtio_model::block::WrittenLen;
use virtio_model::net::{NicMisbehaviour, feature};
use virtio_model::pci::Completion;

/// Commands whose answer is followed by a result.
const WITH_RESULT: [&str; 4] = ["coalescing asked for", "types of counters", "counters", "contexts"];

fn misbehave(bench: &CommandBench, lies: NicMisbehaviour) {
    bench.nic.misbehave(|misbehaviour| *misbehaviour = lies);
}

/// Sends every command to a device that lies like this.
fn each_command(lies: &NicMisbehaviour, expected: impl Fn(&str) -> Result<(), ControlError>) {
    for mut bench in CommandBench::each(nic) {
        misbehave(&bench, lies.clone());
        for (name, ask) in commands() {
            assert_eq!(bench.ask(ask), expected(name), "{name}");
        }
        misbehave(&bench, NicMisbehaviour::default());
        let (name, promiscuous) = COMMANDS[0];
        assert_eq!(bench.ask(promiscuous), Ok(()), "{name} afterwards");
        assert_eq!(bench.card.mac(), ADDRESS);
        bench.finish();
    }
}

#[test]
fn a_refused_command_is_an_error_and_the_next_one_is_not() {
    each_command(&NicMisbehaviour { ack: Some(1), ..Default::default() }, |_| Err(ControlError::Refused));
}

#[test]
fn an_answer_that_is_neither_yes_nor_no_is_not_taken_for_one() {
    for ack in [2, 0x80, 0xff] {
        each_command(&NicMisbehaviour { ack: Some(ack), ..Default::default() }, |_| {
            Err(ControlError::BadAnswer)
        });
    }
}

/// The answer of the command before is not found there either.
#[test]
fn a_command_that_comes_back_without_an_answer_did_not_succeed() {
    each_command(&NicMisbehaviour { skips_ack: true, ..Default::default() }, |_| {
        Err(ControlError::BadAnswer)
    });
}

/// Where there is a result, the device has to say that it wrote it. Else the answer itself tells, and devices that say that they wrote nothing are believed.
#[test]
fn a_result_that_the_device_does_not_claim_to_have_written_is_not_taken_for_one() {
    for written in [0, 1, 2] {
        let lies = NicMisbehaviour { command_written: WrittenLen::Exactly(written), ..Default::default() };
        for mut bench in CommandBench::each(nic) {
            misbehave(&bench, lies.clone());
            // In a packed ring of the model a length that is too long for a chain breaks its queue, as it should.
            for (name, ask) in commands().filter(|(name, _)| written < 2 || WITH_RESULT.contains(name)) {
                let has_result = WITH_RESULT.contains(&name);
                let expected = if has_result { Err(ControlError::BadAnswer) } else { Ok(()) };
                assert_eq!(bench.ask(ask), expected, "{name}");
            }
            bench.finish();
        }
    }
}

/// What was left there by a command before is not the result of this one.
#[test]
fn a_result_that_is_claimed_and_not_written_is_zeros() {
    let lies = NicMisbehaviour {
        result: Some(Vec::new()),
        command_written: WrittenLen::Exactly(9),
        ..Default::default()
    };
    for mut bench in CommandBench::each(nic) {
        bench.ask(|card, wait| card.set_mac_table(&[[0xfe; 6]; 9], &[], wait)).unwrap();
        misbehave(&bench, lies.clone());
        let result = bench.ask(|card, wait| card.queue_coalescing(1, wait));
        assert_eq!(result, Ok(Coalescing::default()));
        bench.finish();
    }
}

#[test]
fn a_device_that_claims_more_than_it_could_write_breaks_its_control_queue_and_nothing_else() {
    for mut bench in CommandBench::each(nic) {
        misbehave(&bench, NicMisbehaviour { command_written: WrittenLen::More(1), ..Default::default() });
        let (_, promiscuous) = COMMANDS[0];
        let broken = bench.ask(promiscuous);
        assert!(matches!(broken, Err(ControlError::Broken(Broken::WrittenTooMuch { .. }))), "{broken:?}");
        for (name, ask) in commands() {
            assert_eq!(bench.unasked(ask), broken, "{name}");
        }
        let (receive, transmit) = &mut bench.pairs[0];
        let mut frame = receive.frame().unwrap();
        frame.append(&[0xff; 60]).unwrap();
        transmit.transmit(frame).unwrap();
        bench.nic.serve(&bench.device, &bench.hal.space);
        assert_eq!((transmit.reap(), bench.nic.take_transmitted().len()), (Ok(1), 1));
        bench.finish();
    }
}

#[test]
fn a_device_that_returns_what_it_was_not_given_breaks_its_control_queue() {
    for mut bench in CommandBench::in_any_order(nic) {
        let index = 2 * PAIRS;
        let (nic, device, space) = (bench.nic.clone(), bench.device.clone(), bench.hal.space.clone());
        let (_, promiscuous) = COMMANDS[0];
        let broken = promiscuous(&mut bench.card, &mut || {
            nic.with_queue(&device, &space, index, |queue| {
                queue.pop().unwrap().unwrap();
                queue.complete(15, 1).unwrap();
            });
            false
        });
        assert!(matches!(broken, Err(ControlError::Broken(Broken::UnknownChain { .. }))), "{broken:?}");
        bench.end();
    }
}

/// One command that is not answered holds up all others, and its answer is not taken for theirs.
#[test]
fn without_an_answer_the_call_ends_and_the_queue_is_busy_until_it_comes() {
    for mut bench in CommandBench::each(nic) {
        for (name, ask) in commands() {
            misbehave(&bench, NicMisbehaviour { ignores_commands: true, ..Default::default() });
            assert_eq!(bench.ask(ask), Err(ControlError::TimedOut), "{name}");
            let (other, promiscuous) = COMMANDS[0];
            assert_eq!(bench.unasked(promiscuous), Err(ControlError::Busy), "{other} after {name}");

            // The late answer is no; the next one is yes.
            misbehave(&bench, NicMisbehaviour { ack: Some(1), ..Default::default() });
            bench.nic.serve(&bench.device, &bench.hal.space);
            misbehave(&bench, NicMisbehaviour::default());
            assert_eq!(bench.ask(promiscuous), Ok(()), "{other} after {name}");
        }
        bench.finish();
    }
}

/// A patience that ends while the device works: what it brings last is still looked at.
#[test]
fn a_call_looks_once_more_when_its_patience_is_over() {
    for mut bench in CommandBench::each(nic) {
        let (nic, device, space) = (bench.nic.clone(), bench.device.clone(), bench.hal.space.clone());
        let mut rounds = 0;
        let mut wait = || {
            rounds += 1;
            nic.serve(&device, &space);
            false
        };
        assert_eq!(bench.card.set_promiscuous(true, &mut wait), Ok(()));
        assert_eq!(rounds, 1);
        bench.finish();
    }
}

/// Spec: §5.1.9.5.8.4 — nobody knows whether there is a context then.
#[test]
fn after_a_context_that_may_have_been_added_the_number_of_pairs_stays() {
    let mut bench = CommandBench::with_settings(nic(), |_| {});
    bench.ask(|card, wait| card.rss_contexts_max(wait)).unwrap();
    misbehave(&bench, NicMisbehaviour { ignores_commands: true, ..Default::default() });
    let (_, add) = COMMANDS[COMMANDS.len() - 1];
    assert_eq!(bench.ask(add), Err(ControlError::TimedOut));
    misbehave(&bench, NicMisbehaviour::default());
    bench.nic.serve(&bench.device, &bench.hal.space);
    assert_eq!(bench.unasked(|card, wait| card.set_pairs(1, wait)), Err(ControlError::InvalidArgument));
    assert_eq!(bench.ask(|card, wait| card.remove_rss_context(1, wait)), Ok(()));
    assert_eq!(bench.ask(|card, wait| card.set_pairs(1, wait)), Ok(()));
    bench.finish();
}

/// A number of contexts that there cannot be leaves no number to choose.
#[test]
fn a_device_without_contexts_is_sent_none() {
    let mut bench = CommandBench::with_settings(nic().with_rss_contexts(0), |_| {});
    assert_eq!(bench.ask(|card, wait| card.rss_contexts_max(wait)), Ok(0));
    for (_, add) in COMMANDS.into_iter().filter(|(name, _)| *name == "contexts") {
        assert_eq!(bench.unasked(add), Err(ControlError::InvalidArgument));
    }
    bench.finish();
}

fn reply(reply_type: u8, queue: u16, size: u16, counters: usize) -> Vec<u8> {
    let mut reply = vec![reply_type, 0];
    reply.extend(queue.to_le_bytes());
    reply.extend([0, 0]);
    reply.extend(size.to_le_bytes());
    reply.extend((1..=counters as u64).flat_map(u64::to_le_bytes));
    reply
}

/// Spec: §5.1.9.5.11.2 Get Statistics.
#[test]
fn counters_are_believed_only_where_their_headers_fit() {
    let asked = |bench: &mut CommandBench, result: Vec<u8>| {
        bench.nic.misbehave(|lies| lies.result = Some(result));
        let types = StatisticsTypes::RX_BASIC | StatisticsTypes::RX_SPEED;
        bench.ask(|card, wait| card.statistics(2, types, wait))
    };
    let (basic, speed) = (reply(0, 2, 56, 6), reply(3, 2, 24, 2));
    let nonsense = [
        vec![],
        basic.clone(),
        [&basic[..], &basic, &speed].concat(),
        [&basic[..], &speed[..23]].concat(),
        [&basic[..], &speed[..7]].concat(),
        [&reply(1, 2, 56, 6)[..], &speed].concat(),
        [&reply(64, 2, 56, 6)[..], &speed].concat(),
        [&reply(255, 2, 56, 6)[..], &speed].concat(),
        [&reply(0, 0, 56, 6)[..], &speed].concat(),
        [&reply(0, 2, 0, 6)[..], &speed].concat(),
        [&reply(0, 2, 7, 6)[..], &speed].concat(),
        [&reply(0, 2, 8, 0)[..], &speed].concat(),
        [&reply(0, 2, 48, 5)[..], &speed].concat(),
        [&reply(0, 2, 0xffff, 6)[..], &speed].concat(),
        [&speed[..], &reply(0, 2, 0xffff, 6)].concat(),
        [&reply(1, 2, 40, 4)[..], &reply(0, 2, 0x1000, 512)].concat(),
    ];
    for mut bench in CommandBench::each(nic) {
        bench.ask(|card, wait| card.statistics_supported(wait)).unwrap();
        for result in &nonsense {
            assert_eq!(asked(&mut bench, result.clone()), Err(ControlError::BadAnswer), "{result:x?}");
        }
        // More room would have had what is missing.
        let filled = asked(&mut bench, [&basic[..], &[0; 2000]].concat());
        assert_eq!(filled, Err(ControlError::BadAnswer), "a header of zeros");
        let filled = asked(&mut bench, reply(0, 2, 0x1000, 512));
        assert_eq!(filled, Err(ControlError::TooLong));
        // In any order, and with counters that this driver does not know.
        let statistics = asked(&mut bench, [&speed[..], &reply(0, 2, 72, 8)].concat()).unwrap();
        assert_eq!(statistics.receive_speed.unwrap().bytes, 2);
        assert_eq!(
            statistics.receive.map(|counters| (counters.notifications, counters.overruns)),
            Some((1, 6))
        );
        bench.finish();
    }
}

#[test]
fn types_of_counters_that_nobody_knows_are_not_asked_for() {
    let mut bench = CommandBench::with_settings(nic(), |_| {});
    bench.nic.misbehave(|lies| lies.result = Some(vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
    let supported = bench.ask(|card, wait| card.statistics_supported(wait)).unwrap();
    assert_eq!(supported, StatisticsTypes::all() - StatisticsTypes::RX_BASIC);
    let unknown = bench.unasked(|card, wait| card.statistics(0, StatisticsTypes::RX_BASIC, wait));
    assert_eq!(unknown, Err(ControlError::Unsupported));
    bench.finish();
}

/// Spec: §5.1.9.5.11.12 — nor are those whose features were not agreed on, whatever the device says.
#[test]
fn counters_of_what_was_not_agreed_on_are_not_asked_for() {
    let nic = Nic::new(ADDRESS).with_features(bits(&[feature::CTRL_VQ, feature::DEVICE_STATS]));
    let mut bench = CommandBench::with_settings(nic, |_| {});
    bench.nic.misbehave(|lies| lies.result = Some(vec![0xff; 8]));
    let supported = bench.ask(|card, wait| card.statistics_supported(wait)).unwrap();
    let without = [
        StatisticsTypes::RX_CSUM,
        StatisticsTypes::RX_GSO,
        StatisticsTypes::TX_CSUM,
        StatisticsTypes::TX_GSO,
    ];
    assert_eq!(supported, StatisticsTypes::all() - without.into_iter().collect());
    for (queue, types) in [(0, without[0]), (0, without[1]), (1, without[2]), (1, without[3])] {
        let refused = bench.unasked(|card, wait| card.statistics(queue, types, wait));
        assert_eq!(refused, Err(ControlError::Unsupported));
    }
    bench.finish();
}

#[test]
fn counters_for_which_there_is_no_room_are_not_asked_for() {
    for (control_bytes, expected) in [(16 + 55, Err(ControlError::TooLong)), (16 + 56, Ok(()))] {
        let mut bench = CommandBench::with_settings(nic(), |settings| settings.control_bytes = control_bytes);
        bench.ask(|card, wait| card.statistics_supported(wait)).unwrap();
        bench.nic.take_commands();
        let asked = bench.ask(|card, wait| card.statistics(0, StatisticsTypes::RX_BASIC, wait));
        assert_eq!(asked.map(drop), expected);
        assert_eq!(bench.nic.take_commands().len(), usize::from(expected.is_ok()));
        bench.finish();
    }
}

#[test]
fn a_command_that_is_longer_than_the_queue_s_memory_is_not_sent() {
    let mut bench = CommandBench::with_settings(nic(), |settings| settings.control_bytes = 8);
    let (long, short): (Vec<_>, Vec<_>) = commands().partition(|(name, _)| {
        [
            "address table",
            "hash",
            "steering",
            "coalescing of a queue",
            "coalescing asked for",
            "counters",
            "contexts",
        ]
        .contains(name)
    });
    for (name, ask) in short {
        assert_eq!(bench.ask(ask), Ok(()), "{name}");
    }
    bench.ask(|card, wait| card.rss_contexts_max(wait)).unwrap();
    for (name, ask) in long {
        assert_eq!(bench.unasked(ask), Err(ControlError::TooLong), "{name}");
    }
    assert_eq!(bench.ask(|card, wait| card.set_mac_table(&[], &[], wait)), Ok(()), "8 bytes");
    bench.finish();
}

/// Four descriptors are what the longest commands take.
#[test]
fn a_command_that_takes_more_descriptors_than_the_queue_has_is_not_sent() {
    let few = |queue_size| {
        let nic = nic();
        let sizes: Vec<u16> = (0..2 * PAIRS).map(|_| 16).chain([queue_size]).collect();
        let device = nic.builder().queue_sizes(&sizes).build();
        CommandBench::start(nic, device, 0, |_| {})
    };
    let mut bench = few(2);
    for (name, ask) in commands() {
        let expected = match name {
            "announcement" | "types of counters" => Ok(()),
            _ => Err(ControlError::TooLong),
        };
        // How many contexts there can be takes three.
        assert_eq!(
            bench.ask(ask),
            if name == "types of counters" { Err(ControlError::TooLong) } else { expected }
        );
    }
    bench.finish();
    let mut bench = few(4);
    for (name, ask) in commands() {
        assert_eq!(bench.ask(ask), Ok(()), "{name}");
    }
    bench.finish();
}

/// Spec: §2.4.1 — a device that is asked for a reset is told nothing else.
#[test]
fn a_device_that_does_not_confirm_its_reset_gets_no_commands() {
    let CommandBench { nic, device, hal, card, pairs } = CommandBench::with_settings(nic(), |_| {});
    device.misbehave(|lies| lies.reset = Completion::Never);
    let failed = card.take_down(Attempts(3)).unwrap_err();
    let mut bench = CommandBench { nic, device, hal, card: failed.control, pairs };
    for (name, ask) in commands() {
        let expected = ControlError::Broken(Broken::ResetPending);
        assert_eq!(bench.unasked(ask), Err(expected), "{name}");
    }
    bench.device.misbehave(|lies| lies.reset = Completion::Prompt);
    bench.finish();
}

#[test]
fn the_storage_of_a_control_queue_comes_back_with_the_reset() {
    for (features, expected) in [(&[feature::CTRL_VQ][..], true), (&[], false)] {
        let nic = Nic::new(ADDRESS).with_features(bits(features));
        let CommandBench { card, .. } = CommandBench::with_settings(nic, |_| {});
        let down = card.take_down(Attempts(10)).unwrap();
        assert_eq!(down.control_slots.is_some(), expected);
    }
}

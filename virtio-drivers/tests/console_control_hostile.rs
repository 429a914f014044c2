//! What a device can do with control messages: nonsense, without end, or not taking answers.
//!
//! Spec: §5.3.6.2 Multiport Device Operation. Whatever it says of one port, the others go on, and every call ends. Not under miri: messages are judged by safe code, and copied in `console_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use support::console::{Make, PortsBench};
use virtio_guest::device::console::{ControlCounts, ControlError, NAME_BYTES_MAX, PortEvent};
use virtio_guest::hal::Attempts;
use virtio_guest::ring::Broken;
use virtio_model::block::WrittenLen;
use virtio_model::console::{event, message};

const MAKE: fn() -> Make = || Make { ports: 5, ..Make::default() };

fn each() -> impl Iterator<Item = PortsBench> {
    MAKE().each_ring().map(|make| {
        let mut bench = make.start_ports();
        bench.add_open(0);
        bench.add_open(1);
        bench
    })
}

/// Sends these messages; the ports that are open still work, and this is what was counted.
fn send(bench: &mut PortsBench, messages: &[Vec<u8>]) -> (Vec<PortEvent>, ControlCounts) {
    let before = bench.control.counts();
    for message in messages {
        bench.other.console.send_control(message.clone());
    }
    let events = bench.events();
    assert!(bench.is_connected(0) && bench.is_connected(1), "the others go on");
    let counts = bench.control.counts();
    assert_eq!(counts.messages - before.messages, messages.len() as u64);
    (events, ControlCounts { messages: 0, ..counts })
}

#[test]
fn a_message_that_is_too_short_comes_to_nothing() {
    for mut bench in each() {
        let mut messages: Vec<_> =
            (0..8).map(|len| message(1, event::DEVICE_REMOVE, 0, &[])[..len].to_vec()).collect();
        messages.extend((0..4).map(|len| message(1, event::RESIZE, 0, &vec![1; len])));

        let (events, counts) = send(&mut bench, &messages);

        assert_eq!((events, counts), (vec![], ControlCounts { short: 12, ..Default::default() }));
        bench.end();
    }
}

#[test]
fn a_message_about_a_port_that_cannot_be_comes_to_nothing() {
    for mut bench in each() {
        // Of 5 ports 3 have queues.
        let events = 0..12;
        let messages: Vec<_> = events
            .flat_map(|event| [5, 7, 0x1_0001, u32::MAX].map(|port| message(port, event, 1, &[b'a'; 4])))
            .collect();

        let (events, counts) = send(&mut bench, &messages);

        assert_eq!((events, counts), (vec![], ControlCounts { impossible_ports: 48, ..Default::default() }));
        bench.end();
    }
}

#[test]
fn what_is_said_of_a_port_that_was_not_added_comes_to_nothing() {
    for mut bench in each() {
        let about =
            [event::DEVICE_REMOVE, event::CONSOLE_PORT, event::RESIZE, event::PORT_OPEN, event::PORT_NAME];
        let messages = about.map(|event| message(2, event, 1, b"name"));

        let (events, counts) = send(&mut bench, &messages);

        assert_eq!((events, counts), (vec![], ControlCounts { absent_ports: 5, ..Default::default() }));
        bench.other.serve();
        assert!(bench.control.port(2).is_none() && !bench.other.console.port_is_open_by_driver(2));
        bench.end();
    }
}

#[test]
fn a_port_that_is_added_twice_stays_as_it_is() {
    for mut bench in each() {
        bench.other.console.name_port(1, "first");
        bench.events();
        bench.other.console.take_control();

        let (events, counts) = send(&mut bench, &[message(1, event::DEVICE_ADD, 0, &[])]);

        assert_eq!((events, counts), (vec![], ControlCounts { added_twice: 1, ..Default::default() }));
        let port = bench.control.port(1).unwrap();
        assert_eq!((port.name, port.device_is_open), (Some("first"), true));
        assert_eq!(bench.other.console.take_control(), [], "it was answered once");
        bench.end();
    }
}

#[test]
fn an_event_that_is_not_known_or_not_the_devices_to_send_comes_to_nothing() {
    for mut bench in each() {
        let unknown = [event::DEVICE_READY, event::PORT_READY, 8, 0x0100, u16::MAX];
        let messages: Vec<_> = unknown
            .into_iter()
            .flat_map(|event| [1, 2].map(|port| message(port, event, 1, b"name")))
            .collect();

        let (events, counts) = send(&mut bench, &messages);

        assert_eq!((events, counts), (vec![], ControlCounts { unknown_events: 10, ..Default::default() }));
        bench.end();
    }
}

/// The port keeps the name that it has.
#[test]
fn a_name_that_is_empty_too_long_or_no_text_is_refused() {
    for mut bench in each() {
        let longest = "é".repeat(NAME_BYTES_MAX / 2);
        bench.other.console.name_port(1, &longest);
        assert_eq!(bench.events(), [PortEvent::Named(1)]);
        let names = [
            b"".to_vec(),
            b"\0".to_vec(),
            b"caf\xc3".to_vec(),
            b"\xff".to_vec(),
            vec![b'a'; NAME_BYTES_MAX + 1],
        ];
        let messages = names.map(|name| message(1, event::PORT_NAME, 1, &name));

        let (events, counts) = send(&mut bench, &messages);

        assert_eq!((events, counts), (vec![], ControlCounts { bad_names: 5, ..Default::default() }));
        assert_eq!(bench.control.port(1).unwrap().name, Some(longest.as_str()));
        bench.end();
    }
}

/// It is gone, open or not; what was to be told of it is not told any more.
#[test]
fn a_port_that_is_removed_while_it_is_open_is_gone() {
    for mut bench in each() {
        bench.other.console.misbehave(|lies| lies.ignores_control = true);
        for _ in 0..40 {
            bench.control.close_port(1).unwrap();
            bench.control.open_port(1).unwrap();
        }
        bench.other.console.misbehave(|lies| lies.ignores_control = false);
        bench.other.console.remove_port(1);

        assert_eq!(bench.events(), [PortEvent::Removed(1)]);

        assert!(bench.control.port(1).is_none() && bench.is_connected(0));
        bench.add_open(1);
        assert!(bench.is_connected(1));
        bench.end();
    }
}

/// Answers that find no room wait: nothing is lost, nobody waits, and what there is no room to answer is not listened to.
#[test]
fn a_device_that_takes_no_answers_gets_them_all_once_it_does() {
    for mut bench in each() {
        bench.other.console.take_control();
        bench.other.console.misbehave(|lies| lies.ignores_control = true);
        let rounds = 30;
        for _ in 0..rounds {
            bench.other.console.send_control(message(1, event::CONSOLE_PORT, 1, &[]));
        }
        let events = bench.events();
        assert!(events.len() < rounds, "there are 16 buffers for answers");
        assert_eq!(bench.control.close_port(0), Ok(()), "it is remembered");
        assert_eq!((bench.control.open_port(0), bench.control.close_port(0)), (Ok(()), Ok(())));

        bench.other.console.misbehave(|lies| lies.ignores_control = false);
        let rest = bench.events();
        bench.events();

        assert_eq!(events.len() + rest.len(), rounds);
        let controls = bench.other.console.take_control();
        let opened = controls.iter().filter(|control| (control.id, control.value) == (1, 1)).count();
        assert_eq!(opened, rounds, "each was answered");
        assert!(!bench.other.console.port_is_open_by_driver(0), "the last word counts");
        bench.end();
    }
}

/// A call looks at as many messages as there are buffers, and no more.
#[test]
fn a_flood_of_nonsense_holds_up_nobody() {
    for mut bench in each() {
        let nonsense = message(77, event::PORT_OPEN, 1, &[]);
        bench.other.console.misbehave(|lies| lies.floods = Some(nonsense));
        bench.other.serve();
        let before = bench.control.counts().messages;

        assert_eq!(bench.control.next_event(), Ok(None));

        assert_eq!(bench.control.counts().messages - before, 16);
        for _ in 0..100 {
            bench.other.serve();
            assert_eq!(bench.control.next_event(), Ok(None));
            assert!(bench.is_connected(0));
        }
        bench.end();
    }
}

/// Spec: §2.7.8 The Virtqueue Used Ring.
#[test]
fn a_message_longer_than_its_buffer_ends_the_control_queues_and_no_other() {
    for mut bench in each() {
        bench.other.console.misbehave(|lies| lies.control_written = WrittenLen::Exactly(100_000));
        bench.other.console.name_port(1, "name");
        bench.other.serve();

        let Err(ControlError::Broken(broken)) = bench.control.next_event() else { panic!("it is a lie") };

        assert!(matches!(broken, Broken::WrittenTooMuch { written_len: 100_000, .. }));
        assert_eq!(bench.control.open_port(1), Err(ControlError::Broken(broken)));
        assert_eq!(bench.control.next_event(), Err(ControlError::Broken(broken)));
        assert!(bench.is_connected(0) && bench.is_connected(1));
        bench.end();
    }
}

/// What the device says of the lengths of the driver's own messages means nothing.
///
/// Spec: §5.3.6.3 Legacy Interface: Device Operation.
#[test]
fn used_lengths_of_the_drivers_messages_mean_nothing() {
    for legacy in [false, true] {
        let mut bench = Make { legacy, ..MAKE() }.start_ports();
        bench.other.console.misbehave(|lies| lies.answered_written = WrittenLen::Exactly(77));
        for _ in 0..20 {
            bench.add_open(1);
            assert!(bench.is_connected(1));
            bench.other.console.remove_port(1);
            assert_eq!(bench.events(), [PortEvent::Removed(1)]);
        }
        bench.end();
    }
}

#[test]
fn a_returned_message_that_was_never_sent_ends_the_control_queues_and_no_other() {
    for mut bench in each() {
        bench.other.console.misbehave(|lies| lies.control_id = Some(9999));
        bench.other.console.name_port(1, "name");
        bench.other.serve();

        assert!(matches!(bench.control.next_event(), Err(ControlError::Broken(_))));

        assert!(bench.is_connected(0));
        assert!(bench.control.take_down(Attempts(10)).is_ok());
    }
}

//! What is said through control messages, and what must be answered.
//!
//! Spec: §5.3.6.2 Multiport Device Operation.

use super::{Bench, Console, event, message};

#[test]
fn a_port_is_added_made_ready_and_introduced() {
    let mut bench = Bench::new(Console::new().with_ports(3));
    let console = bench.console.clone();
    console.add_port(1);
    console.make_console(1);
    console.name_port(1, "log");
    console.open_port(1);
    assert_eq!(bench.hear(), [], "the driver is not ready");

    bench.say(0, event::DEVICE_READY, 1);
    assert_eq!(console.unanswered(), [(1, event::DEVICE_ADD)]);
    bench.say(1, event::PORT_READY, 1);
    assert!(console.driver_is_ready() && console.port_is_ready(1));

    let told = [bench.hear(), bench.hear(), bench.hear(), bench.hear()];
    assert_eq!(told[0], message(1, event::CONSOLE_PORT, 1, &[]));
    assert_eq!(told[1], message(1, event::PORT_NAME, 1, b"log"));
    assert_eq!(told[2], message(1, event::PORT_OPEN, 1, &[]));
    assert_eq!(told[3], []);
    assert_eq!(console.unanswered(), [(1, event::CONSOLE_PORT)]);
    bench.say(1, event::PORT_OPEN, 1);
    assert!(console.port_is_open_by_driver(1) && console.unanswered().is_empty());
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn a_message_is_laid_out_as_the_specification_has_it() {
    assert_eq!(message(0x0102_0304, 0x0506, 0x0708, b"x"), [4, 3, 2, 1, 6, 5, 8, 7, b'x']);
}

#[test]
fn bytes_come_to_a_port_once_its_driver_has_opened_it() {
    let mut bench = Bench::with_port(2);
    bench.bare.submit(6, &[], &[8]);
    bench.console.send(2, "late");
    bench.serve();
    assert_eq!(bench.bare.used(6), []);

    bench.say(2, event::PORT_OPEN, 1);
    assert_eq!(bench.bare.used(6), [(0, 4)]);

    bench.say(2, event::PORT_OPEN, 0);
    bench.bare.submit(6, &[], &[8]);
    bench.console.send(2, "later");
    bench.serve();
    assert_eq!(bench.bare.used(6), []);
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn each_port_has_its_own_pair_of_queues() {
    let mut bench = Bench::ready();
    for (port, queue) in [(0, 1), (1, 5), (2, 7)] {
        bench.console.add_port(port);
        bench.bare.submit(queue, &[&[b'0' + u8::try_from(port).unwrap()]], &[]);
    }
    bench.serve();

    assert_eq!([0, 1, 2].map(|port| bench.console.take_sent_bytes(port)), [b"0", b"1", b"2"]);
}

#[test]
fn a_removed_port_takes_no_bytes_and_gives_its_buffers_back() {
    let mut bench = Bench::with_port(1);
    bench.console.send(1, "never");
    bench.console.remove_port(1);
    assert_eq!(bench.hear(), message(1, event::DEVICE_REMOVE, 0, &[]));

    bench.bare.submit(5, &[b"lost"], &[]);
    bench.serve();

    assert_eq!((bench.bare.used(5), bench.console.take_sent(1)), (vec![(0, 0)], vec![]));
    assert_eq!((bench.console.discarded(), bench.console.arriving(1)), (4, 0));
    bench.console.add_port(1);
    assert_eq!(bench.hear(), message(1, event::DEVICE_ADD, 0, &[]));
    bench.say(1, event::PORT_READY, 1);
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn the_size_of_a_port_comes_in_either_order() {
    for (rows_first, expected) in [(false, [100, 0, 30, 0]), (true, [30, 0, 100, 0])] {
        let mut bench = Bench::with_port(0);
        if rows_first {
            bench.console = bench.console.with_rows_first();
        }
        bench.console.resize_port(0, 100, 30);
        assert_eq!(bench.hear(), message(0, event::RESIZE, 0, &expected));
    }
}

#[test]
fn what_a_driver_must_not_say_is_a_driver_error() {
    for (before, wrong, text) in [
        (&[][..], (1, event::PORT_READY, 1), "before DEVICE_READY"),
        (&[], (0, event::DEVICE_READY, 2), "value 2"),
        (&[(0, event::DEVICE_READY, 1)], (0, event::DEVICE_READY, 1), "again"),
        (&[(0, event::DEVICE_READY, 1)], (1, event::DEVICE_ADD, 1), "sent by the driver"),
        (&[(0, event::DEVICE_READY, 1)], (2, event::PORT_READY, 1), "not added"),
        (&[(0, event::DEVICE_READY, 1)], (1, event::PORT_OPEN, 1), "before it is ready"),
        (&[(0, event::DEVICE_READY, 1)], (1, event::PORT_READY, 7), "value 7"),
        (&[(0, event::DEVICE_READY, 1), (1, event::PORT_READY, 1)], (1, event::PORT_READY, 1), "again"),
    ] {
        let mut bench = Bench::new(Console::new().with_ports(3));
        bench.console.add_port(1);
        for (id, event, value) in before {
            bench.say(*id, *event, *value);
            bench.hear();
        }
        bench.bare.device.assert_driver_was_correct();
        bench.console.take_control();

        bench.say(wrong.0, wrong.1, wrong.2);

        assert!(bench.bare.only_error().contains(text), "{}", bench.bare.only_error());
        assert_eq!(bench.complaints().len(), 1);
    }
}

/// Spec: §5.3.6.2.2 Driver Requirements: Multiport Device Operation.
#[test]
fn a_console_port_that_is_said_to_be_closed_still_waits_for_its_answer() {
    let mut bench = Bench::with_port(0);
    bench.console.make_console(0);
    assert_eq!(bench.hear(), message(0, event::CONSOLE_PORT, 1, &[]));

    bench.say(0, event::PORT_OPEN, 0);
    assert_eq!(bench.console.unanswered(), [(0, event::CONSOLE_PORT)]);
    bench.say(0, event::PORT_OPEN, 1);

    assert_eq!(bench.console.unanswered(), []);
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn nobody_waits_for_the_answer_of_a_console_port_that_is_gone() {
    let mut bench = Bench::with_port(0);
    bench.console.make_console(0);
    bench.hear();
    assert_eq!(bench.console.unanswered(), [(0, event::CONSOLE_PORT)]);

    bench.console.remove_port(0);
    bench.hear();

    assert_eq!(bench.console.unanswered(), []);
}

#[test]
fn control_buffers_of_the_wrong_form_are_driver_errors() {
    let whole = message(0, event::DEVICE_READY, 1, &[0]);
    for (queue, readable, writable, text) in [
        (3, &[&whole[..7]][..], &[][..], "7 bytes"),
        (3, &[&whole[..]], &[], "9 bytes"),
        (3, &[&whole[..8]], &[4], "writable"),
        (2, &[&whole[..8]], &[8], "readable"),
    ] {
        let mut bench = Bench::new(Console::new().with_ports(1));
        bench.bare.submit(queue, readable, writable);
        bench.serve();
        assert!(bench.bare.only_error().contains(text));
    }
}

#[test]
fn after_a_reset_the_driver_has_to_say_again_that_it_is_ready() {
    let mut bench = Bench::with_port(1);
    bench.bare.bring_up_again();
    bench.serve();
    assert!(!bench.console.driver_is_ready() && !bench.console.port_is_ready(1));

    bench.say(0, event::DEVICE_READY, 1);
    bench.bare.device.assert_driver_was_correct();
    bench.say(1, event::PORT_READY, 1);
    assert!(bench.bare.only_error().contains("not added"), "it was not told again");
}

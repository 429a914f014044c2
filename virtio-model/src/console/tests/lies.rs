//! Lies that are told when a test asks for them.

use super::super::{ConsoleMisbehaviour, RawInput};
use super::{Bench, Console, event, message};
use crate::block::WrittenLen;

#[test]
fn lies_about_bytes_are_told() {
    let mut bench = Bench::new(Console::new());
    let buffers = [(); 3].map(|()| bench.bare.submit(0, &[], &[8])[0]);
    bench.console.misbehave(|lies| {
        (lies.received_written, lies.received_id) = (WrittenLen::More(5), Some(9));
        (lies.sent_written, lies.sent_id) = (WrittenLen::Exactly(3), Some(8));
    });
    bench.console.send(0, "xyz");
    bench.bare.submit(1, &[b"ab"], &[]);
    bench.serve();
    bench.console.misbehave(|lies| *lies = ConsoleMisbehaviour::default());
    bench.console.send_raw(0, RawInput { bytes: b"raw".into(), written: WrittenLen::Exactly(0x100) });
    bench.console.send(0, "");
    bench.serve();

    assert_eq!(bench.bare.used(0), [(9, 8), (1, 0x100), (2, 0)]);
    assert_eq!(bench.bare.used(1), [(8, 3)]);
    assert_eq!(bench.bare.read(buffers[1], 4), b"raw\0");
}

#[test]
fn lies_about_messages_are_told() {
    let mut bench = Bench::ready();
    bench.console.send_control([1, 2, 3]);
    assert_eq!(bench.hear(), [1, 2, 3]);

    bench.console.misbehave(|lies| {
        (lies.control_written, lies.control_id) = (WrittenLen::Less(1), Some(5));
    });
    bench.console.add_port(1);
    bench.bare.submit(2, &[], &[64]);
    bench.serve();
    assert_eq!(bench.bare.used(2), [(5, 7)]);

    bench.console.misbehave(|lies| lies.ignores_control = true);
    bench.bare.used(3);
    bench.say(1, event::PORT_READY, 1);
    assert_eq!((bench.bare.used(3), bench.console.take_control()), (vec![], vec![]));
    bench.console.misbehave(|lies| {
        (lies.ignores_control, lies.answered_written) = (false, WrittenLen::Exactly(8));
    });
    bench.serve();
    assert_eq!(bench.bare.used(3).len(), 1);
    assert!(bench.console.port_is_ready(1));
}

#[test]
fn a_flood_fills_every_buffer_for_messages() {
    let mut bench = Bench::ready();
    let flood = message(9, event::PORT_OPEN, 1, &[]);
    bench.console.misbehave(|lies| lies.floods = Some(flood.clone()));
    for _ in 0..5 {
        bench.bare.submit(2, &[], &[32]);
    }

    bench.serve();

    assert_eq!(bench.bare.used(2).len(), 5);
    bench.console.misbehave(|lies| lies.ignores_open = true);
    bench.bare.submit(0, &[], &[8]);
    bench.console.send(0, "early");
    bench.serve();
    assert_eq!(bench.bare.used(0), [(0, 5)]);
}

#[test]
fn the_configuration_may_say_more_ports_than_there_are() {
    let console = Console::new().with_ports(2).with_config(|config| config.max_nr_ports = u32::MAX);
    let bench = Bench::new(console);

    assert_eq!(bench.bare.read_config(4, 4), u32::MAX);
    assert_eq!(bench.bare.device.queue_count(), 6);
    bench.serve();
}

//! Promises of the console, against a driver of bare stores.

mod control;
mod lies;

use super::{Console, Control, event, message};
use crate::bare::Bare;

struct Bench {
    bare: Bare,
    console: Console,
}

impl Bench {
    fn new(console: Console) -> Self {
        Self { bare: Bare::new(console.builder()), console }
    }

    /// A console with room for three ports, whose driver is ready.
    fn ready() -> Self {
        let mut bench = Self::new(Console::new().with_ports(3));
        bench.say(0, event::DEVICE_READY, 1);
        bench.console.take_control();
        bench
    }

    /// The same, with a port that is there and that the driver has ready.
    fn with_port(port: u32) -> Self {
        let mut bench = Self::ready();
        bench.console.add_port(port);
        assert_eq!(bench.hear(), message(port, event::DEVICE_ADD, 0, &[]));
        bench.say(port, event::PORT_READY, 1);
        bench.console.take_control();
        bench
    }

    fn serve(&self) -> usize {
        self.console.serve(&self.bare.device, &self.bare.memory)
    }

    /// Sends a message, and has it heard.
    fn say(&mut self, id: u32, event: u16, value: u16) {
        self.bare.submit(3, &[&message(id, event, value, &[])], &[]);
        self.serve();
    }

    /// The next message of the device, or nothing.
    fn hear(&mut self) -> Vec<u8> {
        self.bare.used(2);
        let at = self.bare.submit(2, &[], &[64])[0];
        self.serve();
        let used = self.bare.used(2);
        used.first().map_or(Vec::new(), |(_, len)| self.bare.read(at, usize::try_from(*len).unwrap()))
    }

    fn complaints(&self) -> Vec<String> {
        self.console.take_control().into_iter().filter_map(|control: Control| control.complaint).collect()
    }
}

/// Spec: §5.3.6 Device Operation.
#[test]
fn bytes_go_both_ways_through_a_plain_console() {
    let mut bench = Bench::new(Console::new());
    let buffer = bench.bare.submit(0, &[], &[16, 16])[0];
    bench.bare.submit(1, &[b"out", b"put"], &[]);

    bench.console.send(0, "input");
    bench.serve();

    assert_eq!((bench.bare.used(0), bench.bare.read(buffer, 5)), (vec![(0, 5)], b"input".to_vec()));
    let sent = bench.console.take_sent(0);
    assert_eq!((sent[0].bytes.clone(), sent[0].lens.clone()), (b"output".to_vec(), vec![3, 3]));
    assert_eq!(bench.bare.used(1), [(0, 0)]);
    assert_eq!(bench.bare.device.used_interrupts(), 2);
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn bytes_wait_for_buffers_and_fill_them() {
    let mut bench = Bench::new(Console::new());
    bench.console.send(0, "abcdefg");
    bench.console.send(0, "h");
    bench.serve();
    assert_eq!(bench.console.arriving(0), 8);

    let buffers = [(); 4].map(|()| bench.bare.submit(0, &[], &[4])[0]);
    bench.serve();

    assert_eq!(bench.bare.used(0), [(0, 4), (1, 3), (2, 1)]);
    assert_eq!([0, 1].map(|at| bench.bare.read(buffers[at], 3)), [b"abc", b"efg"]);
    assert_eq!((bench.console.arriving(0), bench.console.held()), (0, 1));
}

/// Spec: §5.3.6.1 Driver Requirements: Device Operation.
#[test]
fn a_buffer_of_the_wrong_direction_is_a_driver_error() {
    for (queue, readable, writable, text) in
        [(0, &[&b"x"[..]][..], &[4][..], "readable bytes"), (1, &[&b"x"[..]], &[4], "writable bytes")]
    {
        let mut bench = Bench::new(Console::new());
        bench.bare.submit(queue, readable, writable);
        bench.serve();
        assert!(bench.bare.only_error().contains(text));
    }
}

/// Spec: §5.3.5.1 Device Requirements: Device Initialization.
#[test]
fn characters_written_in_an_emergency_are_seen_before_anything_else_and_after() {
    let console = Console::new().with_emergency_write();
    let bare = Bare::powered(console.builder());

    for character in *b"he" {
        bare.write_config(8, 4, 0xffff_ff00 | u32::from(character));
    }
    bare.bring_up(|_| ());
    bare.write_config(8, 4, u32::from(b'y'));

    assert_eq!(console.emergency_output(&bare.device), b"hey");
    bare.device.assert_driver_was_correct();
    bare.write_config(9, 1, 0);
    assert!(bare.only_error().contains("written to 1 bytes at 0x9"));
}

#[test]
fn an_emergency_write_without_its_feature_is_a_driver_error() {
    let bare = Bare::powered(Console::new().builder());

    bare.write_config(8, 4, 0x41);

    assert!(bare.device.driver_errors().iter().any(|error| error.contains("0x41 written")));
}

/// Spec: §5.3.4 Device configuration layout.
#[test]
fn the_size_is_in_the_configuration_and_a_new_one_is_told() {
    let console = Console::new().with_size(80, 25).with_ports(2);
    let bench = Bench::new(console.clone());
    assert_eq!([0, 2].map(|at| bench.bare.read_config(at, 2)), [80, 25]);
    assert_eq!(bench.bare.read_config(4, 4), 2);

    console.resize(&bench.bare.device, 132, 43);

    assert_eq!([0, 2].map(|at| bench.bare.read_config(at, 2)), [132, 43]);
    assert_eq!(bench.bare.device.config_interrupts(), 1);
    bench.bare.device.assert_driver_was_correct();
    let plain = Bench::new(Console::new());
    plain.bare.read_config(0, 2);
    assert!(plain.bare.only_error().contains("not offered"));
}

#[test]
fn transmitted_buffers_are_held_and_released() {
    let mut bench = Bench::new(Console::new());
    bench.console.hold();
    for bytes in [b"a", b"b", b"c"] {
        bench.bare.submit(1, &[bytes], &[]);
    }
    bench.serve();
    assert_eq!((bench.console.take_sent_bytes(0), bench.bare.used(1)), (b"abc".to_vec(), vec![]));

    bench.console.release(1);
    bench.serve();
    assert_eq!((bench.bare.used(1), bench.console.held()), (vec![(0, 0)], 2));
    bench.console.release_all();
    bench.console.complete_in(crate::block::Order::Reverse);
    bench.serve();
    assert_eq!(bench.bare.used(1), [(2, 0), (1, 0)]);
}

//! Emergency writes: a character at once, in whatever state the console is.
//!
//! Spec: §5.3.5 Device Initialization, §5.3.5.1 Device Requirements: Device Initialization.

mod support;

use support::console::Make;
use support::{Either, Mapper, claim, commands};
use virtio_guest::device::console::{
    ConsoleFeatures, EmergencyError, HANDLED, Slots, Starting, emergency_write,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;

#[test]
fn a_character_is_written_before_the_console_is_up() {
    for legacy in [false, true] {
        let other = Make { legacy, ..Make::default() }.device();
        let mut transport = other.open(false);

        for byte in *b"early" {
            assert_eq!(emergency_write(&mut transport, byte), Ok(()));
        }

        assert_eq!(other.console.emergency_output(&other.device), b"early");
        assert_eq!(other.device.statuses_written(), [], "nothing else was done to it");
        other.device.assert_driver_was_correct();
    }
}

/// It need not be agreed on.
#[test]
fn a_character_is_written_past_the_queues_of_a_console_that_is_up() {
    for legacy in [false, true] {
        let make = Make { legacy, ..Make::default() };
        let mut bench = make.start();
        bench.other.console.hold();
        while bench.console.write(b"stuck").unwrap() > 0 {}

        for byte in *b"late" {
            assert_eq!(bench.console.control().emergency_write(byte), Ok(()));
        }

        assert_eq!(bench.other.console.emergency_output(&bench.other.device), b"late");
        bench.end();
    }
    let make = Make { ports: 2, ..Make::default() };
    let other = make.device();
    let without = Wants::features(HANDLED - ConsoleFeatures::EMERG_WRITE - ConsoleFeatures::MULTIPORT);
    let mut starting = Starting::begin(other.open(false), &make.settings, without, Attempts(10)).unwrap();
    let port = starting.install_port(&other.hal, Slots::allocate(16)).unwrap();
    let mut control = starting.start().unwrap();
    assert_eq!(control.emergency_write(b'!'), Ok(()));
    assert_eq!(other.console.emergency_output(&other.device), b"!");
    port.reclaim(&control.take_down(Attempts(10)).unwrap().reset).unwrap();
    other.device.assert_driver_was_correct();
}

#[test]
fn nothing_is_written_where_nobody_would_put_it_out() {
    let console = virtio_model::Console::new();
    let device = console.builder().build();
    let mut transport = Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
    assert_eq!(emergency_write(&mut transport, b'?'), Err(EmergencyError::Unsupported));

    let device = commands::nic().with_features(1 << 2).builder().build();
    let mut transport = Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
    assert_eq!(emergency_write(&mut transport, b'?'), Err(EmergencyError::Unsupported));

    assert_eq!(device.config_write_count(), 0);
    device.assert_driver_was_correct();
}

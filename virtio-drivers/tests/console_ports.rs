//! Ports that come and go, have names, are opened, closed and resized.
//!
//! Spec: §5.3.6.2 Multiport Device Operation. Not under miri: messages are judged by safe code, and copied in `console_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use support::console::{Make, PortsBench, received};
use support::{TestHal, commands};
use virtio_guest::device::console::{
    Control, ControlError, ControlSlots, ControlStorage, HANDLED, Port, PortEvent, Settings, Size, SizeOrder,
    Slots, StartError, Starting, Storage,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_model::console::{event, message};

const PORTS: u16 = 3;

fn each() -> impl Iterator<Item = PortsBench> {
    Make { ports: PORTS, ..Make::default() }.each_ring().map(Make::start_ports)
}

/// What the driver said since the last call: port, event and value.
fn said(bench: &PortsBench) -> Vec<(u32, u16, u16)> {
    let controls = bench.other.console.take_control().into_iter();
    controls.map(|control| (control.id, control.event, control.value)).collect()
}

/// Spec: §5.3.6.2.2 — the driver says that it is ready, and answers for each port.
#[test]
fn the_driver_says_that_it_is_ready_and_of_each_port_that_it_can_be_used() {
    for mut bench in each() {
        bench.other.console.add_port(0);
        bench.other.console.add_port(2);

        assert_eq!(bench.events(), [PortEvent::Added(0), PortEvent::Added(2)]);

        bench.other.serve();
        let ready = event::PORT_READY;
        assert_eq!(said(&bench), [(0, event::DEVICE_READY, 1), (0, ready, 1), (2, ready, 1)]);
        assert!(bench.control.port(1).is_none() && bench.control.port(2).is_some());
        assert_eq!(bench.control.ports_max(), PORTS.into());
        bench.end();
    }
}

/// Spec: §5.3.6.2.2 — MUST respond with PORT_OPEN of value 1.
#[test]
fn a_console_port_is_answered_with_the_word_that_it_is_open() {
    for mut bench in each() {
        bench.other.console.add_port(1);
        bench.other.console.make_console(1);

        assert_eq!(bench.events(), [PortEvent::Added(1), PortEvent::Console(1)]);

        bench.other.serve();
        assert!(bench.other.console.port_is_open_by_driver(1));
        assert_eq!(bench.other.console.unanswered(), []);
        assert!(bench.control.port(1).unwrap().is_console && bench.is_connected(1));
        bench.end();
    }
}

/// What the driver says before it has heard of it is no answer.
#[test]
fn a_console_port_is_answered_though_it_is_closed_meanwhile() {
    for mut bench in each() {
        bench.add_open(1);
        bench.other.console.make_console(1);
        bench.other.serve();

        bench.control.close_port(1).unwrap();
        bench.other.serve();
        assert_eq!(bench.other.console.unanswered(), [(1, event::CONSOLE_PORT)]);

        assert_eq!(bench.events(), [PortEvent::Console(1)]);
        assert_eq!(bench.other.console.unanswered(), []);
        assert!(bench.other.console.port_is_open_by_driver(1));
        bench.end();
    }
}

#[test]
fn what_the_device_says_of_a_port_is_told_and_kept() {
    for mut bench in each() {
        bench.other.console.add_port(2);
        bench.other.console.name_port(2, "org.example.agent");
        bench.other.console.open_port(2);
        bench.events();
        bench.other.console.resize_port(2, 132, 43);
        assert_eq!(bench.events(), [PortEvent::Resized(2)]);
        let all = Port {
            number: 2,
            is_console: false,
            device_is_open: true,
            name: Some("org.example.agent"),
            size: Some(Size { columns: 132, rows: 43 }),
        };
        assert_eq!(bench.control.port(2), Some(all));

        bench.other.console.name_port(2, "other\0");
        bench.other.console.close_port(2);

        assert_eq!(bench.events(), [PortEvent::Named(2), PortEvent::Closed(2)]);
        let port = bench.control.port(2).unwrap();
        assert_eq!((port.device_is_open, port.name), (false, Some("other")), "a NUL is no part of a name");
        bench.end();
    }
}

#[test]
fn the_device_is_told_when_a_port_is_opened_and_closed() {
    for mut bench in each() {
        assert_eq!(bench.control.open_port(1), Err(ControlError::NoSuchPort));
        bench.add_open(1);
        assert!(bench.other.console.port_is_open_by_driver(1) && bench.is_connected(1));

        bench.control.close_port(1).unwrap();

        bench.other.serve();
        assert!(!bench.other.console.port_is_open_by_driver(1));
        assert_eq!(bench.control.close_port(PORTS), Err(ControlError::NoSuchPort));
        bench.end();
    }
}

/// Queues stay as they are when a port is removed, so whoever has them goes on when it is there again.
#[test]
fn a_port_that_is_removed_and_added_again_goes_on_with_the_same_queues() {
    for mut bench in each() {
        for _ in 0..3 {
            bench.add_open(1);
            bench.other.console.name_port(1, "agent");
            assert_eq!(bench.events(), [PortEvent::Named(1)]);
            assert!(bench.is_connected(1));

            bench.other.console.remove_port(1);
            assert_eq!(bench.events(), [PortEvent::Removed(1)]);
            assert!(bench.control.port(1).is_none());
            assert_eq!(bench.control.open_port(1), Err(ControlError::NoSuchPort));
            let (receive, transmit) = &mut bench.ports[1];
            assert_eq!(receive.read(&mut [0; 8]), Ok(0));
            transmit.write(b"to nobody").unwrap();
            transmit.flush().unwrap();
            bench.other.serve();
        }
        assert_eq!(bench.other.console.discarded(), 3 * 9);
        bench.add_open(1);
        assert!(bench.control.port(1).unwrap().name.is_none(), "it is another port");
        bench.end();
    }
}

/// Each port has its queues: what goes through one does not disturb another, even while that one is stuck.
#[test]
fn ports_do_not_disturb_each_other() {
    for mut bench in each() {
        for port in 0..PORTS {
            bench.add_open(port);
        }
        for port in 0..PORTS {
            bench.other.console.send(port.into(), format!("for {port}"));
        }
        let (_, transmit) = &mut bench.ports[1];
        while transmit.write(&[7; 64]).unwrap() > 0 {}
        for (port, (receive, _)) in (0..).zip(&mut bench.ports) {
            assert_eq!((receive.port(), receive.index()), (port, if port == 0 { 0 } else { 2 * port + 2 }));
            assert_eq!(received(&bench.other, receive, 5), format!("for {port}").into_bytes());
        }
        for (port, (_, transmit)) in (0..).zip(&bench.ports) {
            assert_eq!((transmit.port(), transmit.index()), (port, if port == 0 { 1 } else { 2 * port + 3 }));
        }
        assert!(bench.is_connected(0) && bench.is_connected(2));
        bench.end();
    }
}

/// Spec: §5.3.6.2 Multiport Device Operation (`struct virtio_console_resize`).
#[test]
fn columns_and_rows_are_in_the_order_that_the_kernel_says() {
    for (size_order, rows_first) in [(SizeOrder::ColumnsRows, false), (SizeOrder::RowsColumns, true)] {
        let settings = Settings { size_order, ..Make::default().settings };
        let mut bench = Make { ports: PORTS, settings, ..Make::default() }.start_ports();
        bench.add_open(1);
        let words: [u16; 2] = if rows_first { [50, 100] } else { [100, 50] };
        let more = words.map(u16::to_le_bytes).concat();
        bench.other.console.send_control(message(1, event::RESIZE, 0, &more));

        assert_eq!(bench.events(), [PortEvent::Resized(1)]);

        let size = Size { columns: 100, rows: 50 };
        assert_eq!(bench.control.port(1).unwrap().size, Some(size));
        let config = Size { columns: 80, rows: 25 };
        assert_eq!(bench.control.size(), Ok(Some(config)), "there the order is not in doubt");
        bench.end();
    }
}

/// Spec: §5.3.4 Device configuration layout.
#[test]
fn the_size_of_the_first_port_follows_the_configuration() {
    let mut bench = Make::default().notified().start();
    let other = bench.other.clone();
    assert_eq!(bench.console.control().size(), Ok(Some(Size { columns: 80, rows: 25 })));

    other.console.resize(&other.device, 132, 43);
    other.serve();

    let control = bench.console.control();
    assert!(control.take_configuration_change().is_some() && control.take_configuration_change().is_none());
    assert_eq!(control.size(), Ok(Some(Size { columns: 132, rows: 43 })));
    bench.end();
}

/// Spec: §5.3.4.1, §5.3.6.2.3 — in the byte order of the machine, which is little-endian wherever there is a legacy interface for the driver.
#[test]
fn a_legacy_console_says_its_size_and_which_ports_there_are() {
    let mut bench = Make { ports: PORTS, legacy: true, ..Make::default() }.start_ports();
    assert_eq!(bench.control.ports_max(), PORTS.into());
    assert_eq!(bench.control.size(), Ok(Some(Size { columns: 80, rows: 25 })));

    bench.add_open(2);
    bench.other.console.make_console(2);

    assert_eq!(bench.events(), [PortEvent::Console(2)]);
    bench.other.serve();
    let ready = event::PORT_READY;
    assert_eq!(said(&bench)[..2], [(0, event::DEVICE_READY, 1), (2, ready, 1)]);
    assert_eq!(bench.other.console.unanswered(), []);
    bench.end();
}

/// A device may have more ports than the kernel has queues for: those cannot be used, and it is told so.
#[test]
fn a_port_without_queues_is_refused_and_the_others_work() {
    let make = Make { ports: 5, ..Make::default() };
    for make in make.each_ring() {
        let mut bench = make.start_ports();
        for port in 0..5 {
            bench.other.console.add_port(port);
        }

        assert_eq!(bench.events(), [0, 1, 2].map(PortEvent::Added));

        bench.other.serve();
        let ready = |port| bench.other.console.port_is_ready(port);
        assert_eq!([0, 1, 2, 3, 4].map(ready), [true, true, true, false, false]);
        assert_eq!(bench.control.counts().unusable_ports, 2);
        assert_eq!(bench.other.console.unanswered(), []);
        bench.control.open_port(2).unwrap();
        bench.other.serve();
        assert!(bench.is_connected(2));
        bench.end();
    }
}

/// Storage for one port fewer than are installed: that one cannot be used.
#[test]
fn a_port_that_there_is_no_storage_for_is_refused() {
    let make = Make { ports: PORTS, ..Make::default() };
    let other = make.device();
    let mut storages = [const { Storage::<16>::new() }; 3];
    let mut control = ControlStorage::<2, 16>::new();
    let mut starting =
        Starting::begin(other.open(false), &make.settings, Wants::features(HANDLED), Attempts(10)).unwrap();
    let mut idle = Vec::new();
    for storage in &mut storages {
        idle.push(starting.install_port(&other.hal, storage).unwrap());
    }
    let failed = starting.install_port(&other.hal, Slots::allocate(16)).unwrap_err();
    assert_eq!(failed.error, StartError::NoMorePorts { ports: 3 });
    starting.install_control(&other.hal, &mut control).unwrap();
    let failed = starting.install_control(&other.hal, ControlSlots::allocate(16, 3)).unwrap_err();
    assert_eq!(failed.error, StartError::NoControlQueues);
    let control: Control<'_, _, TestHal> = starting.start().unwrap();
    let ports = idle.into_iter().map(|port| control.activate(port)).collect::<Vec<_>>();
    let mut control = control;
    other.console.add_port(1);
    other.console.add_port(2);
    other.serve();

    assert_eq!(control.next_event(), Ok(Some(PortEvent::Added(1))));
    assert_eq!(control.next_event(), Ok(None));

    other.serve();
    assert!(other.console.port_is_ready(1) && !other.console.port_is_ready(2));
    let reset = control.take_down(Attempts(10)).unwrap().reset;
    for (receive, transmit) in ports {
        receive.reclaim(&reset).unwrap();
        transmit.reclaim(&reset).unwrap();
    }
    other.device.assert_driver_was_correct();
    other.hal.assert_all_returned();
}

/// Spec: §5.3.6.2.2 — with `MULTIPORT` the driver tells the device that it is ready.
#[test]
fn a_console_of_several_ports_does_not_start_without_control_queues() {
    let make = Make { ports: PORTS, ..Make::default() };
    let other = make.device();
    let wants = Wants::features(HANDLED);
    let starting = Starting::begin(other.open(false), &make.settings, wants, Attempts(10)).unwrap();

    let mut starting = starting.start().unwrap_err().starting;

    starting.install_control(&other.hal, ControlSlots::allocate(16, 3)).unwrap();
    let control = starting.start().unwrap();
    other.serve();
    assert_eq!(other.console.take_control().len(), 1, "DEVICE_READY");
    control.take_down(Attempts(10)).unwrap();
    other.device.assert_driver_was_correct();
    other.hal.assert_all_returned();
}

/// A console of one port has no control queues, though the device could have some.
#[test]
fn one_port_needs_no_control_queues() {
    let mut bench = Make { ports: PORTS, ..Make::default() }.start();
    bench.other.console.send(0, b"hello");

    assert_eq!(bench.received(5), b"hello");

    let control = bench.console.control();
    assert_eq!((control.next_event(), control.open_port(0)), (Ok(None), Err(ControlError::Unsupported)));
    assert!(control.port(0).is_none() && control.ports_max() == 1);
    bench.end();
}

#[test]
fn a_device_of_another_type_is_left_alone() {
    let nic = commands::nic();
    let device = nic.builder().build();
    let transport =
        support::Either::open_pci(support::claim(&device), &support::Mapper(device.clone())).unwrap();

    let refused = Starting::<_, TestHal>::begin(transport, &Settings::default(), Wants::none(), Attempts(10));

    assert!(matches!(refused, Err(StartError::NotAConsole(_))));
    assert_eq!(device.statuses_written(), []);
}

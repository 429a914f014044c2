//! How a console comes to its end, and begins again.
//!
//! Spec: §2.4 Device Reset, §5.3.5 Device Initialization. Only a reset that was seen to be complete gives memory back, that of the control queues as well.

mod support;

use support::console::{Make, SingleBench};
use virtio_guest::device::console::{
    Closed, Console, ControlError, ControlSlots, Down, HANDLED, Slots, StartError, Starting, StreamError,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Condition, InstallError, ResetError, Wants};
use virtio_guest::ring::Broken;
use virtio_model::pci::Completion;

/// Has the console carry bytes both ways.
fn use_it(bench: &mut SingleBench) {
    bench.other.console.send(0, b"there");
    assert_eq!(bench.received(5), b"there");
    bench.console.write_all_blocking(b"here", Attempts(1)).unwrap();
    bench.console.transmit_queue().drain_blocking(bench.other.while_it_works(5)).unwrap();
    assert_eq!(bench.other.console.take_sent_bytes(0), b"here");
}

#[test]
fn a_console_that_is_dropped_is_reset_and_gives_its_memory_back() {
    let mut bench = Make::default().start();
    use_it(&mut bench);
    bench.other.console.hold();
    bench.console.write_all_blocking(b"half-way", Attempts(1)).unwrap();
    bench.console.flush().unwrap();
    bench.other.serve();

    drop(bench.console);

    assert_eq!(bench.other.device.status(), 0);
    bench.other.device.assert_driver_was_correct();
    bench.other.hal.assert_all_returned();
}

#[test]
fn a_console_that_was_closed_begins_again_with_what_came_back() {
    let mut bench = Make::default().start();
    let settings = Make::default().settings;
    for _ in 0..3 {
        use_it(&mut bench);
        let Closed { transport, slots, handlers } = bench.console.close(Attempts(10)).unwrap();
        assert_eq!(handlers, Ok(()));
        bench.other.hal.assert_all_returned();
        let (hal, wants) = (bench.other.hal.clone(), Wants::features(HANDLED));
        bench.console = Console::start_with(transport, hal, slots, &settings, wants, Attempts(10)).unwrap();
    }
    use_it(&mut bench);
    bench.end();
}

#[test]
fn a_console_that_does_not_confirm_its_reset_is_told_nothing_and_keeps_its_memory() {
    let mut bench = Make::default().start();
    use_it(&mut bench);
    bench.console.write_all_blocking(b"not flushed", Attempts(1)).unwrap();
    let regions = bench.other.hal.dma_regions();
    bench.other.device.misbehave(|lies| lies.reset = Completion::Never);

    let mut console = bench.console.close(Attempts(3)).unwrap_err().console;

    let pending = Broken::ResetPending;
    let notifications = bench.other.device.notifications(1);
    assert_eq!((console.write(b"x"), console.flush()), (Err(pending), Err(pending)));
    assert_eq!(console.read(&mut [0; 4]), Err(pending));
    assert_eq!(console.read_blocking(&mut [0; 4], Attempts(3)), Err(StreamError::Broken(pending)));
    let drained = console.transmit_queue().drain_blocking(Attempts(3));
    assert_eq!(drained, Err(StreamError::Broken(pending)));
    assert!(console.control().emergency_write(b'!').is_err());
    assert_eq!(bench.other.device.notifications(1), notifications);
    drop(console);
    assert_eq!(bench.other.hal.dma_regions(), regions, "the device may still use it");
    bench.other.device.assert_driver_was_correct();
}

/// Once it does confirm it, there is nothing else that was lost.
#[test]
fn a_console_that_confirms_its_reset_late_gives_its_memory_back_then() {
    let bench = Make::default().start();
    bench.other.device.misbehave(|lies| lies.reset = Completion::Never);
    let console = bench.console.close(Attempts(3)).unwrap_err().console;
    bench.other.device.misbehave(|lies| lies.reset = Completion::Prompt);

    console.close(Attempts(3)).unwrap();

    bench.other.device.assert_driver_was_correct();
    bench.other.hal.assert_all_returned();
}

/// The control queues go the same way as the ports'.
#[test]
fn ports_of_a_console_that_does_not_confirm_its_reset_are_told_nothing() {
    let mut bench = Make { ports: 3, ..Make::default() }.start_ports();
    bench.add_open(1);
    bench.other.device.misbehave(|lies| lies.reset = Completion::Never);

    let mut control = bench.control.take_down(Attempts(3)).unwrap_err().control;

    let pending = ControlError::Broken(Broken::ResetPending);
    let notifications = bench.other.device.notifications(3);
    assert_eq!((control.next_event(), control.open_port(1)), (Err(pending), Err(pending)));
    assert_eq!(bench.other.device.notifications(3), notifications);
    bench.other.device.misbehave(|lies| lies.reset = Completion::Prompt);
    let Down { reset, control_slots, .. } = control.take_down(Attempts(3)).unwrap();
    assert!(control_slots.is_some());
    for (receive, transmit) in bench.ports {
        receive.reclaim(&reset).unwrap();
        transmit.reclaim(&reset).unwrap();
    }
    bench.other.device.assert_driver_was_correct();
    bench.other.hal.assert_all_returned();
}

#[test]
fn a_console_of_several_ports_begins_again_with_what_came_back() {
    let make = Make { ports: 3, ..Make::default() };
    let mut bench = make.start_ports();
    for _ in 0..3 {
        bench.add_open(1);
        assert!(bench.is_connected(1));
        let Down { transport, reset, control_slots, .. } = bench.control.take_down(Attempts(10)).unwrap();
        let slots = bench.ports.drain(..).map(|(receive, transmit)| Slots {
            receive: receive.reclaim(&reset).unwrap(),
            transmit: transmit.reclaim(&reset).unwrap(),
        });
        let slots: Vec<_> = slots.collect();
        bench.other.hal.assert_all_returned();
        bench.other.console.remove_port(1);
        let hal = bench.other.hal.clone();
        let wants = Wants::features(HANDLED);
        let mut starting = Starting::begin(transport, &make.settings, wants, Attempts(10)).unwrap();
        let idle: Vec<_> =
            slots.into_iter().map(|slots| starting.install_port(&hal, slots).unwrap()).collect();
        starting.install_control(&hal, control_slots.unwrap()).unwrap();
        bench.control = starting.start().unwrap();
        bench.ports = idle.into_iter().map(|port| bench.control.activate(port)).collect();
        assert!(bench.control.port(1).is_none(), "nothing is known of its ports yet");
    }
    bench.end();
}

/// A removed function reads all ones: every call ends, and nothing is freed on its word.
#[test]
fn a_console_that_was_taken_out_ends_every_call() {
    for zeros in [false, true] {
        let mut bench = Make { ports: 3, ..Make::default() }.start_ports();
        bench.add_open(1);
        let regions = bench.other.hal.dma_regions();
        bench.other.device.misbehave(|lies| (lies.all_ones, lies.gone_bars_read_zero) = (true, zeros));

        let (receive, transmit) = &mut bench.ports[1];
        assert_eq!(receive.read(&mut [0; 8]), Ok(0));
        assert_eq!(receive.read_blocking(&mut [0; 8], Attempts(3)), Err(StreamError::TimedOut));
        assert_eq!(transmit.write_all_blocking(&[7; 500], Attempts(3)), Err(StreamError::TimedOut));
        assert_eq!(transmit.drain_blocking(Attempts(3)), Err(StreamError::TimedOut));
        assert_eq!(bench.control.next_event(), Ok(None));
        assert_eq!((bench.control.open_port(1), bench.control.close_port(1)), (Ok(()), Ok(())));
        assert!(bench.control.size().is_err());
        assert_eq!(bench.control.condition(), Condition::Removed);
        let failed = bench.control.take_down(Attempts(3)).unwrap_err();
        assert_eq!(failed.error, ResetError::Removed);
        drop((failed, bench.ports));
        assert_eq!(bench.other.hal.dma_regions(), regions, "lent memory stays");
    }
}

#[test]
fn a_driver_that_gives_up_takes_the_memory_of_all_queues_back() {
    for (ports, has_control) in [(0, true), (1, false), (2, true), (3, true)] {
        let make = Make { ports: 3, ..Make::default() };
        let other = make.device();
        let wants = Wants::features(HANDLED);
        let mut starting = Starting::begin(other.open(false), &make.settings, wants, Attempts(10)).unwrap();
        let idle: Vec<_> = (0..ports)
            .map(|number| {
                let port = starting.install_port(&other.hal, Slots::allocate(8)).unwrap();
                assert_eq!(port.port(), number);
                port
            })
            .collect();
        if has_control {
            starting.install_control(&other.hal, ControlSlots::allocate(8, 3)).unwrap();
        }

        let reset = starting.give_up(Attempts(10)).unwrap();

        for port in idle {
            port.reclaim(&reset).unwrap();
        }
        other.device.assert_driver_was_correct();
        other.hal.assert_all_returned();
    }
}

/// Memory runs out at each allocation of a bring-up in turn: the storage comes back, and once there is enough the console starts.
#[test]
fn a_bring_up_without_memory_fails_and_can_be_tried_again() {
    let make = Make::default();
    let mut failures = 0;
    for left in 0.. {
        let other = make.device();
        other.hal.limit_allocations(left);
        let wants = Wants::features(HANDLED);
        let (hal, slots) = (other.hal.clone(), Slots::allocate(16));
        let started = Console::start_with(other.open(false), hal, slots, &make.settings, wants, Attempts(10));
        match started {
            Ok(console) => {
                drop(console);
                other.hal.assert_all_returned();
                break;
            }
            Err(failed) => {
                assert!(matches!(failed.error, StartError::Queue(InstallError::NoMemory { .. })));
                other.hal.assert_all_returned();
                failures += 1;
                other.hal.limit_allocations(usize::MAX);
                let (hal, wants) = (other.hal.clone(), Wants::features(HANDLED));
                let (transport, slots) = (other.open(false), failed.slots);
                Console::start_with(transport, hal, slots, &make.settings, wants, Attempts(10)).unwrap();
                other.hal.assert_all_returned();
            }
        }
        other.device.assert_driver_was_correct();
    }
    assert!(failures >= 4, "ring and buffers of two queues");
}

/// How a console ends after the second of two queues could not be installed: it knows of the first one then.
#[derive(Clone, Copy, Debug)]
enum End {
    GivenUp,
    TakenDown,
    Dropped,
}

#[test]
fn a_receive_queue_whose_transmit_queue_cannot_be_installed_gives_its_memory_back_with_the_reset() {
    for end in [End::GivenUp, End::TakenDown, End::Dropped] {
        let make = Make { ports: 3, ..Make::default() };
        let other = make.device();
        let (hal, wants) = (&other.hal, Wants::features(HANDLED));
        let mut starting = Starting::begin(other.open(false), &make.settings, wants, Attempts(10)).unwrap();
        let port = starting.install_port(hal, Slots::allocate(8)).unwrap();
        let regions = hal.dma_regions();
        let slots = Slots { transmit: Slots::allocate(0).transmit, ..Slots::allocate(8) };

        let failed = starting.install_port(hal, slots).unwrap_err();

        assert!(matches!(failed.error, StartError::Queue(InstallError::NoStorage { index: 5, .. })));
        assert_eq!(hal.dma_regions(), regions + 2, "ring and buffers, which the device may use");
        drop(failed);
        if let End::GivenUp = end {
            // The control queues alike: ring and buffers of one of them, and nothing for the other one.
            hal.limit_allocations(2);
            let failed = starting.install_control(hal, ControlSlots::allocate(8, 3)).unwrap_err();
            assert!(matches!(failed.error, StartError::Queue(InstallError::NoMemory { index: 3 })));
            assert_eq!(hal.dma_regions(), regions + 4);
            let reset = starting.give_up(Attempts(10)).unwrap();
            port.reclaim(&reset).unwrap();
        } else {
            starting.install_control(hal, ControlSlots::allocate(8, 3)).unwrap();
            let control = starting.start().unwrap();
            let (receive, transmit) = control.activate(port);
            if let End::TakenDown = end {
                let down = control.take_down(Attempts(10)).unwrap();
                drop((receive.reclaim(&down.reset).unwrap(), transmit.reclaim(&down.reset).unwrap()));
            } else {
                drop(Console::join(control, receive, transmit));
            }
        }
        other.device.assert_driver_was_correct();
        other.hal.assert_all_returned();
    }
}

/// Without a power of two there is no split queue; the storage says how large one may be.
#[test]
fn storage_for_no_descriptor_is_refused() {
    let other = Make::default().device();

    let failed = Console::start(other.open(false), other.hal.clone(), Slots::allocate(0), Attempts(10));

    let failed = failed.unwrap_err();
    assert!(matches!(failed.error, StartError::Queue(InstallError::NoStorage { index: 0, .. })));
    other.device.assert_driver_was_correct();
    other.hal.assert_all_returned();
}

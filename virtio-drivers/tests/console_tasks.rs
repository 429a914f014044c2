//! Tasks that wait for bytes, for room, and for what the device tells of its ports are woken, and lose nothing when they are dropped.
//!
//! Spec: §5.3.6 Device Operation, §2.7.7, §2.8.10 (notification suppression). Not under miri, where it takes long: safe code, whose wakers are raced in `task_races.rs`.

#![cfg(not(miri))]

mod support;

use support::console::{Make, bytes, signal};
use support::tasks::Task;
use virtio_guest::device::console::{ControlError, PortEvent, Size};
use virtio_guest::lifecycle::Condition;
use virtio_guest::ring::{Broken, Rearmed};
use virtio_model::block::WrittenLen;
use virtio_model::console::{RawInput, event, message};

fn each() -> impl Iterator<Item = Make> {
    Make::default().notified().each_ring()
}

#[test]
fn a_task_sleeps_until_bytes_come() {
    for make in each() {
        let mut bench = make.start();
        let other = bench.other.clone();
        let (control, receive, _) = bench.console.parts();
        let signal = signal(control.interrupts(), 0);
        for number in 0..5 {
            let mut into = [0; 8];
            let mut task = Task::new(receive.read_some(&mut into, signal));
            task.run();
            assert!(!task.is_over() && !task.is_woken());
            other.console.send(0, [number, 7]);
            other.serve();

            assert!(task.run(), "it was woken");

            assert_eq!(task.result.take().unwrap(), Ok(2));
            drop(task);
            assert_eq!(into[..2], [number, 7]);
        }
        bench.end();
    }
}

/// The interrupt comes after the task has looked, and before it has gone to sleep: it looks once more.
#[test]
fn bytes_that_come_while_a_task_falls_asleep_wake_it() {
    for make in each() {
        let mut bench = make.start();
        let other = bench.other.clone();
        let (control, receive, _) = bench.console.parts();
        let signal = signal(control.interrupts(), 0);
        other.console.send(0, b"there");
        other.console.serve(&other.device, &other.hal.space);
        let mut into = [0; 8];

        let mut task = Task::new(receive.read_some(&mut into, signal));
        task.run();

        assert_eq!(task.result.take().unwrap(), Ok(5));
        drop(task);
        bench.end();
    }
}

#[test]
fn a_dropped_read_leaves_the_bytes_to_the_next() {
    for make in each() {
        let mut bench = make.start();
        let other = bench.other.clone();
        let (control, receive, _) = bench.console.parts();
        let signal = signal(control.interrupts(), 0);
        let mut into = [0; 8];
        let mut task = Task::new(receive.read_some(&mut into, signal));
        task.run();
        other.console.send(0, b"there");
        other.serve();

        task.cancel();
        drop(task);

        assert_eq!(bench.received(5), b"there");
        bench.end();
    }
}

/// Spec: §2.7.7, §2.8.10 — the transmit queue interrupts only when somebody waits for it.
#[test]
fn a_task_sleeps_until_there_is_room() {
    for make in each() {
        let mut bench = make.start();
        let other = bench.other.clone();
        other.console.hold();
        let (control, _, transmit) = bench.console.parts();
        let signal = signal(control.interrupts(), 1);
        let all = bytes(150);
        let mut task = Task::new(transmit.write_all(&all, signal));
        task.run();
        other.serve();
        assert!(!task.is_over() && !task.is_woken());

        let mut turns = 0;
        while !task.is_over() {
            other.console.release(1);
            other.serve();
            task.run();
            turns += 1;
            assert!(turns < 20, "it is woken whenever there is room");
        }

        assert_eq!(task.result.take().unwrap(), Ok(()));
        drop(task);
        other.console.release_all();
        bench.console.transmit_queue().drain_blocking(other.while_it_works(5)).unwrap();
        assert_eq!(other.console.take_sent_bytes(0), all);
        bench.end();
    }
}

#[test]
fn a_task_sleeps_until_everything_was_sent() {
    for make in each() {
        let mut bench = make.start();
        let other = bench.other.clone();
        other.console.hold();
        let (control, _, transmit) = bench.console.parts();
        let signal = signal(control.interrupts(), 1);
        assert_eq!(transmit.write(&bytes(60)), Ok(60));
        let mut task = Task::new(transmit.drained(signal));
        task.run();
        other.serve();
        assert_eq!(other.console.take_sent_bytes(0), bytes(60), "it was flushed");
        other.console.release(3);
        other.serve();
        task.run();
        assert!(!task.is_over(), "one is left");

        other.console.release(1);
        other.serve();

        assert!(task.run());
        assert_eq!(task.result.take().unwrap(), Ok(()));
        drop(task);
        bench.end();
    }
}

/// What was written is sent; the rest was not taken.
#[test]
fn a_dropped_write_leaves_the_queue_as_it_was() {
    for make in each() {
        let mut bench = make.start();
        let other = bench.other.clone();
        other.console.hold();
        let (control, _, transmit) = bench.console.parts();
        let signal = signal(control.interrupts(), 1);
        let all = bytes(150);
        let mut task = Task::new(transmit.write_all(&all, signal));
        task.run();

        task.cancel();
        drop(task);

        other.console.release_all();
        other.serve();
        bench.console.write_all_blocking(b"|after", other.while_it_works(5)).unwrap();
        bench.console.transmit_queue().drain_blocking(other.while_it_works(5)).unwrap();
        assert_eq!(other.console.take_sent_bytes(0), [&all[..64], b"|after"].concat());
        bench.end();
    }
}

#[test]
fn a_task_sleeps_until_the_device_tells_something() {
    for make in (Make { ports: 3, ..Make::default() }).notified().each_ring() {
        let mut bench = make.start_ports();
        bench.events();
        let other = bench.other.clone();
        for round in 0..3_u16 {
            let mut task = Task::new(bench.control.event());
            task.run();
            assert!(!task.is_over() && !task.is_woken());
            other.console.add_port(round.into());
            other.serve();

            assert!(task.run());

            assert_eq!(task.result.take().unwrap(), Ok(PortEvent::Added(round)));
        }
        let mut task = Task::new(bench.control.event());
        task.run();
        other.console.name_port(1, "agent");
        other.serve();
        task.cancel();
        drop(task);
        assert_eq!(bench.events(), [PortEvent::Named(1)], "a dropped future loses nothing");
        bench.end();
    }
}

/// A task that cannot answer sleeps until it can; what it did not take is not lost.
#[test]
fn a_task_without_room_for_an_answer_is_woken_when_there_is_some() {
    for make in (Make { ports: 3, ..Make::default() }).notified().each_ring() {
        let mut bench = make.start_ports();
        bench.add_open(1);
        let other = bench.other.clone();
        other.console.misbehave(|lies| lies.ignores_control = true);
        for _ in 0..30 {
            other.console.send_control(message(1, event::CONSOLE_PORT, 1, &[]));
        }
        let mut told = bench.events().len();
        assert!(told < 30);
        let mut task = Task::new(bench.control.event());
        task.run();
        other.serve();
        task.run();
        assert!(!task.is_over() && !task.is_woken());

        other.console.misbehave(|lies| lies.ignores_control = false);
        other.serve();

        assert!(task.run(), "it was woken");
        assert_eq!(task.result.take().unwrap(), Ok(PortEvent::Console(1)));
        drop(task);
        told += 1 + bench.events().len();
        assert_eq!(told, 30);
        bench.end();
    }
}

/// A queue that breaks tells whoever waits.
#[test]
fn a_task_that_waits_for_a_queue_that_breaks_is_told() {
    for make in each() {
        let mut bench = make.start();
        let other = bench.other.clone();
        other.console.send_raw(0, RawInput { bytes: vec![1], written: WrittenLen::Exactly(1000) });
        other.console.misbehave(|lies| lies.sent_id = Some(999));
        let (control, receive, transmit) = bench.console.parts();
        let signals = [0, 1].map(|queue| signal(control.interrupts(), queue));
        let mut into = [0; 8];
        let all = bytes(100);
        let mut read = Task::new(receive.read_some(&mut into, signals[0]));
        let mut write = Task::new(transmit.write_all(&all, signals[1]));
        read.run();
        write.run();
        other.serve();

        read.run();
        write.run();

        assert!(matches!(read.result.take().unwrap(), Err(Broken::WrittenTooMuch { .. })));
        assert!(matches!(write.result.take().unwrap(), Err(Broken::UnknownChain { .. })));
        drop((read, write));
        bench.end();
    }
}

/// A task that only gets empty buffers lets others have their turn.
#[test]
fn a_task_ends_its_turn_though_the_device_sends_nothing_without_end() {
    for make in each() {
        let mut bench = make.start();
        let other = bench.other.clone();
        for _ in 0..1000 {
            other.console.send(0, b"");
        }
        let (control, receive, _) = bench.console.parts();
        let signal = signal(control.interrupts(), 0);
        let mut into = [0; 8];
        let mut task = Task::new(receive.read_some(&mut into, signal));
        for _ in 0..50 {
            other.serve();
            task.run();
            assert!(!task.is_over());
        }
        drop(task);
        other.console.send(0, b"x");
        assert_eq!(bench.received(2000 + 1).last(), Some(&b'x'));
        bench.end();
    }
}

/// Without tasks: an interrupt is asked for, and what has come meanwhile is seen.
#[test]
fn asking_for_interrupts_shows_what_has_come_meanwhile() {
    for make in (Make { ports: 3, ..Make::default() }).notified().each_ring() {
        let mut bench = make.start_ports();
        bench.add_open(1);
        let (receive, _) = &mut bench.ports[1];
        assert_eq!(receive.rearm(), Rearmed::Quiet);
        bench.other.console.send(1, b"two");
        bench.other.serve();
        assert_eq!(receive.rearm(), Rearmed::MoreWaiting);
        assert_eq!(receive.read(&mut [0; 1]), Ok(1));
        assert_eq!(receive.rearm(), Rearmed::MoreWaiting, "a part of it was read");
        assert_eq!(receive.read(&mut [0; 9]), Ok(2));
        assert_eq!(receive.rearm(), Rearmed::Quiet);

        assert_eq!(bench.control.rearm_events(), Rearmed::Quiet);
        bench.other.console.make_console(1);
        bench.other.serve();
        assert_eq!(bench.control.rearm_events(), Rearmed::MoreWaiting);
        bench.control.suppress_events();
        assert_eq!(bench.events(), [PortEvent::Console(1)]);
        assert_eq!(bench.control.open_port(2), Err(ControlError::NoSuchPort));
        bench.end();
    }
}

/// Spec: §5.3.6 Device Operation — the size of port 0 comes with a change of the configuration, ports come with messages.
#[test]
fn a_task_waits_for_ports_and_for_the_configuration_at_once() {
    for make in each() {
        let mut bench = Make { ports: 3, ..make }.start_ports();
        let other = bench.other.clone();
        assert_eq!(bench.events(), []);
        while bench.control.take_configuration_change().is_some() {}
        let happenings: [&dyn Fn(); 3] =
            [&|| other.console.resize(&other.device, 100, 40), &|| other.console.add_port(1), &|| {
                other.device.set_needs_reset();
            }];
        let conditions = [Condition::Live, Condition::Live, Condition::NeedsReset];
        for (happens, condition) in happenings.into_iter().zip(conditions) {
            let mut task = Task::new(bench.control.attention());
            while task.run() {}
            assert!(!task.is_over(), "nothing has happened");
            happens();
            other.serve();
            while task.run() {}
            assert_eq!(task.result, Some(condition));
            drop(task);
            if condition == Condition::Live {
                bench.events();
            }
        }
        assert_eq!(bench.control.size().unwrap(), Some(Size { columns: 100, rows: 40 }));
        assert!(bench.control.port(1).is_some());
        bench.end();
    }
}

//! Tasks that wait for frames, for room, and for buffers are woken, and lose nothing when they are dropped.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use virtio_guest::device::net::TransmitError;
use virtio_guest::lifecycle::Interrupts;
use virtio_guest::ring::Broken;
use virtio_guest::wire::net::NetFeatures;
use virtio_model::net::Packet;

use support::card::{Make, bytes, incoming};
use support::tasks::Task;

const NOTIFIED: Make = Make {
    features: NetFeatures::MRG_RXBUF.bits(),
    ring: 0,
    legacy: false,
    buffers: 40,
    buffer_bytes: 2048,
    notified: true,
    mtu: 1500,
};

#[test]
fn a_task_sleeps_until_a_frame_comes() {
    for make in NOTIFIED.each_ring() {
        let mut bench = make.start();
        let link = bench.link();
        let (control, receive, _) = bench.card.parts();
        let signal = control.interrupts().and_then(|all: &Interrupts<'_>| all.queue_signal(0)).unwrap();
        for number in 0..3 {
            let mut task = Task::new(receive.received(signal));
            task.run();
            assert!(!task.is_over() && !task.is_woken());
            bench.nic.inject(Packet::new(incoming(60, number)));
            link.serve();

            assert!(task.run(), "it was woken");

            assert_eq!(bytes(&task.result.unwrap().unwrap()), incoming(60, number));
        }
        bench.end();
    }
}

/// The interrupt comes after the task has looked, and before it has gone to sleep: it looks once more.
#[test]
fn a_frame_that_comes_while_a_task_falls_asleep_wakes_it() {
    for make in NOTIFIED.each_ring() {
        let mut bench = make.start();
        let (control, receive, _) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(0)).unwrap();
        bench.nic.inject(Packet::new(incoming(60, 1)));
        bench.nic.serve(&bench.device, &bench.hal.space);

        let mut task = Task::new(receive.received(signal));
        task.run();

        assert_eq!(bytes(&task.result.take().unwrap().unwrap()), incoming(60, 1));
        drop(task);
        bench.end();
    }
}

#[test]
fn a_dropped_future_leaves_the_frame_to_the_next() {
    for make in NOTIFIED.each_ring() {
        let mut bench = make.start();
        let (control, receive, _) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(0)).unwrap();
        let mut task = Task::new(receive.received(signal));
        task.run();
        bench.nic.inject(Packet::new(incoming(60, 1)));
        bench.nic.serve(&bench.device, &bench.hal.space);

        task.cancel();
        drop(task);

        assert_eq!(bench.received(), Some(incoming(60, 1)));
        bench.end();
    }
}

/// Nothing is in the ring, so nothing will interrupt: what wakes is a frame that is dropped.
#[test]
fn a_task_without_any_buffer_is_woken_when_a_frame_is_dropped() {
    for make in (Make { buffers: 2, ..NOTIFIED }).each_ring() {
        let mut bench = make.start();
        for number in 0..3 {
            bench.nic.inject(Packet::new(incoming(60, number)));
        }
        bench.serve();
        let kept = [(); 2].map(|()| bench.card.receive().unwrap().unwrap());
        let link = bench.link();
        let (control, receive, _) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(0)).unwrap();
        let mut task = Task::new(receive.received(signal));
        task.run();
        assert!(!task.is_woken());

        drop(kept);

        assert!(task.run() && !task.is_over(), "the ring has buffers again");
        link.serve();
        assert!(task.run());
        assert_eq!(bytes(&task.result.take().unwrap().unwrap()), incoming(60, 2));
        drop(task);
        bench.end();
    }
}

#[test]
fn a_task_waits_for_room_in_a_full_ring() {
    for make in NOTIFIED.each_ring() {
        let mut bench = make.start();
        bench.nic.hold();
        for number in 0..16 {
            bench.transmit(&incoming(60, number));
        }
        let frame = bench.frame(&incoming(60, 16));
        let (nic, link) = (bench.nic.clone(), bench.link());
        link.serve();
        let (control, _, transmit) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(1)).unwrap();
        let mut task = Task::new(transmit.transmitted(signal, frame));
        task.run();
        assert!(!task.is_over() && !task.is_woken());

        nic.release_all();
        link.serve();

        assert!(task.run(), "it was woken");
        assert!(task.result.take().unwrap().is_ok());
        drop(task);
        link.serve();
        let transmitted = nic.take_transmitted();
        assert_eq!(transmitted.len(), 17);
        assert_eq!(transmitted[16].frame, incoming(60, 16));
        bench.end();
    }
}

/// More buffers than are free for the moment, though not more than there can be.
#[test]
fn a_long_frame_waits_for_as_much_room_as_it_needs() {
    for make in (Make { buffer_bytes: 128, ..NOTIFIED }).each_ring() {
        let mut bench = make.start();
        bench.nic.hold();
        for number in 0..12 {
            bench.transmit(&incoming(60, number));
        }
        let frame = bench.frame(&incoming(600, 12));
        assert!((5..=16).contains(&frame.buffers()));
        let (nic, link) = (bench.nic.clone(), bench.link());
        link.serve();
        let (control, _, transmit) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(1)).unwrap();
        let mut task = Task::new(transmit.transmitted(signal, frame));
        task.run();
        assert!(!task.is_over() && !task.is_woken());

        nic.release_all();
        for _ in 0..16 {
            link.serve();
            task.run();
        }

        assert!(task.result.take().unwrap().is_ok());
        drop(task);
        link.serve();
        assert_eq!(nic.take_transmitted()[12].frame, incoming(600, 12));
        bench.end();
    }
}

#[test]
fn tasks_of_a_broken_queue_are_told() {
    for make in NOTIFIED.each_ring() {
        let mut bench = make.start();
        bench.nic.misbehave(|lies| lies.receive_id = Some(0xffff));
        bench.nic.inject(Packet::new(incoming(60, 1)));
        bench.serve();
        let frame = bench.frame(&incoming(60, 2));
        let (control, receive, transmit) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(0)).unwrap();
        for _ in 0..2 {
            let mut task = Task::new(receive.received(signal));
            task.run();
            assert!(matches!(task.result, Some(Err(Broken::UnknownChain { .. }))));
        }
        bench.nic.misbehave(|lies| lies.transmit_id = Some(0xffff));
        transmit.transmit(frame).unwrap();
        bench.serve();
        let (_, receive, transmit) = bench.card.parts();
        assert!(transmit.reap().is_err());
        let mut frame = receive.frame().unwrap();
        frame.append(&incoming(60, 3)).unwrap();
        let mut task = Task::new(transmit.transmitted(signal, frame));
        task.run();
        let refused = task.result.take().unwrap().unwrap_err();
        assert!(matches!(refused.error, TransmitError::Broken(Broken::UnknownChain { .. })));
        assert_eq!(bytes(&refused.frame), incoming(60, 3));
        drop((refused, task));
    }
}

//! Receive queues whose pool runs dry, or never had what they need: nobody turns in circles, and nobody sleeps for ever.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use virtio_guest::device::net::Frame;
use virtio_guest::wire::net::NetFeatures;
use virtio_model::net::Packet;

use support::TestHal;
use support::card::{Card, Make, bytes, incoming};
use support::tasks::Task;

/// Takes frames until `count` are kept.
fn keep(bench: &mut support::card::CardBench, count: usize) -> Vec<Frame<'static, TestHal>> {
    let mut kept = Vec::new();
    for number in 0..count {
        bench.nic.inject(Packet::new(incoming(60, number)));
        bench.serve();
        let card: &mut Card = &mut bench.card;
        kept.extend(card.receive().expect("the queue is in order"));
    }
    assert_eq!(kept.len(), count);
    kept
}

/// A frame's chain takes nine buffers, and three are left: they are no reason to look again and again.
#[test]
fn a_task_sleeps_while_there_are_too_few_buffers_for_a_chain() {
    let features = (NetFeatures::GUEST_CSUM | NetFeatures::GUEST_TSO4).bits();
    let make = Make { features, buffers: 12, buffer_bytes: 8000, notified: true, ..Make::default() };
    for make in make.each_ring() {
        let mut bench = make.start();
        let kept = keep(&mut bench, 1);
        assert_eq!(kept[0].buffers(), 9);
        let link = bench.link();
        let nic = bench.nic.clone();
        let (control, receive, _) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(0)).unwrap();
        let mut task = Task::new(receive.received(signal));
        task.run();
        assert!(!task.is_over() && !task.is_woken());

        drop(kept);

        assert!(task.run() && !task.is_over(), "there is a chain in the ring again");
        nic.inject(Packet::new(incoming(60, 1)));
        link.serve();
        assert!(task.run());
        assert_eq!(bytes(&task.result.take().unwrap().unwrap()), incoming(60, 1));
        drop(task);
        bench.end();
    }
}

/// The ring has buffers, though not enough for the frame that waits: the device does not interrupt before it has more.
#[test]
fn a_long_frame_arrives_once_frames_are_dropped() {
    let features = NetFeatures::MRG_RXBUF.bits();
    let make = Make { features, buffers: 20, buffer_bytes: 128, notified: true, ..Make::default() };
    for make in make.each_ring() {
        let mut bench = make.start();
        let kept = keep(&mut bench, 14);
        bench.nic.inject(Packet::new(incoming(600, 14)));
        bench.serve();
        let link = bench.link();
        let (control, receive, _) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(0)).unwrap();
        let mut task = Task::new(receive.received(signal));
        task.run();
        assert!(!task.is_over() && !task.is_woken());

        drop(kept);

        for _ in 0..16 {
            task.run();
            link.serve();
        }
        assert_eq!(bytes(&task.result.take().expect("it was woken").unwrap()), incoming(600, 14));
        drop(task);
        bench.end();
    }
}

//! A device that answers each notification at once with more of nothing holds up nobody for longer than they are ready to wait.
//!
//! Spec: §5.3.6 Device Operation. It works while the notification is on its way: its buffers are there before the driver has gone on. Not under miri: messages are judged by safe code, and copied in `console_ends.rs` as well.

#![cfg(not(miri))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::console::{Make, Other, signal};
use support::tasks::Task;
use virtio_guest::device::console::StreamError;
use virtio_guest::hal::Attempts;
use virtio_model::console::{event, message};

/// Notifications after which the device has no more, so that a driver that does not end can be told from one that does.
const ENDLESS: usize = 2000;

/// A device that returns every buffer of port 0 empty, as soon as it is told of it; and how often it was told.
fn empty_buffers() -> (impl FnMut(&Other) + Send + 'static, Arc<AtomicUsize>) {
    let rounds = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rounds);
    let meddle = move |other: &Other| {
        if counted.fetch_add(1, Ordering::Relaxed) < ENDLESS {
            (0..4).for_each(|_| other.console.send(0, b""));
            other.console.serve(&other.device, &other.hal.space);
        }
    };
    (meddle, rounds)
}

#[test]
fn a_read_ends_in_time() {
    for make in Make::default().each_ring() {
        let (meddle, rounds) = empty_buffers();
        let (mut bench, meddler) = make.start_meddled(meddle);
        meddler.begin();
        (0..4).for_each(|_| bench.other.console.send(0, b""));
        bench.other.serve();

        assert_eq!(bench.console.read(&mut [0; 8]), Ok(0));
        let result = bench.console.read_blocking(&mut [0; 8], Attempts(3));

        assert_eq!(result, Err(StreamError::TimedOut));
        assert!(bench.console.receive_queue().empty_buffers() > 4, "there were more than at first");
        assert!(rounds.load(Ordering::Relaxed) < ENDLESS);
    }
}

#[test]
fn a_task_lets_others_have_their_turn() {
    for make in Make::default().notified().each_ring() {
        let (meddle, rounds) = empty_buffers();
        let (mut bench, meddler) = make.start_meddled(meddle);
        meddler.begin();
        (0..4).for_each(|_| bench.other.console.send(0, b""));
        bench.other.serve();
        let (control, receive, _) = bench.console.parts();
        let signal = signal(control.interrupts(), 0);
        let mut into = [0; 8];
        let mut task = Task::new(receive.read_some(&mut into, signal));

        assert!(task.run());

        assert!(task.is_woken(), "it goes on later");
        assert!(rounds.load(Ordering::Relaxed) < ENDLESS);
    }
}

/// The byte comes after the task has looked, with an interrupt that nobody handles: it looks once more.
#[test]
fn a_byte_that_comes_while_a_task_falls_asleep_is_seen() {
    for make in Make::default().notified().each_ring() {
        let (mut bench, meddler) = make.start_meddled(|other| {
            other.console.serve(&other.device, &other.hal.space);
        });
        let other = bench.other.clone();
        let (control, receive, _) = bench.console.parts();
        let signal = signal(control.interrupts(), 0);
        other.console.send(0, b"");
        other.serve();
        other.console.send(0, b"x");
        meddler.begin();
        let mut into = [0; 8];
        let mut task = Task::new(receive.read_some(&mut into, signal));

        task.run();

        assert_eq!(task.result.take(), Some(Ok(1)), "nobody would have woken it");
    }
}

/// Nonsense is given back in one go, and no more is looked at than came before.
#[test]
fn a_call_for_events_ends_though_there_is_always_another_message() {
    for make in (Make { ports: 3, ..Make::default() }).each_ring() {
        let nonsense = message(77, event::PORT_OPEN, 1, &[]);
        let rounds = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rounds);
        let (mut bench, meddler) = make.start_ports_meddled(move |other| {
            let is_endless = counted.fetch_add(1, Ordering::Relaxed) < ENDLESS;
            other.console.misbehave(|lies| lies.floods = is_endless.then(|| nonsense.clone()));
            other.console.serve(&other.device, &other.hal.space);
        });
        meddler.begin();
        bench.other.console.misbehave(|lies| lies.floods = Some(message(9, 9, 9, &[])));
        bench.other.serve();

        for call in 1..10 {
            assert_eq!(bench.control.next_event(), Ok(None));
            assert_eq!(bench.control.counts().messages, 16 * call);
        }

        assert!(rounds.load(Ordering::Relaxed) < ENDLESS);
    }
}

//! A device that sends nonsense without end holds up nobody for longer than they are ready to wait.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use virtio_guest::device::net::BlockingError;
use virtio_guest::hal::Attempts;
use virtio_model::net::RawBuffer;

use support::TestHal;
use support::card::{CardBench, Make};
use support::tasks::Task;

/// Notifications after which the device has no more, so that a driver that does not end can be told from one that does.
const ENDLESS: usize = 2000;

/// A card whose device fills every buffer at once with a frame that is none, as soon as it is told of it; and how often it was.
fn flooding(make: Make) -> (CardBench, Arc<AtomicUsize>) {
    let rounds = Arc::new(AtomicUsize::new(0));
    let hal = TestHal::default();
    let (space, counted) = (hal.space.clone(), Arc::clone(&rounds));
    let (bench, meddler) = make.start_meddled(hal, move |nic, device| {
        if counted.fetch_add(1, Ordering::Relaxed) < ENDLESS {
            // The notification itself is on its way: the buffers are there already.
            for _ in nic.arriving()..16 {
                nic.inject_raw(0, vec![RawBuffer { bytes: vec![0; 13], written: None }]);
            }
            nic.serve(device, &space);
        }
    });
    meddler.begin();
    for _ in 0..16 {
        bench.nic.inject_raw(0, vec![RawBuffer { bytes: vec![0; 13], written: None }]);
    }
    bench.serve();
    (bench, rounds)
}

#[test]
fn a_call_ends_in_time() {
    for make in Make::default().each_ring() {
        let (mut bench, rounds) = flooding(make);
        let mut into = [0; 64];

        let result = bench.card.receive_blocking(&mut into, Attempts(3));

        assert_eq!(result, Err(BlockingError::TimedOut));
        assert!(bench.card.receive_queue().counts().malformed > 16, "there was more than was there at first");
        assert!(rounds.load(Ordering::Relaxed) < ENDLESS);
    }
}

#[test]
fn a_task_lets_others_have_their_turn() {
    for make in (Make { notified: true, ..Make::default() }).each_ring() {
        let (mut bench, rounds) = flooding(make);
        let (control, receive, _) = bench.card.parts();
        let signal = control.interrupts().and_then(|all| all.queue_signal(0)).unwrap();
        let mut task = Task::new(receive.received(signal));

        assert!(task.run());

        assert!(task.is_woken(), "it goes on later");
        assert!(rounds.load(Ordering::Relaxed) < ENDLESS);
    }
}

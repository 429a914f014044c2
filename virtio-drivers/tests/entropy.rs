//! Random bytes from an entropy device: each is handed out once, and none that the device did not write.
//!
//! Spec: §5.4 Entropy Device.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]

mod support;

use std::thread;
use std::time::Duration;

use support::entropy::Make;
use support::tasks::Task;
use virtio_guest::device::entropy::EntropyError;
use virtio_guest::hal::Attempts;
use virtio_model::block::WrittenLen;

/// Spec: §5.4.6 — what is handed out is what the device wrote, in order, however long requests are.
#[test]
fn bytes_are_handed_out_as_the_device_wrote_them() {
    for make in Make::default().each() {
        let mut bench = make.start();
        let mut bytes = [0; 200];

        let patience = bench.patience(100);
        bench.driver.fill_blocking(&mut bytes, patience).unwrap();

        assert_eq!(bench.model.given(), bytes);
        assert_eq!(bench.model.requests(), [64, 64, 64, 8], "as many as are wanted");
        bench.end();
    }
}

/// Spec: §5.4.6.1 Driver Requirements: Device Operation — the length that the device wrote says how many bytes there are.
#[test]
fn a_device_that_writes_less_than_it_could_is_asked_again() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.model.fill_at_most(7);
        let mut bytes = [0; 24];

        let patience = bench.patience(100);
        bench.driver.fill_blocking(&mut bytes, patience).unwrap();

        assert_eq!(bench.model.given(), bytes);
        assert_eq!(bench.model.requests(), [24, 17, 10, 3]);
        bench.end();
    }
}

#[test]
fn a_call_that_never_waits_has_the_device_asked_and_gets_its_bytes_later() {
    for make in Make::default().each() {
        let mut bench = make.start();
        let mut bytes = [0; 16];

        assert_eq!(bench.driver.read(&mut bytes), Ok(0));
        assert_eq!(bench.driver.read(&mut bytes), Ok(0));
        bench.serve();
        assert_eq!(bench.driver.read(&mut bytes), Ok(16));

        assert_eq!((bench.model.given(), bench.model.requests()), (bytes.to_vec(), vec![16]));
        assert_eq!(bench.driver.read(&mut []), Ok(0));
        assert_eq!(bench.model.requests().len(), 1, "nobody wants anything");
        bench.end();
    }
}

#[test]
fn a_request_that_outlives_its_caller_answers_the_next_one() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.model.hold();
        let mut late = [7; 32];
        let patience = bench.patience(3);
        assert_eq!(bench.driver.fill_blocking(&mut late, patience), Err(EntropyError::TimedOut));
        assert_eq!(late, [0; 32], "nobody takes it for a key");
        bench.model.release_all();

        let (mut first, mut second) = ([0; 20], [0; 20]);
        let patience = bench.patience(9);
        bench.driver.fill_blocking(&mut first, patience).unwrap();
        let patience = bench.patience(9);
        bench.driver.fill_blocking(&mut second, patience).unwrap();

        assert_eq!(bench.model.given(), [first, second].concat());
        assert_eq!(bench.model.requests(), [32, 8], "one at a time");
        bench.end();
    }
}

/// Nothing that anybody has got is left where the device, or whoever gets the memory next, could read it.
#[test]
fn what_was_handed_out_is_wiped() {
    for make in Make::default().each() {
        let mut bench = make.start();
        let mut bytes = [0; 64];
        let patience = bench.patience(9);
        assert_eq!(bench.driver.read_blocking(&mut bytes[..1], patience), Ok(1));
        assert_eq!(bench.queue_memory(64), [0; 64]);

        let patience = bench.patience(9);
        bench.driver.fill_blocking(&mut bytes, patience).unwrap();

        assert_ne!(bytes, [0; 64]);
        assert_eq!(bench.queue_memory(64), [0; 64]);
        bench.end();
    }
}

/// A copy of the machine has the same bytes in the same place: neither hands them out.
#[test]
fn forgotten_bytes_are_handed_out_to_nobody() {
    for make in Make::default().each() {
        let mut bench = make.start();
        let mut bytes = [0; 16];
        assert_eq!(bench.driver.read(&mut bytes), Ok(0));
        bench.serve();
        assert_eq!(bench.driver.read(&mut bytes[..4]), Ok(4));
        bench.driver.forget();
        assert_eq!(bench.queue_memory(64), [0; 64]);

        assert_eq!(bench.driver.read(&mut bytes), Ok(0), "12 bytes were left");
        bench.driver.forget();
        bench.serve();
        assert_eq!(bench.driver.read(&mut bytes), Ok(0), "they were on their way");
        bench.serve();
        assert_eq!(bench.driver.read(&mut bytes), Ok(16));

        assert_eq!(bench.model.given()[32..], bytes);
        bench.end();
    }
}

/// Spec: §5.4.6.2 — a device writes a byte at least; one that does not is waited for no longer than any other.
#[test]
fn a_device_that_writes_nothing_gives_nothing() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.model.misbehave(|lies| {
            (lies.writes_nothing, lies.written) = (true, WrittenLen::Exactly(0));
        });
        let mut bytes = [1; 16];

        let patience = bench.patience(10);
        assert_eq!(bench.driver.read_blocking(&mut bytes, patience), Err(EntropyError::TimedOut));

        assert_eq!(bytes, [1; 16]);
        bench.end();
    }
}

/// Spec: §2.7.8 — a length beyond the buffer's is a lie; where the ring says that it means nothing, there are no bytes.
#[test]
fn nothing_is_handed_out_of_a_buffer_whose_device_says_that_it_wrote_more() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.model.misbehave(|lies| lies.written = WrittenLen::More(1));
        let mut bytes = [1; 16];

        let patience = bench.patience(10);
        let refused = bench.driver.read_blocking(&mut bytes, patience).unwrap_err();

        assert!(matches!(refused, EntropyError::Broken(_)) || make.legacy, "{refused}");
        assert_eq!((bytes, bench.driver.broken().is_some()), ([1; 16], !make.legacy));
        bench.end();
    }
}

/// Spec: §2.7.14, §2.8.22 — a chain that the device does not hold.
#[test]
fn a_device_that_returns_another_chain_gives_nothing_before_a_reset() {
    for make in Make::default().each().filter(|make| !make.legacy) {
        let mut bench = make.start();
        bench.model.misbehave(|lies| lies.used_id = Some(5));
        let mut bytes = [1; 16];

        let patience = bench.patience(10);
        let refused = bench.driver.fill_blocking(&mut bytes, patience);

        assert!(matches!(refused, Err(EntropyError::Broken(_))), "{refused:?}");
        assert!(bench.driver.read(&mut bytes).is_err());
        assert_eq!(bytes, [0; 16]);
        bench.end();
    }
}

#[test]
fn queues_of_any_size_do() {
    for queue_size in [1, 2, 4, 7] {
        let ring = if queue_size == 7 { 1 << 34 } else { 0 };
        let mut bench = Make { ring, queue_size, ..Make::default() }.start();
        let mut bytes = [0; 100];

        let patience = bench.patience(100);
        bench.driver.fill_blocking(&mut bytes, patience).unwrap();

        assert_eq!(bench.model.given(), bytes);
        bench.end();
    }
}

/// Hosts limit how many bytes they give at a time (QEMU's `max-bytes` and `period`): the task sleeps until there are more.
#[test]
fn a_task_sleeps_until_the_device_has_more() {
    for make in (Make { notified: true, ..Make::default() }).each() {
        let mut bench = make.start();
        bench.model.ration(10);
        let (model, source) = (bench.model.clone(), bench.source());
        let mut bytes = [0; 40];
        let signal = bench.driver.queue_signal().unwrap();
        let mut task = Task::new(bench.driver.fill(&mut bytes, signal));

        let mut naps = 0;
        while !task.is_over() {
            while task.run() {}
            source.serve();
            if !task.is_over() && !task.is_woken() {
                naps += 1;
                assert!(naps < 10, "asleep for ever");
                model.supply(10);
                source.serve();
            }
        }

        assert!(task.polls <= 10, "{} polls", task.polls);
        assert!(matches!(task.result, Some(Ok(()))));
        drop(task);
        assert_eq!((bench.model.given(), naps), (bytes.to_vec(), 3));
        bench.end();
    }
}

/// *Cancellation*: the bytes of a request that was given up are the next one's.
#[test]
fn what_a_dropped_future_asked_for_is_handed_out_to_the_next() {
    for make in (Make { notified: true, ..Make::default() }).each() {
        let mut bench = make.start();
        let source = bench.source();
        let signal = bench.driver.queue_signal().unwrap();
        let (mut given_up, mut bytes) = ([0; 16], [0; 16]);
        let mut task = Task::new(bench.driver.fill(&mut given_up, signal));
        task.run();
        task.cancel();
        drop(task);
        source.serve();

        let mut task = Task::new(bench.driver.fill(&mut bytes, signal));
        task.run();

        assert!(task.is_over());
        drop(task);
        assert_eq!((bench.model.given(), given_up), (bytes.to_vec(), [0; 16]));
        assert_eq!(bench.model.requests(), [16]);
        bench.end();
    }
}

/// A device that answers and answers, and never writes a byte, gives others their turn.
#[test]
fn a_task_does_not_turn_in_circles_for_a_device_that_writes_nothing() {
    let mut bench = Make { notified: true, ..Make::default() }.start();
    bench.model.misbehave(|lies| (lies.writes_nothing, lies.written) = (true, WrittenLen::Exactly(0)));
    let source = bench.source();
    let signal = bench.driver.queue_signal().unwrap();
    let mut bytes = [0; 16];
    let mut task = Task::new(bench.driver.fill(&mut bytes, signal));

    for _ in 0..100 {
        task.run();
        source.serve();
    }

    assert!(!task.is_over() && task.is_woken());
    drop(task);
    bench.end();
}

/// With interrupts a patience may sleep: the answer wakes it.
#[test]
fn a_patience_that_sleeps_is_interrupted_when_bytes_come() {
    if cfg!(miri) {
        return;
    }
    let mut bench = Make { notified: true, ring: 1 << 29, ..Make::default() }.start();
    let source = bench.source();
    let device = bench.device.clone();
    let mut bytes = [0; 100];
    let worker = thread::spawn(move || {
        for _ in 0..200 {
            source.model_serves();
            thread::sleep(Duration::from_millis(1));
        }
    });
    let sleeps = || {
        (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            !device.take_messages().is_empty()
        })
    };

    bench.driver.fill_blocking(&mut bytes, sleeps).unwrap();

    worker.join().unwrap();
    assert_eq!(bench.model.given(), bytes);
    bench.end();
}

/// A kernel without a device is as patient as it wants to be.
#[test]
fn a_device_that_was_taken_out_ends_every_call() {
    for make in Make::default().each() {
        let mut bench = make.start();
        bench.device.misbehave(|lies| lies.all_ones = true);
        let memory = bench.hal.dma_regions();
        let mut bytes = [1; 16];

        assert_eq!(bench.driver.fill_blocking(&mut bytes, Attempts(10)), Err(EntropyError::TimedOut));

        let failed = bench.driver.close(Attempts(10)).unwrap_err();
        drop(failed);
        assert_eq!(bench.hal.dma_regions(), memory, "lent memory stays");
    }
}

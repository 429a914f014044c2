//! Driver and device at the same time, in two threads on the same memory.
//!
//! Each sleeps when there is nothing to do, and is woken by the other.
//!
//! Spec: §2.7.7, §2.7.10, §2.8.10. On the machine's own memory model, and under miri with many schedules; every order that a memory model allows is what `races` tries.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::RingBench;
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, Rearmed};
use virtio_model::pci::PciDevice;
use virtio_model::queue::DeviceQueue;

const PLACES: u32 = 8;
const LIMIT: Duration = Duration::from_mins(1);

/// Waits until `happened`; a wait that does not end is a notification that was lost.
fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LIMIT, "nobody woke {what}");
        thread::yield_now();
    }
}

/// The device: answers each request with its number, and sleeps when there is none.
fn serve(
    mut queue: DeviceQueue,
    device: &PciDevice,
    space: &virtio_model::AddressSpace,
    interrupts: &AtomicUsize,
    over: &AtomicBool,
) {
    loop {
        let notified = device.notifications(0);
        while let Some(chain) = queue.pop().expect("the driver keeps to the protocol") {
            let request = chain.read_all(space).unwrap();
            let written = chain.write_all(space, &request).unwrap();
            if queue.complete(chain.head, written).unwrap() {
                interrupts.fetch_add(1, Ordering::SeqCst);
            }
        }
        if over.load(Ordering::SeqCst) {
            return;
        }
        if !queue.enable_notifications().unwrap() {
            wait_until("the device", || device.notifications(0) > notified || over.load(Ordering::SeqCst));
        }
        queue.disable_notifications().unwrap();
    }
}

/// Sends requests, as many as fit, and takes answers; sleeps when it can do neither. Says how many were answered.
fn drive(bench: &mut RingBench<Tag<u32>>, requests: u32, interrupts: &AtomicUsize) -> u32 {
    let queue = &mut bench.queue;
    let (mut sent, mut answered) = (0u32, 0u32);
    let mut free: Vec<u32> = (0..PLACES).collect();
    while answered < requests {
        while sent < requests
            && let Some(place) = free.pop()
        {
            let request = Portion { offset: place * 16, len: 4 };
            let answer = Portion { offset: place * 16 + 8, len: 4 };
            queue.write_memory(request.offset as usize, &sent.to_le_bytes()).unwrap();
            let chain = Chain { readable: &[request], writable: &[answer] };
            if queue.make_available(chain, Tag(sent << 8 | place)).is_err() {
                free.push(place);
                break;
            }
            sent += 1;
        }
        queue.publish();
        let interrupted = interrupts.load(Ordering::SeqCst);
        let mut taken = 0;
        while let Some(used) = queue.take_used().expect("the device keeps to the protocol") {
            let (number, place) = (used.payload.0 >> 8, used.payload.0 & 0xff);
            let mut answer = [0; 4];
            queue.read_memory((place * 16 + 8) as usize, &mut answer).unwrap();
            assert_eq!((used.written_len, u32::from_le_bytes(answer)), (4, number));
            free.push(place);
            taken += 1;
        }
        answered += taken;
        if taken == 0 && queue.rearm() == Rearmed::Quiet {
            wait_until("the driver", || interrupts.load(Ordering::SeqCst) > interrupted);
            queue.suppress_notifications();
        }
    }
    answered
}

#[test]
fn two_threads_that_sleep_and_wake_each_other_lose_no_request() {
    let requests = if cfg!(miri) { 10 } else { 20_000 };
    for mut bench in RingBench::variants(5) {
        let space = bench.hal.space.clone();
        let device = bench.device.clone();
        let other_side = device.device_queue(0, &space).unwrap().unwrap();
        let (interrupts, over) = (AtomicUsize::new(0), AtomicBool::new(false));

        let answered = thread::scope(|scope| {
            scope.spawn(|| serve(other_side, &device, &space, &interrupts, &over));
            let answered = drive(&mut bench, requests, &interrupts);
            over.store(true, Ordering::SeqCst);
            answered
        });

        assert_eq!(answered, requests);
        assert!(bench.finish().is_empty());
    }
}

//! Driver and device in two threads that are switched at any access to shared memory, in thousands of ways: both sleep when there is nothing to do, and a
//! notification that is lost leaves both asleep.
//!
//! Spec: §2.7.7, §2.7.10, §2.8.10. Longer lives than a model checker can try in every order (`races`), but with memory that everybody sees alike. Runs with
//! `--cfg virtio_guest_stand_in` (`make test-races`).

#![cfg(virtio_guest_stand_in)]

mod support;

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::{check_pct, check_random, thread};
use support::{Ring, RingBench};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, Rearmed};
use virtio_model::queue::DeviceQueue;

const REQUESTS: u32 = 7;
/// Ways that are tried for each kind of ring, by chance and by a few chosen switches.
const WAYS: usize = 1000;

/// Lets the other thread go on before each access.
struct Switch;

impl virtio_guest::raw::stand_in::StandIn for Switch {
    fn share(&self, _: NonNull<u8>, _: usize) {}
    fn load(&self, _: NonNull<u8>, _: &mut [u8]) -> bool {
        thread::yield_now();
        false
    }
    fn store(&self, _: NonNull<u8>, _: &[u8]) -> bool {
        thread::yield_now();
        false
    }
    fn fence(&self, _: Ordering) -> bool {
        false
    }
    fn platform_barrier(&self, _: Ordering) -> bool {
        false
    }
}

impl virtio_model::memory::stand_in::StandIn for Switch {
    fn load(&self, _: *mut u8, _: &mut [u8], _: Ordering) -> bool {
        thread::yield_now();
        false
    }
    fn store(&self, _: *mut u8, _: &[u8], _: Ordering) -> bool {
        thread::yield_now();
        false
    }
    fn fence(&self, _: Ordering) -> bool {
        false
    }
}

/// What wakes one side: notifications that were sent to it and that it has not slept through.
#[derive(Clone, Default)]
struct Bell(Arc<(Mutex<u32>, Condvar)>);

impl Bell {
    fn ring(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_one();
    }

    /// Sleeps until it rings. Nobody does: then both sleep, which the scheduler takes for what it is.
    fn sleep(&self) {
        let mut rung = self.0.0.lock().unwrap();
        while *rung == 0 {
            rung = self.0.1.wait(rung).unwrap();
        }
        *rung = 0;
    }
}

/// The device: returns each request, and sleeps when there is none.
fn serve(mut queue: DeviceQueue, device: &Bell, driver: &Bell) {
    let mut served = 0;
    while served < REQUESTS {
        while let Some(chain) = queue.pop().expect("the driver keeps to the protocol") {
            if queue.complete(chain.head, 1).unwrap() {
                driver.ring();
            }
            served += 1;
        }
        if served < REQUESTS && !queue.enable_notifications().unwrap() {
            device.sleep();
        }
        queue.disable_notifications().unwrap();
    }
}

/// The driver: keeps the queue full, in bursts, and sleeps when it is.
fn drive(bench: &mut RingBench<Tag<u32>>, device: &Bell, driver: &Bell) {
    let (mut sent, mut answered) = (0, 0);
    let portions: Vec<_> = (0..REQUESTS).map(|request| [Portion { offset: request * 8, len: 1 }]).collect();
    while answered < REQUESTS {
        let chains = (sent..REQUESTS).zip(&portions[sent as usize..]);
        let chains =
            chains.map(|(request, portion)| (Chain { readable: &[], writable: portion }, Tag(request)));
        sent = match bench.queue.make_available_burst(chains) {
            Ok(_) => REQUESTS,
            Err(burst) => sent + u32::try_from(burst.made_available).unwrap(),
        };
        if bench.queue.publish() {
            device.ring();
        }
        let before = answered;
        while let Some(used) = bench.queue.take_used().expect("the device keeps to the protocol") {
            assert_eq!((used.payload, used.written_len), (Tag(answered), 1));
            answered += 1;
        }
        // What came back makes room. Otherwise it waits, every third time for two at once if there are two.
        let chains = if answered % 3 == 0 { 2 } else { 1 };
        if answered == before && bench.queue.rearm_delayed(chains) == Rearmed::Quiet {
            driver.sleep();
        }
        bench.queue.suppress_notifications();
    }
}

fn life(ring: Ring) {
    let mut bench = RingBench::<Tag<u32>>::with(2, ring);
    let other_side = bench.device.device_queue(0, &bench.hal.space).unwrap().unwrap();
    let (device, driver) = (Bell::default(), Bell::default());

    let device_thread = thread::spawn({
        let (device, driver) = (device.clone(), driver.clone());
        move || serve(other_side, &device, &driver)
    });
    drive(&mut bench, &device, &driver);
    device_thread.join().unwrap();

    assert!(bench.finish().is_empty());
}

/// Spec: §2.7.7, §2.7.10, §2.8.10 — whoever is switched to whom and when: every request is answered, and nobody sleeps for ever.
#[test]
fn however_they_are_interleaved_nobody_sleeps_with_work_waiting() {
    virtio_guest::raw::stand_in::install(&Switch);
    virtio_model::memory::stand_in::install(&Switch);
    for ring in Ring::all() {
        check_random(move || life(ring), WAYS);
        check_pct(move || life(ring), WAYS, 3);
    }
}

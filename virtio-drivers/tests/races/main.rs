//! What holds in every order in which two processors see each other's stores.
//!
//! Driver and device, each in a thread of a model checker.
//!
//! Spec: §2.7.13, §2.7.14, §2.7.7, §2.7.10, §2.8.10, §2.8.21, §2.8.22. Runs with `--cfg virtio_guest_stand_in` (`make test-races`).

#![cfg(virtio_guest_stand_in)]

mod checker;
#[path = "../support/mod.rs"]
mod support;

use checker::in_every_order;
use loom::thread;
use support::{Ring, RingBench};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Chain, Portion, Rearmed};

const REQUEST: Portion = Portion { offset: 0, len: 16 };
const ANSWER: Portion = Portion { offset: 64, len: 32 };
const CHAIN: Chain<'_> = Chain { readable: &[REQUEST], writable: &[ANSWER] };
const ONE: Chain<'_> = Chain { readable: &[REQUEST], writable: &[] };

/// Each promise, in each layout by itself: a barrier that is missing in one of them is missed.
macro_rules! promises {
    ($($name:ident)*) => {
        mod split {
            $(#[test]
            fn $name() {
                super::$name(false);
            })*
        }
        mod packed {
            $(#[test]
            fn $name() {
                super::$name(true);
            })*
        }
    };
}

promises! {
    a_chain_is_whole_when_the_device_sees_it
    a_burst_is_whole_when_the_device_sees_its_first_chain
    a_device_that_falls_asleep_is_woken
    a_driver_that_rearms_is_woken
    a_used_element_is_whole_when_the_driver_sees_it
}

/// Every ring of a layout but those in order, whose ring words are the same; with indirect tables only where the table matters.
fn rings(packed: bool, indirect: bool) -> impl Iterator<Item = Ring> {
    Ring::all().filter(move |ring| ring.packed == packed && !ring.in_order && (indirect || !ring.indirect))
}

fn bench(ring: Ring) -> RingBench<Tag<u8>> {
    RingBench::with(2, ring)
}

/// Spec: §2.7.13.3, §2.8.21.1 — the descriptors are there before the index, or the flags, that show them.
fn a_chain_is_whole_when_the_device_sees_it(packed: bool) {
    for ring in rings(packed, true).filter(|ring| !ring.event_index) {
        in_every_order(move || {
            let RingBench { mut queue, mut other_side, running: _running, .. } = bench(ring);

            let device = thread::spawn(move || other_side.pop().expect("what is there is whole"));
            queue.make_available(CHAIN, Tag(1)).unwrap();
            queue.publish();

            if let Some(chain) = device.join().unwrap() {
                assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16], vec![32]));
            }
        });
    }
}

/// A burst is shown by one store: a device that sees its first chain sees the second one whole.
fn a_burst_is_whole_when_the_device_sees_its_first_chain(packed: bool) {
    for ring in rings(packed, false).filter(|ring| !ring.event_index) {
        in_every_order(move || {
            let RingBench { mut queue, mut other_side, running: _running, .. } = bench(ring);

            let device = thread::spawn(move || {
                let first = other_side.pop().expect("what is there is whole");
                first.map(|_| other_side.pop().expect("and so is the second").is_some())
            });
            queue.make_available_burst((0..2).map(|context| (ONE, Tag(context)))).unwrap();
            queue.publish();

            assert_ne!(device.join().unwrap(), Some(false), "the second chain is missing");
        });
    }
}

/// Spec: §2.7.13.4.1, §2.8.21.2 — a device that goes to sleep is notified, or has seen the chain before it slept.
fn a_device_that_falls_asleep_is_woken(packed: bool) {
    for ring in rings(packed, false) {
        in_every_order(move || {
            let RingBench { mut queue, mut other_side, running: _running, .. } = bench(ring);
            other_side.disable_notifications().unwrap();

            let device = thread::spawn(move || other_side.enable_notifications().unwrap());
            queue.make_available(CHAIN, Tag(1)).unwrap();
            let notified = queue.publish();

            let seen = device.join().unwrap();
            assert!(notified || seen, "the device sleeps with a chain waiting");
        });
    }
}

/// Spec: §2.7.14, §2.8.22 — a driver that asks for notifications again gets one, or has seen the used chain before it waits.
fn a_driver_that_rearms_is_woken(packed: bool) {
    for ring in rings(packed, false) {
        in_every_order(move || {
            let RingBench { mut queue, mut other_side, running: _running, .. } = bench(ring);
            queue.suppress_notifications();
            queue.make_available(CHAIN, Tag(1)).unwrap();
            queue.publish();
            let chain = other_side.pop().unwrap().unwrap();

            let device = thread::spawn(move || other_side.complete(chain.head, 32).unwrap());
            let rearmed = queue.rearm();
            let interrupted = device.join().unwrap();

            assert!(
                interrupted || rearmed == Rearmed::MoreWaiting,
                "the driver waits for a chain that is there"
            );
        });
    }
}

/// Spec: §2.7.14, §2.8.22 — a used element that is taken is the one that the device wrote.
fn a_used_element_is_whole_when_the_driver_sees_it(packed: bool) {
    for ring in rings(packed, false) {
        in_every_order(move || {
            let RingBench { mut queue, mut other_side, running: _running, .. } = bench(ring);
            queue.make_available(CHAIN, Tag(7)).unwrap();
            queue.publish();
            let chain = other_side.pop().unwrap().unwrap();

            let device = thread::spawn(move || other_side.complete(chain.head, 31).unwrap());
            if let Some(used) = queue.take_used().expect("the device keeps to the protocol") {
                assert_eq!((used.payload, used.written_len), (Tag(7), 31));
            }

            device.join().unwrap();
        });
    }
}

//! Which barriers a queue goes through, and where.
//!
//! Those for real hardware exactly if `ORDER_PLATFORM` was agreed on.
//!
//! Spec: §6 `VIRTIO_F_ORDER_PLATFORM`, §2.7.13, §2.7.14, §2.8.10, §2.8.21, §2.8.22. Runs with `--cfg virtio_guest_stand_in` (`make test-races`), whose hook writes down every
//! access to shared memory. That each barrier is the right instruction is shown by `qemu-tests/tests/machine_code.rs`.

#![cfg(virtio_guest_stand_in)]

mod support;

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{self, Acquire, Release, SeqCst};

use support::Bench;
use virtio_guest::hal::Attempts;
use virtio_guest::raw::Tag;
use virtio_guest::raw::stand_in::{self, StandIn};
use virtio_guest::ring::{Chain, Portion, QueueSettings, Rearmed, Slots};

const REQUEST: Portion = Portion { offset: 0, len: 16 };
const ANSWER: Portion = Portion { offset: 64, len: 32 };
const CHAIN: Chain<'_> = Chain { readable: &[REQUEST], writable: &[ANSWER] };
const SIZE: u16 = 4;
const MEMORY_BYTES: usize = 4096;

const EVENT_IDX: u128 = 1 << 29;
const RING_PACKED: u128 = 1 << 34;
const ORDER_PLATFORM: u128 = 1 << 36;

/// What the driver does to shared memory. Neighbours of a kind count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Loads,
    Stores,
    /// A fence among processors.
    Fence(Ordering),
    /// A barrier for real hardware.
    Barrier(Ordering),
}

use Step::{Barrier, Fence, Loads, Stores};

thread_local! {
    static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

/// Writes down, and leaves everything to the processor.
struct Scribe;

impl Scribe {
    fn note(step: Step) -> bool {
        STEPS.with_borrow_mut(|steps| {
            let same_again = matches!(step, Loads | Stores) && steps.last() == Some(&step);
            if !same_again {
                steps.push(step);
            }
        });
        false
    }
}

impl StandIn for Scribe {
    fn share(&self, _: NonNull<u8>, _: usize) {}

    fn load(&self, _: NonNull<u8>, _: &mut [u8]) -> bool {
        Self::note(Loads)
    }

    fn store(&self, _: NonNull<u8>, _: &[u8]) -> bool {
        Self::note(Stores)
    }

    fn fence(&self, ordering: Ordering) -> bool {
        Self::note(Fence(ordering))
    }

    fn platform_barrier(&self, ordering: Ordering) -> bool {
        Self::note(Barrier(ordering))
    }
}

/// What `call` does to shared memory, and its result.
fn steps_of<R>(call: impl FnOnce() -> R) -> (Vec<Step>, R) {
    STEPS.take();
    let result = call();
    (STEPS.take(), result)
}

/// The steps of each of a queue's calls.
#[derive(Debug, PartialEq, Eq)]
struct Life {
    make_available: Vec<Step>,
    publish: Vec<Step>,
    rearm: Vec<Step>,
    take_used: Vec<Step>,
    take_nothing: Vec<Step>,
    suppress: Vec<Step>,
}

/// One chain to the device and back, with these features agreed on.
fn life(features: u128) -> Life {
    stand_in::install(&Scribe);
    let bench = Bench::with_queue(SIZE, features);
    let mut device = bench.install();
    let settings = QueueSettings { size_max: SIZE, indirect_segments: 0, memory_bytes: MEMORY_BYTES };
    let queue = device.install_queue(0, &bench.hal, &settings, Slots::allocate(SIZE)).unwrap();
    let running = device.start();
    let mut queue = running.activate(queue);
    let mut other_side = bench.device.device_queue(0, &bench.hal.space).unwrap().unwrap();
    assert_eq!(bench.device.negotiated_features() & features, features);
    assert_eq!(queue.active_path().platform_order, features & ORDER_PLATFORM != 0);

    let (make_available, accepted) = steps_of(|| queue.make_available(CHAIN, Tag(1)));
    accepted.unwrap();
    let (publish, _) = steps_of(|| queue.publish());
    let (rearm, rearmed) = steps_of(|| queue.rearm());
    assert_eq!(rearmed, Rearmed::Quiet);
    let chain = other_side.pop().unwrap().unwrap();
    other_side.complete(chain.head, 32).unwrap();
    let (take_used, used) = steps_of(|| queue.take_used());
    assert_eq!(used.unwrap().unwrap().payload, Tag(1));
    let (take_nothing, used) = steps_of(|| queue.take_used());
    assert_eq!(used, Ok(None));
    let (suppress, ()) = steps_of(|| queue.suppress_notifications());

    let (_, reset) = running.reset(Attempts(10)).unwrap();
    drop(queue.reclaim(&reset));
    bench.device.assert_driver_was_correct();
    Life { make_available, publish, rearm, take_used, take_nothing, suppress }
}

/// In both layouts, with and without event index: every barrier is an `ordered` one, in its place, and there is no other.
fn assert_every_barrier_is(ordered: fn(Ordering) -> Step, order_platform: u128) {
    for (layout, event_index) in [(0, 0), (0, EVENT_IDX), (RING_PACKED, 0), (RING_PACKED, EVENT_IDX)] {
        let expected = Life {
            make_available: vec![Stores],
            publish: vec![ordered(Release), Stores, ordered(SeqCst), Loads],
            rearm: vec![Stores, ordered(SeqCst), Loads],
            take_used: vec![Loads, ordered(Acquire), Loads],
            take_nothing: vec![Loads],
            suppress: vec![Stores],
        };
        let features = layout | event_index | order_platform;
        assert_eq!(life(features), expected, "features {features:#x}");
    }
}

/// Spec: §6 — a device that is no processor needs barriers that it takes part in.
#[test]
fn with_order_platform_every_barrier_is_one_for_real_hardware() {
    assert_every_barrier_is(Barrier, ORDER_PLATFORM);
}

/// Spec: §6 — a device that is as good as a processor is not paid more than that.
#[test]
fn without_order_platform_every_barrier_is_a_fence_among_processors() {
    assert_every_barrier_is(Fence, 0);
}

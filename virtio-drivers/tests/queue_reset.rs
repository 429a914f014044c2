//! The reset of one queue, and its installation anew.
//!
//! Spec: §2.6.1 Virtqueue Reset.

mod support;

use support::{Bench, RING_SETTINGS, Ring, RingBench, TestHal};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::{InstallError, QueueResetError, ReinstallFailed, ResetQueue};
use virtio_guest::raw::{MappedBuffer, Tag};
use virtio_guest::ring::{Broken, Chain, Portion, QueueSettings, Slots, Storage};
use virtio_guest::transport::QueueError;
use virtio_model::pci::Completion;

const RING_RESET: u128 = 1 << 40;
const PATIENCE: Attempts = Attempts(10);
const PORTION: Portion = Portion { offset: 0, len: 8 };
const ONE: Chain<'_> = Chain { readable: &[PORTION], writable: &[] };

type Buffer = (Tag<u8>, MappedBuffer<TestHal, Box<[u8]>>);

/// Spec: §2.6.1.1 — every buffer comes back once and unmapped; the queue serves again, smaller or larger.
#[test]
fn a_reset_queue_gives_every_buffer_back_and_serves_again_with_another_size() {
    for ring in Ring::all() {
        let mut bench = RingBench::<Buffer>::offering(8, ring, RING_RESET);
        for (context, size_max) in [(1, 2), (2, 8), (3, 1), (4, 4)] {
            let buffer =
                MappedBuffer::map(&bench.hal, Box::from([context; 4]), Direction::DeviceReadable).unwrap();
            bench.queue.make_available(Chain::default(), (Tag(context), buffer)).unwrap();
            bench.queue.publish();
            assert!(bench.other_side.pop().unwrap().is_some());

            let ResetQueue { mut returned, vacancy } =
                bench.running.reset_queue(bench.queue, PATIENCE).expect("the device resets queues");
            let (tag, buffer) = returned.next().expect("one was in flight");
            assert_eq!((tag, &*buffer.unmap()), (Tag(context), &[context; 4][..]));
            assert!(returned.next().is_none());
            assert_eq!((bench.hal.dma_regions(), bench.hal.mapped_buffers()), (0, 0), "nothing is kept");

            let settings = QueueSettings { size_max, ..RING_SETTINGS };
            let slots = returned.into_slots();
            bench.queue = bench.running.reinstall_queue(vacancy, &bench.hal, &settings, slots).unwrap();
            bench.other_side = bench.device.device_queue(0, &bench.hal.space).unwrap().unwrap();
            assert_eq!((bench.queue.size(), bench.queue.in_flight()), (size_max, 0));
            let setup = bench.device.queue_setup(0).expect("enabled again");
            assert_eq!(setup.size, size_max, "the device is told");
        }
        let buffer = MappedBuffer::map(&bench.hal, Box::from([9; 4]), Direction::DeviceReadable).unwrap();
        bench.queue.make_available(Chain::default(), (Tag(9), buffer)).unwrap();
        assert!(bench.queue.publish(), "notified of the new ring");
        let chain = bench.other_side.pop().unwrap().unwrap();
        bench.other_side.complete(chain.head, 0).unwrap();
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload.0, Tag(9));
        assert!(bench.finish().is_empty());
    }
}

/// A queue that cannot grow for want of memory gives back what it takes to try again, smaller; without any allocator.
#[test]
fn a_queue_that_is_not_reinstalled_gives_its_storage_and_its_place_back() {
    let mut storage = Storage::<Tag<u8>, 8>::new();
    let bench = Bench::with_queue(8, RING_RESET);
    let mut installing = bench.install();
    let queue = installing.install_queue(0, &bench.hal, &RING_SETTINGS, &mut storage).unwrap();
    let mut running = installing.start();
    let queue = running.activate(queue);
    let ResetQueue { returned, vacancy } = running.reset_queue(queue, PATIENCE).unwrap();
    bench.hal.limit_allocations(1);

    let refused = running.reinstall_queue(vacancy, &bench.hal, &RING_SETTINGS, returned.into_slots());

    let ReinstallFailed { error, vacancy, storage } = refused.unwrap_err();
    assert_eq!((error, bench.hal.dma_regions()), (InstallError::NoMemory { index: 0 }, 0));
    bench.hal.limit_allocations(2);
    let smaller = QueueSettings { size_max: 4, ..RING_SETTINGS };
    let mut queue = running.reinstall_queue(vacancy, &bench.hal, &smaller, storage).unwrap();
    queue.make_available(ONE, Tag(1)).unwrap();
    queue.publish();
    let mut other_side = bench.device.device_queue(0, &bench.hal.space).unwrap().unwrap();
    let chain = other_side.pop().unwrap().unwrap();
    other_side.complete(chain.head, 0).unwrap();
    assert_eq!(queue.take_used().unwrap().unwrap().payload, Tag(1));
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_queue_reset_is_waited_for() {
    let mut bench = RingBench::<Tag<u8>>::offering(4, Ring::default(), RING_RESET);
    bench.device.misbehave(|lies| lies.queue_reset = Completion::AfterReads(4));

    let reset = bench.running.reset_queue(bench.queue, PATIENCE).expect("in time");

    assert_eq!(reset.returned.count(), 0);
    bench.device.assert_driver_was_correct();
}

/// A device that does not finish: nothing is freed, nothing goes out any more, and asking again may help.
#[test]
fn a_queue_reset_that_is_not_confirmed_frees_nothing_and_can_be_asked_for_again() {
    let mut bench = RingBench::<Tag<u8>>::offering(4, Ring::default(), RING_RESET);
    bench.queue.make_available(ONE, Tag(1)).unwrap();
    bench.queue.publish();
    let (notified, memory) = (bench.device.notifications(0), bench.hal.dma_regions());
    bench.device.misbehave(|lies| lies.queue_reset = Completion::AfterReads(5));

    let failed = bench.running.reset_queue(bench.queue, Attempts(2)).unwrap_err();

    assert_eq!(failed.error, QueueResetError::TimedOut);
    let mut queue = failed.queue;
    assert_eq!(queue.broken(), Some(Broken::ResetPending));
    assert!(queue.make_available(ONE, Tag(2)).is_err() && !queue.publish() && queue.take_used().is_err());
    assert_eq!((bench.device.notifications(0), bench.hal.dma_regions()), (notified, memory));
    let reset = bench.running.reset_queue(queue, PATIENCE).expect("the second time");
    assert_eq!(reset.returned.collect::<Vec<_>>(), [Tag(1)]);
    bench.device.assert_driver_was_correct();
}

/// Spec: §4.1.4.3.1 — a queue that is reset is not enabled, either.
#[test]
fn a_queue_that_stays_enabled_is_not_taken_for_reset() {
    let mut bench = RingBench::<Tag<u8>>::offering(4, Ring::default(), RING_RESET);
    let memory = bench.hal.dma_regions();
    bench.device.misbehave(|lies| lies.queue_already_enabled = true);

    let failed = bench.running.reset_queue(bench.queue, PATIENCE).unwrap_err();

    assert_eq!((failed.error, bench.hal.dma_regions()), (QueueResetError::TimedOut, memory));
}

#[test]
fn a_queue_that_cannot_be_reset_alone_comes_back_as_it_was() {
    let mut bench = RingBench::<Tag<u8>>::new(4, false, false);

    let failed = bench.running.reset_queue(bench.queue, PATIENCE).unwrap_err();

    assert_eq!((failed.error, failed.queue.broken()), (QueueResetError::NotAgreed, None));
    bench.queue = failed.queue;
    assert!(bench.finish().is_empty());
}

#[test]
fn another_devices_queue_is_not_reset() {
    let mut one = RingBench::<Tag<u8>>::offering(4, Ring::default(), RING_RESET);
    let other = RingBench::<Tag<u8>>::offering(4, Ring::default(), RING_RESET);

    let failed = one.running.reset_queue(other.queue, PATIENCE).unwrap_err();

    assert_eq!((failed.error, failed.queue.broken()), (QueueResetError::OtherDevice, None));
    one.device.assert_driver_was_correct();
}

/// A vacancy is one bring-up's: it opens no door to the next.
#[test]
fn a_vacancy_of_an_earlier_bring_up_is_worth_nothing() {
    let mut bench = RingBench::<Tag<u8>>::offering(4, Ring::default(), RING_RESET);
    let mut later = RingBench::<Tag<u8>>::offering(4, Ring::default(), RING_RESET);
    let reset = bench.running.reset_queue(bench.queue, PATIENCE).expect("in time");
    let later_reset = later.running.reset_queue(later.queue, PATIENCE).expect("in time");
    let slots = || Slots::<Tag<u8>>::allocate(4);

    let refused = later.running.reinstall_queue(reset.vacancy, &later.hal, &RING_SETTINGS, slots());

    let ReinstallFailed { error, vacancy, .. } = refused.expect_err("another bring-up's");
    assert_eq!(error, InstallError::Queue { index: 0, error: QueueError::Absent });
    assert!(bench.running.reinstall_queue(vacancy, &bench.hal, &RING_SETTINGS, slots()).is_ok(), "its own");
    let own = later.running.reinstall_queue(later_reset.vacancy, &later.hal, &RING_SETTINGS, slots());
    assert!(own.is_ok());
}

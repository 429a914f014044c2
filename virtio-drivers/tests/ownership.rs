//! Who owns a buffer: through a queue, failures on the way, resets and drops.
//!
//! Spec: §2.4 Device Reset, §2.6 Virtqueues.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{RingBench, TestHal};
use virtio_guest::hal::Direction;
use virtio_guest::raw::{MapRefused, MappedBuffer, Tag};
use virtio_guest::ring::{Chain, Portion, Rearmed, RefusedReason, Used};

const HEADER: Portion = Portion { offset: 0, len: 16 };
const STATUS: Portion = Portion { offset: 128, len: 1 };
const ONE_READABLE: Chain<'_> = Chain { readable: &[HEADER], writable: &[] };

type Buffers = (Tag<u8>, [MappedBuffer<TestHal, Box<[u8]>>; 2]);

fn map(hal: &TestHal, bytes: &[u8], direction: Direction) -> MappedBuffer<TestHal, Box<[u8]>> {
    MappedBuffer::map(hal, bytes.into(), direction).unwrap()
}

/// Spec: §2.7.4.2 — what the device reads comes first; a payload that has it otherwise is refused and comes back.
#[test]
fn a_payload_with_a_readable_buffer_after_a_writable_one_is_refused() {
    for mut bench in RingBench::<Buffers>::variants(8) {
        let to_device = map(&bench.hal, b"to the device", Direction::DeviceReadable);
        let from_device = map(&bench.hal, &[0; 11], Direction::DeviceWritable);

        let refused =
            bench.queue.make_available(Chain::default(), (Tag(5), [from_device, to_device])).unwrap_err();

        assert_eq!(refused.reason, RefusedReason::Misordered);
        assert_eq!(refused.payload.0, Tag(5));
        assert!(!bench.queue.publish());
        drop(refused);
        let hal = bench.hal.clone();
        assert!(bench.finish().is_empty());
        hal.assert_all_returned();
    }
}

/// Bounced memory: the device sees a copy, and what it writes is back when the buffer is.
#[test]
fn owned_buffers_travel_through_the_queue_and_come_back_filled() {
    for mut bench in RingBench::<Buffers>::variants(8) {
        let to_device = map(&bench.hal, b"to the device", Direction::DeviceReadable);
        let from_device = map(&bench.hal, &[0; 11], Direction::DeviceWritable);
        bench
            .queue
            .make_available(
                Chain { readable: &[HEADER], writable: &[STATUS] },
                (Tag(5), [to_device, from_device]),
            )
            .unwrap();
        bench.queue.publish();

        let chain = bench.pop();
        assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16, 13], vec![11, 1]));
        assert_eq!(chain.read_all(&bench.hal.space).unwrap()[16..], *b"to the device");
        chain.write_all(&bench.hal.space, b"from device!").unwrap();
        bench.complete(&chain, 12);

        let Used { payload: (tag, [to_device, from_device]), written_len } =
            bench.queue.take_used().unwrap().unwrap();
        assert_eq!((tag, written_len), (Tag(5), 12));
        assert_eq!(*from_device.unmap(), *b"from device");
        assert_eq!(*to_device.unmap(), *b"to the device");
        let hal = bench.hal.clone();
        assert!(bench.finish().is_empty());
        hal.assert_all_returned();
    }
}

type Mapped = MappedBuffer<TestHal, Box<[u8]>>;

/// A mapping that fails in the middle of a chain leaves nothing mapped and nothing exposed; a shorter chain, where longer ones have been, is that and no more.
#[test]
fn a_failed_mapping_undoes_the_ones_before_it() {
    for mut bench in RingBench::<(Mapped, Option<(Mapped, Mapped)>)>::variants(4) {
        let hal = bench.hal.clone();
        let whole = |byte| -> Result<_, MapRefused<Box<[u8]>>> {
            let map = |len| MappedBuffer::map(&hal, vec![byte; len].into(), Direction::DeviceReadable);
            Ok((map(8)?, Some((map(9)?, map(10)?))))
        };
        for round in 0..3 {
            bench.queue.make_available(Chain::default(), whole(round).unwrap()).unwrap();
            bench.queue.publish();
            let chain = bench.pop();
            assert_eq!(chain.readable_lens(), [8, 9, 10]);
            bench.complete(&chain, 0);
            drop(bench.queue.take_used().unwrap().unwrap());
        }
        hal.limit_maps(2);
        assert_eq!(*whole(7).unwrap_err().buffer, [7; 10]);
        assert_eq!((hal.mapped_buffers(), bench.queue.in_flight()), (0, 0));

        hal.limit_maps(1);
        let one = map(&hal, &[9; 8], Direction::DeviceReadable);
        bench.queue.make_available(Chain::default(), (one, None)).unwrap();
        bench.queue.publish();

        let chain = bench.pop();
        assert_eq!(chain.readable_lens(), [8], "no segment of an earlier chain");
        assert_eq!(chain.read_all(&hal.space).unwrap(), [9; 8]);
        assert_eq!(bench.finish().len(), 1);
        hal.assert_all_returned();
    }
}

#[test]
fn buffers_that_no_descriptor_can_name_are_not_mapped() {
    let hal = TestHal::default();

    let refused = MappedBuffer::map(&hal, Box::<[u8]>::from([]), Direction::DeviceReadable).unwrap_err();

    assert!(refused.buffer.is_empty());
    hal.assert_all_returned();
}

/// Spec: §2.4 — a reset device uses nothing: every payload comes back once, every mapping can be undone.
#[test]
fn a_confirmed_reset_gives_back_every_payload_exactly_once() {
    for mut bench in RingBench::<(Tag<usize>, MappedBuffer<TestHal, Box<[u8]>>)>::variants(8) {
        for index in 0..5 {
            let buffer = map(&bench.hal, &[index as u8; 4], Direction::DeviceWritable);
            bench.queue.make_available(Chain::default(), (Tag(index), buffer)).unwrap();
        }
        bench.queue.publish();
        let chain = bench.pop();
        bench.complete(&chain, 4);
        let taken = bench.queue.take_used().unwrap().unwrap().payload.0;
        let hal = bench.hal.clone();

        let mut returned: Vec<_> = bench.finish().into_iter().map(|(Tag(index), _)| index).collect();

        returned.push(taken.0);
        returned.sort_unstable();
        assert_eq!(returned, [0, 1, 2, 3, 4]);
        hal.assert_all_returned();
    }
}

/// Without a confirmed reset the device may still write: nothing is freed.
#[test]
fn a_dropped_queue_leaks_what_the_device_may_still_use() {
    let mut bench = RingBench::<MappedBuffer<TestHal, Box<[u8]>>>::new(8, false, false);
    let buffer = map(&bench.hal, &[0; 4], Direction::DeviceWritable);
    bench.queue.make_available(Chain::default(), buffer).unwrap();
    bench.queue.publish();
    let before = (bench.hal.dma_regions(), bench.hal.mapped_buffers());

    drop(bench.queue);

    assert_eq!((bench.hal.dma_regions(), bench.hal.mapped_buffers()), before);
    let chain = bench.other_side.pop().unwrap().unwrap();
    chain.write_all(&bench.hal.space, &[1; 4]).expect("still mapped");
}

/// The reset of one device says nothing about another's memory.
#[test]
fn another_devices_reset_takes_nothing_back() {
    let mut one = RingBench::new(4, false, false);
    let other = RingBench::<Tag<u8>>::new(4, false, false);
    one.queue.make_available(ONE_READABLE, Tag(1u8)).unwrap();
    one.queue.publish();
    let (_, reset_of_other) = other.running.reset(virtio_guest::hal::Attempts(10)).unwrap();

    one.queue = one.queue.reclaim(&reset_of_other).expect_err("not its reset");

    let chain = one.pop();
    one.complete(&chain, 0);
    assert_eq!(one.queue.take_used().unwrap().unwrap().payload, Tag(1));
    assert!(one.finish().is_empty());
}

/// Spec: §3.3.1 — what a device was shown, and has not used, stays as it is, whatever else is done with the queue.
#[test]
fn descriptors_that_the_device_was_shown_are_left_alone() {
    let three = [16, 32, 48].map(|offset| Portion { offset, len: 16 });
    let shown = Chain { readable: &three[..1], writable: &three[1..] };
    for mut bench in RingBench::<Tag<u8>>::variants(8) {
        let (setup, space) = (bench.device.queue_setup(0).unwrap(), bench.hal.space.clone());
        let packed = bench.ring.packed;
        let descriptors = || {
            let (mut bytes, mut first) = ([0; 16 * 8], [0; 2]);
            space.read(setup.descriptor_area, &mut bytes).unwrap();
            if !packed {
                space.read(setup.driver_area + 4, &mut first).unwrap();
            }
            (bytes.chunks(16).map(<[u8]>::to_vec).collect::<Vec<_>>(), first)
        };
        let (before, _) = descriptors();
        bench.queue.make_available(shown, Tag(0)).unwrap();
        bench.queue.publish();
        let (after, first) = descriptors();
        let exposed: Vec<_> = (0..8).filter(|slot| before[*slot] != after[*slot]).collect();
        assert!(!exposed.is_empty());

        let check = |what| {
            let (now, place) = descriptors();
            assert!(exposed.iter().all(|slot| now[*slot] == after[*slot]), "{what}: packed is {packed}");
            assert_eq!(place, first, "{what}: the entry of the available ring");
        };
        assert_eq!(bench.queue.take_used(), Ok(None));
        check("nothing was used");
        bench.queue.suppress_notifications();
        assert_eq!(bench.queue.rearm(), Rearmed::Quiet);
        assert_eq!(bench.queue.rearm_delayed(2), Rearmed::Quiet);
        check("notifications were suppressed, and asked for");
        for round in 1.. {
            let made = bench.queue.make_available(ONE_READABLE, Tag(round));
            bench.queue.publish();
            check("another chain was made available");
            if made.is_err() {
                break;
            }
        }
        let too_long = [HEADER; 40];
        assert!(bench.queue.make_available(Chain { readable: &too_long, writable: &[] }, Tag(99)).is_err());
        check("a chain was refused");

        let chain = bench.pop();
        assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16], vec![16, 16]));
        bench.complete(&chain, 32);
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(0));
        bench.finish();
    }
}

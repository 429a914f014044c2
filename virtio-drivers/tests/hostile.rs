//! What a virtqueue promises whatever the device writes.
//!
//! No panic, no access out of bounds, nothing handed out twice.
//!
//! Spec: §2.7.14, §2.8.22 Receiving Used Buffers From The Device. After each lie the queue says what was wrong, refuses work, and a reset gives everything back.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::RingBench;
use virtio_guest::raw::Tag;
use virtio_guest::ring::{Broken, Chain, Portion, Rearmed, RefusedReason};
use virtio_model::packed::{self, Position};
use virtio_model::queue::DeviceQueue;
use virtio_model::split::Descriptor;

const PORTION: Portion = Portion { offset: 0, len: 16 };
const READABLE: Chain<'_> = Chain { readable: &[PORTION; 3], writable: &[] };
const WRITABLE: Chain<'_> = Chain { readable: &[], writable: &[PORTION] };

/// Puts one chain into the device's hands, has it lie, and expects the queue to be broken like this and everything to come back.
fn expect_broken(
    benches: impl Iterator<Item = RingBench<Tag<u8>>>,
    chain: Chain<'_>,
    lie: impl Fn(&mut RingBench<Tag<u8>>),
    expected: impl Fn(&Broken) -> bool,
) {
    for mut bench in benches {
        bench.queue.make_available(chain, Tag(1)).unwrap();
        bench.queue.publish();
        lie(&mut bench);

        let broken = bench.queue.take_used().expect_err("a lie is noticed");

        assert!(expected(&broken), "{broken:?}");
        assert_eq!(bench.queue.take_used(), Err(broken), "and not forgotten");
        assert_eq!(bench.queue.broken(), Some(broken));
        let refused = bench.queue.make_available(chain, Tag(2)).unwrap_err();
        assert_eq!((refused.reason, refused.payload), (RefusedReason::Broken, Tag(2)));
        assert!(!bench.queue.publish());
        assert_eq!(bench.finish(), [Tag(1)]);
    }
}

#[test]
fn a_used_id_out_of_range_breaks_the_queue() {
    for id in [8, 9, 0xffff] {
        let unknown = Broken::UnknownChain { id };
        expect_broken(
            RingBench::variants(8),
            READABLE,
            |bench| bench.claim_used(id, 0),
            |broken| *broken == unknown,
        );
    }
}

/// A used element of the split layout has 32 bits for an id.
#[test]
fn a_used_id_is_not_cut_to_16_bits() {
    for id in [0x1_0000, u32::MAX] {
        let unknown = Broken::UnknownChain { id };
        expect_broken(
            RingBench::split(8),
            READABLE,
            |bench| bench.claim_used(id, 0),
            |broken| *broken == unknown,
        );
    }
}

#[test]
fn a_used_id_in_the_middle_of_a_chain_breaks_the_queue() {
    let unknown = Broken::UnknownChain { id: 1 };
    expect_broken(
        RingBench::variants(8),
        READABLE,
        |bench| bench.claim_used(1, 0),
        |broken| *broken == unknown,
    );
}

#[test]
fn a_used_id_that_was_never_made_available_breaks_the_queue() {
    let unknown = Broken::UnknownChain { id: 7 };
    expect_broken(
        RingBench::variants(8),
        READABLE,
        |bench| bench.claim_used(7, 0),
        |broken| *broken == unknown,
    );
}

#[test]
fn a_chain_that_completes_twice_breaks_the_queue_the_second_time() {
    for mut bench in RingBench::variants(8) {
        bench.queue.make_available(READABLE, Tag(1)).unwrap();
        bench.queue.make_available(READABLE, Tag(2)).unwrap();
        bench.queue.publish();
        match &mut bench.other_side {
            DeviceQueue::Split(ring) => {
                ring.put_used_element(0, 0, 0).unwrap();
                ring.put_used_element(1, 0, 0).unwrap();
                ring.set_used_idx(2).unwrap();
            }
            DeviceQueue::Packed(ring) => {
                let second_slot = if bench.ring.indirect { 1 } else { 3 };
                ring.put_used(0, 0, 0, Position::START.used_flags()).unwrap();
                ring.put_used(second_slot, 0, 0, Position::START.used_flags()).unwrap();
            }
        }

        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(1));
        assert_eq!(bench.queue.take_used(), Err(Broken::UnknownChain { id: 0 }));

        assert_eq!(bench.finish(), [Tag(2)]);
    }
}

#[test]
fn a_chain_that_was_not_published_yet_cannot_complete() {
    for mut bench in RingBench::variants(8) {
        bench.queue.make_available(WRITABLE, Tag(1)).unwrap();
        bench.queue.publish();
        bench.queue.make_available(WRITABLE, Tag(2)).unwrap();
        bench.claim_used(1, 0);

        assert_eq!(bench.queue.take_used(), Err(Broken::UnknownChain { id: 1 }));

        assert_eq!(bench.finish(), [Tag(1), Tag(2)]);
    }
}

#[test]
fn a_used_index_that_jumps_or_goes_backwards_breaks_the_queue() {
    for index in [2u16, 9, 0x8000, 0xffff] {
        expect_broken(
            RingBench::split(8),
            READABLE,
            |bench| bench.other_side.split().set_used_idx(index).unwrap(),
            |broken| *broken == Broken::UsedIndexJumped { by: index, held: 1 },
        );
    }
}

#[test]
fn an_idle_queue_with_a_moving_used_index_is_broken() {
    for mut bench in RingBench::<Tag<u8>>::split(8) {
        bench.other_side.split().set_used_idx(1).unwrap();

        assert_eq!(bench.queue.take_used(), Err(Broken::UsedIndexJumped { by: 1, held: 0 }));

        assert!(bench.finish().is_empty());
    }
}

#[test]
fn a_written_length_beyond_the_writable_bytes_breaks_the_queue() {
    for written_len in [17, u32::MAX] {
        let expected = Broken::WrittenTooMuch { id: 0, written_len, writable_bytes: 16 };
        let rings = RingBench::variants(8);
        expect_broken(
            rings,
            WRITABLE,
            |bench| bench.claim_used(0, written_len),
            |broken| *broken == expected,
        );
    }
}

/// Some devices report a length for chains that they cannot write to.
#[test]
fn a_written_length_for_a_read_only_chain_is_tolerated_and_counts_as_nothing() {
    for mut bench in RingBench::variants(8) {
        bench.queue.make_available(READABLE, Tag(1)).unwrap();
        bench.queue.publish();
        bench.claim_used(0, 48);

        let used = bench.queue.take_used().unwrap().unwrap();

        assert_eq!((used.payload, used.written_len), (Tag(1), 0));
        assert!(bench.finish().is_empty());
    }
}

/// Nonsense in the place of a descriptor, that looks used to nobody.
fn overwrite(ring: &mut DeviceQueue, index: u16) {
    match ring {
        DeviceQueue::Split(ring) => {
            let looping = Descriptor { addr: u64::MAX, len: u32::MAX, flags: 1, next: index };
            ring.overwrite_descriptor(index, looping).unwrap();
        }
        DeviceQueue::Packed(ring) => {
            let other =
                packed::Descriptor { addr: u64::MAX, len: u32::MAX, id: 7 - index, flags: packed::AVAIL | 7 };
            ring.overwrite_descriptor(index, other).unwrap();
        }
    }
}

/// Spec: §2.7.5 — links are the driver's: what a device does to the shared table changes nothing.
#[test]
fn a_device_that_rewrites_the_descriptor_table_does_not_reach_the_free_list() {
    for mut bench in RingBench::variants(8) {
        for round in 0..if cfg!(miri) { 3 } else { 20u8 } {
            bench.queue.make_available(READABLE, Tag(round)).unwrap();
            bench.queue.publish();
            let chain = bench.other_side.pop().expect("sound").expect("available");
            for index in 0..8 {
                overwrite(&mut bench.other_side, index);
            }
            bench.other_side.complete(chain.head, 0).unwrap();

            assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(round));
            assert_eq!(bench.queue.free_descriptors(), 8);
        }
        assert!(bench.finish().is_empty());
    }
}

#[test]
fn a_device_that_rewrites_an_indirect_table_does_not_reach_the_books() {
    for mut bench in RingBench::variants(8).filter(|bench| bench.ring.indirect) {
        bench.queue.make_available(READABLE, Tag(1)).unwrap();
        bench.queue.publish();
        let chain = bench.other_side.pop().expect("sound").expect("available");
        assert!(chain.indirect);
        match &mut bench.other_side {
            DeviceQueue::Split(ring) => {
                let table = ring.read_descriptor(chain.head).unwrap().addr;
                let nonsense = Descriptor { addr: 0, len: u32::MAX, flags: 7, next: 0xffff };
                (0..3).for_each(|index| ring.overwrite_indirect(table, index, nonsense).unwrap());
            }
            DeviceQueue::Packed(ring) => {
                let table = ring.read_descriptor(0).unwrap().addr;
                let nonsense = packed::Descriptor { addr: 0, len: u32::MAX, id: 0xffff, flags: 0xffff };
                (0..3).for_each(|index| ring.overwrite_indirect(table, index, nonsense).unwrap());
            }
        }
        bench.other_side.complete(chain.head, 0).unwrap();

        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(1));
        bench.queue.make_available(READABLE, Tag(2)).unwrap();
        bench.queue.publish();
        assert_eq!(
            bench.other_side.pop().expect("sound again").expect("available").readable_lens(),
            [16, 16, 16]
        );
        assert_eq!(bench.finish(), [Tag(2)]);
    }
}

/// All ones in every word that the device owns, as after a surprise removal.
#[test]
fn a_device_area_of_all_ones_breaks_the_queue() {
    expect_broken(
        RingBench::variants(8),
        WRITABLE,
        |bench| match &mut bench.other_side {
            DeviceQueue::Split(ring) => {
                ring.set_used_flags(0xffff).unwrap();
                ring.set_avail_event(0xffff).unwrap();
                ring.put_used_element(0, u32::MAX, u32::MAX).unwrap();
                ring.set_used_idx(0xffff).unwrap();
            }
            DeviceQueue::Packed(ring) => {
                ring.set_device_event(0xffff, 0xffff).unwrap();
                let ones = packed::Descriptor { addr: u64::MAX, len: u32::MAX, id: 0xffff, flags: 0xffff };
                (0..8).for_each(|slot| ring.overwrite_descriptor(slot, ones).unwrap());
            }
        },
        |broken| match broken {
            Broken::UsedIndexJumped { by, .. } => *by == 0xffff,
            broken => *broken == Broken::UnknownChain { id: 0xffff },
        },
    );
}

/// An index that vouched for chains and is taken back: they are waiting all the same.
#[test]
fn a_rearm_after_the_used_index_was_taken_back_says_that_more_is_waiting() {
    for mut bench in RingBench::split(8) {
        for context in 0..2u8 {
            bench.queue.make_available(WRITABLE, Tag(context)).unwrap();
        }
        bench.queue.publish();
        for _ in 0..2 {
            let chain = bench.other_side.pop().unwrap().unwrap();
            bench.other_side.complete(chain.head, 16).unwrap();
        }
        bench.queue.take_used().unwrap().unwrap();

        bench.other_side.split().set_used_idx(1).unwrap();

        assert_eq!(bench.queue.rearm(), Rearmed::MoreWaiting);
        assert_eq!(bench.queue.take_used().unwrap().unwrap().payload, Tag(1));
        assert!(bench.finish().is_empty());
    }
}

/// A queue that is out of service stays so: it publishes nothing, is quiet, and says each time why.
#[test]
fn a_broken_queue_stays_broken_and_is_quiet() {
    let mut bench = RingBench::<Tag<u8>>::new(4, false, false);
    let portion = [Portion { offset: 0, len: 8 }];
    bench.queue.make_available(Chain { readable: &portion, writable: &[] }, Tag(1)).unwrap();
    bench.other_side.split().set_used_idx(9).unwrap();
    let broken = bench.queue.take_used().unwrap_err();

    bench.other_side.split().set_used_idx(0).unwrap();

    assert_eq!(bench.queue.take_used().unwrap_err(), broken, "whatever the device writes later");
    assert_eq!(bench.queue.rearm(), Rearmed::Quiet, "nobody waits for more");
    bench.queue.suppress_notifications();
    assert_eq!(bench.other_side.split().avail_flags().unwrap(), 0, "nothing is written any more");
    assert!(!bench.queue.publish());
    assert_eq!(bench.other_side.split().read_avail_idx().unwrap(), 0, "nothing was published");
    assert_eq!(bench.finish(), [Tag(1)]);
}

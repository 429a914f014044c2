//! Returning buffers: what the driver sees, when, and where.

use super::super::{AVAIL, Descriptor, Position, Published, USED, WRITE};
use super::{Bench, DATA, DEVICE_EVENT, SIZE, TABLE};
use std::sync::atomic::Ordering::Relaxed;

/// Spec: §2.8.3 Write Flag, §2.8.4 Element Address and Length.
#[test]
fn a_used_descriptor_says_whether_anything_was_written() {
    let mut bench = Bench::new();
    bench.take(&[3, 1]);

    bench.queue.complete(3, 6).unwrap();
    bench.queue.complete(1, 0).unwrap();

    let used = |id, len, flags| Descriptor { addr: DATA, len, id, flags };
    assert_eq!(bench.slot(0), used(3, 6, AVAIL | USED | WRITE));
    assert_eq!(bench.slot(1), used(1, 0, AVAIL | USED));
}

#[test]
fn used_descriptors_become_visible_with_the_burst() {
    let mut bench = Bench::new();
    bench.take(&[0, 1, 2]);
    assert_eq!(bench.queue.push_used(1, 5), Ok(0));
    assert_eq!(bench.queue.push_used(0, 0), Ok(1));
    assert_eq!([0, 1].map(|slot| bench.slot(slot).flags), [AVAIL | WRITE; 2]);

    let published = bench.queue.publish_used().unwrap();

    let new = Position { offset: 2, wrap: true };
    assert_eq!(published, Published { old: Position::START, new });
    assert_eq!([0, 1].map(|slot| bench.slot(slot).id), [1, 0]);
    assert_eq!([0, 1].map(|slot| bench.slot(slot).flags), [AVAIL | USED | WRITE, AVAIL | USED]);
    assert_eq!(bench.slot(2).flags, AVAIL | WRITE);
    assert_eq!(bench.queue.publish_used(), Ok(Published { old: new, new }), "nothing more to show");
}

/// Spec: §2.8.6 — one used descriptor for a list, then the device skips as many as it had.
#[test]
fn the_next_used_descriptor_lies_behind_the_whole_list() {
    let mut bench = Bench::new();
    bench.make_available(0, &[(8, 0), (8, 0), (8, 0)]);
    bench.make_available(1, &[(8, 0)]);
    bench.queue.pop().unwrap().unwrap();
    bench.queue.pop().unwrap().unwrap();

    assert_eq!(bench.queue.push_used(1, 0), Ok(0), "out of order: the place of the first one");
    assert_eq!(bench.queue.push_used(0, 0), Ok(1));
    bench.queue.publish_used().unwrap();

    assert_eq!([0, 1].map(|slot| bench.slot(slot).id), [1, 0]);
    assert_eq!([2, 3].map(|slot| bench.slot(slot).flags & USED), [0, 0], "skipped, not written");
    assert_eq!(bench.queue.next_used().offset, 4);
}

/// Spec: §2.8.1 — the bits of a used descriptor follow the device's wrap counter.
#[test]
fn used_bits_change_with_every_round() {
    let mut bench = Bench::new();
    for round in 0..4 {
        bench.take(&[0, 1, 2, 3, 4]);
        for id in 0..SIZE {
            bench.queue.complete(id, 0).unwrap();
        }
        let expected = if round % 2 == 0 { AVAIL | USED } else { 0 };
        assert_eq!([0, 1, 2, 3, 4].map(|slot| bench.slot(slot).flags), [expected; 5]);
    }
}

/// Spec: §2.8.8 — one descriptor at the place of the first buffer names the last one.
#[test]
fn a_batch_is_returned_with_one_descriptor() {
    let mut bench = Bench::in_order();
    bench.make_available(4, &[(8, 0), (8, WRITE)]);
    bench.queue.pop().unwrap().unwrap();
    bench.take(&[2, 0]);

    assert_eq!(bench.queue.complete_batch(&[(4, 8), (2, 8), (0, 5)]), Ok(true));

    let named = bench.slot(0);
    assert_eq!((named.id, named.len, named.flags), (0, 5, AVAIL | USED | WRITE));
    assert_eq!([1, 2, 3].map(|slot| bench.slot(slot).flags & USED), [0; 3]);
    bench.take(&[4, 2]);
    bench.queue.complete_batch(&[(4, 0), (2, 0)]).unwrap();
    let named = bench.slot(4);
    assert_eq!((named.id, named.flags), (2, AVAIL | USED));
    assert_eq!(bench.queue.next_used(), Position { offset: 1, wrap: false });
}

#[test]
#[should_panic(expected = "buffer 1 returned by the test while Some(3) is the oldest")]
fn a_test_that_returns_out_of_order_is_stopped() {
    let mut bench = Bench::in_order();
    bench.take(&[3, 1]);

    let _ = bench.queue.complete(1, 0);
}

#[test]
#[should_panic(expected = "buffer 2 returned by the test while Some(1) is the oldest")]
fn a_batch_that_leaves_out_a_buffer_is_stopped() {
    let mut bench = Bench::in_order();
    bench.take(&[3, 1, 2]);

    let _ = bench.queue.complete_batch(&[(3, 0), (2, 0)]);
}

#[test]
#[should_panic(expected = "without IN_ORDER")]
fn a_batch_needs_the_feature() {
    let _ = Bench::new().queue.complete_batch(&[(0, 0)]);
}

#[test]
fn lies_about_used_descriptors_are_told_and_leave_the_books_alone() {
    let mut bench = Bench::new();
    bench.take(&[0, 1]);
    let honest = bench.queue.next_used();

    bench.queue.put_used(0, 0xffff, u32::MAX, honest.used_flags() | WRITE).unwrap();

    let told = Descriptor { addr: DATA, len: u32::MAX, id: 0xffff, flags: AVAIL | USED | WRITE };
    assert_eq!(bench.slot(0), told);
    assert_eq!(bench.queue.next_used(), honest);
    bench.queue.push_used(0, 8).unwrap();
    bench.queue.put_used_id(0, 7, 9).unwrap();
    bench.queue.publish_used().unwrap();
    assert_eq!(bench.slot(0), Descriptor { addr: DATA, len: 9, id: 7, flags: AVAIL | USED | WRITE });
    bench.queue.push_used(1, 0).unwrap();
    assert_eq!(bench.queue.push_used(1, 0), Ok(2), "returned twice: a descriptor of its own");
}

#[test]
fn the_other_lies_store_what_they_are_told() {
    let bench = Bench::new();
    let nonsense = Descriptor { addr: u64::MAX, len: 1, id: 2, flags: 0xffff };

    bench.queue.overwrite_descriptor(3, nonsense).unwrap();
    bench.queue.overwrite_indirect(TABLE, 1, nonsense).unwrap();
    bench.queue.set_device_event(0x7fff, 0xffff).unwrap();

    assert_eq!(bench.slot(3), nonsense);
    assert_eq!(Descriptor::load(&bench.memory, TABLE, 1, Relaxed), Ok(nonsense));
    assert_eq!(bench.memory.load_u32(DEVICE_EVENT, Relaxed), Ok(0xffff_7fff));
}

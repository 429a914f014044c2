//! Taking buffers: what is followed, and what a driver is told that breaks a rule.

use super::super::{AVAIL, Descriptor, INDIRECT, NEXT, USED, WRITE};
use super::{Bench, DATA, SIZE, TABLE};
use crate::chain::Segment;

/// Spec: §2.8.6 — the buffer id is in the last descriptor of the list.
#[test]
fn a_list_is_walked_in_order_and_named_by_its_last_descriptor() {
    let mut bench = Bench::new();
    bench.make_available(4, &[(16, 0), (8, WRITE), (1, WRITE)]);

    let chain = bench.queue.pop().unwrap().unwrap();

    let segment = |len, writable| Segment { addr: DATA, len, writable };
    assert_eq!((chain.head, chain.indirect), (4, false));
    assert_eq!(chain.segments, [segment(16, false), segment(8, true), segment(1, true)]);
    assert_eq!(bench.queue.pop(), Ok(None));
}

/// Spec: §2.8.1 — the wrap counter changes in the middle of a list.
#[test]
fn a_list_may_run_round_the_end_of_the_ring() {
    let mut bench = Bench::new();
    for round in 0..20 {
        bench.make_available(round % SIZE, &[(16, 0), (8, 0), (1, WRITE)]);
        let chain = bench.queue.pop().unwrap().unwrap();
        assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16, 8], vec![1]));
        assert_eq!(bench.queue.pop(), Ok(None), "what is left of the round before is not available");
        bench.queue.complete(chain.head, 1).unwrap();
        assert_eq!(bench.queue.next_avail(), bench.next);
        assert_eq!(bench.queue.next_used(), bench.next);
    }
}

#[test]
fn an_indirect_table_is_taken_entry_by_entry() {
    let mut bench = Bench::new();
    bench.put_indirect(0, 16, 0);
    bench.put_indirect(1, 7, WRITE);
    let flags = INDIRECT | WRITE | AVAIL;
    bench.queue.overwrite_descriptor(0, Descriptor { addr: TABLE, len: 32, id: 3, flags }).unwrap();

    let chain = bench.queue.pop().unwrap().unwrap();

    assert_eq!((chain.head, chain.indirect), (3, true));
    assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16], vec![7]));
    assert_eq!(bench.queue.next_avail().offset, 1);
}

/// Spec: §2.8.1 — the bits of a descriptor count for one position of the wrap counter only.
#[test]
fn a_descriptor_of_another_round_is_not_available() {
    let mut bench = Bench::new();
    for flags in [0, USED, AVAIL | USED] {
        bench.put(0, 0, 8, flags);
        assert_eq!(bench.queue.pop(), Ok(None), "{flags:#x}");
    }
    bench.put(0, 0, 8, AVAIL);
    assert!(bench.queue.pop().unwrap().is_some());
}

/// Puts an indirect table of `len` bytes into slot 0.
fn table(bench: &Bench, len: u32, flags: u16) {
    let table = Descriptor { addr: TABLE, len, id: 0, flags: INDIRECT | flags | AVAIL };
    bench.queue.overwrite_descriptor(0, table).unwrap();
}

#[test]
fn a_broken_list_is_named() {
    type Break = fn(&Bench);
    let cases: [(&str, Break); 14] = [
        ("buffer id 5 in a queue of 5", |bench| bench.put(0, SIZE, 8, AVAIL)),
        ("length 0", |bench| bench.put(0, 0, 0, AVAIL)),
        ("unknown descriptor flags 0x100", |bench| bench.put(0, 0, 8, AVAIL | 0x100)),
        ("slot 1 has flags 0x0, not available", |bench| bench.put(0, 0, 8, AVAIL | NEXT)),
        ("slot 1 has flags 0x8000, not available", |bench| {
            bench.put(1, 0, 8, USED);
            bench.put(0, 0, 8, AVAIL | NEXT);
        }),
        ("device-readable descriptor after", |bench| {
            bench.put(1, 0, 8, AVAIL);
            bench.put(0, 0, 8, AVAIL | NEXT | WRITE);
        }),
        ("longer than the queue size 5", |bench| {
            for slot in (0..SIZE).rev() {
                bench.put(slot, 0, 8, AVAIL | NEXT);
            }
        }),
        ("INDIRECT together with NEXT", |bench| table(bench, 16, NEXT)),
        ("INDIRECT in a list", |bench| {
            bench.put(1, 0, 16, AVAIL | INDIRECT);
            bench.put(0, 0, 8, AVAIL | NEXT);
        }),
        ("an indirect table of 24 bytes", |bench| table(bench, 24, 0)),
        ("an indirect table of 0 bytes", |bench| table(bench, 0, 0)),
        ("entry 0 of an indirect table has flags 0x1", |bench| {
            bench.put_indirect(0, 8, NEXT);
            table(bench, 32, 0);
        }),
        ("entry 1 of an indirect table has flags 0x82", |bench| {
            bench.put_indirect(0, 8, 0);
            bench.put_indirect(1, 8, AVAIL | WRITE);
            table(bench, 32, 0);
        }),
        ("longer than the queue size 5", |bench| {
            (0..6).for_each(|index| bench.put_indirect(index, 8, 0));
            table(bench, 6 * 16, 0);
        }),
    ];
    for (expected, arrange) in cases {
        let mut bench = Bench::new();
        arrange(&bench);

        let complaint = bench.complaint();

        assert!(complaint.contains(expected), "{complaint:?} should say {expected:?}");
        assert_eq!(bench.complaint(), complaint, "the queue has not moved on");
    }
}

/// Spec: §2.8.6 — the bits of a list change where the wrap counter does.
#[test]
fn a_list_with_the_bits_of_one_round_past_the_end_is_broken() {
    let mut bench = Bench::new();
    bench.take(&[0, 1, 2, 3]);
    bench.queue.complete(0, 0).unwrap();
    bench.queue.complete(1, 0).unwrap();
    bench.put(0, 0, 8, AVAIL);
    bench.put(4, 0, 8, AVAIL | NEXT);

    assert!(bench.complaint().contains("slot 0 has flags 0x80, not available with wrap counter false"));
}

#[test]
fn a_buffer_in_flight_may_not_be_made_available_again_before_its_return_is_visible() {
    let mut bench = Bench::new();
    bench.take(&[2]);
    bench.make_available(2, &[(8, 0)]);

    assert!(bench.complaint().contains("buffer id 2 names a buffer in flight"));
    bench.queue.push_used(2, 0).unwrap();
    assert!(bench.complaint().contains("buffer id 2 names a buffer in flight"));

    bench.queue.publish_used().unwrap();
    assert!(bench.queue.pop().unwrap().is_some());
}

#[test]
fn a_list_may_not_overrun_descriptors_in_flight() {
    let mut bench = Bench::new();
    bench.take(&[0, 1, 2]);
    bench.make_available(3, &[(8, 0), (8, 0), (8, 0)]);

    assert!(bench.complaint().contains("overruns descriptors in flight, of which there are 3"));
    bench.queue.push_used(1, 0).unwrap();
    assert!(bench.complaint().contains("overruns"), "the driver cannot know of it yet");

    bench.queue.publish_used().unwrap();
    bench.put(0, 3, 8, USED);
    assert_eq!(bench.queue.pop().unwrap().unwrap().head, 3);
}

#[test]
fn indirect_tables_need_the_feature() {
    let mut bench = Bench::new();
    let setup = super::Setup { indirect: false, ..super::setup(SIZE) };
    bench.queue = super::PackedQueue::new(&bench.memory, setup).unwrap();
    bench.put_indirect(0, 8, 0);
    table(&bench, 16, 0);

    assert!(bench.complaint().contains("INDIRECT without INDIRECT_DESC"));
}

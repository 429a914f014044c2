//! Promises of the split queue, against a driver made of bare stores.

use super::{Descriptor, INDIRECT, ModelError, NEXT, Published, Setup, SplitQueue, WRITE};
use crate::chain::Segment;
use crate::memory::AddressSpace;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Relaxed, Release};

const SIZE: u16 = 4;
const TABLE: u64 = 0x1000;
const AVAIL: u64 = 0x1100;
const USED: u64 = 0x1200;
const INDIRECT_TABLE: u64 = 0x1300;
const DATA: u64 = 0x1400;

struct Bench {
    memory: AddressSpace,
    queue: SplitQueue,
    made_available: u16,
    _backing: Vec<u64>,
}

impl Bench {
    fn new(event_idx: bool) -> Self {
        Self::with_order(event_idx, false)
    }

    fn in_order() -> Self {
        Self::with_order(false, true)
    }

    fn with_order(event_idx: bool, in_order: bool) -> Self {
        let mut backing = vec![0u64; 0x800 / 8];
        let memory = AddressSpace::new();
        let pointer = NonNull::new(backing.as_mut_ptr().cast()).unwrap();
        // SAFETY: the bench keeps the memory as long as the address space, and accesses it only
        // through it.
        unsafe { memory.map(TABLE, pointer, 0x800, true, true) };
        let setup = Setup {
            size: SIZE,
            descriptor_area: TABLE,
            driver_area: AVAIL,
            device_area: USED,
            event_idx,
            indirect: true,
            in_order,
        };
        let queue = SplitQueue::new(&memory, setup).unwrap();
        Self { memory, queue, made_available: 0, _backing: backing }
    }

    fn describe(&self, index: u16, len: u32, flags: u16, next: u16) {
        let descriptor = Descriptor { addr: DATA, len, flags, next };
        descriptor.store(&self.memory, TABLE, index).unwrap();
    }

    fn describe_indirect(&self, index: u16, len: u32, flags: u16, next: u16) {
        let descriptor = Descriptor { addr: DATA, len, flags, next };
        descriptor.store(&self.memory, INDIRECT_TABLE, index).unwrap();
    }

    fn make_available(&mut self, head: u16) {
        let slot = u64::from(self.made_available % SIZE);
        self.memory.store_u16(AVAIL + 4 + 2 * slot, head, Relaxed).unwrap();
        self.made_available = self.made_available.wrapping_add(1);
        self.memory.store_u16(AVAIL + 2, self.made_available, Release).unwrap();
    }

    /// The complaint about the chain that starts at entry 0.
    fn complaint(&mut self) -> String {
        self.make_available(0);
        match self.queue.pop() {
            Err(ModelError::Driver(text)) => text,
            other => panic!("expected a driver error, got {other:?}"),
        }
    }
}

#[test]
fn a_chain_is_walked_in_order() {
    let mut bench = Bench::new(false);
    bench.describe(2, 16, NEXT, 0);
    bench.describe(0, 8, NEXT | WRITE, 3);
    bench.describe(3, 1, WRITE, 0);
    bench.make_available(2);

    let chain = bench.queue.pop().unwrap().unwrap();

    let segment = |len, writable| Segment { addr: DATA, len, writable };
    assert_eq!((chain.head, chain.indirect), (2, false));
    assert_eq!(chain.segments, [segment(16, false), segment(8, true), segment(1, true)]);
    assert_eq!(bench.queue.pop(), Ok(None));
}

#[test]
fn an_indirect_table_is_followed() {
    let mut bench = Bench::new(false);
    let table = Descriptor { addr: INDIRECT_TABLE, len: 32, flags: INDIRECT, next: 0 };
    table.store(&bench.memory, TABLE, 1).unwrap();
    bench.describe_indirect(0, 16, NEXT, 1);
    bench.describe_indirect(1, 7, WRITE, 0);
    bench.make_available(1);

    let chain = bench.queue.pop().unwrap().unwrap();

    assert!(chain.indirect);
    assert_eq!((chain.readable_lens(), chain.writable_lens()), (vec![16], vec![7]));
}

#[test]
fn a_broken_chain_is_named() {
    type Break = fn(&Bench);
    let cases: [(&str, Break); 11] = [
        ("loops back", |bench| bench.describe(0, 8, NEXT, 0)),
        ("outside a table of 4", |bench| bench.describe(0, 8, NEXT, 4)),
        ("length 0", |bench| bench.describe(0, 0, 0, 0)),
        ("unknown descriptor flags", |bench| bench.describe(0, 8, 0x80, 0)),
        ("INDIRECT together with NEXT", |bench| bench.describe(0, 16, INDIRECT | NEXT, 1)),
        ("an indirect table of 24 bytes", |bench| bench.describe(0, 24, INDIRECT, 0)),
        ("an indirect table of 0 bytes", |bench| bench.describe(0, 0, INDIRECT, 0)),
        ("device-readable descriptor after", |bench| {
            bench.describe(0, 8, NEXT | WRITE, 1);
            bench.describe(1, 8, 0, 0);
        }),
        ("outside an indirect table of 2", |bench| {
            let table = Descriptor { addr: INDIRECT_TABLE, len: 32, flags: INDIRECT, next: 0 };
            table.store(&bench.memory, TABLE, 0).unwrap();
            bench.describe_indirect(0, 8, NEXT, 2);
        }),
        ("longer than the queue size", |bench| {
            let table = Descriptor { addr: INDIRECT_TABLE, len: 16, flags: INDIRECT, next: 0 };
            table.store(&bench.memory, TABLE, 0).unwrap();
            bench.describe_indirect(0, 8, NEXT, 0);
        }),
        ("INDIRECT inside", |bench| {
            let table = Descriptor { addr: INDIRECT_TABLE, len: 16, flags: INDIRECT, next: 0 };
            table.store(&bench.memory, TABLE, 0).unwrap();
            bench.describe_indirect(0, 16, INDIRECT, 0);
        }),
    ];
    for (expected, arrange) in cases {
        let mut bench = Bench::new(false);
        arrange(&bench);

        let complaint = bench.complaint();

        assert!(complaint.contains(expected), "{complaint:?} should say {expected:?}");
    }
}

#[test]
fn an_entry_in_flight_may_not_be_used_again_before_it_is_returned() {
    let mut bench = Bench::new(false);
    bench.describe(0, 8, 0, 0);
    bench.make_available(0);
    bench.queue.pop().unwrap().unwrap();

    assert!(bench.complaint().contains("in flight"));

    bench.queue.push_used(0, 0).unwrap();
    assert!(bench.queue.pop().unwrap().is_some());
}

#[test]
fn an_available_index_beyond_the_queue_size_is_a_driver_error() {
    let mut bench = Bench::new(false);
    bench.memory.store_u16(AVAIL + 2, SIZE + 1, Release).unwrap();

    assert!(matches!(bench.queue.pop(), Err(ModelError::Driver(_))));
}

#[test]
fn flags_are_zero_with_event_index() {
    let mut bench = Bench::new(true);
    bench.memory.store_u16(AVAIL, 1, Relaxed).unwrap();

    assert!(matches!(bench.queue.pop(), Err(ModelError::Driver(_))));
}

/// Spec: §2.7.7.2 — the notification is due when the event index was just passed.
#[test]
fn the_used_event_decides_across_the_wrap() {
    let bench = Bench::new(true);
    for (event, old, new, due) in [
        (0, 0, 1, true),
        (1, 0, 1, false),
        (0xffff, 0xfffe, 0, true),
        (0xffff, 0, 3, false),
        (2, 0, 4, true),
        (4, 0, 4, false),
    ] {
        bench.memory.store_u16(AVAIL + 4 + 2 * u64::from(SIZE), event, Relaxed).unwrap();

        assert_eq!(bench.queue.needs_interrupt(Published { old, new }), Ok(due), "{event} {old} {new}");
    }
}

#[test]
fn used_elements_become_visible_with_the_burst() {
    let mut bench = Bench::new(false);
    bench.queue.push_used(3, 17).unwrap();
    bench.queue.push_used(1, 0).unwrap();
    assert_eq!(bench.memory.load_u16(USED + 2, Relaxed), Ok(0));

    let published = bench.queue.publish_used().unwrap();

    assert_eq!(published, Published { old: 0, new: 2 });
    assert_eq!(bench.memory.load_u16(USED + 2, Relaxed), Ok(2));
    assert_eq!(bench.memory.load_u32(USED + 4, Relaxed), Ok(3));
    assert_eq!(bench.memory.load_u32(USED + 8, Relaxed), Ok(17));
}

/// Spec: §2.7.5 — with IN_ORDER, descriptors are used in ring order, round the end of the table.
#[test]
fn chains_in_ring_order_are_taken_round_the_end() {
    let mut bench = Bench::in_order();
    for (first, second) in [(0, 1), (2, 3), (0, 1)] {
        bench.describe(first, 8, NEXT, second);
        bench.describe(second, 8, 0, 0);
        bench.make_available(first);
        assert_eq!(bench.queue.pop().unwrap().unwrap().head, first);
        bench.queue.complete(first, 0).unwrap();
    }
    bench.describe(2, 8, 0, 0);
    bench.make_available(2);
    bench.queue.pop().unwrap().unwrap();
    bench.describe(3, 8, NEXT, 0);
    bench.describe(0, 8, 0, 0);
    bench.make_available(3);
    assert_eq!(bench.queue.pop().unwrap().unwrap().readable_lens(), [8, 8]);
}

#[test]
fn a_driver_that_leaves_the_ring_order_is_told_so() {
    type Break = fn(&Bench);
    let cases: [(&str, Break); 2] = [
        ("entry 0 links to 2, not to 1", |bench| {
            bench.describe(0, 8, NEXT, 2);
            bench.describe(2, 8, 0, 0);
        }),
        ("entry 0 links to 2, not to 1", |bench| {
            let table = Descriptor { addr: INDIRECT_TABLE, len: 48, flags: INDIRECT, next: 0 };
            table.store(&bench.memory, TABLE, 0).unwrap();
            bench.describe_indirect(0, 8, NEXT, 2);
            bench.describe_indirect(2, 8, 0, 0);
        }),
    ];
    for (expected, arrange) in cases {
        let mut bench = Bench::in_order();
        arrange(&bench);

        let complaint = bench.complaint();

        assert!(complaint.contains(expected), "{complaint:?} should say {expected:?}");
    }
    let mut bench = Bench::in_order();
    bench.describe(1, 8, 0, 0);
    bench.make_available(1);
    assert!(bench.queue.pop().unwrap_err().to_string().contains("chain 1 follows on table entry 0"));
}

/// Spec: §2.7.9 — one element at the place of the first buffer names the last one.
#[test]
fn a_batch_is_returned_with_one_element() {
    let mut bench = Bench::in_order();
    for head in 0..3 {
        bench.describe(head, 8, WRITE, 0);
        bench.make_available(head);
        bench.queue.pop().unwrap().unwrap();
    }
    bench.queue.put_used_element(1, 0xdead, 0xbeef).unwrap();
    bench.queue.put_used_element(2, 0xdead, 0xbeef).unwrap();

    assert_eq!(bench.queue.complete_batch(&[(0, 8), (1, 8), (2, 5)]), Ok(true));

    assert_eq!(bench.memory.load_u16(USED + 2, Relaxed), Ok(3));
    let words = [4, 8, 12, 20].map(|offset| bench.memory.load_u32(USED + offset, Relaxed).unwrap());
    assert_eq!(words, [2, 5, 0xdead, 0xdead], "the elements of the others are not written");
    bench.describe(3, 8, 0, 0);
    bench.make_available(3);
    bench.queue.pop().unwrap().unwrap();
    bench.queue.complete(3, 0).unwrap();
    assert_eq!(bench.memory.load_u32(USED + 4 + 8 * 3, Relaxed), Ok(3));
}

#[test]
#[should_panic(expected = "buffer 1 returned by the test while Some(0) is the oldest")]
fn a_test_that_returns_out_of_order_is_stopped() {
    let mut bench = Bench::in_order();
    for head in 0..2 {
        bench.describe(head, 8, 0, 0);
        bench.make_available(head);
        bench.queue.pop().unwrap().unwrap();
    }

    let _ = bench.queue.complete(1, 0);
}

#[test]
#[should_panic(expected = "without IN_ORDER")]
fn a_batch_needs_the_feature() {
    let _ = Bench::new(false).queue.complete_batch(&[(0, 0)]);
}

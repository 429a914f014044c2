//! The disk over the other layouts: packed rings, and queues that keep the order.

use super::{AVAIL, Bench, DATA_IN_SLOT, SLOT_BYTES, SLOTS, STATUS_IN_SLOT, TABLE};
use super::{Disk, Order, SECTOR_BYTES, request_type, status};
use crate::packed::{Descriptor, EVENT_DISABLE, NEXT, Position, USED, WRITE};
use std::sync::atomic::Ordering::Relaxed;

const RING_PACKED: u128 = 1 << 34;
const IN_ORDER: u128 = 1 << 35;
const QUEUE_SIZE: u16 = 16;

/// Makes a read of one sector available in a packed ring, from `slot` and under that id; tells
/// where the next list starts.
fn submit_packed(bench: &Bench, start: Position, slot: u16, sector: u64) -> Position {
    let base = SLOTS + SLOT_BYTES * u64::from(slot);
    bench.memory.store_u32(base, request_type::IN, Relaxed).unwrap();
    bench.memory.store_u64(base + 8, sector, Relaxed).unwrap();
    let list =
        [(base, 16, NEXT), (base + DATA_IN_SLOT, 512, NEXT | WRITE), (base + STATUS_IN_SLOT, 1, WRITE)];
    for (place, (addr, len, flags)) in (0..3).zip(list).rev() {
        let position = start.advanced(place, QUEUE_SIZE);
        let flags = flags | position.available_flags();
        Descriptor { addr, len, id: slot, flags }.store(&bench.memory, TABLE, position.offset).unwrap();
    }
    start.advanced(3, QUEUE_SIZE)
}

fn used(bench: &Bench, offset: u16) -> (u16, u32, bool) {
    let Descriptor { id, len, flags, .. } = Descriptor::load(&bench.memory, TABLE, offset, Relaxed).unwrap();
    (id, len, flags & USED != 0)
}

#[test]
fn a_packed_ring_brings_the_sector_and_an_honest_length() {
    let disk = Disk::with_sectors(4);
    disk.fill(2, &[7; SECTOR_BYTES]);
    let bench = Bench::with_features(disk, RING_PACKED);
    submit_packed(&bench, Position::START, 1, 2);

    assert_eq!(bench.serve(), 1);

    assert_eq!((bench.data(1, 512), bench.status(1)), (vec![7; SECTOR_BYTES], status::OK));
    assert_eq!(used(&bench, 0), (1, 513, true));
    assert_eq!((bench.device.used_interrupts(), bench.disk.requests()[0].head), (1, 1));
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_packed_ring_is_served_round_after_round() {
    let bench = Bench::with_features(Disk::with_sectors(4), RING_PACKED);
    bench.memory.store_u32(AVAIL, u32::from(EVENT_DISABLE) << 16, Relaxed).unwrap();
    let mut position = Position::START;
    for _ in 0..40 {
        position = submit_packed(&bench, position, 0, 1);
        assert_eq!(bench.serve(), 1);
    }

    assert_eq!(bench.device.used_interrupts(), 0);
    bench.device.assert_driver_was_correct();
}

#[test]
fn lies_about_a_packed_ring_are_told() {
    let bench = Bench::with_features(Disk::with_sectors(4), RING_PACKED);
    bench.disk.misbehave(|lies| lies.used_id = Some(0x1_0009));
    submit_packed(&bench, Position::START, 1, 2);
    bench.serve();

    assert_eq!(used(&bench, 0), (9, 513, true));
    let (disk, device, memory) = (&bench.disk, &bench.device, &bench.memory);
    disk.with_queue(device, memory, 0, |queue| queue.packed().put_used(5, 4, 3, 0)).unwrap().unwrap();
    assert_eq!(used(&bench, 5), (4, 3, false));
}

#[test]
fn a_broken_packed_ring_makes_the_device_need_a_reset() {
    let bench = Bench::with_features(Disk::with_sectors(4), RING_PACKED);
    submit_packed(&bench, Position::START, 1, 2);
    bench.memory.store_u16(TABLE + 2 * 16 + 12, QUEUE_SIZE, Relaxed).unwrap();

    assert_eq!(bench.serve(), 0);

    assert!(bench.device.driver_errors()[0].contains("buffer id 16 in a queue of 16"));
    assert!(!bench.device.is_live());
}

/// Spec: §2.7.9, §2.8.8 In-order use of descriptors.
#[test]
fn with_in_order_nothing_changes_the_order() {
    let mut split = Bench::with_features(Disk::with_sectors(4), IN_ORDER);
    let packed = Bench::with_features(Disk::with_sectors(4), IN_ORDER | RING_PACKED);
    let mut position = Position::START;
    for bench in [&split, &packed] {
        bench.disk.complete_in(Order::Reverse);
    }
    for slot in 0..3 {
        split.submit(slot, request_type::IN, slot.into(), 512);
        position = submit_packed(&packed, position, slot, slot.into());
    }

    assert_eq!([split.serve(), packed.serve()], [3, 3]);

    assert_eq!(split.used(), [(0, 513), (3, 513), (6, 513)]);
    assert_eq!([0, 3, 6].map(|offset| used(&packed, offset)), [0, 1, 2].map(|id| (id, 513, true)));
    split.device.assert_driver_was_correct();
    packed.device.assert_driver_was_correct();
}

#[test]
#[should_panic(expected = "a packed queue asked for by the test, but it is split")]
fn the_lies_of_the_other_layout_are_out_of_reach() {
    let bench = Bench::new(Disk::with_sectors(4));

    bench.disk.with_queue(&bench.device, &bench.memory, 0, |queue| queue.packed().size());
}

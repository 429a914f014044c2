//! Notifications that one side asks the other for, or not.
//!
//! Spec: §2.8.10 Driver and Device Event Suppression.

use super::super::{EVENT_DESC, EVENT_DISABLE, EVENT_ENABLE, Position, Published};
use super::{Bench, DEVICE_EVENT, Features, SIZE};
use std::sync::atomic::Ordering::Relaxed;

fn with_event_idx() -> Bench {
    Bench::with(Features { event_idx: true, ..Features::default() })
}

/// A burst of descriptors, counted over two rounds.
fn burst(from: u16, count: u16) -> Published {
    let old = Position::START.advanced(from, SIZE);
    Published { old, new: old.advanced(count, SIZE) }
}

#[test]
fn a_driver_that_disabled_notifications_gets_none() {
    let bench = Bench::new();
    bench.set_driver_event(0, EVENT_DISABLE);
    assert_eq!(bench.queue.needs_interrupt(burst(0, 3)), Ok(false));

    bench.set_driver_event(0, EVENT_ENABLE);
    assert_eq!(bench.queue.needs_interrupt(burst(0, 3)), Ok(true));
    assert_eq!(bench.queue.needs_interrupt(burst(0, 0)), Ok(false), "nothing was published");
}

#[test]
fn the_event_position_decides_across_the_wrap() {
    let bench = with_event_idx();
    for (event, from, count, due) in [
        (0, 0, 1, true),
        (1, 0, 1, false),
        (1, 0, 2, true),
        (4, 3, 2, true),
        (5, 3, 2, false),
        (5, 3, 3, true),
        (0, 9, 2, true),
        (9, 9, 1, true),
        (8, 9, 5, false),
        (3, 9, 5, true),
        (5, 0, 5, false),
        (4, 0, 5, true),
        (9, 0, 0, false),
        (0, 0, 0, false),
    ] {
        bench.set_driver_event(Position::START.advanced(event, SIZE).encoded(), EVENT_DESC);

        let told = bench.queue.needs_interrupt(burst(from, count));

        assert_eq!(told, Ok(due), "event {event}, burst of {count} from {from}");
    }
}

#[test]
fn a_driver_that_asks_for_something_unheard_of_is_told_so() {
    for (event_idx, place, flags, expected) in [
        (true, 0, 3, "reserved event flags 0x3"),
        (true, 0, 4, "reserved event flags 0x4"),
        (false, 0, EVENT_DESC, "without EVENT_IDX"),
        (true, SIZE, EVENT_DESC, "event offset 5 in a queue of 5"),
        (true, 0xffff, EVENT_DESC, "event offset 32767 in a queue of 5"),
    ] {
        let bench = Bench::with(Features { event_idx, ..Features::default() });
        bench.set_driver_event(place, flags);

        let complaint = bench.queue.needs_interrupt(burst(0, 1)).unwrap_err().to_string();

        assert!(complaint.contains(expected), "{complaint:?} should say {expected:?}");
    }
}

#[test]
fn the_device_asks_for_notifications_or_for_none() {
    let mut bench = Bench::new();
    bench.queue.disable_notifications().unwrap();
    assert_eq!(bench.memory.load_u32(DEVICE_EVENT, Relaxed), Ok(0x1_0000));

    assert_eq!(bench.queue.enable_notifications(), Ok(false));

    assert_eq!(bench.memory.load_u32(DEVICE_EVENT, Relaxed), Ok(0));
    bench.make_available(0, &[(8, 0)]);
    assert_eq!(bench.queue.enable_notifications(), Ok(true), "one is waiting already");
}

#[test]
fn with_event_index_the_device_asks_for_the_next_descriptor() {
    let mut bench = with_event_idx();
    bench.take(&[0, 1, 2, 3, 4]);
    assert_eq!(bench.queue.enable_notifications(), Ok(false));
    assert_eq!(bench.memory.load_u32(DEVICE_EVENT, Relaxed), Ok(0x2_0000), "slot 0 of the next round");
    bench.queue.complete(0, 0).unwrap();
    bench.take(&[0]);

    bench.queue.enable_notifications().unwrap();

    assert_eq!(bench.memory.load_u32(DEVICE_EVENT, Relaxed), Ok(0x2_0001));
    bench.queue.disable_notifications().unwrap();
    assert_eq!(bench.memory.load_u32(DEVICE_EVENT, Relaxed), Ok(0x1_0000));
}

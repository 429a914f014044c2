//! What is counted is what happens. One test only: the heap counter counts the whole process.

use ring_bench::case::{Case, Mode, Shape, Whose};
use ring_bench::counts::count;

/// rcore allocates a table for each chain, and a device that wants it is notified each time.
#[test]
fn what_is_counted_is_what_happens() {
    let mode = Mode { packed: false, in_order: false, event_index: false };
    let shape = Shape { segments: 3, indirect: true };
    let case = |whose| Case { whose, mode, shape, burst: 32 };

    let (ours, rcore) = (count(&case(Whose::Ours)), count(&case(Whose::Rcore)));

    assert!((rcore.allocations - 1.0).abs() < 0.01, "{rcore:?}");
    assert!(ours.allocations < f64::EPSILON, "{ours:?}");
    assert!((ours.doorbells - 1.0).abs() < f64::EPSILON, "{ours:?}");
    assert!(ours.doorbells_unwanted < f64::EPSILON, "{ours:?}");
    assert!(ours.register_accesses < f64::EPSILON, "{ours:?}");
}

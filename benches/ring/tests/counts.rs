//! What is counted is what happens, whatever other threads do meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ring_bench::case::{Case, Mode, Shape, Whose};
use ring_bench::counts::count;

/// rcore allocates a table for each chain, and a device that wants it is notified each time.
#[test]
fn what_is_counted_is_what_happens() {
    let mode = Mode { packed: false, in_order: false, event_index: false };
    let shape = Shape { segments: 3, indirect: true };
    let case = |whose| Case { whose, mode, shape, burst: 32 };
    let is_done = AtomicBool::new(false);

    let (ours, rcore) = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                drop(std::hint::black_box(Box::new(0_u8)));
            }
        });
        let counted = (count(&case(Whose::Ours)), count(&case(Whose::Rcore)));
        is_done.store(true, Ordering::Relaxed);
        counted
    });

    assert!((rcore.allocations - 1.0).abs() < f64::EPSILON, "{rcore:?}");
    assert!(ours.allocations < f64::EPSILON, "{ours:?}");
    assert!((ours.doorbells - 1.0).abs() < f64::EPSILON, "{ours:?}");
    assert!(ours.doorbells_unwanted < f64::EPSILON, "{ours:?}");
    assert!(ours.register_accesses < f64::EPSILON, "{ours:?}");
}

//! A device that says in turns that a report came back and that it did not: the wait for it ends all the same.
//!
//! Spec: §2.6 (both sides access the memory at any time). Runs with `--cfg virtio_guest_stand_in` (`make test-races`).

#![cfg(virtio_guest_stand_in)]

mod support;

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use support::balloon::{Blocks, Make, REPORTING};
use virtio_guest::device::balloon::ReportError;
use virtio_guest::hal::Attempts;
use virtio_guest::raw::stand_in::{self, StandIn};

/// Loads after which a wait should have ended long ago.
const MANY: u64 = 100_000;

thread_local! {
    /// Loads since the lies began.
    static LOADS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Every other load says that there is one more used chain.
struct Liar;

impl StandIn for Liar {
    fn share(&self, _: NonNull<u8>, _: usize) {}

    fn load(&self, _: NonNull<u8>, word: &mut [u8]) -> bool {
        let Some(loads) = LOADS.get() else { return false };
        assert!(loads < MANY, "it looks for ever");
        LOADS.set(Some(loads + 1));
        word.fill(0);
        if loads % 2 == 1 {
            word[0] = 1;
        }
        true
    }

    fn store(&self, _: NonNull<u8>, _: &[u8]) -> bool {
        false
    }

    fn fence(&self, _: Ordering) -> bool {
        false
    }

    fn platform_barrier(&self, _: Ordering) -> bool {
        false
    }
}

/// Spec: §5.5.6.7 Free Page Reporting — acknowledged or not.
#[test]
fn a_report_that_is_back_and_is_not_back_in_turns_is_waited_for_within_the_patience() {
    stand_in::install(&Liar);
    let mut bench = Make { features: REPORTING, notified: true, ..Make::default() }.start();
    bench.model.hold();
    let mut blocks = Blocks::new(1, 4096, 0);
    let reports = bench.reports.as_mut().expect("it has the queue");
    assert_eq!(reports.poll(&mut blocks).map(|progress| progress.in_flight), Ok(1));
    LOADS.set(Some(0));

    let result = reports.report_blocking(&mut blocks, Attempts(5));

    LOADS.set(None);
    assert_eq!(result, Err(ReportError::TimedOut));
}

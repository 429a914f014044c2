//! A guest that runs out of memory takes some from its balloon, if it may.
//!
//! Spec: §5.5.6.1 Driver Requirements: Device Operation.

#[path = "common/balloon.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod balloon;
#[path = "common/device.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod device;

use balloon::{FRAMES, Guest, guest};
use device::{Case, cases};

/// What the guest needs beyond what is free, and asks back at a time.
const NEEDED: u64 = 1000;
const AT_A_TIME: u64 = 64;

/// Boots a guest that runs out of memory while its balloon has half of the machine's.
fn run_out(case: Case, properties: &str) -> Guest {
    let mut guest = Guest::boot(&guest(case, properties, "check=oom"));
    guest.set_target(FRAMES / 2);
    assert_eq!(guest.numbers_of("balloon: at ")[0], FRAMES / 2);
    guest
}

#[test]
fn a_guest_that_is_out_of_memory_takes_as_much_from_its_balloon_as_it_needs() {
    for case in cases() {
        let mut guest = run_out(case, ",deflate-on-oom=on");

        let said = guest.numbers_of("out of memory ");
        let times = NEEDED.div_ceil(AT_A_TIME);
        assert_eq!(said, [times, FRAMES / 2 - times * AT_A_TIME]);
        assert_eq!(guest.running.wait_for("progress: "), "progress: Paused");
        // When it has memory again it lets the balloon grow.
        guest.until("the balloon is at its target again", |guest| {
            (guest.actual_frames() == FRAMES / 2).then_some(())
        });
        let output = guest.end();
        assert!(output.contains("DEFLATE_ON_OOM"), "{output}");
    }
}

#[test]
fn a_balloon_that_nothing_may_be_taken_from_keeps_what_it_has() {
    let mut guest = run_out(cases().next().expect("a case"), "");

    assert_eq!(guest.numbers_of("out of memory "), [0, FRAMES / 2]);
    assert_eq!(guest.actual_frames(), FRAMES / 2);
    guest.end();
}

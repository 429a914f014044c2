//! Memory that a guest does not use goes back to the host when the guest says so: as much as it said, unless what is in it is to stay.
//!
//! Spec: §5.5.6.7 Free Page Reporting, §5.5.6.6 Page Poison.

#[path = "common/balloon.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod balloon;
#[path = "common/device.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod device;

use balloon::{FRAME_BYTES, Guest, guest};
use device::{Case, cases, short_cases};

/// The host's look at the machine's memory, before a guest reports all that it has, and after.
struct Seen {
    before: u64,
    after: u64,
    reported: u64,
}

impl Seen {
    /// How much went back, in percent of what was reported.
    fn percent(&self) -> u64 {
        self.before.saturating_sub(self.after) * 100 / self.reported
    }
}

/// Boots a guest that has written all of its memory, and has it report that. What is in there is looked at by the guest.
fn report(case: Case, words: &str) -> Seen {
    let guest = guest(case, ",free-page-reporting=on", &format!("check=reports {words}"));
    let mut guest = Guest::boot(&guest);
    assert_eq!(guest.is_packed(case), case.packed);
    let before = guest.running.resident_bytes();
    guest.set_target(2);
    let frames = guest.numbers_of("reported: ")[0];
    let after = guest.running.resident_bytes();
    guest.end();
    let seen = Seen { before, after, reported: frames * FRAME_BYTES };
    println!(
        "{case:?}: {} MiB before, {} after, {} reported",
        before >> 20,
        after >> 20,
        seen.reported >> 20
    );
    seen
}

#[test]
fn memory_that_is_reported_goes_back_to_the_host() {
    for case in cases() {
        let seen = report(case, "");
        assert!(seen.percent() >= 95, "{} %", seen.percent());
    }
}

#[test]
fn memory_that_is_full_of_zeros_goes_back_to_the_host_and_is_full_of_zeros_afterwards() {
    for case in short_cases() {
        let seen = report(case, "poison=0");
        assert!(seen.percent() >= 95, "{} %", seen.percent());
    }
}

/// QEMU does not take away what it would have to write again.
#[test]
fn memory_that_is_full_of_another_value_is_full_of_it_afterwards() {
    for case in short_cases() {
        let seen = report(case, "poison=2863311530");
        assert!(seen.percent() <= 5, "{} %", seen.percent());
    }
}

//! A balloon follows its host's targets: half of the memory and back, more than there is, and a thousand of them in a row. What host and guest count is the same.
//!
//! Spec: §5.5.6 Device Operation, §5.5.6.3 Memory Statistics.

#[path = "common/balloon.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod balloon;
#[path = "common/device.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod device;

use balloon::{FRAMES, Guest, guest};
use device::{Case, cases, short_cases};
use qemu_tests::pattern::fill;
use qemu_tests::{Connection, Machine, random_seed};
use serde_json::json;

/// What QEMU calls the statistics, in the order of their tags.
const STATISTICS: [&str; 10] = [
    "stat-swap-in",
    "stat-swap-out",
    "stat-major-faults",
    "stat-minor-faults",
    "stat-free-memory",
    "stat-total-memory",
    "stat-available-memory",
    "stat-disk-caches",
    "stat-htlb-pgalloc",
    "stat-htlb-pgfail",
];

/// Boots a guest that follows targets, and says how many frames it has.
fn boot(case: Case, words: &str) -> (Guest, u64) {
    let mut guest = Guest::boot(&guest(case, "", &format!("check=targets {words}")));
    assert_eq!(guest.is_packed(case), case.packed);
    let free = guest.reach(0);
    (guest, free)
}

/// Sees that nothing was lost.
fn end(guest: Guest, free: u64) {
    let output = guest.end();
    assert!(output.contains(&format!("free at the end: {free} of {free}")), "{output}");
}

#[test]
fn the_balloon_takes_half_of_the_memory_and_gives_it_back_and_both_sides_count_the_same() {
    for case in cases() {
        let (mut guest, free) = boot(case, "");

        assert_eq!(guest.reach(FRAMES / 2), free - FRAMES / 2);
        assert_eq!(guest.reach(0), free);

        end(guest, free);
    }
}

#[test]
fn a_balloon_that_is_to_be_larger_than_there_is_memory_has_what_there_is() {
    for case in short_cases() {
        let (mut guest, free) = boot(case, "");

        guest.set_target(FRAMES - 1);

        assert_eq!(guest.numbers_of("balloon: out of pages"), [free, 0]);
        guest.until("the host knows how much that is", |guest| (guest.actual_frames() == free).then_some(()));
        assert_eq!(guest.reach(free / 2), free - free / 2);
        end(guest, free);
    }
}

/// Spec: §5.5.6.6.1 — what comes out of the balloon has lost its value, for the host takes the memory away; so the kernel fills it before anybody uses it.
#[test]
fn memory_that_was_in_the_balloon_is_full_of_its_value_again() {
    for case in short_cases() {
        let (mut guest, free) = boot(case, "poison=2863311530");

        guest.reach(FRAMES / 2);
        guest.reach(0);

        let output = guest.end();
        assert!(output.contains("PAGE_POISON"), "it is agreed on: {output}");
        assert!(output.contains(&format!("free at the end: {free} of {free}")), "{output}");
    }
}

#[test]
fn pages_of_64_kib_are_counted_in_frames_of_4_kib() {
    for case in short_cases() {
        let (mut guest, free) = boot(case, "page=16");

        assert_eq!(guest.reach(FRAMES / 2), free - FRAMES / 2);

        guest.reach(0);
        end(guest, free);
    }
}

#[test]
fn the_host_has_all_statistics_as_the_guest_said_them() {
    for case in short_cases() {
        let (mut guest, free) = boot(case, "");
        guest.set_property("guest-stats-polling-interval", &json!(1));

        for frames in [FRAMES / 4, FRAMES / 2] {
            guest.reach(frames);
            // Of which the guest says all it has now.
            let said = guest.numbers_of("statistics: ");
            assert_eq!(said[4], (free - frames) * balloon::FRAME_BYTES);
            guest.until("the host has the statistics that the guest said", |guest| {
                let seen = guest.property("guest-stats");
                let same = |(name, said): (&&str, &u64)| seen["stats"][*name].as_u64() == Some(*said);
                STATISTICS.iter().zip(&said).all(same).then_some(())
            });
        }

        guest.set_property("guest-stats-polling-interval", &json!(0));
        end(guest, free);
    }
}

/// Sets so many targets, each before the balloon is at the one before.
fn set_targets(case: Case, count: u64) {
    let (mut guest, free) = boot(case, "");
    let seed = random_seed();
    for number in 0..count {
        let mut random = [0; 8];
        fill(seed, number, &mut random);
        guest.set_target(2 + u64::from_le_bytes(random) % (free - 2));
    }

    assert_eq!(guest.reach(FRAMES / 3), free - FRAMES / 3);
    assert_eq!(guest.reach(0), free);
    end(guest, free);
}

#[test]
fn a_thousand_targets_in_a_row_lose_no_frame() {
    set_targets(Case { machine: Machine::Q35, connection: Connection::Pci, packed: true }, 1000);
    for case in cases() {
        set_targets(case, 100);
    }
}

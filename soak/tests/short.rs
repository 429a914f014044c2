//! A short round of the soak, with numbers that stay the same.

use soak::life::{Plan, live};
use soak::tally::Tally;

/// Lives so many lives; those of the two layouts take turns.
fn live_all(lives: u64, operations: u64) -> Tally {
    let mut all = Tally::default();
    for seed in 0..lives {
        live(Plan { seed, operations }, |tally| {
            all += tally;
            false
        });
    }
    all
}

#[test]
fn whatever_is_done_with_a_disk_it_holds_what_was_written_and_every_buffer_comes_back() {
    let all = live_all(12, 2000);

    let counts =
        [all.reads, all.writes, all.flushes, all.ranges, all.given_up, all.blocking, all.bursts, all.tasks];
    assert!(counts.into_iter().all(|count| count > 100), "a part of it did not happen: {all}");
    assert!(
        all.overtaken > 100
            && all.resets > 0
            && all.resizes > 0
            && all.failed > 0
            && all.operations() >= 24_000,
        "{all}"
    );
}

#[test]
fn a_life_is_the_same_each_time() {
    assert_eq!(live_all(2, 3000), live_all(2, 3000));
}

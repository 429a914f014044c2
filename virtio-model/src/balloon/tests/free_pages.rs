//! Hints and reports of free pages.
//!
//! Spec: §5.5.6.5 Free Page Hinting, §5.5.6.7 Free Page Reporting.

use super::{Balloon, BalloonQueue, Bare, Bench, bit, feature};
use crate::balloon::{Hint, hint_command};

const HINTS: u16 = 3;
const REPORTS: u16 = 4;
const PAGE: usize = 4096;

impl Bench {
    fn command(&mut self, id: u32) {
        self.bare.submit(HINTS, &[&id.to_le_bytes()], &[]);
        self.serve();
    }

    fn hint(&mut self) -> u64 {
        let at = self.bare.submit(HINTS, &[], &[PAGE])[0];
        self.serve();
        at
    }

    fn taken(&self) -> Vec<(u32, bool)> {
        self.balloon.hinted().into_iter().map(|hint| (hint.round, hint.is_taken)).collect()
    }
}

#[test]
fn pages_are_hinted_in_rounds_and_may_lose_their_contents() {
    let mut bench = Bench::with(&[feature::FREE_PAGE_HINT]);
    let round = bench.balloon.start_hinting(&bench.bare.device);
    assert_eq!((round, bench.bare.read_config(8, 4)), (2, 2));
    bench.command(round);
    let address = bench.hint();
    assert_eq!(bench.balloon.hinted(), [Hint { round, address, bytes: 4096, is_taken: true }]);
    assert_eq!(bench.bare.read(address, PAGE), [0xdb; PAGE]);
    assert_eq!(bench.bare.used(HINTS), [(0, 0), (1, 0)]);

    bench.balloon.stop_hinting(&bench.bare.device);
    assert_eq!(bench.bare.read_config(8, 4), hint_command::STOP);
    let late = bench.hint();
    assert_eq!(bench.bare.read(late, PAGE), [0; PAGE], "the device did not want it any more");
    let next = bench.balloon.start_hinting(&bench.bare.device);
    bench.command(next);
    bench.hint();
    bench.command(hint_command::STOP);
    bench.balloon.end_hinting(&bench.bare.device);

    assert_eq!(bench.bare.read_config(8, 4), hint_command::DONE);
    assert_eq!(bench.taken(), [(round, true), (round, false), (next, true)]);
    assert_eq!(bench.balloon.take_hint_commands(), [round, next, hint_command::STOP]);
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn a_round_that_is_wrong_is_a_driver_error() {
    for (commands, text) in [
        (&[2, 2][..], "round 2 begun twice"),
        (&[3], "round 3 begun, which was not asked for"),
        (&[hint_command::STOP], "ended that was not begun"),
        (&[2, hint_command::STOP, hint_command::STOP], "ended that was not begun"),
        (&[hint_command::DONE], "DONE said"),
    ] {
        let mut bench = Bench::with(&[feature::FREE_PAGE_HINT]);
        bench.balloon.start_hinting(&bench.bare.device);
        for command in commands {
            bench.command(*command);
        }
        assert!(bench.bare.only_error().contains(text), "{}", bench.bare.only_error());
    }
}

#[test]
fn hints_of_the_wrong_form_are_driver_errors() {
    for (readable, writable, text) in [
        (&[&[2u8, 0, 0, 0, 0][..]][..], &[][..], "a command of 5 bytes"),
        (&[&[2, 0, 0, 0]], &[PAGE], "4096 writable ones"),
        (&[], &[100], "free pages of 100 bytes"),
    ] {
        let mut bench = Bench::with(&[feature::FREE_PAGE_HINT]);
        bench.balloon.start_hinting(&bench.bare.device);
        if readable.is_empty() {
            bench.command(2);
        }
        bench.bare.submit(HINTS, readable, writable);
        bench.serve();
        assert!(bench.bare.only_error().contains(text), "{}", bench.bare.only_error());
    }
    let mut bench = Bench::with(&[feature::FREE_PAGE_HINT]);
    bench.balloon.start_hinting(&bench.bare.device);
    bench.hint();
    assert!(bench.bare.only_error().contains("before a round is begun"));
}

#[test]
fn a_round_that_is_asked_for_again_is_a_new_one() {
    let mut bench = Bench::with(&[feature::FREE_PAGE_HINT]);
    for _ in 0..2 {
        bench.balloon.set_hint_command(&bench.bare.device, 40);
        bench.command(40);
        bench.command(hint_command::STOP);
    }
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn after_a_reset_the_driver_begins_the_round_again() {
    let mut bench = Bench::with(&[feature::FREE_PAGE_HINT]);
    let round = bench.balloon.start_hinting(&bench.bare.device);
    bench.command(round);
    bench.bare.bring_up_again();
    bench.serve();

    bench.command(round);

    bench.bare.device.assert_driver_was_correct();
    bench.bare.bring_up_again();
    bench.hint();
    assert!(bench.bare.only_error().contains("before a round is begun"));
}

#[test]
fn reported_pages_lose_their_contents_before_they_are_acknowledged() {
    let mut bench = Bench::with(&[feature::PAGE_REPORTING]);
    bench.balloon.hold_queue(BalloonQueue::Reporting);
    let at = bench.bare.submit(REPORTS, &[], &[PAGE, 2 * PAGE]);
    bench.serve();
    assert_eq!(bench.bare.read(at[1], 2 * PAGE), [0xdb; 2 * PAGE]);
    assert_eq!(
        (bench.balloon.reported(), bench.bare.used(REPORTS)),
        (vec![(at[0], 4096), (at[1], 8192)], vec![])
    );

    bench.balloon.release_all();
    bench.serve();
    assert_eq!(bench.bare.used(REPORTS), [(0, 0)]);
    bench.bare.device.assert_driver_was_correct();
    bench.bare.submit(REPORTS, &[&[0; 4]], &[PAGE]);
    bench.serve();
    assert!(bench.bare.only_error().contains("readable"));
}

/// Spec: §5.5.6.7.2 Device Requirements: Free Page Reporting.
#[test]
fn reported_pages_are_filled_with_the_poison_value_if_there_is_one() {
    let balloon = Balloon::new().with_features(bit(feature::PAGE_REPORTING) | bit(feature::PAGE_POISON));
    let bare = Bare::powered(balloon.clone().with_compacted_queues().builder());
    bare.bring_up(|bare| bare.write_config(12, 4, 0x0403_0201));
    let mut bench = Bench { bare, balloon };
    let at = bench.bare.submit(2, &[], &[PAGE])[0];
    bench.serve();
    assert_eq!(bench.bare.read(at, 8), [1, 2, 3, 4, 1, 2, 3, 4]);
    bench.bare.device.assert_driver_was_correct();
}

//! Statistics.
//!
//! Spec: §5.5.6.3 Memory Statistics.

use super::{Bench, feature};
use crate::balloon::statistic;

const STATISTICS: u16 = 2;

fn bytes(entries: &[(u16, u64)]) -> Vec<u8> {
    entries.iter().flat_map(|(tag, value)| [&tag.to_le_bytes()[..], &value.to_le_bytes()].concat()).collect()
}

#[test]
fn statistics_are_taken_and_the_buffer_comes_back_when_new_ones_are_wanted() {
    let mut bench = Bench::with(&[feature::STATS_VQ]);
    let first = [(statistic::MEMFREE, 0x0102_0304_0506_0708), (77, 9)];
    bench.bare.submit(STATISTICS, &[&bytes(&first)], &[]);
    bench.serve();
    assert!(bench.balloon.has_statistics());
    assert_eq!(bench.balloon.statistics()[&statistic::MEMFREE], 0x0102_0304_0506_0708);
    assert_eq!((bench.balloon.raw_statistics(), bench.bare.used(STATISTICS)), (vec![first.to_vec()], vec![]));

    bench.balloon.ask_for_statistics();
    bench.balloon.ask_for_statistics();
    bench.serve();
    assert_eq!(bench.bare.used(STATISTICS), [(0, 0)], "the second one waits for the buffer");
    let second = [(77, 10), (statistic::MEMFREE, 1)];
    bench.bare.submit(STATISTICS, &[&bytes(&second)], &[]);
    bench.serve();
    assert_eq!(bench.bare.used(STATISTICS), [(1, 0)]);
    assert!(!bench.balloon.has_statistics());
    assert_eq!(bench.balloon.raw_statistics(), [first, second]);
    bench.bare.device.assert_driver_was_correct();
}

#[test]
fn statistics_of_the_wrong_form_are_driver_errors() {
    let fine = bytes(&[(1, 1), (2, 2)]);
    for (readable, writable, text) in [
        (&[&fine[..19]][..], &[][..], "19 bytes"),
        (&[&fine[..]], &[4], "writable"),
        (&[&bytes(&[(3, 1), (3, 2)])[..]], &[], "twice"),
    ] {
        let mut bench = Bench::with(&[feature::STATS_VQ]);
        bench.bare.submit(STATISTICS, readable, writable);
        bench.serve();
        assert!(bench.bare.only_error().contains(text));
    }
}

#[test]
fn more_than_one_buffer_or_another_choice_of_statistics_is_a_driver_error() {
    let mut bench = Bench::with(&[feature::STATS_VQ]);
    bench.bare.submit(STATISTICS, &[&bytes(&[(1, 1)])], &[]);
    bench.serve();
    bench.bare.submit(STATISTICS, &[&bytes(&[(1, 1)])], &[]);
    bench.serve();
    assert!(bench.bare.only_error().contains("2 buffers"));

    let mut bench = Bench::with(&[feature::STATS_VQ]);
    bench.balloon.misbehave(|lies| lies.floods_statistics = true);
    bench.bare.submit(STATISTICS, &[&bytes(&[(1, 1)])], &[]);
    bench.serve();
    assert_eq!(bench.bare.used(STATISTICS), [(0, 0)], "at once, though nobody asked");
    bench.bare.submit(STATISTICS, &[&bytes(&[(1, 1), (2, 2)])], &[]);
    bench.serve();
    assert!(bench.bare.only_error().contains("statistics {1, 2}, after {1}"));
}

#[test]
fn after_a_reset_the_choice_of_statistics_is_a_new_one() {
    let mut bench = Bench::with(&[feature::STATS_VQ]);
    bench.bare.submit(STATISTICS, &[&bytes(&[(1, 1)])], &[]);
    bench.serve();
    bench.bare.bring_up_again();
    bench.serve();
    assert!(!bench.balloon.has_statistics());

    bench.bare.submit(STATISTICS, &[&bytes(&[(2, 2)])], &[]);
    bench.serve();

    bench.bare.device.assert_driver_was_correct();
}

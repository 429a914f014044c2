//! What is wrong, and is said to be.
//!
//! Spec: §5.5.6.1 Driver Requirements: Device Operation.

use super::{Balloon, Bare, Bench, DEFLATE, INFLATE, bit, feature};

#[test]
fn a_page_that_is_not_where_the_driver_has_it_is_a_driver_error() {
    for (held, queue, frames, text) in [
        (&[5][..], INFLATE, &[5][..], "page 0x5 inflated, though it is Held"),
        (&[], INFLATE, &[6, 6], "page 0x6 inflated, though it is Arriving"),
        (&[5], DEFLATE, &[6], "page 0x6 deflated, though it is not in the balloon"),
        (&[5], DEFLATE, &[5, 5], "page 0x5 deflated, though it is Leaving"),
    ] {
        let mut bench = Bench::with(&[feature::MUST_TELL_HOST]);
        if !held.is_empty() {
            bench.inflate(held);
        }
        bench.submit(queue, frames);
        bench.serve();
        assert!(bench.bare.only_error().contains(text), "{}", bench.bare.only_error());
    }
}

#[test]
fn a_page_that_is_taken_out_before_it_is_acknowledged_is_a_driver_error() {
    let mut bench = Bench::with(&[]);
    bench.submit(INFLATE, &[5]);
    bench.submit(DEFLATE, &[5]);
    bench.serve();
    assert!(bench.bare.only_error().contains("page 0x5 deflated, though it is Arriving"));

    let mut bench = Bench::with(&[]);
    bench.inflate(&[5]);
    bench.balloon.hold();
    bench.submit(DEFLATE, &[5]);
    bench.serve();
    bench.submit(INFLATE, &[5]);
    bench.serve();
    assert!(bench.bare.only_error().contains("page 0x5 inflated, though it is Leaving"));
}

#[test]
fn page_numbers_of_the_wrong_form_are_driver_errors() {
    for (readable, writable, text) in
        [(&[&[1u8; 6][..]][..], &[][..], "6 bytes"), (&[&[1; 4]], &[4], "writable"), (&[], &[4], "writable")]
    {
        for queue in [INFLATE, DEFLATE] {
            let mut bench = Bench::with(&[]);
            bench.bare.submit(queue, readable, writable);
            bench.serve();
            assert!(bench.bare.only_error().contains(text));
        }
    }
}

#[test]
fn fewer_pages_than_the_device_wants_are_a_driver_error_unless_memory_may_be_short() {
    for (is_agreed, errors) in [(false, 1), (true, 0)] {
        let mut bench = Bench::with(if is_agreed { &[feature::DEFLATE_ON_OOM] } else { &[] });
        bench.set_target(3);
        bench.inflate(&[1, 2, 3]);
        bench.set_target(2);
        bench.submit(DEFLATE, &[1]);
        bench.serve();
        bench.tell(2);
        bench.bare.device.assert_driver_was_correct();

        bench.submit(DEFLATE, &[2]);
        bench.serve();

        assert_eq!(bench.bare.device.driver_errors().len(), errors);
    }
}

#[test]
fn a_driver_that_did_not_hear_of_a_larger_target_may_do_as_the_old_one_said() {
    let mut bench = Bench::with(&[]);
    bench.set_target(2);
    bench.inflate(&[1, 2]);
    bench.set_target(1);
    bench.serve();

    bench.submit(DEFLATE, &[1]);
    bench.set_target(2);
    bench.serve();

    bench.tell(1);
    bench.bare.device.assert_driver_was_correct();
}

/// A driver may tell after each acknowledgement, or after several.
#[test]
fn the_size_that_is_told_has_been_one_after_an_acknowledgement() {
    let mut bench = Bench::with(&[]);
    bench.submit(INFLATE, &[1, 2, 3]);
    bench.submit(INFLATE, &[4]);
    bench.serve();
    bench.tell(3);
    bench.tell(4);
    bench.submit(DEFLATE, &[1, 2]);
    bench.submit(INFLATE, &[9]);
    bench.serve();
    bench.tell(3);
    bench.bare.device.assert_driver_was_correct();

    bench.tell(4);
    assert!(bench.bare.only_error().contains("actual written as 4, though 3 pages"));
}

#[test]
fn a_size_that_is_told_before_it_is_true_is_a_driver_error() {
    let mut bench = Bench::with(&[]);
    bench.balloon.hold();
    bench.submit(INFLATE, &[1]);
    bench.serve();
    bench.tell(1);
    assert!(bench.bare.only_error().contains("actual written as 1, though 0 pages"));

    let bench = Bench::with(&[]);
    bench.bare.write_config(4, 2, 0);
    assert!(bench.bare.only_error().contains("written to 2 bytes at 0x4"));
}

#[test]
fn what_is_the_devices_to_say_is_not_written_by_the_driver() {
    let bench = Bench::with(&[feature::FREE_PAGE_HINT]);
    bench.bare.write_config(0, 4, 5);
    bench.bare.write_config(8, 4, 5);
    assert_eq!(bench.bare.device.driver_errors().len(), 2);
    assert_eq!(bench.bare.read_config(0, 4), 0);
}

/// Spec: §5.5.6.6.1 Driver Requirements: Page Poison.
#[test]
fn the_poison_value_is_said_before_driver_ok_and_not_after() {
    let balloon = Balloon::new().with_features(bit(feature::PAGE_POISON));
    let bare = Bare::powered(balloon.builder());
    bare.bring_up(|bare| bare.write_config(12, 4, 0xaaaa_aaaa));
    let mut bench = Bench { bare, balloon };
    bench.inflate(&[1]);
    assert_eq!(bench.balloon.poison(&bench.bare.device), 0xaaaa_aaaa);
    bench.bare.device.assert_driver_was_correct();
    bench.bare.write_config(12, 4, 0);
    assert!(bench.bare.only_error().contains("written to 4 bytes at 0xc"));

    let bench = Bench::with(&[feature::PAGE_POISON]);
    bench.serve();
    bench.serve();
    assert!(bench.bare.only_error().contains("not written before DRIVER_OK"));
}

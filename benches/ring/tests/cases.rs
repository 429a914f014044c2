//! What is measured works: driver and device agree in every case, so no figure is of a ring that does nothing.

use ring_bench::case::Case;
use ring_bench::device::Wants;
use ring_bench::subject::subject;

/// Some laps round the ring, fewer than 65536 descriptors (peers do not like to have their counters overflow in a debug build).
fn rounds(case: &Case) -> u64 {
    u64::from((1200 / (case.burst * case.shape.in_ring())).max(5))
}

fn check(case: &Case, wants: Wants) {
    let rounds = rounds(case);
    let mut subject = subject(case, wants);

    subject.rounds(rounds);

    let operations = rounds * u64::from(case.burst);
    assert_eq!(subject.came_back(), Some(operations), "{case}, device wants {wants:?}");
}

/// Spec: §2.7.14, §2.8.22 — the device uses chains in order here, so each driver must give contexts back in order. It looks itself, and panics if they are not.
#[test]
fn every_operation_comes_back_once_and_in_its_turn() {
    for case in Case::all() {
        check(&case, Wants::NoNotification);
    }
}

#[test]
fn so_it_does_with_a_device_that_wants_notifications() {
    for case in Case::all() {
        check(&case, Wants::EachPublish);
    }
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names: Vec<String> = Case::all().iter().map(Case::to_string).collect();
    let cases = names.len();

    names.sort();
    names.dedup();

    assert_eq!(names.len(), cases);
}

//! Driver and device in a thread each: how many operations per second go through.

use std::time::Duration;

use crate::case::{Case, Mode, Shape, Whose};
use crate::device::Wants;
use crate::subject::subject;

/// Rounds of one run.
const ROUNDS: u64 = 20_000;

/// Runs, of which the median counts.
const RUNS: usize = 9;

/// The cases: one descriptor, bursts of 32.
///
/// The packed ring of libblkio is left out: it reads the device's flags as ordinary memory, so that a compiler may read them once and wait for ever.
pub fn cases() -> Vec<Case> {
    let (shape, burst) = (Shape { segments: 1, indirect: false }, 32);
    [(Whose::Ours, false), (Whose::Ours, true), (Whose::Rcore, false), (Whose::Libblkio, false)]
        .into_iter()
        .map(|(whose, packed)| {
            let event_index = whose != Whose::Rcore;
            Case { whose, mode: Mode { packed, in_order: false, event_index }, shape, burst }
        })
        .collect()
}

/// Operations per second.
pub fn operations_per_second(case: &Case) -> f64 {
    let mut subject = subject(case, Wants::NoNotification);
    let mut times: Vec<Duration> = (0..RUNS).map(|_| subject.two_core_rounds(ROUNDS)).collect();
    times.sort();
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let operations = ROUNDS as f64 * f64::from(case.burst);
    operations / times[RUNS / 2].as_secs_f64()
}

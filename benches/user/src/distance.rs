//! How far apart the two processors are: how long a cache line takes from one to the other, and back.
//!
//! A host moves the processors of its guests about. When they do not share a cache, whatever two of them write in turn takes several times as long, so such a sample says nothing beside one that was taken when they did.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;

use crate::processors::Processors;

/// Round trips of a look, of which the fastest part counts: an interruption is none of the line's way.
const PARTS: u32 = 8;
const TRIPS: u32 = 256;
/// A sample counts if the way was no more than so many times the shortest one of the run.
const LIMIT: f64 = 4.0;
/// Looks before the first sample, and how long they are apart.
const FIRST_LOOKS: usize = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// How long a look takes at most, or little more, when other programs have one of the processors.
const ROUND_TRIP_LIMIT: Duration = Duration::from_secs(1);
const SPINS_BETWEEN_CLOCKS: u32 = 1 << 12;
/// How long one sample waits for the processors to be near, and all together.
const WAIT_LIMIT: Duration = Duration::from_secs(5);
const WAITS_LIMIT: Duration = Duration::from_mins(1);

/// See the module's head.
#[derive(Clone, Debug, Serialize)]
pub struct Distance {
    /// The shortest round trip of this run, in nanoseconds.
    pub shortest_nanoseconds: f64,
    #[serde(skip)]
    processors: Processors,
    #[serde(skip)]
    waited: Duration,
}

impl Distance {
    /// Looks for two seconds, while both processors are idle.
    pub fn find(processors: Processors) -> Self {
        let mut distance = Self { shortest_nanoseconds: f64::INFINITY, processors, waited: Duration::ZERO };
        for _ in 0..FIRST_LOOKS {
            distance.look();
            thread::sleep(BETWEEN_LOOKS);
        }
        distance
    }

    /// A round trip now, in nanoseconds. Nobody else may be busy on either processor.
    pub fn look(&mut self) -> f64 {
        let nanoseconds = round_trip(self.processors).as_secs_f64() * 1e9 / f64::from(TRIPS);
        self.shortest_nanoseconds = self.shortest_nanoseconds.min(nanoseconds);
        nanoseconds
    }

    /// Whether that is near, as far as is known by now.
    pub fn is_near(&self, nanoseconds: f64) -> bool {
        nanoseconds <= LIMIT * self.shortest_nanoseconds
    }

    /// Waits for the processors to be near, for a while. Gives the last round trip.
    pub fn wait(&mut self) -> f64 {
        let begin = Instant::now();
        let last = loop {
            let nanoseconds = self.look();
            let is_over = begin.elapsed() >= WAIT_LIMIT || self.waited + begin.elapsed() >= WAITS_LIMIT;
            if is_over || self.is_near(nanoseconds) {
                break nanoseconds;
            }
            thread::sleep(BETWEEN_LOOKS);
        };
        self.waited += begin.elapsed();
        last
    }
}

/// The time of [`TRIPS`] round trips.
fn round_trip(processors: Processors) -> Duration {
    let line = AtomicU32::new(0);
    let end = Instant::now() + ROUND_TRIP_LIMIT;
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(processors.back_end);
            for number in (0..TRIPS * (PARTS + 1)).map(|trip| 2 * trip + 1) {
                wait_for(&line, number, end);
                line.store(number + 1, Ordering::Release);
            }
        });
        let near = scope.spawn(|| {
            pin(processors.subject);
            let part = |part: u32| {
                let begin = Instant::now();
                for number in (part * TRIPS..(part + 1) * TRIPS).map(|trip| 2 * trip + 1) {
                    line.store(number, Ordering::Release);
                    wait_for(&line, number + 1, end);
                }
                begin.elapsed()
            };
            // The first is for the other one to arrive.
            (0..=PARTS).map(part).skip(1).min()
        });
        near.join().ok().flatten().unwrap_or(Duration::MAX)
    })
}

/// Until it is there, or the time is over: then the figure is a long one.
fn wait_for(line: &AtomicU32, number: u32, end: Instant) {
    let mut spins = 0u32;
    while line.load(Ordering::Acquire) != number {
        spin_loop();
        spins = spins.wrapping_add(1);
        if spins.is_multiple_of(SPINS_BETWEEN_CLOCKS) && Instant::now() >= end {
            return;
        }
    }
}

fn pin(processor: usize) {
    let mut only = CpuSet::new();
    only.set(processor);
    // Where that is not allowed the figure says how far apart two threads are.
    let _ = sched_setaffinity(None, &only);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_more_than_four_times_as_long_as_the_shortest_is_far() {
        let processors = Processors { back_end: 0, subject: 0 };
        let distance = Distance { shortest_nanoseconds: 50.0, processors, waited: Duration::ZERO };
        assert!(distance.is_near(200.0) && !distance.is_near(201.0));
    }

    #[test]
    fn a_line_goes_to_and_fro() {
        let Ok(processors) = Processors::find() else { return };
        assert!(round_trip(processors) < Duration::from_secs(10));
    }
}

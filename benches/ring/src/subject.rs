//! A case brought to life: a driver side and a device side on one ring, to be run as often as a meter likes.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{Case, Whose};
use crate::device::{Habits, RawDevice, Wants};
use crate::driver::{Driver, Turn, fail};
use crate::libblkio_ring::{Libblkio, LibblkioBlock};
use crate::our_ring::{Ours, OursPortions};
use crate::rcore_ring::Rcore;

/// What can be done with a case. Each call does many bursts, so that the call itself costs nothing.
pub trait Subject {
    /// Driver and device take turns, in this thread.
    fn rounds(&mut self, rounds: u64);

    /// The device takes its turns alone. The ring is of no use to its driver afterwards.
    fn device_rounds(&mut self, rounds: u64);

    /// Driver here, device in a thread of its own: how long it takes. Not for chains of several descriptors in a packed ring.
    fn two_core_rounds(&mut self, rounds: u64) -> Duration;

    /// How many operations came back; `None` if one is missing.
    fn came_back(&self) -> Option<u64>;
}

struct Pair<D> {
    driver: D,
    device: RawDevice,
    burst: u16,
}

/// The one place where a driver's work is compiled.
#[inline(never)]
fn drive(driver: &mut impl Driver, rounds: u64, burst: u16, turn: Turn<'_>) {
    driver.rounds(rounds, burst, turn);
}

impl<D: Driver> Subject for Pair<D> {
    fn rounds(&mut self, rounds: u64) {
        drive(&mut self.driver, rounds, self.burst, Turn::Here(&mut self.device));
    }

    fn device_rounds(&mut self, rounds: u64) {
        let mut turn = black_box(Turn::Here(&mut self.device));
        for _ in 0..rounds {
            turn.published(self.burst);
        }
    }

    fn two_core_rounds(&mut self, rounds: u64) -> Duration {
        let is_over = AtomicBool::new(false);
        let Self { driver, device, burst } = self;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    match device.pending() {
                        0 => std::hint::spin_loop(),
                        chains => device.serve(chains),
                    }
                }
            });
            let start = Instant::now();
            drive(driver, rounds, *burst, Turn::Elsewhere);
            let elapsed = start.elapsed();
            is_over.store(true, Ordering::Relaxed);
            elapsed
        })
    }

    fn came_back(&self) -> Option<u64> {
        self.driver.contexts().all_came_back()
    }
}

fn pair(case: &Case, wants: Wants, driver: impl Driver + 'static) -> Box<dyn Subject> {
    let habits = Habits {
        packed: case.mode.packed,
        in_order: case.mode.in_order,
        event_index: case.mode.event_index,
        in_ring: case.shape.in_ring(),
        written_len: case.shape.writable_bytes(),
        wants,
    };
    let device = RawDevice::new(driver.areas(), habits);
    Box::new(Pair { driver, device, burst: case.burst })
}

/// Brings a case to life.
///
/// # Panics
/// It is none of [`Case::all`].
pub fn subject(case: &Case, wants: Wants) -> Box<dyn Subject> {
    match (case.whose, case.shape.segments, case.queue_size()) {
        (Whose::Ours, 1, _) => pair(case, wants, Ours::<1>::new(case)),
        (Whose::Ours, 3, _) => pair(case, wants, Ours::<3>::new(case)),
        (Whose::Ours, 17, _) => pair(case, wants, Ours::<17>::new(case)),
        (Whose::OursPortions, 1, _) => pair(case, wants, OursPortions::<0, 1>::new(case)),
        (Whose::OursPortions, 3, _) => pair(case, wants, OursPortions::<1, 2>::new(case)),
        (Whose::OursPortions, 17, _) => pair(case, wants, OursPortions::<1, 16>::new(case)),
        (Whose::Rcore, 1, 256) => pair(case, wants, Rcore::<0, 1, 256>::new(case)),
        (Whose::Rcore, 3, 256) => pair(case, wants, Rcore::<1, 2, 256>::new(case)),
        (Whose::Rcore, 3, 4096) => pair(case, wants, Rcore::<1, 2, 4096>::new(case)),
        (Whose::Rcore, 17, 256) => pair(case, wants, Rcore::<1, 16, 256>::new(case)),
        (Whose::Rcore, 17, 4096) => pair(case, wants, Rcore::<1, 16, 4096>::new(case)),
        (Whose::Libblkio, 1, _) => pair(case, wants, Libblkio::<1>::new(case)),
        (Whose::Libblkio, 3, _) => pair(case, wants, Libblkio::<3>::new(case)),
        (Whose::Libblkio, 17, _) => pair(case, wants, Libblkio::<17>::new(case)),
        (Whose::LibblkioBlock, 3, _) => pair(case, wants, LibblkioBlock::new(case)),
        _ => fail(case),
    }
}

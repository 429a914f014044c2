//! The loop of all who drive a disk: as many requests in flight as the line says, spread over its queues.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use super::{Subject, cycles};
use crate::back_end::DISK_BYTES;
use crate::line::BlockLine;
use crate::sample::Window;

/// How long the daemon may take to end whoever was connected before.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The daemon hangs up on whoever comes while it ends the one before, whose requests may still be on their way to the file. So this tries again.
pub fn connected<T, E: Display>(mut connect: impl FnMut() -> Result<T, E>) -> Result<T, String> {
    let end = Instant::now() + CONNECT_LIMIT;
    loop {
        match connect() {
            Ok(transport) => return Ok(transport),
            Err(error) if Instant::now() >= end => return Err(error.to_string()),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Bytes of a request.
pub const REQUEST_BYTES: usize = 4096;
/// Descriptors of each queue: three for a request where none are indirect.
pub const QUEUE_SIZE: u16 = 512;

/// One queue of somebody's.
pub trait RequestQueue {
    /// Hands in so many requests, at these places, counted in requests, and notifies the back-end if it wants that.
    fn submit(&mut self, count: usize, place: impl FnMut() -> u64) -> Result<(), String>;
    /// Takes back what is done, and says how many.
    fn complete(&mut self) -> Result<usize, String>;
    /// Notifications until now.
    fn kicks(&self) -> u64;
}

/// See the module's head.
pub struct Disk<Q> {
    queues: Vec<(Q, usize)>,
    random: fastrand::Rng,
}

impl<Q: RequestQueue> Disk<Q> {
    /// With these queues.
    pub fn new(line: BlockLine, queues: Vec<Q>) -> Self {
        let each = usize::from(line.depth) / queues.len().max(1);
        let queues = queues.into_iter().map(|queue| (queue, each)).collect();
        // Everybody asks for the same places.
        Self { queues, random: fastrand::Rng::with_seed(7) }
    }
}

impl<Q: RequestQueue> Subject for Disk<Q> {
    #[inline]
    fn turn(&mut self, window: &mut Window) -> Result<(), String> {
        let Self { queues, random } = self;
        for (queue, missing) in queues {
            let begin = cycles();
            let done = counted_complete(queue)?;
            *missing += done;
            if *missing > 0 {
                counted_submit(queue, *missing, random)?;
                *missing = 0;
            }
            if done > 0 {
                window.cycles += cycles() - begin;
                window.counted += done as u64;
                window.operations += done as u64;
                window.bursts += 1;
            }
        }
        Ok(())
    }

    fn kicks(&self) -> u64 {
        self.queues.iter().map(|(queue, _)| queue.kicks()).sum()
    }
}

/// A function with a name, for callgrind to find.
#[inline(never)]
fn counted_submit(
    queue: &mut impl RequestQueue,
    count: usize,
    random: &mut fastrand::Rng,
) -> Result<(), String> {
    queue.submit(count, || random.u64(..) % (DISK_BYTES / REQUEST_BYTES as u64))
}

/// See [`counted_submit`].
#[inline(never)]
fn counted_complete(queue: &mut impl RequestQueue) -> Result<usize, String> {
    queue.complete()
}

//! What a processor does with its queue, and how the second one comes by it.
//!
//! Blocking calls, as on any queue: each goes out as many requests with one notification, and its processor sleeps until they are done.

use alloc::string::String;
use core::ops::Range;
use core::time::Duration;

use example_platform::clock;
use example_platform::devices::Interrupts;
use example_platform::interrupts::{Idle, idle, wait};
use spin::Mutex;
use virtio_guest::device::block::{RequestError, Sector};
use virtio_guest::wire::block::SECTOR_BYTES;

use crate::Queue;

/// What one call reads or writes.
const STEP_SECTORS: usize = 128;
const STEP_BYTES: usize = STEP_SECTORS * SECTOR_BYTES;
const LIMIT_MILLIS: u64 = 10_000;
/// How often the second processor looks whether there is something for it.
const NAP: Duration = Duration::from_millis(1);

/// A queue, and what is to be done with it.
pub struct Share {
    pub queue: Queue,
    pub sectors: Range<u64>,
    pub interrupts: Interrupts,
}

/// The queue afterwards, and how its processor waited.
pub struct Done {
    pub queue: Queue,
    pub idle: Idle,
}

static HANDED_OVER: Mutex<Option<Share>> = Mutex::new(None);
static GIVEN_BACK: Mutex<Option<Result<Done, String>>> = Mutex::new(None);

/// Makes each byte of the sectors one more, and looks whether it is.
pub fn work(share: Share) -> Result<Done, String> {
    let Share { mut queue, sectors, interrupts } = share;
    let before = idle();
    increment(&mut queue, sectors, interrupts)?;
    let after = idle();
    let (sleeps, time) = (after.sleeps - before.sleeps, after.time.saturating_sub(before.time));
    Ok(Done { queue, idle: Idle { sleeps, time } })
}

fn increment(queue: &mut Queue, sectors: Range<u64>, interrupts: Interrupts) -> Result<(), String> {
    let (mut bytes, mut again) = (alloc::vec![0; STEP_BYTES], alloc::vec![0; STEP_BYTES]);
    let patience = || interrupts.patience(LIMIT_MILLIS);
    let failed = |error: RequestError| alloc::format!("the disk failed: {error}");
    for first in sectors.clone().step_by(STEP_SECTORS) {
        let left = usize::try_from(sectors.end - first).unwrap_or(STEP_SECTORS).min(STEP_SECTORS);
        let bytes = bytes.get_mut(..left * SECTOR_BYTES).unwrap_or_default();
        let again = again.get_mut(..left * SECTOR_BYTES).unwrap_or_default();
        queue.read_blocking(Sector(first), bytes, patience()).map_err(failed)?;
        for byte in bytes.iter_mut() {
            *byte = byte.wrapping_add(1);
        }
        queue.write_blocking(Sector(first), bytes, patience()).map_err(failed)?;
        queue.read_blocking(Sector(first), again, patience()).map_err(failed)?;
        if bytes != again {
            return Err(alloc::format!("what was written is not what is read, from sector {first} on"));
        }
    }
    queue.flush_blocking(patience()).map_err(failed)
}

/// Gives the second processor something to do.
pub fn hand_over(share: Share) {
    *HANDED_OVER.lock() = Some(share);
}

/// Waits until it is done.
pub fn take_back() -> Result<Done, String> {
    loop {
        if let Some(done) = GIVEN_BACK.lock().take() {
            return done;
        }
        wait(clock::now() + NAP);
    }
}

/// What the second processor runs: it waits for its share, works, and is done for good.
pub fn second_processor(_: usize) {
    let share = loop {
        if let Some(share) = HANDED_OVER.lock().take() {
            break share;
        }
        wait(clock::now() + NAP);
    };
    let done = work(share);
    *GIVEN_BACK.lock() = Some(done);
}

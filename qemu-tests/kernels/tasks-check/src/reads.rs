//! What a task does: one read after the other, at random places, and now and then it wants one no more.
//!
//! A read that is not wanted any more is dropped as `select` drops the future that came second: after some polls, or before the first. Others are held against the pattern on the disk.

use alloc::format;
use alloc::string::{String, ToString};
use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use fastrand::Rng;
use virtio_guest::device::block::{Requests, Sector, Shared};
use virtio_guest::raw::MappedBuffer;

use crate::pages::{self, PAGE, Page};
use crate::pattern::{SECTOR, fill};
use example_platform::Dma;

/// What requests carry.
pub type Load = MappedBuffer<Dma, Page>;
/// The disk, for all tasks.
pub type Disk = Shared<Dma, spin::Mutex<Requests<'static, Dma, Load>>>;

/// Sectors of a page.
const PAGE_SECTORS: u64 = (PAGE / SECTOR) as u64;

/// What all tasks have done.
#[derive(Default)]
pub struct Tally {
    pub done: Cell<u64>,
    pub dropped: Cell<u64>,
}

/// So many reads, of which so many are dropped.
pub struct Plan {
    pub reads: u64,
    pub drops: u64,
    /// Of the disk's contents.
    pub seed: u64,
    pub sectors: u64,
}

/// Does as planned.
///
/// # Errors
/// A read fails, or brings other bytes than are on the disk.
pub async fn read_all(disk: &Disk, plan: Plan, mut random: Rng, tally: &Tally) -> Result<(), String> {
    let Plan { reads, mut drops, seed, sectors } = plan;
    let mut expected = [0; PAGE];
    for left in (1..=reads).rev() {
        let sector = random.u64(0..=sectors - PAGE_SECTORS);
        let mut page = pages::take().ok_or("the pool is empty")?;
        page.bytes().fill(0);
        let read = disk.read(Sector(sector), page);
        let outcome = if random.u64(0..left) < drops {
            // After its second poll it may have come back, which is no drop: not where each of the rest is to be one.
            within_polls(read, random.u32(0..if drops == left { 2 } else { 3 })).await
        } else {
            Some(read.await)
        };
        let Some(outcome) = outcome else {
            drops -= 1;
            tally.dropped.set(tally.dropped.get() + 1);
            continue;
        };
        let mut page = outcome.map_err(|failed| failed.error.to_string())?;
        for (sector, into) in (sector..).zip(expected.chunks_mut(SECTOR)) {
            fill(seed, sector, into);
        }
        if page.bytes() != expected {
            return Err(format!("wrong bytes from sector {sector} on"));
        }
        tally.done.set(tally.done.get() + 1);
    }
    Ok(())
}

/// A future that is dropped when it was polled so often and is not done.
async fn within_polls<F: Future>(future: F, mut polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

//! `virtio-user blk bench`: requests at random places.
//!
//! As many in flight as are asked for.
//!
//! The back-end's processor is the ceiling from some depth on; with one request in flight at a time it is the way there and back that counts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use virtio_guest::device::block::{RequestError, Sector};
use virtio_user::memory::{SharedBuffer, SharedPool};
use virtio_user::session::Disk;

use super::{OfDisk, SECTOR, is_for_later, not_done, too_little_memory};
use crate::connection::seconds;
use crate::failure::Failure;
use crate::progress::again;

#[derive(Debug, Args)]
pub struct Options {
    /// The back-end's socket
    socket: PathBuf,
    /// Writes instead of reading: THIS OVERWRITES THE DISK
    #[arg(long)]
    write: bool,
    /// Bytes of each request
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    bytes: u32,
    /// How long
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    seconds: Duration,
    #[command(flatten)]
    disk: OfDisk,
}

/// What was counted.
struct Bench<'o> {
    options: &'o Options,
    disk: Disk,
    /// Buffers of each queue: as many as are to be in flight.
    pools: Vec<SharedPool>,
    /// Places on the disk where a request can be.
    places: u64,
    done: u64,
    failed: Option<RequestError>,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let settings = &options.disk;
    let memory = settings.connection.memory()?;
    let disk = settings.connect(&options.socket, &memory)?;
    let sectors = u64::from(options.bytes) / SECTOR;
    if sectors == 0 || !u64::from(options.bytes).is_multiple_of(SECTOR) {
        return Err(Failure::new(format_args!(
            "{} bytes are no whole number of sectors of 512",
            options.bytes
        )));
    }
    let places = disk.capacity_sectors() / sectors;
    if places == 0 {
        return Err(Failure::new(format_args!("the disk has {} sectors only", disk.capacity_sectors())));
    }
    let bytes = usize::try_from(options.bytes).map_err(Failure::new)?;
    let pools = (0..disk.queues()).map(|_| memory.pool(settings.depth.into(), bytes));
    let pools = pools.collect::<Option<_>>().ok_or_else(too_little_memory)?;
    let mut bench = Bench { options, disk, pools, places, done: 0, failed: None };
    let start = Instant::now();
    let (mut said, mut said_done) = (start, 0);
    while start.elapsed() < options.seconds {
        for _ in 0..64 {
            bench.step()?;
        }
        let (now, done) = (Instant::now(), bench.done);
        if now - said >= Duration::from_secs(1) {
            eprintln!("{:.0} requests/s", rate(done - said_done, now - said));
            (said, said_done) = (now, done);
        }
    }
    let (elapsed, done) = (start.elapsed(), bench.done);
    bench.say(done, elapsed);
    Ok(())
}

impl Bench<'_> {
    /// Keeps every queue full, and takes what is done.
    fn step(&mut self) -> Result<(), Failure> {
        let mut came = 0;
        for queue in 0..self.disk.queues() {
            let (done, failed) = (&mut self.done, &mut self.failed);
            came += self.disk.complete_burst(queue, usize::MAX, |finished| {
                *done += 1;
                *failed = failed.or(finished.result.err());
            })?;
            while let Some(buffer) = self.pools.get(queue).and_then(SharedPool::take) {
                if !self.hand_in(queue, buffer)? {
                    break;
                }
            }
            self.disk.publish(queue);
        }
        if let Some(error) = self.failed {
            return Err(Failure::new(format_args!("a request was not done: {error}")));
        }
        if came == 0 {
            self.options.disk.rest(&mut self.disk);
        }
        Ok(())
    }

    /// Hands in a request at a random place; says whether there was room.
    fn hand_in(&mut self, queue: usize, buffer: SharedBuffer) -> Result<bool, Failure> {
        let sector = fastrand::u64(..self.places) * (u64::from(self.options.bytes) / SECTOR);
        let handed_in = if self.options.write {
            self.disk.submit_write(queue, Sector(sector), buffer)
        } else {
            self.disk.submit_read(queue, Sector(sector), buffer)
        };
        match handed_in {
            Ok(_) => Ok(true),
            Err(failed) if is_for_later(failed.error) => Ok(false),
            Err(failed) => Err(not_done("request", sector, failed.error)),
        }
    }

    fn say(&self, done: u64, elapsed: Duration) {
        let Options { write, bytes, disk: OfDisk { depth, connection }, .. } = self.options;
        let what = if *write { "writes" } else { "reads" };
        let requests = rate(done, elapsed);
        let notified: u64 =
            (0..self.disk.queues()).map(|queue| self.disk.statistics(queue).notifications_sent).sum();
        #[allow(clippy::cast_precision_loss, reason = "shown")]
        let per_request = notified as f64 / done.max(1) as f64;
        println!(
            "random {what} of {bytes} bytes, depth {depth}, {} queues: {requests:.0} requests/s, {:.0} MB/s, {per_request:.3} notifications per request{}",
            connection.queues,
            requests * f64::from(*bytes) / 1e6,
            again(self.disk.restarts()),
        );
    }
}

/// So many in a second.
#[allow(clippy::cast_precision_loss, reason = "shown")]
fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

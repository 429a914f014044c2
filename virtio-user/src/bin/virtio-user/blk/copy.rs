//! `virtio-user blk copy`: one disk to another.
//!
//! Through memory that both back-ends share: nothing is copied here.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use clap::Args;
use virtio_guest::device::block::{Failed, Sector};
use virtio_user::SharedMemory;
use virtio_user::memory::SharedBuffer;
use virtio_user::session::{Disk, Done, RequestId};

use super::{CHUNK, OfDisk, SECTOR, is_for_later, not_done, range, too_little_memory};
use crate::failure::Failure;
use crate::progress::Progress;

#[derive(Debug, Args)]
pub struct Options {
    /// The socket of the back-end whose disk is read
    source: PathBuf,
    /// The socket of the back-end whose disk is written
    target: PathBuf,
    /// How many sectors (without: all that the source has)
    #[arg(long, value_name = "NUMBER")]
    sectors: Option<u64>,
    #[command(flatten)]
    disk: OfDisk,
}

/// Sectors on their way from one disk to the other.
struct Copying {
    source: Disk,
    target: Disk,
    memory: SharedMemory,
    settings: OfDisk,
    next: u64,
    end: u64,
    /// From where each read in flight is.
    reads: HashMap<RequestId, u64>,
    /// What was read, and is to be written.
    read: VecDeque<(u64, SharedBuffer)>,
    writes: usize,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let Options { source, target, sectors, disk: settings } = options;
    let memory = settings.connection.memory()?;
    let source = settings.connect(source, &memory)?;
    let target = settings.connect(target, &memory)?;
    let end = range(&source, 0, *sectors)?;
    if end > target.capacity_sectors() {
        return Err(Failure::with(
            format_args!("{end} sectors do not fit onto a disk of {}", target.capacity_sectors()),
            "copy a part with --sectors NUMBER",
        ));
    }
    let progress = Progress::new(end * SECTOR);
    let (settings, reads, read) = (settings.clone(), HashMap::new(), VecDeque::new());
    let mut copying = Copying { source, target, memory, settings, next: 0, end, reads, read, writes: 0 };
    while !copying.is_over() {
        let written = copying.step()?;
        progress.add(written);
    }
    copying.flush()?;
    let restarts = copying.source.restarts() + copying.target.restarts();
    progress.finish("copied", end * SECTOR, restarts);
    Ok(())
}

impl Copying {
    fn is_over(&self) -> bool {
        self.next >= self.end && self.in_flight() == 0
    }

    fn in_flight(&self) -> usize {
        self.reads.len() + self.read.len() + self.writes
    }

    /// Hands in reads, makes writes of what was read, and says how many bytes were written.
    fn step(&mut self) -> Result<u64, Failure> {
        self.hand_in_reads()?;
        let mut landed = Vec::new();
        self.source.complete_burst(0, usize::MAX, |done| landed.push(done))?;
        let mut is_idle = landed.is_empty();
        for Done { id, buffer, result, .. } in landed {
            let Some(sector) = self.reads.remove(&id) else { continue };
            result.map_err(|error| not_done("read", sector, error))?;
            self.read.extend(buffer.map(|buffer| (sector, buffer)));
        }
        self.hand_in_writes()?;
        let (mut written, mut failed) = (0, None);
        let came = self.target.complete_burst(0, usize::MAX, |done| {
            written += done.buffer.map_or(0, |buffer| buffer.len() as u64);
            failed = failed.or(done.result.err());
        })?;
        self.writes -= came;
        is_idle &= came == 0;
        if let Some(error) = failed {
            return Err(Failure::new(format_args!("a write was not done: {error}")));
        }
        if is_idle {
            let disk = if self.reads.is_empty() { &mut self.target } else { &mut self.source };
            self.settings.rest(disk);
        }
        Ok(written)
    }

    fn hand_in_reads(&mut self) -> Result<(), Failure> {
        while self.next < self.end && self.in_flight() < self.settings.depth.into() {
            let count = CHUNK.min(self.end - self.next);
            let bytes = usize::try_from(count * SECTOR).map_err(Failure::new)?;
            let Some(buffer) = self.memory.buffer(bytes) else {
                if self.in_flight() == 0 {
                    return Err(too_little_memory());
                }
                break;
            };
            match self.source.submit_read(0, Sector(self.next), buffer) {
                Ok(id) => drop(self.reads.insert(id, self.next)),
                Err(failed) if is_for_later(failed.error) => break,
                Err(failed) => return Err(not_done("read", self.next, failed.error)),
            }
            self.next += count;
        }
        self.source.publish(0);
        Ok(())
    }

    fn hand_in_writes(&mut self) -> Result<(), Failure> {
        while let Some((sector, buffer)) = self.read.pop_front() {
            match self.target.submit_write(0, Sector(sector), buffer) {
                Ok(_) => self.writes += 1,
                Err(Failed { error, payload: Some(buffer) }) if is_for_later(error) => {
                    self.read.push_front((sector, buffer));
                    break;
                }
                Err(failed) => return Err(not_done("write", sector, failed.error)),
            }
        }
        self.target.publish(0);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.target.submit_flush(0).map_err(|error| Failure::new(format_args!("flush: {error}")))?;
        self.target.publish(0);
        let mut result = None;
        while result.is_none() {
            if self.target.complete_burst(0, 1, |done| result = Some(done.result))? == 0 {
                self.settings.rest(&mut self.target);
            }
        }
        result.unwrap_or(Ok(())).map_err(|error| Failure::new(format_args!("flush: {error}")))
    }
}

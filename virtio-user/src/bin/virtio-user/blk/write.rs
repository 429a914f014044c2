//! `virtio-user blk write`: a file onto the disk.
//!
//! With many writes in flight, and a flush behind them.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;
use virtio_guest::device::block::{RequestError, Sector};
use virtio_user::SharedMemory;
use virtio_user::session::Disk;

use super::{CHUNK, OfDisk, SECTOR, is_for_later, is_standard, not_done, range, too_little_memory};
use crate::failure::Failure;
use crate::progress::Progress;

#[derive(Debug, Args)]
pub struct Options {
    /// The back-end's socket
    socket: PathBuf,
    /// The file to read (without, or as `-`: the standard input)
    file: Option<PathBuf>,
    /// The first sector to write, of 512 bytes each
    #[arg(long, value_name = "SECTOR", default_value_t = 0)]
    to: u64,
    #[command(flatten)]
    disk: OfDisk,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let Options { socket, file, to, disk: settings } = options;
    let (mut input, length): (Box<dyn Read>, Option<u64>) = match file {
        Some(path) if !is_standard(file.as_ref()) => {
            let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
            let (length, file) = opened.map_err(|error| Failure::file(path, &error))?;
            (Box::new(file), Some(length))
        }
        _ => (Box::new(io::stdin().lock()), None),
    };
    let memory = settings.connection.memory()?;
    let mut disk = settings.connect(socket, &memory)?;
    if let Some(length) = length {
        range(&disk, *to, Some(length.div_ceil(SECTOR)))?;
    }
    let progress = Progress::new(length.unwrap_or(0));
    let mut writing = Writing { settings, memory, disk: &mut disk, in_flight: 0, failed: None };
    let (mut bytes, mut next, mut total) = (Vec::new(), *to, 0);
    bytes.resize(usize::try_from(CHUNK * SECTOR).map_err(Failure::new)?, 0);
    loop {
        let count = fill(&mut *input, &mut bytes)
            .map_err(|error| Failure::new(format_args!("the input: {error}")))?;
        if count == 0 {
            break;
        }
        if !(count as u64).is_multiple_of(SECTOR) {
            let told = format_args!(
                "the input ends in the middle of a sector, after {} bytes",
                total + count as u64
            );
            return Err(Failure::with(told, "pad it: its length has to be a multiple of 512 bytes"));
        }
        writing.write(next, bytes.get(..count).unwrap_or_default())?;
        next += count as u64 / SECTOR;
        total += count as u64;
        progress.add(count as u64);
    }
    writing.finish()?;
    progress.finish("wrote", total, disk.restarts());
    Ok(())
}

/// As many bytes as there are, or there is room for.
fn fill(input: &mut dyn Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = bytes.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Writes in flight.
struct Writing<'o> {
    settings: &'o OfDisk,
    memory: SharedMemory,
    disk: &'o mut Disk,
    in_flight: usize,
    failed: Option<RequestError>,
}

impl Writing<'_> {
    /// Hands in a write, once there is room for it.
    fn write(&mut self, sector: u64, bytes: &[u8]) -> Result<(), Failure> {
        loop {
            while self.in_flight >= self.settings.depth.into() {
                self.complete()?;
            }
            let Some(mut buffer) = self.memory.buffer(bytes.len()) else {
                if self.in_flight == 0 {
                    return Err(too_little_memory());
                }
                self.complete()?;
                continue;
            };
            buffer.write(0, bytes).map_err(Failure::new)?;
            let queue = usize::try_from(sector / CHUNK).unwrap_or(0) % self.disk.queues();
            match self.disk.submit_write(queue, Sector(sector), buffer) {
                Ok(_) => {
                    self.in_flight += 1;
                    self.disk.publish(queue);
                    return Ok(());
                }
                Err(failed) if is_for_later(failed.error) => {
                    self.complete()?;
                }
                Err(failed) => return Err(not_done("write", sector, failed.error)),
            }
        }
    }

    /// Takes what is done.
    fn complete(&mut self) -> Result<(), Failure> {
        let mut came = 0;
        for queue in 0..self.disk.queues() {
            let failed = &mut self.failed;
            came +=
                self.disk.complete_burst(queue, usize::MAX, |done| *failed = failed.or(done.result.err()))?;
        }
        self.in_flight -= came;
        if let Some(error) = self.failed {
            return Err(Failure::new(format_args!("a write was not done: {error}")));
        }
        if came == 0 {
            self.settings.rest(self.disk);
        }
        Ok(())
    }

    /// Waits for everything, and flushes it.
    fn finish(mut self) -> Result<(), Failure> {
        while self.in_flight > 0 {
            self.complete()?;
        }
        self.disk.submit_flush(0).map_err(|error| Failure::new(format_args!("flush: {error}")))?;
        self.in_flight += 1;
        self.disk.publish(0);
        while self.in_flight > 0 {
            self.complete()?;
        }
        Ok(())
    }
}

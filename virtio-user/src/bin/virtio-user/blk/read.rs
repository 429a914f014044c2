//! `virtio-user blk read`: sectors into a file.
//!
//! In their order, with many reads in flight.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use virtio_guest::device::block::Sector;
use virtio_user::memory::SharedBuffer;
use virtio_user::session::{Disk, Done};

use super::{CHUNK, OfDisk, SECTOR, is_for_later, is_standard, not_done, range, too_little_memory};
use crate::failure::Failure;
use crate::progress::Progress;

#[derive(Debug, Args)]
pub struct Options {
    /// The back-end's socket
    socket: PathBuf,
    /// The file to write (without, or as `-`: the standard output)
    file: Option<PathBuf>,
    /// The first sector, of 512 bytes each
    #[arg(long, value_name = "SECTOR", default_value_t = 0)]
    from: u64,
    /// How many (without: all that there are)
    #[arg(long, value_name = "NUMBER")]
    sectors: Option<u64>,
    #[command(flatten)]
    disk: OfDisk,
}

/// Reads in flight, in the order of their sectors.
struct Window {
    /// The number of the first one.
    first: u64,
    /// Each is there once it is read.
    read: VecDeque<Option<Done<SharedBuffer>>>,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let Options { socket, file, from, disk: settings, .. } = options;
    let memory = settings.connection.memory()?;
    let mut disk = settings.connect(socket, &memory)?;
    let sectors = range(&disk, *from, options.sectors)?;
    let mut output: Box<dyn Write> = match file {
        Some(path) if !is_standard(file.as_ref()) => {
            Box::new(File::create(path).map_err(|error| Failure::file(path, &error))?)
        }
        _ => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let progress = Progress::new(sectors * SECTOR);
    let mut bytes = Vec::new();
    let (mut next, end) = (*from, from + sectors);
    let mut window = Window { first: 0, read: VecDeque::new() };
    let mut handed_in = 0;
    while next < end || !window.read.is_empty() {
        while next < end && window.read.len() < settings.depth.into() {
            let count = CHUNK.min(end - next);
            let bytes = usize::try_from(count * SECTOR).map_err(Failure::new)?;
            let Some(buffer) = memory.buffer(bytes) else {
                if window.read.is_empty() {
                    return Err(too_little_memory());
                }
                break;
            };
            // In turn, so that completions of each come in about the order of the disk.
            match disk.submit_read(queue(handed_in, &disk), Sector(next), buffer) {
                Ok(_) => {}
                Err(failed) if is_for_later(failed.error) => break,
                Err(failed) => return Err(not_done("read", next, failed.error)),
            }
            window.read.push_back(None);
            handed_in += 1;
            next += count;
        }
        let mut came = 0;
        for queue in 0..disk.queues() {
            disk.publish(queue);
            came += disk.complete_burst(queue, usize::MAX, |done| window.land(done))?;
        }
        while let Some(Some(done)) = window.read.front_mut().map(Option::take) {
            window.read.pop_front();
            window.first += 1;
            let sector = from + (window.first - 1) * CHUNK;
            done.result.map_err(|error| not_done("read", sector, error))?;
            let Some(buffer) = done.buffer else { continue };
            bytes.resize(buffer.len(), 0);
            buffer.read(0, &mut bytes).map_err(Failure::new)?;
            output.write_all(&bytes).map_err(|error| Failure::new(format_args!("the output: {error}")))?;
            progress.add(bytes.len() as u64);
        }
        if came == 0 {
            settings.rest(&mut disk);
        }
    }
    output.flush().map_err(|error| Failure::new(format_args!("the output: {error}")))?;
    progress.finish("read", sectors * SECTOR, disk.restarts());
    Ok(())
}

/// Whose turn it is.
fn queue(number: u64, disk: &Disk) -> usize {
    usize::try_from(number).unwrap_or(0) % disk.queues()
}

impl Window {
    /// Keeps a read until all before it are there. Numbers of a disk's requests begin with 1.
    fn land(&mut self, done: Done<SharedBuffer>) {
        let place = (done.id.0 - 1).checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(place) = place.and_then(|place| self.read.get_mut(place)) {
            *place = Some(done);
        }
    }
}

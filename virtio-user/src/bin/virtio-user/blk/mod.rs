//! `virtio-user blk`: a disk of a back-end.

mod bench;
mod copy;
mod read;
mod write;

use std::fmt::Display;
use std::hint;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use virtio_guest::device::block::{HANDLED, RequestError, SECTOR_BYTES};
use virtio_guest::lifecycle::Wants;
use virtio_guest::ring::Layout;
use virtio_user::SharedMemory;
use virtio_user::session::{Disk, DiskSettings};

use crate::connection::Connection;
use crate::failure::Failure;

/// Bytes of a sector.
const SECTOR: u64 = SECTOR_BYTES as u64;

/// Sectors of one request, where many follow each other.
const CHUNK: u64 = 128;

/// What `virtio-user blk` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads sectors into a file, or to the standard output
    #[command(after_help = "Example:\n  virtio-user blk read /tmp/disk image --from 2048 --sectors 16")]
    Read(read::Options),
    /// Writes a file, or the standard input, to the disk, and flushes it
    #[command(after_help = "Example:\n  virtio-user blk write /tmp/disk image --to 2048")]
    Write(write::Options),
    /// Copies one disk to another one
    #[command(after_help = "Example:\n  virtio-user blk copy /tmp/disk1 /tmp/disk2")]
    Copy(copy::Options),
    /// Says how many requests the disk does in a second, at random places
    #[command(after_help = "Example:\n  virtio-user blk bench /tmp/disk --depth 32 --seconds 5")]
    Bench(bench::Options),
}

/// What all commands ask of a disk.
#[derive(Clone, Debug, Args)]
pub struct OfDisk {
    /// Keeps so many requests in flight on each queue
    #[arg(long, value_name = "NUMBER", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub depth: u16,
    #[command(flatten)]
    pub connection: Connection,
}

/// Does what was asked for.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Read(options) => read::run(&options),
        Command::Write(options) => write::run(&options),
        Command::Copy(options) => copy::run(&options),
        Command::Bench(options) => bench::run(&options),
    }
}

impl OfDisk {
    /// The disk that is served at this socket.
    pub fn connect(&self, socket: &Path, memory: &SharedMemory) -> Result<Disk, Failure> {
        let Self { depth, connection } = self;
        let settings = DiskSettings {
            front_end: connection.settings(),
            queues: connection.queues,
            // Without indirect descriptors a request takes three.
            descriptors: (depth * 3).next_power_of_two().max(16),
            wants: Wants::features(HANDLED).without(connection.unwanted()),
            wait: connection.wait(),
        };
        let disk = Disk::connect(connection.back_end(socket)?, memory, settings)?;
        connection.check_layout(disk.active_path().is_some_and(|path| path.layout == Layout::Packed))?;
        if disk.queues() < connection.queues.into() {
            return Err(Failure::with(
                format_args!(
                    "the disk has {} queues, and {} were asked for",
                    disk.queues(),
                    connection.queues
                ),
                "ask for fewer with --queues, or let the back-end have more",
            ));
        }
        Ok(disk)
    }

    /// Lets time pass when nothing was done.
    pub fn rest(&self, disk: &mut Disk) {
        if self.connection.interrupts {
            disk.wait(Duration::from_millis(100));
        } else {
            hint::spin_loop();
        }
    }
}

/// A file, or what stands for none.
pub fn is_standard(file: Option<&PathBuf>) -> bool {
    file.is_none_or(|file| file.as_os_str() == "-")
}

/// Sectors that a range has: to the disk's end, if it is not said how many.
pub fn range(disk: &Disk, from: u64, sectors: Option<u64>) -> Result<u64, Failure> {
    let capacity = disk.capacity_sectors();
    let rest = capacity.checked_sub(from);
    match (rest, sectors) {
        (Some(rest), None) => Ok(rest),
        (Some(rest), Some(sectors)) if sectors <= rest => Ok(sectors),
        _ => Err(Failure::new(format_args!(
            "sectors {from} to {} reach past the end of the disk, which has {capacity}",
            from.saturating_add(sectors.unwrap_or(0))
        ))),
    }
}

/// A request that the disk did not do.
pub fn not_done(what: &str, sector: u64, error: impl Display) -> Failure {
    Failure::new(format_args!("{what} at sector {sector}: {error}"))
}

/// Whether a request may be handed in again, when others are done or there is a back-end again.
pub const fn is_for_later(error: RequestError) -> bool {
    matches!(error, RequestError::Full | RequestError::Removed)
}

/// Not even one request's buffer fits.
pub fn too_little_memory() -> Failure {
    Failure::with("the shared memory is too small", "share more with --memory MIB")
}

//! Mode `discard`: ranges that nobody needs any more, and ranges that are to read as zeros.
//!
//! Three areas of the disk are filled with a pattern, and a range inside of each is discarded, or zeroed with and without giving its storage back. Then each area is read again: zeros have to be zeros, and what is before
//! and behind the range has to be as it was. What a discarded range reads as means nothing; the program says what it found.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use example_platform::devices::{self, Interrupts, Wiring};
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::block::{
    Block, HANDLED, RangeLimits, RequestError, Sector, SectorRange, Settings, Storage, Unmap,
};
use virtio_guest::lifecycle::Wants;
use virtio_guest::wire::block::SECTOR_BYTES;

type Disk<'s> = Block<'s, devices::Way, Dma>;

/// The areas, one after the other from the disk's start.
const AREA_SECTORS: u64 = 1024;
/// The range inside of an area, first sector and length: it begins and ends where nothing is aligned.
const HOLE: (u64, u64) = (101, 809);
/// How long one call may take.
const PATIENCE_MILLIS: u64 = 5000;

/// What is done with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Discard,
    WriteZeroes(Unmap),
}

const COMMANDS: [Command; 3] =
    [Command::Discard, Command::WriteZeroes(Unmap::Allowed), Command::WriteZeroes(Unmap::Forbidden)];

/// Brings the disk up, and tries each command in an area of its own.
pub fn run() -> Result<(), String> {
    let mut device = devices::take_disk()?;
    println!("disk at {}", device.place);
    let wiring = device.connect(Interrupts::asked_for()?)?;
    let mut storage = Storage::<256>::new();
    let settings = Settings { notifications: wiring.kind != Interrupts::None, ..Settings::default() };
    let (wants, patience) = (Wants::features(HANDLED), wiring.patience(1000));
    let disk = Block::start_with(device.transport, DMA, &mut storage, &settings, wants, patience);
    let mut disk = disk.map_err(|failed| failed.to_string())?;

    let shape = disk.control().shape();
    say_limits("discard", shape.discard);
    say_limits("write zeroes", shape.write_zeroes);
    println!("zeros may give storage back: {}", shape.write_zeroes_may_unmap);
    if shape.capacity_sectors < AREA_SECTORS * COMMANDS.len() as u64 {
        return Err(alloc::format!("this takes a disk of {} sectors", AREA_SECTORS * COMMANDS.len() as u64));
    }
    for (command, area) in COMMANDS.into_iter().zip(0..) {
        let start = area * AREA_SECTORS;
        match try_command(&mut disk, &wiring, command, start) {
            Ok(found) => println!("{command:?}: {found}"),
            Err(Failure::Disk(RequestError::Unsupported)) => {
                println!("{command:?}: the disk does not offer it");
            }
            Err(Failure::Disk(error)) => return Err(alloc::format!("{command:?}: the disk failed: {error}")),
            Err(Failure::Contents(sector)) => {
                return Err(alloc::format!("{command:?}: sector {sector} holds what it must not"));
            }
        }
    }
    disk.flush_blocking(wiring.patience(PATIENCE_MILLIS)).map_err(|error| error.to_string())?;
    disk.close(clock::within_millis(1000)).map_err(|failed| failed.error.to_string())?;
    Ok(())
}

/// Says what one request may do. Longer ranges take several, which is the driver's business.
fn say_limits(what: &str, limits: Option<RangeLimits>) {
    match limits {
        Some(RangeLimits { sectors_max, ranges_max, alignment_sectors }) => println!(
            "{what}: up to {sectors_max} sectors in a range, {ranges_max} ranges in a request, best cut at multiples of {alignment_sectors}"
        ),
        None => println!("{what}: no"),
    }
}

/// Why an area is not as it should be.
enum Failure {
    Disk(RequestError),
    /// This sector.
    Contents(u64),
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Disk(error)
    }
}

/// What a sector is filled with first. Never zeros.
fn pattern(sector: u64) -> [u8; SECTOR_BYTES] {
    let [low, ..] = sector.to_le_bytes();
    [low | 1; SECTOR_BYTES]
}

/// Fills an area, does it, and reads the area again. Says what the range reads as.
fn try_command(
    disk: &mut Disk<'_>,
    wiring: &Wiring,
    command: Command,
    start: u64,
) -> Result<&'static str, Failure> {
    let patience = || wiring.patience(PATIENCE_MILLIS);
    let sectors = start..start + AREA_SECTORS;
    let mut area: Vec<u8> = sectors.clone().flat_map(pattern).collect();
    disk.write_blocking(Sector(start), &area, patience())?;

    let hole = SectorRange { first: Sector(start + HOLE.0), sectors: HOLE.1 };
    match command {
        Command::Discard => disk.discard_blocking(hole, patience())?,
        Command::WriteZeroes(unmap) => disk.write_zeroes_blocking(hole, unmap, patience())?,
    }

    disk.read_blocking(Sector(start), &mut area, patience())?;
    let (mut zeros, mut kept) = (0, 0);
    for (sector, bytes) in sectors.zip(area.chunks_exact(SECTOR_BYTES)) {
        let is_inside = (hole.first.0..hole.first.0 + hole.sectors).contains(&sector);
        let (is_zero, is_kept) = (bytes.iter().all(|byte| *byte == 0), bytes == pattern(sector));
        if !is_inside && !is_kept || is_inside && command != Command::Discard && !is_zero {
            return Err(Failure::Contents(sector));
        }
        if is_inside {
            zeros += u64::from(is_zero);
            kept += u64::from(is_kept);
        }
    }
    Ok(match (zeros, kept) {
        _ if zeros == hole.sectors => "all zeros, neighbours untouched",
        _ if kept == hole.sectors => "as before, neighbours untouched",
        _ if zeros + kept == hole.sectors => "zeros in part, the rest as before, neighbours untouched",
        _ => "something else, neighbours untouched",
    })
}

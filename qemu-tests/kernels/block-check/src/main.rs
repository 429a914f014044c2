//! A test kernel: everything the block driver promises, on the first virtio disk, printed for the host to check.
//!
//! Command line: `seed=N`, the seed of what is written.

#![no_std]
#![no_main]
#![allow(clippy::cast_possible_truncation, reason = "the ranges are short")]

extern crate alloc;

#[path = "../../pattern.rs"]
mod pattern;

use alloc::string::{String, ToString};
use alloc::vec;

use example_platform::{DMA, Dma, MMIO, clock, command_line, pci, println};
use pattern::SECTOR;
use virtio_guest::device::block::{Block, RequestError, Sector, Storage};
use virtio_guest::transport::pci::PciTransport;
use virtio_guest::wire::device_type::DeviceType;

type Disk<'s> = Block<'s, PciTransport, Dma>;

example_platform::entry!(run);

fn patience() -> clock::Deadline {
    clock::within_millis(10_000)
}

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(alloc::format!("broken promise: {promise}")) }
}

fn run() -> Result<(), String> {
    let seed = command_line()
        .split(' ')
        .find_map(|word| word.strip_prefix("seed="))
        .ok_or("no seed= on the command line")?;
    let seed = seed.parse::<u64>().map_err(|error| error.to_string())?;
    // SAFETY: this program is all there is, and it claims the disk once.
    let function = unsafe { pci::claim_first(DeviceType::BLOCK) }.ok_or("no virtio block device")?;
    println!("disk at {} through {}", function.address(), pci::PciAccess.mechanism());
    let transport = PciTransport::open(function, &MMIO).map_err(|error| error.to_string())?;
    let mut storage = Storage::<1024>::new();

    let mut disk =
        Block::start(transport, DMA, &mut storage, patience()).map_err(|error| error.to_string())?;
    describe(&mut disk);
    refusals(&mut disk)?;
    reads(&mut disk).map_err(|error| error.to_string())?;
    if disk.is_read_only() {
        let refused = disk.write_blocking(Sector(0), &[0; SECTOR], patience());
        ensure(refused == Err(RequestError::ReadOnly), "a read-only disk is not asked to write")?;
        println!("write refused: read-only");
    } else {
        writes(&mut disk, seed)?;
    }

    let closed = disk.close(patience()).map_err(|failed| failed.error.to_string())?;
    let again = Block::start(closed.transport, DMA, closed.storage, patience());
    let again = again.map_err(|error| error.to_string())?;
    println!("second bring-up: {} sectors", again.capacity_sectors());
    drop(again);
    println!("block check: done");
    Ok(())
}

fn describe(disk: &mut Disk<'_>) {
    let paths = disk.active_paths();
    println!("capacity: {} sectors", disk.capacity_sectors());
    println!(
        "paths: event_index={} indirect={} access_platform={} queue_size={} read_only={}",
        paths.event_index,
        paths.indirect,
        paths.access_platform,
        paths.queue_size,
        disk.is_read_only()
    );
    match disk.device_id_blocking(patience()) {
        Ok(id) => println!("id: {id}"),
        Err(error) => println!("no id: {error}"),
    }
}

fn refusals(disk: &mut Disk<'_>) -> Result<(), String> {
    let capacity = disk.capacity_sectors();
    let sent = disk.statistics().chains;
    let mut buffer = [0; 2 * SECTOR];
    let mut read =
        |sector, bytes: usize| disk.read_blocking(Sector(sector), &mut buffer[..bytes], patience()).err();
    ensure(read(0, 0) == Some(RequestError::Empty), "an empty buffer is refused")?;
    ensure(
        read(0, 100) == Some(RequestError::NotWholeSectors { bytes: 100 }),
        "part of a sector is refused",
    )?;
    for (sector, sectors) in [(capacity, 1), (capacity.saturating_sub(1), 2), (u64::MAX, 1)] {
        let expected = RequestError::OutOfRange { sector, sectors, capacity_sectors: capacity };
        ensure(read(sector, sectors as usize * SECTOR) == Some(expected), "a range past the end is refused")?;
    }
    ensure(disk.statistics().chains == sent, "the device was not asked")?;
    println!("refusals: ok");
    Ok(())
}

fn reads(disk: &mut Disk<'_>) -> Result<(), RequestError> {
    for (first, count) in pattern::ranges_read(disk.capacity_sectors()) {
        let mut whole = vec![0; count as usize * SECTOR];
        disk.read_blocking(Sector(first), &mut whole, patience())?;
        println!("read {first} {count} {:016x}", pattern::checksum(&whole));

        let mut pieces = vec![0; whole.len()];
        let (head, rest) = pieces.split_at_mut(whole.len() / 3);
        let (middle, tail) = rest.split_at_mut(1);
        disk.read_vectored_blocking(Sector(first), &mut [head, middle, &mut [], tail], patience())?;
        println!("read {first} {count} {:016x}", pattern::checksum(&pieces));
    }
    Ok(())
}

fn writes(disk: &mut Disk<'_>, seed: u64) -> Result<(), String> {
    for (first, count) in pattern::ranges_written(disk.capacity_sectors()) {
        let mut bytes = vec![0; count as usize * SECTOR];
        for (sector, into) in (first..).zip(bytes.chunks_mut(SECTOR)) {
            pattern::fill(seed, sector, into);
        }
        let (head, tail) = bytes.split_at(77);
        disk.write_vectored_blocking(Sector(first), &[head, &[], tail], patience())
            .map_err(|error| error.to_string())?;
        let mut back = vec![0; bytes.len()];
        disk.read_blocking(Sector(first), &mut back, patience()).map_err(|error| error.to_string())?;
        ensure(back == bytes, "what was written is read")?;
        println!("wrote {first} {count}");
    }
    disk.flush_blocking(patience()).map_err(|error| error.to_string())
}

//! A test kernel: a guest that sleeps, and goes on with its disk.
//!
//! It copies the first half of its disk to the second one, page by page. Now and then it sleeps: no request is in flight then, and the driver is down. For whoever stops the machine meanwhile it
//! says so before.
//!
//! Command line: `seed=N`, the seed of what is on the disk; `calls=tasks|blocking`; `sleep=reset`, the function keeps its configuration, or `sleep=power`, it loses it.

#![no_std]
#![no_main]

extern crate alloc;

mod bed;
mod blocking;
#[path = "../../executor.rs"]
mod executor;
mod function;
#[path = "../../pattern.rs"]
#[expect(dead_code, reason = "each kernel uses its part")]
mod pattern;
mod tasks;

use alloc::format;
use alloc::string::String;

use example_platform::{command_line, println};
use virtio_guest::device::block::Sector;

use bed::Bed;

example_platform::entry!(run);

/// Bytes of a page, and its sectors.
const PAGE: usize = 4096;
const PAGE_SECTORS: u64 = (PAGE / pattern::SECTOR) as u64;
/// Pages that are copied, and after how many of them the guest sleeps.
const PAGES: u64 = 128;
const SLEEPS: [u64; 2] = [40, 80];

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("broken promise: {promise}")) }
}

/// A word of the command line.
fn argument(name: &str) -> Result<&'static str, String> {
    let mut words = command_line().split_ascii_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.ok_or_else(|| format!("no {name}= on the command line"))
}

/// Where a page is copied from, and where to.
const fn places(page: u64) -> (Sector, Sector) {
    (Sector(page * PAGE_SECTORS), Sector((PAGES + page) * PAGE_SECTORS))
}

/// Whether these are the bytes that the host wrote to a page.
fn is_page(seed: u64, page: u64, bytes: &[u8]) -> bool {
    let mut expected = [0; PAGE];
    for (sector, into) in (page * PAGE_SECTORS..).zip(expected.chunks_mut(pattern::SECTOR)) {
        pattern::fill(seed, sector, into);
    }
    bytes == expected
}

fn run() -> Result<(), String> {
    let seed = argument("seed")?.parse().map_err(|_| "seed= is no number")?;
    let loses_power = match argument("sleep")? {
        "power" => true,
        "reset" => false,
        other => return Err(format!("sleep={other} is not known")),
    };
    let (bed, transport) = Bed::make(loses_power)?;
    match argument("calls")? {
        "tasks" => tasks::copy(&bed, transport, seed)?,
        "blocking" => blocking::copy(&bed, transport, seed)?,
        other => return Err(format!("calls={other} is not known")),
    }
    ensure(bed.sleeps() == SLEEPS.len(), "the guest sleeps as often as it should")?;
    println!("interrupts: {}", bed.arrived());
    println!("sleep check: done");
    Ok(())
}

//! A test kernel: what a virtio disk does besides single reads and writes, printed for the host.
//!
//! On the first virtio disk. Command line: `check=requests|overtaking|faults|resize|queues|restart`; `queues=N` and `silence=wait|reset`, for `restart` (restart.rs); `old=N`, the seed of what is on the disk; `seed=N`, the seed of what is written; `interrupts=msi-x|line|polling`
//! (the best there is, unless it says otherwise).

#![no_std]
#![no_main]
#![allow(clippy::cast_possible_truncation, reason = "the ranges are short")]

extern crate alloc;

mod disk;
mod faults;
mod overtaking;
#[path = "../../pattern.rs"]
#[expect(dead_code, reason = "each kernel uses its part")]
mod pattern;
mod queues;
mod requests;
mod resize;
mod restart;

use alloc::string::String;

use example_platform::{command_line, println};

example_platform::entry!(run);

/// A word of the command line.
fn argument(name: &str) -> Result<&'static str, String> {
    let mut words = command_line().split_ascii_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.ok_or_else(|| alloc::format!("no {name}= on the command line"))
}

/// The seeds of what is on the disk, and of what is written.
#[derive(Clone, Copy)]
struct Seeds {
    old: u64,
    new: u64,
}

impl Seeds {
    fn given() -> Result<Self, String> {
        let number = |name| argument(name)?.parse().map_err(|_| alloc::format!("{name}= is no number"));
        Ok(Self { old: number("old")?, new: number("seed")? })
    }
}

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(alloc::format!("broken promise: {promise}")) }
}

fn run() -> Result<(), String> {
    let seeds = Seeds::given()?;
    match argument("check")? {
        "requests" => requests::run(seeds),
        "overtaking" => overtaking::run(seeds),
        "faults" => faults::run(seeds),
        "resize" => resize::run(seeds),
        "queues" => queues::run(seeds),
        "restart" => restart::run(seeds),
        other => Err(alloc::format!("check={other} is not known")),
    }?;
    println!("block complete: done");
    Ok(())
}

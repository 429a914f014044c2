//! A test kernel: has a balloon, and says what it gives to it and gets back.
//!
//! On the first virtio memory balloon. A target of one frame is the host's way to say that it is over. Command line:
//!
//! ```text
//!   check=targets   follows the host's targets (targets.rs); page=N frames in a page, 1 if it does not say; poison=N is what free memory holds
//!   check=reports   has written all of its memory, and reports that it is free (reports.rs); poison=N is what free memory holds
//!   check=hints     has memory that is in use and memory that is not, and is copied meanwhile; uses its other devices before and after (hints.rs)
//!   check=oom       runs out of memory while the balloon has some (oom.rs)
//!   interrupts=msi-x|line|polling
//!   notifications=off  queues are looked at every millisecond; changes of the target interrupt
//! ```

#![no_std]
#![no_main]

extern crate alloc;

mod balloon;
mod contents;
mod hints;
mod memory;
mod oom;
mod others;
#[path = "../../pattern.rs"]
#[expect(dead_code, reason = "each kernel uses its part")]
mod pattern;
mod reports;
mod targets;

use alloc::string::String;

use example_platform::{command_line, println};

example_platform::entry!(run);

/// A word of the command line, if it is there.
fn argument(name: &str) -> Option<&'static str> {
    let mut words = command_line().split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// A number of the command line, if it is there.
fn number(name: &str) -> Result<Option<u32>, String> {
    let Some(text) = argument(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| alloc::format!("{name}={text} is no number"))
}

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(alloc::format!("broken promise: {promise}")) }
}

fn run() -> Result<(), String> {
    match argument("check") {
        Some("targets") => targets::run(),
        Some("reports") => reports::run(),
        Some("hints") => hints::run(),
        Some("oom") => oom::run(),
        other => Err(alloc::format!("check={other:?} is not known")),
    }?;
    println!("balloon check: done");
    Ok(())
}

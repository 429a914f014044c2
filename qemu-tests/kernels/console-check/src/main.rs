//! A test kernel: sends back what comes in through the ports of its console, asleep while nothing does.
//!
//! On the first virtio console. Command line:
//!
//! ```text
//!   check=echo bytes=N way=looking|blocking|tasks   the only port: so many bytes, sent back (echo.rs)
//!   check=ports                                     all ports that there are and will be, until port 0 says `end` (ports.rs)
//!   check=emergency                                 writes before, during and after bring-up (emergency.rs)
//!   interrupts=msi-x|line|polling
//! ```

#![no_std]
#![no_main]

extern crate alloc;

mod echo;
mod emergency;
#[path = "../../executor.rs"]
mod executor;
#[path = "../../pattern.rs"]
#[expect(dead_code, reason = "each kernel uses its part")]
mod pattern;
mod ports;

use alloc::string::String;

use example_platform::{command_line, println};

example_platform::entry!(run);

/// How long the device may take for something, and the host.
const LIMIT_MILLIS: u64 = 20_000;

/// A word of the command line, if it is there.
fn argument(name: &str) -> Option<&'static str> {
    let mut words = command_line().split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(alloc::format!("broken promise: {promise}")) }
}

fn run() -> Result<(), String> {
    match argument("check") {
        Some("echo") => echo::run(),
        Some("ports") => ports::run(),
        Some("emergency") => emergency::run(),
        other => Err(alloc::format!("check={other:?} is not known")),
    }?;
    println!("console check: done");
    Ok(())
}

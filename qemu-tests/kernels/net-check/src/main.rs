//! A test kernel: does with its network card what the host asks for, and says what came in.
//!
//! On the first virtio network card. Command line:
//!
//! ```text
//!   check=agent     answers frames until one says `end` (agent.rs, commands.rs)
//!   check=source    sends numbered frames to to=MAC, frames=N of them in flows=N, and expects them back (source.rs):
//!                   window=N are on their way at most (default 512), over pairs=N of queues (default 1; more with
//!                   interrupts=polling), with payloads of up to longest=N bytes; with
//!                   losses=counted not all of them have to come back
//!   check=exchange  sends numbered frames to to=MAC, sends back what comes from there, and goes on if some are lost (exchange.rs)
//!   processors=N    of the agent, each with a pair of queues of its own (default 1)
//!   features=plain  nothing that changes what frames look like; all is asked for else
//!   number=N        the last byte of its addresses: 10.77.0.N and fd77::N (default 2)
//!   link=reset      the card is reset whenever its link comes up again (with interrupts=polling, and one pair)
//!   interrupts=msi-x|line|polling
//! ```

#![no_std]
#![no_main]

extern crate alloc;

mod agent;
mod card;
mod commands;
mod exchange;
mod flows;
#[path = "../../frames.rs"]
#[allow(dead_code, missing_docs, reason = "each kernel uses its part")]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "lengths of frames and their numbers"
)]
mod frames;
#[path = "../../pattern.rs"]
#[expect(dead_code, reason = "each kernel uses its part")]
mod pattern;
mod source;
mod workers;

use alloc::string::String;

use example_platform::{command_line, println};

example_platform::entry!(run);

/// A word of the command line, if it is there.
fn argument(name: &str) -> Option<&'static str> {
    let mut words = command_line().split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// A number of the command line.
fn number(name: &str, otherwise: u64) -> Result<u64, String> {
    let Some(text) = argument(name) else { return Ok(otherwise) };
    text.parse().map_err(|_| alloc::format!("{name}={text} is no number"))
}

/// Bytes of an address like 52:54:00:12:34:56.
fn mac(text: &str) -> Result<[u8; 6], String> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().and_then(|part| u8::from_str_radix(part, 16).ok());
        *byte = part.ok_or_else(|| alloc::format!("{text} is no address of a card"))?;
    }
    Ok(bytes)
}

fn ensure(holds: bool, promise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(alloc::format!("broken promise: {promise}")) }
}

fn run() -> Result<(), String> {
    match argument("check") {
        Some("agent") => agent::run(),
        Some("source") => source::run(),
        Some("exchange") => exchange::run(),
        other => Err(alloc::format!("check={other:?} is not known")),
    }?;
    println!("net check: done");
    Ok(())
}

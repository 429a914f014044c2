//! A test kernel: reads random bytes, and says what they are like and how it waited for them.
//!
//! From the first virtio entropy device. Command line:
//!
//! ```text
//!   bytes=N                       so many (1 MiB if it does not say)
//!   seed=N                        they are the pattern of this seed, in sectors that come in order: none twice, each whole
//!   interrupts=msi-x|line|polling
//! ```

#![no_std]
#![no_main]

extern crate alloc;

mod judge;
#[path = "../../pattern.rs"]
#[expect(dead_code, reason = "each kernel uses its part")]
mod pattern;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::cell::Cell;

use example_platform::devices::{self, Interrupts, Waiting};
use example_platform::{DMA, clock, command_line, println};
use virtio_guest::device::entropy::{Entropy, Settings, Storage};
use virtio_guest::hal::Patience;

example_platform::entry!(run);

/// How long all of it may take, on a host that is busy, too.
const LIMIT_MILLIS: u64 = 30_000;

/// A word of the command line, if it is there.
fn argument(name: &str) -> Option<&'static str> {
    let mut words = command_line().split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// A number of the command line, if it is there.
fn number(name: &str) -> Result<Option<u64>, String> {
    let Some(text) = argument(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| alloc::format!("{name}={text} is no number"))
}

/// Patience that counts how often the processor came back from its sleep.
struct Counting<'c> {
    waiting: Waiting,
    wakes: &'c Cell<u64>,
}

impl Patience for Counting<'_> {
    fn keep_waiting(&mut self) -> bool {
        let goes_on = self.waiting.keep_waiting();
        self.wakes.set(self.wakes.get() + 1);
        goes_on
    }
}

fn run() -> Result<(), String> {
    let mut device = devices::take_entropy()?.ok_or("no virtio entropy device found")?;
    println!("entropy at {}", device.place);
    let wiring = device.connect(Interrupts::asked_for()?)?;
    println!("interrupts: {}", wiring.kind.name());
    let settings = Settings { notifications: wiring.kind != Interrupts::None, ..Settings::default() };
    let storage: &'static mut Storage<8> = Box::leak(Box::default());
    let patience = clock::within_millis(1000);
    let entropy = Entropy::start_with(device.transport, DMA, storage, &settings, patience);
    let mut entropy = entropy.map_err(|failed| failed.to_string())?;
    println!("vectors: {:?}", entropy.control().vectors());

    let count = usize::try_from(number("bytes")?.unwrap_or(1 << 20)).map_err(|error| error.to_string())?;
    let mut bytes = alloc::vec![0; count];
    let (wakes, start) = (Cell::new(0), clock::now());
    let patience = Counting { waiting: wiring.patience(LIMIT_MILLIS), wakes: &wakes };
    entropy.fill_blocking(&mut bytes, patience).map_err(|error| error.to_string())?;
    let millis = clock::since(start).as_millis();
    println!("bytes: {count}");
    println!("requests: {}", entropy.statistics().chains);
    println!("millis: {millis}");
    println!("wakes: {}", wakes.get());
    println!("interrupts that arrived: {}", wiring.arrived());
    match number("seed")? {
        Some(seed) => println!("skipped sectors: {}", judge::skipped_sectors(seed, &bytes)?),
        None => judge::print(&bytes),
    }
    let closed = entropy.close(clock::within_millis(1000)).map_err(|failed| failed.to_string())?;
    closed.handlers.map_err(|error| error.to_string())?;
    println!("entropy check: done");
    Ok(())
}

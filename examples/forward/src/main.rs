//! Forwards frames between two network cards, as a cable would.
//!
//! What one card receives, the other transmits: in bursts, and without copying a byte, for a frame is a buffer that changes hands. Each processor has a pair of queues of each card, so there is no lock; it
//! sleeps while nothing comes in.
//!
//! ```text
//!   processor 0    card A, receive queue 0 ─▶ lane ─▶ card B, transmit queue 0
//!                  card B, receive queue 0 ─▶ lane ─▶ card A, transmit queue 0
//!   processor 1    the same with the queues of pair 1, and so on
//! ```
//!
//! Command line: `processors=N` (default 1), `idle=N`: it ends after so many seconds without a frame, once one came (default: never), `interrupts=msi-x|line|polling`.

#![no_std]
#![no_main]

extern crate alloc;

mod lane;
mod port;
mod worker;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::{clock, command_line, cpus, devices, println};

use lane::Lane;
use port::Port;
use worker::Worker;

example_platform::entry!(run);

/// A number of the command line.
fn number(name: &str) -> Result<Option<u64>, String> {
    let mut words = command_line().split_ascii_whitespace();
    let Some(text) = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| alloc::format!("{name}={text} is no number"))
}

fn run() -> Result<(), String> {
    let processors = number("processors")?.unwrap_or(1);
    let processors = usize::try_from(processors).map_err(|error| error.to_string())?;
    let idle = number("idle")?.map(Duration::from_secs);
    if !(1..=worker::PROCESSORS_MAX.min(cpus::count())).contains(&processors) {
        return Err(alloc::format!("processors={processors}: this machine has {}", cpus::count()));
    }
    let cards = devices::take_network_cards()?;
    let Ok([one, other]) = <[_; 2]>::try_from(cards) else {
        return Err("this takes two network cards: two -netdev and two -device virtio-net-...".into());
    };
    for index in 1..processors {
        cpus::start(index, worker::processor)?;
    }
    let (mut one, mut other) = (Port::start(one, 0, processors)?, Port::start(other, 1, processors)?);
    let interrupts = one.interrupts_with(&other);

    let pairs = one.pairs.drain(..).zip(other.pairs.drain(..));
    let mut workers = pairs.map(|((receive_one, transmit_one), (receive_other, transmit_other))| {
        let lanes = [Lane::new(receive_one, transmit_other), Lane::new(receive_other, transmit_one)];
        Worker { lanes, interrupts, idle }
    });
    let own = workers.next().ok_or("a card has a pair of queues")?;
    worker::hand_over(workers);
    println!("forwarding");
    let start = clock::now();
    let mut done = alloc::vec![own.work()?];
    done.extend(worker::take_back(processors)?);

    for (processor, worker) in done.iter().enumerate() {
        for lane in &worker.lanes {
            println!("processor {processor}: {lane}");
        }
    }
    println!("for {} ms", clock::since(start).as_millis());

    // The way down: both cards are reset before any queue gives back what it has, for frames of each are in the other's rings.
    let resets = [one.take_down()?, other.take_down()?];
    let lanes: Vec<Lane> = done.into_iter().flat_map(|worker| worker.lanes).collect();
    for (lane, (from, to)) in lanes.into_iter().zip([(0, 1), (1, 0)].into_iter().cycle()) {
        lane.end(&resets[from], &resets[to])?;
    }
    println!("forward example: done");
    Ok(())
}

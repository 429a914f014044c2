//! Answers frames: what they are sent to says how.
//!
//! ```text
//!   port 7   an answer in words: what the frame was, and what the card said of it
//!   port 8   the frame itself, with its addresses exchanged
//!   port 9   the payload is a command (commands.rs); the answer is its result
//! ```
//!
//! What else comes in is dropped.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::{Dma, println};
use virtio_guest::device::net::Frame;
use virtio_guest::lifecycle::Condition;

use crate::card::{self, Card, LIMIT_MILLIS, Pair, bytes, nap};
use crate::commands::{self, Next};
use crate::frames::Packet;
use crate::pattern::checksum;
use crate::{argument, ensure, number, workers};

const DESCRIBED: u16 = 7;
const RETURNED: u16 = 8;
const COMMANDS: u16 = 9;
/// How many frames are taken together.
const BURST: usize = 64;
/// How long a processor sleeps at most.
const NAP: Duration = Duration::from_millis(200);

/// Where a frame's addresses are exchanged, and sent back: zero-copy.
pub fn return_to_sender(
    pair: &mut Pair,
    mut frame: Frame<'static, Dma>,
    packet: &Packet,
) -> Result<(), String> {
    let addresses = [packet.from.mac, pair.own.mac].concat();
    frame.write(0, &addresses).map_err(|error| alloc::format!("{error}"))?;
    pair.send(frame)
}

/// What a frame was, in words.
fn description(pair: &Pair, frame: &Frame<'static, Dma>, packet: &Packet, is_right: bool) -> String {
    let (offload, hash) = (frame.offload(), frame.hash());
    let hash = hash.map(|hash| alloc::format!("{:#010x} of {}", hash.value, hash.report.0));
    alloc::format!(
        "pair={} length={} payload={} sum={:016x} right={is_right}\nchecksum={:?}\nsegmentation={:?}\nhash={}",
        pair.receive.pair(),
        frame.len(),
        packet.payload.len(),
        checksum(&packet.payload),
        offload.checksum(),
        offload.segmentation(),
        hash.as_deref().unwrap_or("none"),
    )
}

/// Takes what has come, and answers it; commands are handed to whoever has the card. Says whether there was anything.
pub fn answer(
    pair: &mut Pair,
    mut command: impl FnMut(&mut Pair, Packet) -> Result<(), String>,
) -> Result<bool, String> {
    // What was sent is free again: for frames that come.
    pair.transmit.reap().map_err(|broken| alloc::format!("{broken}"))?;
    let mut frames = Vec::new();
    let taken = pair.receive.receive_burst(BURST, |frame| frames.push(frame));
    let taken = taken.map_err(|broken| alloc::format!("{broken}"))?;
    for frame in frames {
        let Some((packet, is_right)) = Packet::read(&bytes(&frame)?) else { continue };
        match packet.ports.1 {
            DESCRIBED => {
                let words = description(pair, &frame, &packet, is_right);
                pair.answer(&packet, words)?;
            }
            RETURNED => return_to_sender(pair, frame, &packet)?,
            COMMANDS => command(pair, packet)?,
            _ => {}
        }
    }
    Ok(taken > 0)
}

/// Says what the configuration says, and does what it asks for.
fn look_at_configuration(card: &mut Card) -> Result<(), String> {
    let Some(condition) = card.control.take_configuration_change() else { return Ok(()) };
    ensure(condition == Condition::Live, "a card whose link changes is alive")?;
    let link = card.control.link().map_err(|error| alloc::format!("{error}"))?;
    if link.announce {
        let patience = card.wiring.patience(LIMIT_MILLIS);
        card.control.acknowledge_announce(patience).map_err(|error| alloc::format!("{error}"))?;
        println!("announced");
    }
    println!("link: {}", if link.is_up { "up" } else { "down" });
    Ok(())
}

pub fn run() -> Result<(), String> {
    let processors = usize::try_from(number("processors", 1)?).map_err(|error| alloc::format!("{error}"))?;
    // Before another processor runs: see `cpus::start`.
    let device = card::take()?;
    workers::start(processors)?;
    let mut card = Card::bring_up(device, processors)?;
    let mut pairs = core::mem::take(&mut card.pairs).into_iter();
    let mut own = pairs.next().ok_or("no pair")?;
    workers::hand_over(pairs);
    let resets = argument("link") == Some("reset");
    println!("agent: ready");

    let mut asked: Vec<Packet> = Vec::new();
    loop {
        let was_busy = answer(&mut own, |_, packet| {
            asked.push(packet);
            Ok(())
        })?;
        asked.extend(workers::commands());
        let had_commands = !asked.is_empty();
        let mut is_over = false;
        for packet in asked.drain(..) {
            is_over |= commands::execute(&mut card, &mut own, &packet)? == Next::End;
        }
        if is_over {
            break;
        }
        if resets {
            if card.link_change()? == Some(true) {
                card = card.reset(alloc::vec![own])?;
                own = card.pairs.pop().ok_or("no pair")?;
            }
        } else {
            look_at_configuration(&mut card)?;
        }
        if !was_busy && !had_commands && own.is_quiet() {
            nap(own.interrupts, if processors > 1 { workers::NAP } else { NAP });
        }
    }
    let mut pairs = alloc::vec![own];
    pairs.extend(workers::take_back(processors)?);
    card.end(pairs)
}

//! Sends numbered frames of several flows, and expects them back: all of them, each as it was, and each flow in order.
//!
//! Whoever sends them back is an agent (agent.rs), which is told to end at last. In between may be who forwards them. Where that one may be away for a while, frames may be lost: then they are
//! counted, and nothing is sent while the link is down.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::{clock, println};
use virtio_guest::device::net::Offload;

use crate::card::{Card, Pair, bytes, nap};
use crate::flows::{FIRST_PORT, Flows, RETURNED};
use crate::frames::{Host, Packet, Transport, Version};
use crate::{argument, mac, number};

const COMMANDS: u16 = 9;
/// Payloads have up to so many bytes, if it is not said: frames of 1514.
const PAYLOAD_BYTES: u64 = 1472;
/// For so long nothing may come back.
const SILENCE: Duration = Duration::from_secs(10);
/// The same where frames may be lost, and the link is up: those that are on their way are lost then.
const LOSS: Duration = Duration::from_secs(1);
/// So often it says how many frames came back.
const REPORT: u64 = 500;

/// What came in at a pair of queues. Says how many frames of flows there were.
fn take(pair: &mut Pair, flows: &mut Flows) -> Result<u64, String> {
    // What was sent is free again: for frames that come.
    pair.transmit.reap().map_err(|broken| broken.to_string())?;
    let mut frames = Vec::new();
    pair.receive.receive_burst(64, |frame| frames.push(frame)).map_err(|broken| broken.to_string())?;
    let mut taken = 0;
    for frame in frames {
        taken += u64::from(flows.take(&bytes(&frame)?)?);
    }
    Ok(taken)
}

/// Waits for something to do.
fn rest(pairs: &mut [Pair]) {
    let [pair] = pairs else { return core::hint::spin_loop() };
    if pair.is_quiet() {
        nap(pair.interrupts, LOSS);
    }
}

pub fn run() -> Result<(), String> {
    let pairs = usize::try_from(number("pairs", 1)?).map_err(|error| error.to_string())?;
    let mut card = Card::start(pairs)?;
    let mut pairs = core::mem::take(&mut card.pairs);
    let to = Host { mac: mac(argument("to").ok_or("no to= on the command line")?)?, number: 3 };
    let from = pairs.first().ok_or("no pair")?.own;
    let (frames, count, window) = (number("frames", 1000)?, number("flows", 1)?, number("window", 512)?);
    let resets = argument("link") == Some("reset");
    let are_lossy = argument("losses") == Some("counted");
    let count_of_flows = usize::try_from(count).map_err(|error| error.to_string())?;
    let mut flows = Flows::new(count_of_flows, number("longest", PAYLOAD_BYTES)?, are_lossy);
    let (version, transport) = (Version::V4, Transport::Udp);
    let packet = |ports, payload| Packet { from, to, version, transport, ports, payload };

    println!(
        "link: {}",
        if card.control.link().map_err(|error| error.to_string())?.is_up { "up" } else { "down" }
    );
    let (start, mut heard, mut is_up) = (clock::now(), clock::now(), true);
    while flows.sent() < frames || flows.waited_for() > 0 {
        while is_up && flows.sent() < frames && flows.waited_for() < window {
            let (flow, port, payload) = flows.next().ok_or("no flow")?;
            let turn = flow % pairs.len();
            let pair = pairs.get_mut(turn).ok_or("no pair")?;
            pair.send_bytes(&packet((port, RETURNED), payload).frame(), Offload::default())?;
        }
        let before = flows.returned();
        let mut taken = 0;
        for pair in &mut pairs {
            taken += take(pair, &mut flows)?;
        }
        if before / REPORT < flows.returned() / REPORT {
            println!("returned: {}", flows.returned());
        }
        if let Some(now) = card.link_change()? {
            is_up = now;
            if now && resets {
                card = card.reset(pairs)?;
                pairs = core::mem::take(&mut card.pairs);
            }
        }
        if taken > 0 || !is_up {
            heard = clock::now();
        } else if are_lossy && clock::since(heard) > LOSS {
            flows.give_up();
            heard = clock::now();
        } else if clock::since(heard) > SILENCE {
            return Err(alloc::format!("{} of {frames} frames came back: {flows:?}", flows.returned()));
        }
        if taken == 0 {
            rest(&mut pairs);
        }
    }
    let (returned, millis) = (flows.returned(), clock::since(start).as_millis());
    println!("{returned} frames in {count} flows came back in order, in {millis} ms");
    if are_lossy {
        println!("lost: {}", frames - returned);
    }
    let first = pairs.first_mut().ok_or("no pair")?;
    first.send_packet(&packet((FIRST_PORT, COMMANDS), b"end".to_vec()))?;
    // The answer says that it arrived; or it comes back itself, where all frames do.
    let until = clock::now() + SILENCE;
    let is_answer = |bytes: Vec<u8>| {
        Packet::read(&bytes).is_some_and(|(packet, _)| [packet.ports.0, packet.ports.1].contains(&COMMANDS))
    };
    loop {
        let mut is_over = false;
        for pair in &mut pairs {
            while let Some(frame) = pair.receive.receive().map_err(|broken| broken.to_string())? {
                is_over |= is_answer(bytes(&frame)?);
            }
        }
        if is_over {
            break;
        }
        if clock::now() > until {
            return Err("whoever sends frames back did not end".into());
        }
        rest(&mut pairs);
    }
    card.end(pairs)
}

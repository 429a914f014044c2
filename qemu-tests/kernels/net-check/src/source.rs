//! Sends numbered frames of several flows, and expects them back: all of them, each as it was, and each flow in order.
//!
//! Whoever sends them back is an agent (agent.rs), which is told to end at last. In between may be who forwards them. Where that one may be away for a while, frames may be lost: then they are
//! counted. Nothing is sent while the link is down; when it is up again the agent is asked whether it is there, too. Its answer comes behind all frames that still come back.

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
/// After so long the agent is asked whether it is there, where it may not be; and how often.
const PATIENCE: Duration = Duration::from_secs(1);
const ASK: Duration = Duration::from_millis(100);
/// So often it says how many frames came back.
const REPORT: u64 = 500;

/// See the module's head.
struct Source {
    card: Card,
    pairs: Vec<Pair>,
    from: Host,
    to: Host,
    flows: Flows,
    /// Frames may be lost.
    are_lossy: bool,
    /// As far as the card said.
    is_up: bool,
    /// When something came last.
    heard: Duration,
    /// When the agent was asked last whether it is there. Until it says so nothing else is sent.
    asked: Option<Duration>,
}

impl Source {
    fn start() -> Result<Self, String> {
        let pairs = usize::try_from(number("pairs", 1)?).map_err(|error| error.to_string())?;
        let mut card = Card::start(pairs)?;
        let pairs = core::mem::take(&mut card.pairs);
        let to = Host { mac: mac(argument("to").ok_or("no to= on the command line")?)?, number: 3 };
        let from = pairs.first().ok_or("no pair")?.own;
        let are_lossy = argument("losses") == Some("counted");
        let count = usize::try_from(number("flows", 1)?).map_err(|error| error.to_string())?;
        let flows = Flows::new(count, number("longest", PAYLOAD_BYTES)?, are_lossy);
        let is_up = card.control.link().map_err(|error| error.to_string())?.is_up;
        println!("link: {}", if is_up { "up" } else { "down" });
        Ok(Self { card, pairs, from, to, flows, are_lossy, is_up, heard: clock::now(), asked: None })
    }

    /// Sends something at a pair of queues.
    fn send(&mut self, pair: usize, ports: (u16, u16), payload: Vec<u8>) -> Result<(), String> {
        let (version, transport) = (Version::V4, Transport::Udp);
        let packet = Packet { from: self.from, to: self.to, version, transport, ports, payload };
        let pair = self.pairs.get_mut(pair).ok_or("no such pair")?;
        pair.send_bytes(&packet.frame(), Offload::default())
    }

    /// Has the agent do something.
    fn command(&mut self, words: &str) -> Result<(), String> {
        self.send(0, (FIRST_PORT, COMMANDS), words.into())
    }

    /// Sends frames of each flow in its turn: of all so many, as long as no more than a window of them are on their way.
    fn fill_window(&mut self, frames: u64, window: u64) -> Result<(), String> {
        while self.is_up
            && self.asked.is_none()
            && self.flows.sent() < frames
            && self.flows.waited_for() < window
        {
            let (flow, port, payload) = self.flows.next().ok_or("no flow")?;
            self.send(flow % self.pairs.len(), (port, RETURNED), payload)?;
        }
        Ok(())
    }

    /// Takes what came in, and waits if there is nothing. Says whether the agent answered.
    fn take(&mut self) -> Result<bool, String> {
        let (before, mut is_answered, mut is_quiet) = (self.flows.returned(), false, true);
        for pair in &mut self.pairs {
            // What was sent is free again: for frames that come.
            pair.transmit.reap().map_err(|broken| broken.to_string())?;
            let mut frames = Vec::new();
            pair.receive
                .receive_burst(64, |frame| frames.push(frame))
                .map_err(|broken| broken.to_string())?;
            for frame in frames {
                let frame = bytes(&frame)?;
                // Or a command comes back itself, where all frames do.
                let is_answer =
                    |(packet, _): (Packet, bool)| [packet.ports.0, packet.ports.1].contains(&COMMANDS);
                let is_one = self.flows.take(&frame)?;
                is_answered |= !is_one && Packet::read(&frame).is_some_and(is_answer);
                is_quiet = false;
            }
        }
        if before / REPORT < self.flows.returned() / REPORT {
            println!("returned: {}", self.flows.returned());
        }
        if is_answered || before < self.flows.returned() {
            self.heard = clock::now();
        }
        match self.pairs.as_mut_slice() {
            [pair] if is_quiet => {
                if pair.is_quiet() {
                    nap(pair.interrupts, ASK);
                }
            }
            _ => core::hint::spin_loop(),
        }
        Ok(is_answered)
    }

    /// Follows the link; if it came up again, with a card that was reset, where that is asked for.
    fn look_at_link(mut self) -> Result<Self, String> {
        let Some(is_up) = self.card.link_change()? else { return Ok(self) };
        self.is_up = is_up;
        self.heard = clock::now();
        if is_up {
            if argument("link") == Some("reset") {
                self.card = self.card.reset(self.pairs)?;
                self.pairs = core::mem::take(&mut self.card.pairs);
            }
            if self.are_lossy {
                self.ask()?;
            }
        }
        Ok(self)
    }

    /// Asks the agent whether it is there.
    fn ask(&mut self) -> Result<(), String> {
        self.asked = Some(clock::now());
        self.command("nothing")
    }

    /// Asks the agent once more, or for the first time, if nothing came for a while.
    fn ask_again(&mut self) -> Result<(), String> {
        let is_due = match self.asked {
            Some(asked) => clock::since(asked) > ASK,
            None => self.are_lossy && clock::since(self.heard) > PATIENCE,
        };
        if is_due && self.is_up {
            self.ask()?;
        }
        Ok(())
    }

    /// Whether something came lately: while the link is down nothing has to.
    fn ensure_patience(&self) -> Result<(), String> {
        if self.is_up && clock::since(self.heard) > SILENCE {
            let (sent, returned) = (self.flows.sent(), self.flows.returned());
            return Err(alloc::format!("{returned} of {sent} frames came back: {:?}", self.flows));
        }
        Ok(())
    }
}

pub fn run() -> Result<(), String> {
    let mut source = Source::start()?;
    let (frames, window) = (number("frames", 1000)?, number("window", 512)?);
    let start = clock::now();
    while source.flows.sent() < frames || source.flows.waited_for() > 0 {
        source.fill_window(frames, window)?;
        if source.take()? && source.asked.take().is_some() {
            // What has not come back by now was lost.
            source.flows.give_up();
        }
        source = source.look_at_link()?;
        source.ask_again()?;
        source.ensure_patience()?;
    }
    let (returned, millis) = (source.flows.returned(), clock::since(start).as_millis());
    println!("{returned} frames in {} flows came back in order, in {millis} ms", number("flows", 1)?);
    if source.are_lossy {
        println!("lost: {}", frames - returned);
    }
    source.command("end")?;
    source.heard = clock::now();
    // The answer says that it arrived.
    while !source.take()? {
        source.ensure_patience()?;
    }
    source.card.end(source.pairs)
}

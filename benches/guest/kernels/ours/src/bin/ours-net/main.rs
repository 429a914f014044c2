//! Transmits, receives and forwards frames; the queues are looked at, and never interrupt unless they are asked to (`interrupts=msi-x`).
//!
//! On three cards:
//!
//! ```text
//!   first ─── cable ──▶ second       what the first one sends is received, or forwarded to the third
//!                       third ──▶ a network that takes everything
//! ```

#![no_std]
#![no_main]

extern crate alloc;

mod card;

use alloc::string::String;
use alloc::vec::Vec;

use example_platform::{Dma, devices, println};
use guest_measure::line::{self, Failed, Line, Subject};
use virtio_guest::device::net::Frame;
use virtio_guest::ring::Rearmed;

use card::Card;

example_platform::entry!(run);

/// Most frames together.
const BURST_MAX: usize = 32;

const TRANSMIT: [(Line, usize); 4] = [
    (Line { name: "transmit-64-burst1", burst: 1 }, 64),
    (Line { name: "transmit-64-burst32", burst: 32 }, 64),
    (Line { name: "transmit-1500-burst1", burst: 1 }, 1500),
    (Line { name: "transmit-1500-burst32", burst: 32 }, 1500),
];
const RECEIVE: [(Line, usize); 4] = [
    (Line { name: "receive-64-burst1", burst: 1 }, 64),
    (Line { name: "receive-64-burst32", burst: 32 }, 64),
    (Line { name: "receive-1500-burst1", burst: 1 }, 1500),
    (Line { name: "receive-1500-burst32", burst: 32 }, 1500),
];
const FORWARD: [(Line, usize); 2] = [
    (Line { name: "forward-64-burst1", burst: 1 }, 64),
    (Line { name: "forward-64-burst32", burst: 32 }, 64),
];

type Frames = Vec<Frame<'static, Dma>>;

/// Sends from the third card.
struct Transmit<'c> {
    card: &'c mut Card,
    frames: Frames,
    bytes: usize,
}

impl Subject for Transmit<'_> {
    fn prepare(&mut self, burst: usize) -> Result<(), Failed> {
        for _ in 0..burst {
            self.frames.push(self.card.frame(self.bytes).ok_or(Failed("all frames are out"))?);
        }
        Ok(())
    }

    fn submit(&mut self, burst: usize) -> Result<(), Failed> {
        match self.card.transmit.transmit_burst(self.frames.drain(..)) {
            Ok(transmitted) if transmitted == burst => Ok(()),
            _ => Err(Failed("a frame was refused")),
        }
    }

    fn wait(&mut self, burst: usize) -> Result<(), &'static str> {
        self.card.transmitted.wait(burst)
    }

    fn complete(&mut self, _: usize) -> Result<usize, Failed> {
        self.card.transmit.reap().map_err(|_| Failed("the transmit queue is broken"))
    }
}

/// Has the first card send to the second one, and waits until all is there.
fn deliver(
    from: &mut Card,
    to: &mut Card,
    frames: &mut Frames,
    burst: usize,
    bytes: usize,
) -> Result<(), Failed> {
    if to.wiring.is_some() && to.receive.rearm() == Rearmed::MoreWaiting {
        return Err(Failed("something is left of the burst before"));
    }
    from.transmit.reap().map_err(|_| Failed("the sender's transmit queue is broken"))?;
    for _ in 0..burst {
        frames.push(from.frame(bytes).ok_or(Failed("all of the sender's frames are out"))?);
    }
    from.transmit.transmit_burst(frames.drain(..)).map_err(|_| Failed("the sender's frames were refused"))?;
    to.received.wait(burst).map_err(Failed)
}

/// Receives with the second card, and gives the buffers back to it.
struct Receive<'c> {
    sender: &'c mut Card,
    card: &'c mut Card,
    sent: Frames,
    bytes: usize,
}

impl Subject for Receive<'_> {
    fn prepare(&mut self, burst: usize) -> Result<(), Failed> {
        deliver(self.sender, self.card, &mut self.sent, burst, self.bytes)
    }

    fn submit(&mut self, _: usize) -> Result<(), Failed> {
        Ok(())
    }

    fn wait(&mut self, _: usize) -> Result<(), &'static str> {
        Ok(())
    }

    fn complete(&mut self, burst: usize) -> Result<usize, Failed> {
        self.card.receive.receive_burst(burst, drop).map_err(|_| Failed("the receive queue is broken"))
    }
}

/// Receives with the second card, and transmits with the third.
struct Forward<'c> {
    sender: &'c mut Card,
    from: &'c mut Card,
    to: &'c mut Card,
    sent: Frames,
    backlog: Frames,
    bytes: usize,
}

impl Subject for Forward<'_> {
    fn prepare(&mut self, burst: usize) -> Result<(), Failed> {
        deliver(self.sender, self.from, &mut self.sent, burst, self.bytes)
    }

    fn submit(&mut self, burst: usize) -> Result<(), Failed> {
        let Self { from, to, backlog, .. } = self;
        let received = from.receive.receive_burst(burst, |frame| backlog.push(frame));
        received.map_err(|_| Failed("the receive queue is broken"))?;
        match to.transmit.transmit_burst(backlog.drain(..)) {
            Ok(forwarded) if forwarded == burst => Ok(()),
            _ => Err(Failed("a frame was refused")),
        }
    }

    fn wait(&mut self, burst: usize) -> Result<(), &'static str> {
        self.to.transmitted.wait(burst)
    }

    fn complete(&mut self, _: usize) -> Result<usize, Failed> {
        self.to.transmit.reap().map_err(|_| Failed("the transmit queue is broken"))
    }
}

fn run() -> Result<(), String> {
    line::check()?;
    let cards = devices::take_network_cards()?.into_iter().map(Card::start);
    let cards = cards.collect::<Result<Vec<_>, _>>()?;
    let Ok([mut sender, mut receiver, mut third]) = <[_; 3]>::try_from(cards) else {
        return Err("this takes three network cards".into());
    };
    println!("paths: {:?}", third.transmit.active_path());
    let room = || Vec::with_capacity(BURST_MAX);
    for (line, bytes) in TRANSMIT {
        line.measure(&mut Transmit { card: &mut third, frames: room(), bytes })?;
    }
    for (line, bytes) in RECEIVE {
        let (sender, card) = (&mut sender, &mut receiver);
        line.measure(&mut Receive { sender, card, sent: room(), bytes })?;
    }
    for (line, bytes) in FORWARD {
        let (sender, from, to) = (&mut sender, &mut receiver, &mut third);
        line.measure(&mut Forward { sender, from, to, sent: room(), backlog: room(), bytes })?;
    }
    println!("guest benchmark: done");
    Ok(())
}

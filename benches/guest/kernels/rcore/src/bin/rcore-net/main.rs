//! Transmits, receives and forwards frames with rcore's driver, on the cards that ours does it with.

#![no_std]
#![no_main]

extern crate alloc;

mod card;

use alloc::string::String;
use alloc::vec::Vec;

use example_platform::println;
use guest_measure::line::{self, Failed, Line, Subject};
use guest_measure::place;
use virtio_guest::wire::device_type::DeviceType;

use card::{Buffer, Card};

example_platform::entry!(run);

/// Most frames together.
const BURST_MAX: usize = 32;
/// Bytes of the device's header.
const HEADER_BYTES: usize = 12;

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

/// Sends from the third card.
struct Transmit<'c> {
    card: &'c mut Card,
    frames: Vec<(Buffer, usize)>,
    bytes: usize,
}

impl Subject for Transmit<'_> {
    fn prepare(&mut self, burst: usize) -> Result<(), Failed> {
        for _ in 0..burst {
            self.frames.push(self.card.frame(self.bytes)?);
        }
        Ok(())
    }

    fn submit(&mut self, _: usize) -> Result<(), Failed> {
        for (buffer, bytes) in self.frames.drain(..) {
            self.card.begin_to_transmit(buffer, bytes)?;
        }
        Ok(())
    }

    fn wait(&mut self, burst: usize) -> Result<(), &'static str> {
        self.card.transmitted.wait(burst)
    }

    fn complete(&mut self, _: usize) -> Result<usize, Failed> {
        self.card.take_transmitted(HEADER_BYTES + self.bytes)
    }
}

/// Has the first card send to the second one, and waits until all is there.
fn deliver(from: &mut Card, to: &mut Card, burst: usize, bytes: usize) -> Result<(), Failed> {
    for _ in 0..burst {
        let (buffer, bytes) = from.frame(bytes)?;
        from.begin_to_transmit(buffer, bytes)?;
    }
    to.received.wait(burst).map_err(Failed)?;
    from.transmitted.wait(burst).map_err(Failed)?;
    from.take_transmitted(HEADER_BYTES + bytes).map(|_| ())
}

/// Receives with the second card, and gives the buffers back to it.
struct Receive<'c> {
    sender: &'c mut Card,
    card: &'c mut Card,
    bytes: usize,
}

impl Subject for Receive<'_> {
    fn prepare(&mut self, burst: usize) -> Result<(), Failed> {
        deliver(self.sender, self.card, burst, self.bytes)
    }

    fn submit(&mut self, _: usize) -> Result<(), Failed> {
        Ok(())
    }

    fn wait(&mut self, _: usize) -> Result<(), &'static str> {
        Ok(())
    }

    fn complete(&mut self, _: usize) -> Result<usize, Failed> {
        let mut count = 0;
        while let Some((buffer, _)) = self.card.receive()? {
            self.card.begin_to_receive(buffer)?;
            count += 1;
        }
        Ok(count)
    }
}

/// Receives with the second card, and transmits with the third.
struct Forward<'c> {
    sender: &'c mut Card,
    from: &'c mut Card,
    to: &'c mut Card,
    bytes: usize,
}

impl Subject for Forward<'_> {
    fn prepare(&mut self, burst: usize) -> Result<(), Failed> {
        deliver(self.sender, self.from, burst, self.bytes)
    }

    fn submit(&mut self, _: usize) -> Result<(), Failed> {
        while let Some((buffer, bytes)) = self.from.receive()? {
            let empty = self.to.spare.pop().ok_or(Failed("all buffers are out"))?;
            self.from.begin_to_receive(empty)?;
            self.to.fill_header(buffer)?;
            self.to.begin_to_transmit(buffer, bytes)?;
        }
        Ok(())
    }

    fn wait(&mut self, burst: usize) -> Result<(), &'static str> {
        self.to.transmitted.wait(burst)
    }

    fn complete(&mut self, _: usize) -> Result<usize, Failed> {
        self.to.take_transmitted(HEADER_BYTES + self.bytes)
    }
}

fn run() -> Result<(), String> {
    line::check()?;
    let cards = place::functions(DeviceType::NETWORK).map(Card::start);
    let cards = cards.collect::<Result<Vec<_>, _>>()?;
    let Ok([mut sender, mut receiver, mut third]) = <[_; 3]>::try_from(cards) else {
        return Err("this takes three network cards".into());
    };
    for (line, bytes) in TRANSMIT {
        let frames = Vec::with_capacity(BURST_MAX);
        line.measure(&mut Transmit { card: &mut third, frames, bytes })?;
    }
    for (line, bytes) in RECEIVE {
        line.measure(&mut Receive { sender: &mut sender, card: &mut receiver, bytes })?;
    }
    for (line, bytes) in FORWARD {
        let (sender, from, to) = (&mut sender, &mut receiver, &mut third);
        line.measure(&mut Forward { sender, from, to, bytes })?;
    }
    println!("guest benchmark: done");
    Ok(())
}

//! Sends numbered frames to another guest, which sends them back, and sends back that guest's: over a network that may lose some.
//!
//! When nothing comes back for a while, that is said, and what is out counts as lost, and is sent again; when something comes back again, that is said, too. So at any time each frame comes back once
//! at most, as it was, and each number does in the end. It is over when somebody says `end` to port 9.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use example_platform::{clock, println};
use virtio_guest::device::net::Offload;

use crate::agent::return_to_sender;
use crate::card::{Card, Pair, bytes, nap};
use crate::frames::{Host, Packet, Transport, Version};
use crate::pattern::fill;
use crate::{argument, ensure, mac};

const RETURNED: u16 = 8;
const COMMANDS: u16 = 9;
/// The port that frames are sent from.
const OWN: u16 = 2000;
/// As many frames are out at most.
const WINDOW: usize = 128;
/// Bytes of payload: number and attempt, and as many as make a frame of up to 1514 bytes.
const PAYLOAD_MIN: u64 = 22;
const PAYLOAD_MAX: u64 = 1472;
/// It is said when nothing came back for so long.
const SILENCE: Duration = Duration::from_millis(250);
/// It is the end when nothing came back for so long.
const LIMIT: Duration = Duration::from_secs(20);
/// After so many frames it is said how many came back.
const SAID_AFTER: u64 = 500;

/// A number, and how often it was sent before.
type Name = (u64, u64);

/// What the frame of this name carries.
fn payload(name: Name) -> Vec<u8> {
    let (number, attempt) = name;
    let length = PAYLOAD_MIN + (number * 97 + attempt) % (PAYLOAD_MAX - PAYLOAD_MIN + 1);
    let mut payload = alloc::vec![0; usize::try_from(length).unwrap_or(0)];
    fill(attempt, number, &mut payload);
    for (into, byte) in payload.iter_mut().zip([number.to_be_bytes(), attempt.to_be_bytes()].concat()) {
        *into = byte;
    }
    payload
}

fn name(payload: &[u8]) -> Option<Name> {
    let (number, rest) = payload.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), u64::from_be_bytes(*rest.first_chunk()?)))
}

/// The frames of this guest.
struct Own {
    /// Without a payload.
    packet: Packet,
    next: u64,
    /// Numbers that are out, and how often each was sent before.
    out: BTreeMap<u64, u64>,
    /// To be sent again.
    again: Vec<Name>,
    /// What counts as lost.
    lost: BTreeSet<Name>,
    returned: u64,
    late: u64,
    heard: Duration,
    /// When something came back, or everything was sent again.
    sent_again: Duration,
    is_silent: bool,
}

impl Own {
    fn send(&mut self, pair: &mut Pair) -> Result<(), String> {
        while self.out.len() < WINDOW {
            let (number, attempt) = self.again.pop().unwrap_or_else(|| {
                self.next += 1;
                (self.next - 1, 0)
            });
            let packet = Packet { payload: payload((number, attempt)), ..self.packet.clone() };
            pair.send_bytes(&packet.frame(), Offload::default())?;
            self.out.insert(number, attempt);
        }
        Ok(())
    }

    /// A frame is one that was sent, as it was, and comes back for the first time.
    fn judge(&mut self, packet: &Packet, is_right: bool) -> Result<(), String> {
        let name = name(&packet.payload).ok_or("a frame without a name came back")?;
        ensure(is_right && packet.payload == payload(name), "a frame comes back as it was")?;
        if self.out.get(&name.0) == Some(&name.1) {
            self.out.remove(&name.0);
            self.returned += 1;
            if self.returned.is_multiple_of(SAID_AFTER) {
                println!("came back: {}", self.returned);
            }
        } else {
            ensure(self.lost.remove(&name), "a frame comes back once")?;
            self.late += 1;
        }
        Ok(())
    }

    /// Says that nothing comes back, and takes what is out for lost; or says that something comes back again.
    fn note(&mut self, has_heard: bool) -> Result<(), String> {
        if has_heard {
            self.heard = clock::now();
            if mem::take(&mut self.is_silent) {
                println!("goes on");
            }
            self.sent_again = self.heard;
            return Ok(());
        }
        ensure(clock::since(self.heard) < LIMIT, "frames come back")?;
        if clock::since(self.sent_again) > SILENCE {
            if !mem::replace(&mut self.is_silent, true) {
                println!("silence: {} frames are out", self.out.len());
            }
            for name in mem::take(&mut self.out) {
                self.lost.insert(name);
                self.again.push((name.0, name.1 + 1));
            }
            self.sent_again = clock::now();
        }
        Ok(())
    }
}

/// What came in.
#[derive(Default)]
struct Came {
    has_any: bool,
    has_own: bool,
    end: Option<Packet>,
}

/// Takes what has come: judges this guest's own frames, and sends the other's back.
fn take(pair: &mut Pair, own: &mut Own) -> Result<Came, String> {
    // What was sent is free again: for frames that come.
    pair.transmit.reap().map_err(|broken| broken.to_string())?;
    let (mut frames, mut came) = (Vec::new(), Came::default());
    let taken = pair.receive.receive_burst(64, |frame| frames.push(frame));
    came.has_any = taken.map_err(|broken| broken.to_string())? > 0;
    for frame in frames {
        let Some((packet, is_right)) = Packet::read(&bytes(&frame)?) else { continue };
        // A bridge that does not know yet where a guest is shows its frames to all.
        if packet.to.mac != pair.own.mac {
            continue;
        }
        match packet.ports.1 {
            // Numbers of hosts stay as they were when a frame is sent back.
            RETURNED if packet.from.number == pair.own.number => {
                own.judge(&packet, is_right)?;
                came.has_own = true;
            }
            RETURNED => return_to_sender(pair, frame, &packet)?,
            COMMANDS if packet.payload == b"end" => came.end = Some(packet),
            _ => {}
        }
    }
    Ok(came)
}

pub fn run() -> Result<(), String> {
    let mut card = Card::start(1)?;
    let mut pair = card.pairs.pop().ok_or("no pair")?;
    // The other's number is only in its own frames.
    let to = Host { mac: mac(argument("to").ok_or("no to= on the command line")?)?, number: 0 };
    let packet = Packet {
        from: pair.own,
        to,
        version: Version::V4,
        transport: Transport::Udp,
        ports: (OWN, RETURNED),
        payload: Vec::new(),
    };
    let heard = clock::now();
    let mut own = Own {
        packet,
        next: 0,
        out: BTreeMap::new(),
        again: Vec::new(),
        lost: BTreeSet::new(),
        returned: 0,
        late: 0,
        heard,
        sent_again: heard,
        is_silent: false,
    };
    println!("exchange: ready");
    let end = loop {
        own.send(&mut pair)?;
        let came = take(&mut pair, &mut own)?;
        own.note(came.has_own)?;
        if let Some(end) = came.end {
            break end;
        }
        if !came.has_any && pair.is_quiet() {
            nap(pair.interrupts, SILENCE);
        }
    };
    pair.answer(&end, "ok".into())?;
    let Own { returned, late, lost, .. } = own;
    println!("exchange: {returned} frames came back, each once; {} were lost, {late} late", lost.len());
    card.end(alloc::vec![pair])
}

//! Sends numbered frames of several flows, and expects them back: all of them, each as it was, and each flow in order.
//!
//! Whoever sends them back is an agent (agent.rs), which is told to end at last. In between may be who forwards them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::{clock, println};
use virtio_guest::device::net::Offload;

use crate::card::{Card, Pair, bytes, nap};
use crate::frames::{Host, Packet, Transport, Version};
use crate::pattern::fill;
use crate::{argument, ensure, mac, number};

/// The first flow's port; the others' follow.
const FIRST_PORT: u16 = 2000;
const RETURNED: u16 = 8;
const COMMANDS: u16 = 9;
/// As many frames as are on their way at most, of all flows: more than a ring has room for.
const WINDOW: u64 = 512;
/// Bytes of payload: numbers, and as many as make a frame of 64 to 1514 bytes.
const PAYLOAD_MIN: u64 = 22;
const PAYLOAD_MAX: u64 = 1472;
/// For so long nothing may come back.
const SILENCE: Duration = Duration::from_secs(10);

/// Where a flow is.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    sent: u64,
    returned: u64,
}

/// What the frame with this number carries.
fn payload(flow: u16, number: u64) -> Vec<u8> {
    let length = PAYLOAD_MIN + (number * 97 + u64::from(flow) * 31) % (PAYLOAD_MAX - PAYLOAD_MIN + 1);
    let mut payload = alloc::vec![0; usize::try_from(length).unwrap_or(0)];
    fill(flow.into(), number, &mut payload);
    if let Some((front, _)) = payload.split_first_chunk_mut() {
        *front = number.to_be_bytes();
    }
    payload
}

/// A frame that came back is the next of its flow, as it was sent. `None` for frames of others.
fn judge(flows: &mut [Flow], frame: &[u8]) -> Result<Option<()>, String> {
    let Some((packet, is_right)) = Packet::read(frame) else { return Ok(None) };
    let port = packet.ports.0;
    let flow = flows.iter_mut().zip(FIRST_PORT..).find(|(_, own)| *own == port);
    let Some((flow, _)) = flow.filter(|_| packet.ports.1 == RETURNED) else { return Ok(None) };
    let number = packet.payload.first_chunk().map(|front| u64::from_be_bytes(*front));
    if number != Some(flow.returned) {
        let expected = flow.returned;
        return Err(alloc::format!("flow {port}: frame {number:?} came back, and {expected} was next"));
    }
    ensure(is_right, "its checksum is right")?;
    ensure(packet.payload == payload(port - FIRST_PORT, flow.returned), "it is as it was")?;
    flow.returned += 1;
    Ok(Some(()))
}

fn take(pair: &mut Pair, flows: &mut [Flow]) -> Result<u64, String> {
    let mut frames = Vec::new();
    pair.receive.receive_burst(64, |frame| frames.push(frame)).map_err(|broken| broken.to_string())?;
    let mut taken = 0;
    for frame in frames {
        taken += u64::from(judge(flows, &bytes(&frame)?)?.is_some());
    }
    Ok(taken)
}

pub fn run() -> Result<(), String> {
    let mut card = Card::start(1)?;
    let mut pair = card.pairs.pop().ok_or("no pair")?;
    let to = Host { mac: mac(argument("to").ok_or("no to= on the command line")?)?, number: 3 };
    let (frames, count) = (number("frames", 1000)?, number("flows", 1)?);
    let flow_count = usize::try_from(count).map_err(|error| error.to_string())?;
    let mut flows = alloc::vec![Flow::default(); flow_count];
    let packet = |ports, payload| Packet {
        from: pair.own,
        to,
        version: Version::V4,
        transport: Transport::Udp,
        ports,
        payload,
    };
    let own = packet((0, 0), Vec::new());
    let (start, mut heard, mut returned) = (clock::now(), clock::now(), 0);
    while returned < frames {
        let sent: u64 = flows.iter().map(|flow| flow.sent).sum();
        for number in sent..frames.min(returned + WINDOW) {
            let next = usize::try_from(number % count).ok();
            let Some((flow, index)) = next.and_then(|next| flows.iter_mut().zip(0..).nth(next)) else {
                continue;
            };
            let ports = (FIRST_PORT + index, RETURNED);
            let packet = Packet { ports, payload: payload(index, flow.sent), ..own.clone() };
            pair.send_bytes(&packet.frame(), Offload::default())?;
            flow.sent += 1;
        }
        let taken = take(&mut pair, &mut flows)?;
        returned += taken;
        if taken > 0 {
            heard = clock::now();
        } else if clock::since(heard) > SILENCE {
            return Err(alloc::format!("{returned} of {frames} frames came back: {flows:?}"));
        } else if pair.is_quiet() {
            nap(pair.interrupts, SILENCE);
        }
    }
    println!(
        "{frames} frames in {count} flows came back in order, in {} ms",
        clock::since(start).as_millis()
    );
    let end = Packet { ports: (FIRST_PORT, COMMANDS), payload: b"end".to_vec(), ..own };
    pair.send_packet(&end)?;
    // The answer says that it arrived.
    let until = clock::now() + SILENCE;
    loop {
        let frame = pair.receive.receive().map_err(|broken| broken.to_string())?;
        let is_answer =
            |bytes: Vec<u8>| Packet::read(&bytes).is_some_and(|(packet, _)| packet.ports.0 == COMMANDS);
        match frame {
            Some(frame) if is_answer(bytes(&frame)?) => break,
            None if clock::now() > until => return Err("whoever sends frames back did not end".into()),
            None if pair.is_quiet() => nap(pair.interrupts, SILENCE),
            Some(_) | None => {}
        }
    }
    card.end(alloc::vec![pair])
}

//! Numbered frames of several flows: which were sent, which came back, and which never will.
//!
//! A frame that comes back is as it was, and a later one of its flow than those before it. Whether it must be the very next one is the caller's choice: a network may lose frames.
//!
//! ```text
//!   numbers of a flow   0 ─────────── next ─────────── sent
//!                       came back,     on their way,
//!                       or are lost    or lost
//! ```

use alloc::string::String;
use alloc::vec::Vec;

use crate::ensure;
use crate::frames::Packet;
use crate::pattern::fill;

/// The first flow's port; the others' follow.
pub const FIRST_PORT: u16 = 2000;
/// Where frames are sent back.
pub const RETURNED: u16 = 8;
/// Bytes of payload: numbers, and as many as make a frame of 64 bytes.
const PAYLOAD_MIN: u64 = 22;

/// Where a flow is.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    sent: u64,
    returned: u64,
    /// The lowest number that may come back.
    next: u64,
    /// Nobody waits for numbers below this one.
    given_up: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct Flows {
    each: Vec<Flow>,
    /// Most bytes of payload.
    longest: u64,
    /// Frames may be lost.
    are_lossy: bool,
}

/// What the frame with this number carries.
fn payload(flow: u16, number: u64, longest: u64) -> Vec<u8> {
    let length = PAYLOAD_MIN + (number * 97 + u64::from(flow) * 31) % (longest - PAYLOAD_MIN + 1);
    let mut payload = alloc::vec![0; usize::try_from(length).unwrap_or(0)];
    fill(flow.into(), number, &mut payload);
    if let Some((front, _)) = payload.split_first_chunk_mut() {
        *front = number.to_be_bytes();
    }
    payload
}

impl Flows {
    /// So many flows, of which nothing was sent. Payloads have up to so many bytes.
    pub fn new(count: usize, longest: u64, are_lossy: bool) -> Self {
        Self { each: alloc::vec![Flow::default(); count], longest: longest.max(PAYLOAD_MIN), are_lossy }
    }

    /// How many frames were sent.
    pub fn sent(&self) -> u64 {
        self.each.iter().map(|flow| flow.sent).sum()
    }

    /// How many came back.
    pub fn returned(&self) -> u64 {
        self.each.iter().map(|flow| flow.returned).sum()
    }

    /// How many are on their way, as far as anybody waits for them.
    pub fn waited_for(&self) -> u64 {
        self.each.iter().map(|flow| flow.sent - flow.next.max(flow.given_up)).sum()
    }

    /// Nobody waits any longer for those that are on their way.
    pub fn give_up(&mut self) {
        for flow in &mut self.each {
            flow.given_up = flow.sent;
        }
    }

    /// The frame to be sent next, of each flow in its turn: which flow, its sender's port, and its payload.
    pub fn next(&mut self) -> Option<(usize, u16, Vec<u8>)> {
        let turn = usize::try_from(self.sent()).ok()?.checked_rem(self.each.len())?;
        let number = u16::try_from(turn).ok()?;
        let flow = self.each.get_mut(turn)?;
        let payload = payload(number, flow.sent, self.longest);
        flow.sent += 1;
        Some((turn, FIRST_PORT + number, payload))
    }

    /// Looks at a frame that came in. Says whether it is one of these; else it is somebody else's.
    pub fn take(&mut self, frame: &[u8]) -> Result<bool, String> {
        let Some((packet, is_right)) = Packet::read(frame) else { return Ok(false) };
        let port = packet.ports.0;
        let flow = self.each.iter_mut().zip(FIRST_PORT..).find(|(_, own)| *own == port);
        let Some((flow, _)) = flow.filter(|_| packet.ports.1 == RETURNED) else { return Ok(false) };
        let number = packet.payload.first_chunk().map(|front| u64::from_be_bytes(*front));
        let expected = if self.are_lossy { flow.next..flow.sent } else { flow.next..flow.next + 1 };
        let Some(number) = number.filter(|number| expected.contains(number)) else {
            return Err(alloc::format!("flow {port}: frame {number:?} came back, and {expected:?} was next"));
        };
        ensure(is_right, "its checksum is right")?;
        ensure(packet.payload == payload(port - FIRST_PORT, number, self.longest), "it is as it was")?;
        flow.returned += 1;
        flow.next = number + 1;
        Ok(true)
    }
}

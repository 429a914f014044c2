//! Packets as a test sees them: those to arrive, and those transmitted.
//!
//! Spec: §5.1.9.2 Packet Transmission, §5.1.9.4 Processing of Incoming Packets.

use super::header::Header;
use super::numbers::header_flag;

/// A packet that is to arrive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packet {
    /// What its header says; the number of buffers is filled in, and the hash, unless it says one.
    pub header: Header,
    /// Ethernet header and what follows.
    pub frame: Vec<u8>,
    /// The pair whose receive queue it comes to, if not as the device steers it.
    pub pair: Option<u16>,
}

impl Packet {
    /// A packet whose header says nothing.
    pub fn new(frame: impl Into<Vec<u8>>) -> Self {
        Self { frame: frame.into(), ..Self::default() }
    }

    /// Changes its header.
    #[must_use]
    pub fn with_header(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.header);
        self
    }

    /// Has it come to this pair, whatever the steering says.
    #[must_use]
    pub fn on(mut self, pair: u16) -> Self {
        self.pair = Some(pair);
        self
    }
}

/// What a device writes to one receive buffer that does as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawBuffer {
    /// The bytes, from the first one on; header included, if there is one.
    pub bytes: Vec<u8>,
    /// How many it says that it wrote, if not as many as it did.
    pub written: Option<u32>,
}

/// What is to arrive.
#[derive(Debug, Clone)]
pub(super) enum Arrival {
    /// A packet, by the rules.
    Packet(Packet),
    /// Buffers of one pair, used together.
    Raw { pair: u16, buffers: Vec<RawBuffer> },
}

/// A packet that the driver transmitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmitted {
    /// The pair through whose transmit queue it came.
    pub pair: u16,
    /// What its header says.
    pub header: Header,
    /// Ethernet header and what follows.
    pub frame: Vec<u8>,
    /// The lengths of its segments, header included.
    pub lens: Vec<u32>,
    /// Whether it came in an indirect table.
    pub indirect: bool,
    /// What is wrong with it; an honest device drops it.
    pub complaint: Option<String>,
}

impl Transmitted {
    /// The frame as it would leave, but for being cut: with its checksum completed, if that was left to the device.
    pub fn completed(&self) -> Vec<u8> {
        let mut frame = self.frame.clone();
        let start = usize::from(self.header.csum_start);
        let at = start + usize::from(self.header.csum_offset);
        if self.header.flags & header_flag::NEEDS_CSUM != 0 && at + 2 <= frame.len() {
            let sum = ones_complement_sum(&frame[start..]);
            frame[at..at + 2].copy_from_slice(&(!sum).to_be_bytes());
        }
        frame
    }
}

/// The sum of 16-bit words, the last one filled up with a 0.
pub fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    words.fold(0, |sum, word| {
        let (sum, carries) = sum.overflowing_add(word);
        sum + u16::from(carries)
    })
}

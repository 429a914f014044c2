//! What a network device counts, queue by queue.
//!
//! Spec: §5.1.9.5.11 Device Statistics.

use super::header::Header;
use super::numbers::{gso_type, header_flag};

/// The counters of one queue; which of them have a meaning depends on the kind of queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets passed on.
    pub packets: u64,
    /// Their bytes, without headers.
    pub bytes: u64,
    /// Packets dropped.
    pub drops: u64,
    /// Transmitted packets dropped since they were malformed.
    pub malformed: u64,
    /// Interrupts.
    pub interrupts: u64,
    /// Packets with a checksum that is right.
    pub valid: u64,
    /// Packets with a partial checksum.
    pub partial: u64,
    /// Large packets.
    pub large_packets: u64,
    /// Their bytes.
    pub large_bytes: u64,
    /// The segments that they are cut into.
    pub segments: u64,
    /// Packets that the driver was not told of.
    pub(super) untold_packets: usize,
    pub(super) owes_interrupt: bool,
}

impl Counters {
    /// Counts a packet that is passed on.
    pub(super) fn count(&mut self, header: &Header, frame: &[u8]) {
        let bytes = frame.len() as u64;
        self.packets += 1;
        self.bytes += bytes;
        self.valid += u64::from(header.flags & header_flag::DATA_VALID != 0);
        self.partial += u64::from(header.flags & header_flag::NEEDS_CSUM != 0);
        if header.gso_type != gso_type::NONE {
            self.large_packets += 1;
            self.large_bytes += bytes;
            let payload = bytes.saturating_sub(header.hdr_len.into());
            self.segments += payload.div_ceil(u64::from(header.gso_size.max(1)));
        }
    }

    /// The counters of one type of statistics; `notifications` are counted elsewhere.
    pub(super) fn of_type(&self, kind: u8, notifications: u64) -> Vec<u64> {
        let unmarked = self.packets - self.valid - self.partial.min(self.packets - self.valid);
        match kind {
            0 => vec![notifications, self.packets, self.bytes, self.interrupts, self.drops, 0],
            1 => vec![self.valid, self.partial, unmarked, 0],
            2 => vec![self.large_packets, self.large_bytes, 0, 0],
            16 => {
                vec![notifications, self.packets, self.bytes, self.interrupts, self.drops, self.malformed]
            }
            17 => vec![self.packets - self.partial, self.partial],
            18 => vec![self.large_packets, self.large_bytes, self.segments, self.large_bytes, 0, 0],
            _ => vec![0, 0],
        }
    }
}

//! A buffer that the driver made available, as the device sees it.
//!
//! The same for every ring layout: [`split`](crate::split) makes chains, device models such as
//! [`block`](crate::block) read and write them. Spec: §2.6 Virtqueues, §2.7.4 Message Framing.

use crate::memory::{AddressSpace, Fault};

/// One piece of device-readable or device-writable memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The device address of the first byte.
    pub addr: u64,
    /// The length in bytes.
    pub len: u32,
    /// Whether the device may write it; if not, it may read it.
    pub writable: bool,
}

/// A buffer: device-readable segments, then device-writable ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The value that names the buffer in the ring.
    pub head: u16,
    /// The segments in order, those of an indirect table included.
    pub segments: Vec<Segment>,
    /// Whether an indirect table was part of the chain.
    pub indirect: bool,
}

impl Chain {
    /// The lengths of the device-readable segments.
    pub fn readable_lens(&self) -> Vec<u32> {
        self.side(false).map(|segment| segment.len).collect()
    }

    /// The lengths of the device-writable segments.
    pub fn writable_lens(&self) -> Vec<u32> {
        self.side(true).map(|segment| segment.len).collect()
    }

    /// The number of device-readable bytes.
    pub fn readable_bytes(&self) -> u64 {
        self.side(false).map(|segment| u64::from(segment.len)).sum()
    }

    /// The number of device-writable bytes.
    pub fn writable_bytes(&self) -> u64 {
        self.side(true).map(|segment| u64::from(segment.len)).sum()
    }

    /// Reads all device-readable bytes.
    pub fn read_all(&self, memory: &AddressSpace) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        for segment in self.side(false) {
            let start = all.len();
            all.resize(start + segment.len as usize, 0);
            memory.read(segment.addr, &mut all[start..])?;
        }
        Ok(all)
    }

    /// Writes `bytes` from the first device-writable byte on; tells how many bytes fitted.
    pub fn write_all(&self, memory: &AddressSpace, bytes: &[u8]) -> Result<u32, Fault> {
        self.write_at(memory, 0, bytes)
    }

    /// Writes `bytes` from device-writable byte `offset` on; tells how many bytes fitted.
    pub fn write_at(&self, memory: &AddressSpace, offset: u64, bytes: &[u8]) -> Result<u32, Fault> {
        let mut skip = offset;
        let mut rest = bytes;
        let mut written = 0;
        for segment in self.side(true) {
            let len = u64::from(segment.len);
            if skip >= len {
                skip -= len;
                continue;
            }
            let room = usize::try_from(len - skip).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            memory.write(segment.addr + skip, now)?;
            written += u32::try_from(now.len()).unwrap_or(u32::MAX);
            rest = later;
            skip = 0;
        }
        Ok(written)
    }

    fn side(&self, writable: bool) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |segment| segment.writable == writable)
    }
}

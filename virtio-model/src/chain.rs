//! A buffer that the driver made available, as the device sees it.
//!
//! The same for every ring layout: [`split`](crate::split) and [`packed`](crate::packed) make
//! chains, device models such as [`block`](crate::block) read and write them.
//! Spec: §2.6 Virtqueues, §2.7.4 Message Framing.

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
    /// The value that names the buffer in the ring: the table entry of its head in a split
    /// queue, the buffer id in a packed one.
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
            memory.read_onto(segment.addr, segment.len as usize, &mut all)?;
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

/// The segments of a chain that is being followed, with the rules that hold in every layout.
#[derive(Debug)]
pub(crate) struct Segments {
    limit: u16,
    list: Vec<Segment>,
    total_bytes: u64,
}

impl Segments {
    /// Nothing so far, at most `queue_size` segments.
    pub(crate) fn new(queue_size: u16) -> Self {
        Self { limit: queue_size, list: Vec::new(), total_bytes: 0 }
    }

    /// Adds one segment, or tells which rule it breaks. The limit on their number also ends a
    /// loop inside an indirect table.
    pub(crate) fn take(&mut self, segment: Segment) -> Result<(), String> {
        if segment.len == 0 {
            return Err("a descriptor of length 0".into());
        }
        if !segment.writable && self.list.last().is_some_and(|last| last.writable) {
            return Err("a device-readable descriptor after a device-writable one".into());
        }
        if self.list.len() >= usize::from(self.limit) {
            return Err(format!("a chain longer than the queue size {}", self.limit));
        }
        self.total_bytes += u64::from(segment.len);
        if self.total_bytes > 1 << 32 {
            return Err("a chain of more than 2^32 bytes".into());
        }
        if segment.addr.checked_add(u64::from(segment.len)).is_none() {
            return Err("a descriptor that wraps round the end of memory".into());
        }
        self.list.push(segment);
        Ok(())
    }

    /// All segments, in order.
    pub(crate) fn into_list(self) -> Vec<Segment> {
        self.list
    }
}

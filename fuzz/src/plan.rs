//! A chain as the script describes it, and what it must come to: reckoned here once more, in plain sums.
//!
//! Spec: §2.7.4.2, §2.7.13.

use virtio_guest::hal::Direction;
use virtio_guest::ring::Portion;

use crate::ledger::BUFFERS_MAX;
use crate::life::MEMORY_BYTES;
use crate::script::Script;

/// See the module's head.
pub(crate) struct Plan {
    pub(crate) readable: Vec<Portion>,
    pub(crate) writable: Vec<Portion>,
    /// Length and direction of each buffer.
    pub(crate) buffers: Vec<(usize, Direction)>,
}

impl Plan {
    /// Two bits each for the number of readable and writable portions and of buffers, two for the buffers' directions; then a byte for all lengths, some of
    /// which are none that can be.
    pub(crate) fn read(script: &mut Script) -> Self {
        let (shape, length) = (script.detail(), script.detail());
        let portions = |count: u8, first: u32| {
            (first..first + u32::from(count % 4))
                .map(|index| Portion { offset: 32 * index, len: length.into() })
                .collect()
        };
        let buffers = usize::from(shape >> 4 & 3).min(BUFFERS_MAX);
        let direction = |index: usize| {
            if shape >> 6 & 1 << index == 0 { Direction::DeviceReadable } else { Direction::DeviceWritable }
        };
        Self {
            readable: portions(shape, 0),
            writable: portions(shape >> 2, 4),
            buffers: (0..buffers).map(|index| (1 + usize::from(length % 32), direction(index))).collect(),
        }
    }

    pub(crate) fn segments(&self) -> u16 {
        let segments = self.readable.len() + self.writable.len() + self.buffers.len();
        u16::try_from(segments).expect("a handful")
    }

    pub(crate) fn writable_bytes(&self) -> u32 {
        let written = |(_, direction): &&(usize, Direction)| *direction == Direction::DeviceWritable;
        let buffers = self.buffers.iter().filter(written).map(|(len, _)| *len as u32);
        self.writable.iter().map(|portion| portion.len).chain(buffers).sum()
    }

    /// A readable buffer comes after a writable one.
    pub(crate) fn is_misordered(&self) -> bool {
        !self.buffers.is_sorted_by_key(|(_, direction)| *direction == Direction::DeviceWritable)
    }

    pub(crate) fn has_bad_portion(&self) -> bool {
        let is_bad =
            |portion: &Portion| portion.len == 0 || (portion.offset + portion.len) as usize > MEMORY_BYTES;
        self.readable.iter().chain(&self.writable).any(is_bad)
    }
}

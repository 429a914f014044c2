//! Indirect descriptor tables: one for each chain that can be in flight, allocated with its queue.
//!
//! Spec: §2.7.5.3 Indirect Descriptors (linked by `next`), §2.8.7 Indirect Flag: Scatter-Gather Support (consecutive, WRITE the only flag).

use super::descriptor::{Descriptor, PackedDescriptor};
use crate::hal::{Direction, DmaError, Hal};
use crate::raw::mapped::Segment;
use crate::raw::memory::DmaMemory;
use crate::wire::split;

/// One indirect table for each chain id of a queue.
#[derive(Debug)]
pub(crate) struct IndirectTables<H: Hal> {
    memory: DmaMemory<H>,
    segments: u16,
    layout: TableLayout,
}

/// How the descriptors of a table follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TableLayout {
    /// By `next`, as in the split layout.
    Linked,
    /// One after the other, as in the packed layout.
    Consecutive,
}

impl<H: Hal> IndirectTables<H> {
    /// Allocates `tables` tables of `segments` descriptors each.
    pub(crate) fn allocate(
        hal: &H,
        tables: u16,
        segments: u16,
        layout: TableLayout,
    ) -> Result<Self, DmaError> {
        let descriptors = usize::from(tables).checked_mul(usize::from(segments)).ok_or(DmaError)?;
        let bytes = descriptors.checked_mul(split::DESCRIPTOR_BYTES).ok_or(DmaError)?;
        let memory = DmaMemory::allocate(hal, bytes, split::DESCRIPTOR_ALIGN)?;
        Ok(Self { memory, segments, layout })
    }

    /// Descriptors in each table.
    pub(crate) const fn segments(&self) -> u16 {
        self.segments
    }

    /// Fills table `id` with a chain of `count` segments, and says where the device finds it. `None` if there is no such table or the chain does not fit.
    pub(crate) fn write_table(
        &self,
        id: u16,
        count: u16,
        chain: impl Iterator<Item = Segment>,
    ) -> Option<Segment> {
        if count == 0 || count > self.segments {
            return None;
        }
        let len = split::DESCRIPTOR_BYTES * usize::from(count);
        let offset = split::DESCRIPTOR_BYTES * usize::from(self.segments) * usize::from(id);
        let address = self.memory.device_address(offset, len).ok()?;
        for (index, segment) in (0..count).zip(chain) {
            let descriptor_offset = offset + split::DESCRIPTOR_BYTES * usize::from(index);
            let place = self.memory.place(descriptor_offset, split::DESCRIPTOR_BYTES).ok()?;
            match self.layout {
                TableLayout::Linked => {
                    // SAFETY: 16 bytes inside of the memory; offset and memory are multiples of 16.
                    unsafe { Descriptor::linked(segment, index + 1, count).store(place) };
                }
                TableLayout::Consecutive => {
                    // SAFETY: as above.
                    unsafe { PackedDescriptor { segment, id: 0 }.store_in_table(place) };
                }
            }
        }
        let (direction, domain) = (Direction::DeviceReadable, self.memory.domain());
        Some(Segment { address, len: u32::try_from(len).ok()?, direction, domain })
    }
}

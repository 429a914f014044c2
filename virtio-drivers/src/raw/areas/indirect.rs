//! Indirect descriptor tables: one for each chain that can be in flight, allocated with its queue.
//!
//! Spec: §2.7.5.3 Indirect Descriptors (linked by `next`), §2.8.7 Indirect Flag: Scatter-Gather Support (consecutive, WRITE the only flag).

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::descriptor::{store_in_table, store_linked};
use crate::hal::{Direction, DmaError, Hal};
use crate::raw::mapped::Segment;
use crate::raw::memory::DmaMemory;
use crate::wire::split::{self, DescriptorFlags};

/// One indirect table for each chain id of a queue.
#[derive(Debug)]
pub(crate) struct IndirectTables<H: Hal> {
    memory: DmaMemory<H>,
    segments: u16,
}

impl<H: Hal> IndirectTables<H> {
    /// Allocates `tables` tables of `segments` descriptors each.
    pub(crate) fn allocate(hal: &H, tables: u16, segments: u16) -> Result<Self, DmaError> {
        let descriptors = usize::from(tables).checked_mul(usize::from(segments)).ok_or(DmaError)?;
        let bytes = descriptors.checked_mul(split::DESCRIPTOR_BYTES).ok_or(DmaError)?;
        let memory = DmaMemory::allocate(hal, bytes, split::DESCRIPTOR_ALIGN)?;
        Ok(Self { memory, segments })
    }

    /// Descriptors in each table.
    pub(crate) const fn segments(&self) -> u16 {
        self.segments
    }

    /// The table of chain `id`, for `count` descriptors. `None` if there is no such table or they do not fit.
    #[inline]
    pub(crate) fn table(&self, id: u16, count: usize) -> Option<Table<'_>> {
        let count = u16::try_from(count).ok().filter(|count| (1..=self.segments).contains(count))?;
        let len = split::DESCRIPTOR_BYTES * usize::from(count);
        let offset = split::DESCRIPTOR_BYTES * usize::from(self.segments) * usize::from(id);
        let address = self.memory.device_address(offset, len).ok()?;
        let place = self.memory.place(offset, len).ok()?;
        let len = u32::try_from(len).ok()?;
        let (direction, domain) = (Direction::DeviceReadable, self.memory.domain());
        let segment = Segment { address, len, direction, domain };
        Some(Table { segment, place, count, written: 0, tables: PhantomData })
    }
}

/// A table that is being filled.
#[derive(Debug)]
pub(crate) struct Table<'t> {
    /// All of it, as the device finds it.
    pub(crate) segment: Segment,
    /// The first of `count` descriptors: 16 bytes each, the first one on a multiple of 16.
    place: NonNull<u8>,
    count: u16,
    written: u16,
    tables: PhantomData<&'t ()>,
}

impl Table<'_> {
    /// Where the next descriptor goes; `None` if the table is full.
    #[inline]
    fn next(&mut self) -> Option<NonNull<u8>> {
        let index = self.written;
        if index >= self.count {
            return None;
        }
        self.written += 1;
        // SAFETY: `index` is below the count of descriptors that `place` was made for.
        Some(unsafe { self.place.add(split::DESCRIPTOR_BYTES * usize::from(index)) })
    }

    /// Writes the next descriptor of a table of the split layout, where they are linked; without effect if the table is full.
    #[inline]
    pub(crate) fn put_linked(&mut self, segment: &Segment) {
        if let Some(place) = self.next() {
            let next = (self.written < self.count).then_some(self.written);
            // SAFETY: the 16 bytes of one descriptor.
            unsafe { store_linked(place, segment, DescriptorFlags::empty(), next) };
        }
    }

    /// Writes the next descriptor of a table of the packed layout, where they follow each other; without effect if the table is full.
    #[inline]
    pub(crate) fn put_consecutive(&mut self, segment: &Segment) {
        if let Some(place) = self.next() {
            // SAFETY: the 16 bytes of one descriptor.
            unsafe { store_in_table(place, segment) };
        }
    }
}

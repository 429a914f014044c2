//! Tables that a remapping unit walks through: of entries with 64 bits, in pages of their own.

use core::alloc::Layout;
use core::arch::asm;
use core::ptr::NonNull;

use virtio_guest::hal::Hal;

use super::super::memory::PAGE_BYTES;
use crate::dma::DMA;

/// Entries in a page.
pub(super) const ENTRIES: usize = 512;
/// In an entry: where the next table is.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A table. Dropping it frees nothing: the unit may know it.
#[derive(Debug)]
pub(super) struct Table {
    entries: NonNull<[u64]>,
    is_coherent: bool,
}

// SAFETY: memory of its own, mapped for every processor; who may change it is the owner's business.
unsafe impl Send for Table {}

impl Table {
    /// An empty table of some pages, one behind the other. `is_coherent` says whether the unit sees what is in the processor's caches.
    pub(super) fn new(pages: usize, is_coherent: bool) -> Option<Self> {
        let page = PAGE_BYTES as usize;
        let layout = Layout::from_size_align(pages * page, page).ok()?;
        let region = DMA.allocate_dma(layout).ok()?;
        let entries = NonNull::slice_from_raw_parts(region.pointer.cast(), pages * ENTRIES);
        let table = Self { entries, is_coherent };
        (0..pages * ENTRIES).for_each(|index| table.write_back(index));
        Some(table)
    }

    /// Its physical address.
    pub(super) fn address(&self) -> u64 {
        self.entries.addr().get() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn read(&self, index: usize) -> u64 {
        // SAFETY: `entry` checked the index, and only we write to the table.
        unsafe { self.entry(index).read() }
    }

    pub(super) fn write(&mut self, index: usize, value: u64) {
        // SAFETY: as for reading; volatile, for the unit reads it.
        unsafe { self.entry(index).write_volatile(value) };
        self.write_back(index);
    }

    /// The one-page table that an entry leads to, which one of these functions made.
    pub(super) fn below(&self, index: usize) -> Option<Self> {
        let address = (self.read(index) & ADDRESS) as *mut u64;
        let entries = NonNull::slice_from_raw_parts(NonNull::new(address)?, ENTRIES);
        Some(Self { entries, is_coherent: self.is_coherent })
    }

    fn entry(&self, index: usize) -> NonNull<u64> {
        assert!(index < self.entries.len(), "an entry outside of its table");
        // SAFETY: inside of the table.
        unsafe { self.entries.cast::<u64>().add(index) }
    }

    /// Has the processor's caches write an entry back, where the unit does not look into them.
    fn write_back(&self, index: usize) {
        if !self.is_coherent {
            // SAFETY: flushing a cache line changes no contents.
            unsafe {
                asm!("clflush [{}]", in(reg) self.entry(index).as_ptr(), options(nostack, preserves_flags));
            };
        }
    }
}

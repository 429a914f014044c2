//! A domain: addresses that mean something to the functions in it, and the page table that says what.
//!
//! VT-d, section "Second-Stage Translation". A domain's addresses are a window of 1 GiB. It begins at 4 GiB, so that none of them is a physical address of this kernel's memory, or one that interrupts are
//! sent to. The tables of the lowest level are one behind the other, so together they are one table with an entry for each page of the window:
//!
//! ```text
//!   level 4        level 3        level 2           level 1
//!   ┌──────┐       ┌──────┐       ┌──────────┐      ┌───────────┬─────┬───────────┐
//!   │ 0    ├─────▶ │ 4    ├─────▶ │ 0 to 511 ├────▶ │ 512 pages │ ... │ 512 pages │
//!   └──────┘       └──────┘       └──────────┘      └───────────┴─────┴───────────┘
//! ```
//!
//! A page's other bytes can be reached together with a buffer's: a kernel whose devices must not see them copies such buffers (bounces them).

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc::boxed::Box;

use spin::Mutex;
use virtio_guest::hal::{self, DeviceAddress, Direction, DmaError, DmaRegion, Hal, MapError};

use super::super::memory::PAGE_BYTES;
use super::registers::{Levels, Registers};
use super::table::{ENTRIES, Table};
use crate::dma::DMA;

/// Where a domain's addresses begin: the fifth entry of level 3, which stands for 1 GiB.
const WINDOW: u64 = 4 << 30;
const OF_WINDOW: usize = 4;
/// Tables of level 1.
const TABLES: usize = ENTRIES;

/// In an entry: what functions may do with the page, or with what is below.
const READ: u64 = 1;
const WRITE: u64 = 1 << 1;

/// A domain. Copies are the same domain.
#[derive(Clone, Copy, Debug)]
pub struct Domain(&'static Space);

#[derive(Debug)]
struct Space {
    number: u16,
    root: u64,
    registers: &'static Registers,
    pages: Mutex<Pages>,
}

/// The window's pages: an entry that is 0 is free.
#[derive(Debug)]
struct Pages {
    entries: Table,
    /// Where to look for free ones: behind those given away last, so that an address is used again as late as possible.
    next: usize,
}

impl Domain {
    pub(super) fn new(number: u16, registers: &'static Registers, levels: Levels) -> Option<Self> {
        let table = |pages| Table::new(pages, registers.walks_are_coherent());
        let entries = table(TABLES)?;
        let mut level_2 = table(1)?;
        for index in 0..TABLES {
            level_2.write(index, (entries.address() + index as u64 * PAGE_BYTES) | READ | WRITE);
        }
        let mut level_3 = table(1)?;
        level_3.write(OF_WINDOW, level_2.address() | READ | WRITE);
        let root = match levels {
            Levels::Three => level_3.address(),
            Levels::Four => {
                let mut level_4 = table(1)?;
                level_4.write(0, level_3.address() | READ | WRITE);
                level_4.address()
            }
        };
        let pages = Mutex::new(Pages { entries, next: 0 });
        // Domains are never given up: what is lent to a device that does not answer stays mapped for good.
        Some(Self(Box::leak(Box::new(Space { number, root, registers, pages }))))
    }

    pub(super) fn number(self) -> u16 {
        self.0.number
    }

    pub(super) fn root(self) -> u64 {
        self.0.root
    }
}

impl Space {
    /// Maps the pages that some bytes of physical memory are in. Gives the first byte's address, whose page is a multiple of `align` bytes.
    fn map(&self, physical: u64, bytes: usize, align: u64, access: u64) -> Option<DeviceAddress> {
        let mut pages = self.pages.lock();
        let first = pages.find(page_count(physical, bytes), (align / PAGE_BYTES).max(1) as usize)?;
        let start = physical / PAGE_BYTES * PAGE_BYTES;
        for page in 0..page_count(physical, bytes) {
            pages.entries.write(first + page, (start + page as u64 * PAGE_BYTES) | access);
        }
        if self.registers.caches_absence() {
            self.registers.invalidate_domain(self.number);
        }
        Some(DeviceAddress(WINDOW + first as u64 * PAGE_BYTES + (physical - start)))
    }

    /// Undoes it. When this returns no function reaches the memory any more.
    fn unmap(&self, address: DeviceAddress, bytes: usize) {
        let mut pages = self.pages.lock();
        let first = ((address.0 - WINDOW) / PAGE_BYTES) as usize;
        for page in 0..page_count(address.0, bytes) {
            pages.entries.write(first + page, 0);
        }
        // Before the lock is given back, so that nobody maps something else there while the unit remembers this.
        self.registers.invalidate_domain(self.number);
    }
}

impl Pages {
    /// Finds so many free pages in a row, the first a multiple of `align`.
    fn find(&mut self, count: usize, align: usize) -> Option<usize> {
        let all = self.entries.len();
        let mut looked_at = 0;
        let mut first = self.next.next_multiple_of(align);
        while looked_at <= 2 * all {
            if first + count > all {
                looked_at += all - first.min(all) + 1;
                first = 0;
                continue;
            }
            match (first..first + count).rfind(|page| self.entries.read(*page) != 0) {
                None => {
                    self.next = first + count;
                    return Some(first);
                }
                Some(taken) => {
                    let next = (taken + 1).next_multiple_of(align);
                    looked_at += next - first;
                    first = next;
                }
            }
        }
        None
    }
}

/// How many pages some bytes are in, the first of which has this address.
fn page_count(address: u64, bytes: usize) -> usize {
    ((address % PAGE_BYTES) as usize + bytes).div_ceil(PAGE_BYTES as usize)
}

/// What is allocated for a layout: whole pages, so that a device gets nothing else to see.
fn whole_pages(layout: Layout) -> Result<Layout, DmaError> {
    let page = PAGE_BYTES as usize;
    layout.align_to(page).map(|layout| layout.pad_to_align()).map_err(|_| DmaError)
}

// SAFETY: memory is the kernel's pool's, in whole pages; an address leads to what was mapped there, of all functions that are in the domain, until it is unmapped and
// the unit has forgotten it; device accesses are coherent on this architecture. The number is one unit's and one domain's, and not 0, which is that of physical addresses.
unsafe impl Hal for Domain {
    fn domain(&self) -> hal::Domain {
        hal::Domain(self.0.number)
    }

    fn addresses_are_physical(&self) -> bool {
        false
    }

    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        let pages = whole_pages(layout)?;
        let region = DMA.allocate_dma(pages)?;
        let physical = region.pointer.addr().get() as u64;
        let mapped = self.0.map(physical, pages.size(), pages.align() as u64, READ | WRITE);
        if mapped.is_none() {
            // SAFETY: it was allocated just now, and nobody knows it.
            unsafe { DMA.free_dma(region) };
        }
        let device_address = mapped.ok_or(DmaError)?;
        Ok(DmaRegion { pointer: region.pointer, device_address, layout })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        let DmaRegion { pointer, device_address, layout } = region;
        // It was allocated with this layout, so there is one.
        if let Ok(layout) = whole_pages(layout) {
            self.0.unmap(device_address, layout.size());
            // SAFETY: the caller gives back what `allocate_dma` got from there, once, and no device reaches it.
            unsafe { DMA.free_dma(DmaRegion { pointer, device_address, layout }) };
        }
    }

    unsafe fn map(&self, buffer: NonNull<[u8]>, direction: Direction) -> Result<DeviceAddress, MapError> {
        let access = match direction {
            Direction::DeviceReadable => READ,
            Direction::DeviceWritable => WRITE,
        };
        let physical = buffer.addr().get() as u64;
        self.0.map(physical, buffer.len(), PAGE_BYTES, access).ok_or(MapError)
    }

    unsafe fn unmap(&self, address: DeviceAddress, buffer: NonNull<[u8]>, _: Direction) {
        self.0.unmap(address, buffer.len());
    }
}

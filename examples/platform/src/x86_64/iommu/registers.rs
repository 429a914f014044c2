//! A remapping unit's registers, as what is done with them.
//!
//! VT-d, chapter "Register Descriptions". Caches are emptied through registers, which all units have that know no scalable mode.

use core::time::Duration;

use spin::Mutex;
use virtio_guest::hal::MapMmio;

use super::super::memory::PAGE_BYTES;
use crate::clock;
use crate::dma::MMIO;

/// Offsets in bytes.
const CAPABILITY: usize = 0x08;
const EXTENDED_CAPABILITY: usize = 0x10;
const COMMAND: usize = 0x18;
const STATUS: usize = 0x1c;
const ROOT_TABLE: usize = 0x20;
const CONTEXT_COMMAND: usize = 0x28;
const FAULT_STATUS: usize = 0x34;

/// In the command and status registers: translation is on; the root table's address is taken over.
const TRANSLATION: u32 = 1 << 31;
const TAKE_ROOT_TABLE: u32 = 1 << 30;
/// Bits of the status that a command must repeat, or it switches them off.
const LASTING: u32 = 0x96ff_ffff;

/// In both invalidation registers: to be done, and not done yet.
const INVALIDATE: u64 = 1 << 63;
/// In the context command register: all of it.
const ALL_CONTEXTS: u64 = 1 << 61;
/// In the IOTLB register: all of it, or a domain's; and what is on its way is to arrive first.
const ALL_TRANSLATIONS: u64 = 1 << 60;
const OF_DOMAIN: u64 = 2 << 60;
const DRAIN: u64 = 0b11 << 48;

/// In the upper half of a fault's record: there is one.
const IS_FAULT: u64 = 1 << 63;
/// In the fault status: some were lost, since all records were full.
const OVERFLOW: u32 = 1;

/// How long an answer may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// How many levels page tables have. The numbers are those of context entries, and of the capability register's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Levels {
    Three = 1,
    Four = 2,
}

/// The registers of one unit.
#[derive(Debug)]
pub(super) struct Registers {
    base: usize,
    capability: u64,
    extended_capability: u64,
    /// Held while a cache is emptied: its register says when it is done.
    invalidating: Mutex<()>,
}

impl Registers {
    /// Maps them. `None` if they cannot be, or are more than a page.
    pub(super) fn map(address: u64) -> Option<Self> {
        // SAFETY: ACPI says that a unit's registers are there, and nobody but this module uses them.
        unsafe { MMIO.map_mmio(address, PAGE_BYTES as usize) }?;
        let base = address as usize;
        let mut registers =
            Self { base, capability: 0, extended_capability: 0, invalidating: Mutex::new(()) };
        registers.capability = registers.read_64(CAPABILITY);
        registers.extended_capability = registers.read_64(EXTENDED_CAPABILITY);
        let last = registers.fault_record(registers.fault_records()).max(registers.iotlb());
        (last < PAGE_BYTES as usize).then_some(registers)
    }

    /// As many levels as the unit can do; `None` if it can do neither.
    pub(super) fn levels(&self) -> Option<Levels> {
        let supported = self.capability >> 8;
        [Levels::Four, Levels::Three].into_iter().find(|levels| supported >> *levels as u32 & 1 != 0)
    }

    /// How many domains the unit tells apart.
    pub(super) fn domains(&self) -> u32 {
        1 << (4 + 2 * (self.capability & 0b111))
    }

    /// Whether the unit remembers that nothing was mapped somewhere.
    pub(super) fn caches_absence(&self) -> bool {
        self.capability >> 7 & 1 != 0
    }

    /// Whether the unit sees what is in the processor's caches when it walks through tables.
    pub(super) fn walks_are_coherent(&self) -> bool {
        self.extended_capability & 1 != 0
    }

    /// Switches translation on, with a root table.
    pub(super) fn start(&self, root_table: u64) {
        self.write_64(ROOT_TABLE, root_table);
        self.command(TAKE_ROOT_TABLE);
        self.invalidate_everything();
        self.command(TRANSLATION);
    }

    /// Switches one thing on, and leaves everything else as it is.
    fn command(&self, bit: u32) {
        let lasting = self.read_32(STATUS) & LASTING;
        self.write_32(COMMAND, lasting | bit);
        wait_until(|| self.read_32(STATUS) & bit != 0);
    }

    /// Has the unit forget which function is in which domain, and all translations.
    pub(super) fn invalidate_everything(&self) {
        let _invalidating = self.invalidating.lock();
        self.write_64(CONTEXT_COMMAND, INVALIDATE | ALL_CONTEXTS);
        wait_until(|| self.read_64(CONTEXT_COMMAND) & INVALIDATE == 0);
        self.invalidate_translations(ALL_TRANSLATIONS);
    }

    /// Has the unit forget a domain's translations. Afterwards no device uses an old one, nor is an access by one on its way.
    pub(super) fn invalidate_domain(&self, domain: u16) {
        let _invalidating = self.invalidating.lock();
        self.invalidate_translations(OF_DOMAIN | u64::from(domain) << 32);
    }

    /// The caller holds the lock.
    fn invalidate_translations(&self, which: u64) {
        self.write_64(self.iotlb(), INVALIDATE | DRAIN | which);
        wait_until(|| self.read_64(self.iotlb()) & INVALIDATE == 0);
    }

    /// Takes a fault out of the records: its two halves.
    pub(super) fn next_fault(&self) -> Option<(u64, u64)> {
        let mut records = (0..self.fault_records()).map(|number| self.fault_record(number));
        let record = records.find(|record| self.read_64(record + 8) & IS_FAULT != 0)?;
        let halves = (self.read_64(record), self.read_64(record + 8));
        self.write_64(record + 8, IS_FAULT); // writing the bits clears them
        self.write_32(FAULT_STATUS, OVERFLOW);
        Some(halves)
    }

    fn iotlb(&self) -> usize {
        (self.extended_capability >> 8 & 0x3ff) as usize * 16 + 8
    }

    fn fault_records(&self) -> usize {
        (self.capability >> 40 & 0xff) as usize + 1
    }

    fn fault_record(&self, number: usize) -> usize {
        (self.capability >> 24 & 0x3ff) as usize * 16 + number * 16
    }

    fn read_32(&self, register: usize) -> u32 {
        // SAFETY: inside of what `map` mapped, and aligned; no register that is read here has a side effect.
        unsafe { ((self.base + register) as *const u32).read_volatile() }
    }

    fn write_32(&self, register: usize, value: u32) {
        // SAFETY: as for reading. What is written takes memory away from devices, or gives them what this module's tables name.
        unsafe { ((self.base + register) as *mut u32).write_volatile(value) };
    }

    fn read_64(&self, register: usize) -> u64 {
        // SAFETY: as above.
        unsafe { ((self.base + register) as *const u64).read_volatile() }
    }

    fn write_64(&self, register: usize, value: u64) {
        // SAFETY: as above.
        unsafe { ((self.base + register) as *mut u64).write_volatile(value) };
    }
}

/// Waits for the unit. It must answer: what was unmapped is used for something else after that.
fn wait_until(is_done: impl Fn() -> bool) {
    let start = clock::now();
    while !is_done() {
        assert!(clock::since(start) < ANSWERED_WITHIN, "the IOMMU does not answer");
        core::hint::spin_loop();
    }
}

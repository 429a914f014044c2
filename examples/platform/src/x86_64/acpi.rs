//! What ACPI is needed for: the place of PCI's configuration space, processors and I/O APICs, the IOMMU, slots.

use alloc::vec::Vec;
use core::ptr::NonNull;
use core::slice;

use acpi::madt::{Madt, MadtEntry};
use acpi::mcfg::Mcfg;
use acpi::sdt::{SdtHeader, Signature};
use acpi::{AcpiHandler, AcpiTable, AcpiTables, PhysicalMapping};
use virtio_guest::transport::mmio::acpi::{Slot, slots as slots_in};

use super::pvh;
use super::topology::{IoApicPlace, Override, Polarity, Topology};

/// All tables are in identity-mapped memory below 4 GiB.
#[derive(Clone)]
struct IdentityMapped;

impl AcpiHandler for IdentityMapped {
    unsafe fn map_physical_region<T>(&self, address: usize, size: usize) -> PhysicalMapping<Self, T> {
        let pointer = NonNull::new(address as *mut T).expect("no table is at address 0");
        // SAFETY: the region is mapped already, at the same address, and stays so.
        unsafe { PhysicalMapping::new(address, pointer, size, size, Self) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

fn tables() -> Option<AcpiTables<IdentityMapped>> {
    // SAFETY: the loader says that the RSDP is there.
    unsafe { AcpiTables::from_rsdp(IdentityMapped, pvh::rsdp_address()?) }.ok()
}

/// Where virtio over MMIO may be, as the tables with programs have it.
pub(super) fn slots() -> Vec<Slot> {
    let Some(tables) = tables() else { return Vec::new() };
    let programs = tables.dsdt().ok().into_iter().chain(tables.ssdts());
    let bytes = programs.map(|program| {
        // SAFETY: the table is in memory that is mapped at its physical address, and firmware does not change it.
        unsafe { slice::from_raw_parts(program.address as *const u8, program.length as usize) }
    });
    bytes.flat_map(slots_in).collect()
}

/// A range of buses whose configuration space is memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct EcamRange {
    pub(super) base: u64,
    pub(super) first_bus: u8,
    pub(super) last_bus: u8,
}

/// The first segment's entry of the MCFG table, if there is one (`q35` has it, `pc` does not).
pub(super) fn ecam() -> Option<EcamRange> {
    let mcfg = tables()?.find_table::<Mcfg>().ok()?;
    let entry = mcfg.entries().iter().find(|entry| { entry.pci_segment_group } == 0)?;
    Some(EcamRange {
        base: entry.base_address,
        first_bus: entry.bus_number_start,
        last_bus: entry.bus_number_end,
    })
}

/// In a processor's flags: it can be used.
const PROCESSOR_ENABLED: u32 = 1;

/// What the MADT lists. Processors with numbers beyond 254 are left out: an xAPIC does not reach them.
pub(super) fn topology() -> Option<Topology> {
    let madt = tables()?.find_table::<Madt>().ok()?;
    let mut topology = Topology { processors: Vec::new(), io_apics: Vec::new(), overrides: Vec::new() };
    for entry in madt.get().entries() {
        match entry {
            MadtEntry::LocalApic(processor) if processor.flags & PROCESSOR_ENABLED != 0 => {
                topology.processors.push(processor.apic_id);
            }
            MadtEntry::IoApic(io_apic) => topology.io_apics.push(IoApicPlace {
                address: u64::from(io_apic.io_apic_address),
                first_pin: io_apic.global_system_interrupt_base,
            }),
            MadtEntry::InterruptSourceOverride(moved) => topology.overrides.push(Override {
                isa_interrupt: moved.irq,
                pin: moved.global_system_interrupt,
                polarity: match moved.flags & 0b11 {
                    0b01 => Polarity::High,
                    0b11 => Polarity::Low,
                    _ => Polarity::OfBus,
                },
            }),
            _ => {}
        }
    }
    Some(topology)
}

/// The table of remapping units; structures of several kinds follow, 48 bytes from its beginning.
#[repr(C, packed)]
struct Dmar {
    header: SdtHeader,
}

// SAFETY: every table has that header, and this is the whole structure.
unsafe impl AcpiTable for Dmar {
    const SIGNATURE: Signature = Signature::DMAR;

    fn header(&self) -> &SdtHeader {
        &self.header
    }
}

/// Where the registers of the machine's remapping unit are (VT-d, section "DMA Remapping Hardware Unit Definition Structure"). `None` if there is none, or if there are several: each is
/// for some of the functions then, which is not looked into here.
pub(super) fn remapping_unit() -> Option<u64> {
    const STRUCTURES: usize = 48;
    /// The kind of structures that describe a unit; in one its segment is at 6, its address at 8.
    const UNIT: u8 = 0;

    let table = tables()?.find_table::<Dmar>().ok()?;
    let start = table.virtual_start().as_ptr().cast::<u8>();
    // SAFETY: the whole table is mapped, and firmware does not change it.
    let bytes = unsafe { slice::from_raw_parts(start, table.region_length()) };
    let mut structures = bytes.get(STRUCTURES..)?;
    let mut unit = None;
    // Each begins with its kind and its length, of 16 bits both.
    while let [kind, 0, low, high, ..] = *structures {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let (structure, rest) = structures.split_at_checked(length)?;
        structures = Some(rest).filter(|_| length > 0)?;
        if kind == UNIT {
            let address = structure.get(8..)?.first_chunk()?;
            let is_first = unit.replace(u64::from_le_bytes(*address)).is_none();
            unit = unit.filter(|_| is_first && structure[6..8] == [0, 0]);
            unit?;
        }
    }
    unit
}

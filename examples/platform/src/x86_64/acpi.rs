//! What ACPI is needed for: the place of PCI's configuration space.

use core::ptr::NonNull;

use acpi::mcfg::Mcfg;
use acpi::{AcpiHandler, AcpiTables, PhysicalMapping};

use super::pvh;

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

/// A range of buses whose configuration space is memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct EcamRange {
    pub(super) base: u64,
    pub(super) first_bus: u8,
    pub(super) last_bus: u8,
}

/// The first segment's entry of the MCFG table, if there is one (`q35` has it, `pc` does not).
pub(super) fn ecam() -> Option<EcamRange> {
    // SAFETY: the loader says that the RSDP is there.
    let tables = unsafe { AcpiTables::from_rsdp(IdentityMapped, pvh::rsdp_address()?) }.ok()?;
    let mcfg = tables.find_table::<Mcfg>().ok()?;
    let entry = mcfg.entries().iter().find(|entry| { entry.pci_segment_group } == 0)?;
    Some(EcamRange {
        base: entry.base_address,
        first_bus: entry.bus_number_start,
        last_bus: entry.bus_number_end,
    })
}

//! Access to PCI configuration space: memory, where the device tree says.
//!
//! PCI Express Base Specification, §7.2.2 (ECAM).

use pci_types::{ConfigRegionAccess, PciAddress};
use spin::Once;

use super::memory;
use crate::device_tree;

static ECAM: Once<Option<Ecam>> = Once::new();

/// Configuration space of all buses, 1 MiB each.
#[derive(Clone, Copy)]
struct Ecam {
    address: u64,
    first_bus: u8,
    last_bus: u8,
}

/// This machine's configuration space.
#[derive(Clone, Copy, Debug)]
pub struct PciAccess;

impl PciAccess {
    /// How configuration space is reached.
    pub fn mechanism(self) -> &'static str {
        "ECAM"
    }

    fn ecam() -> Option<Ecam> {
        *ECAM.call_once(|| {
            let host = device_tree::pci_host()?;
            memory::map_registers(host.ecam)?;
            let (first_bus, last_bus) = host.buses().into_inner();
            let buses_mapped = host.ecam.bytes >> 20;
            let last_mapped = u64::from(first_bus).checked_add(buses_mapped)?.checked_sub(1)?;
            let last_bus = u8::try_from(last_mapped).map_or(last_bus, |mapped| mapped.min(last_bus));
            Some(Ecam { address: host.ecam.address, first_bus, last_bus })
        })
    }

    /// A register, if there is such a bus.
    fn register(address: PciAddress, offset: u16) -> Option<*mut u32> {
        let ecam = Self::ecam()?;
        if address.bus() > ecam.last_bus {
            return None;
        }
        let bus = u64::from(address.bus().checked_sub(ecam.first_bus)?) << 20;
        let function = u64::from(address.device()) << 15 | u64::from(address.function()) << 12;
        Some((ecam.address + bus + function + u64::from(offset)) as *mut u32)
    }
}

impl ConfigRegionAccess for PciAccess {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        // SAFETY: mapped, aligned (the caller's offset is), and inside of the range that the device tree names.
        Self::register(address, offset).map_or(u32::MAX, |register| unsafe { register.read_volatile() })
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        if let Some(register) = Self::register(address, offset) {
            // SAFETY: as for reading; what it does to the device is the caller's business.
            unsafe { register.write_volatile(value) };
        }
    }
}

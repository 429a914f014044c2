//! Access to PCI configuration space: memory, which the device tree names.
//!
//! PCI Express Base Specification, §7.2 (ECAM); device tree binding `pci-host-ecam-generic`.

use pci_types::{ConfigRegionAccess, PciAddress};
use spin::Once;

use super::{Range, pci_host};

/// Bytes of configuration space of one bus.
const BUS_BYTES: u64 = 1 << 20;

/// Where the space is: that of the first bus is at its base.
#[derive(Clone, Copy, Debug)]
struct Ecam {
    base: u64,
    first_bus: u8,
    last_bus: u8,
}

static ECAM: Once<Option<Ecam>> = Once::new();

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
            let host = pci_host()?;
            let Range { address: base, bytes } = host.ecam;
            let (first_bus, last_bus) = host.buses().into_inner();
            let buses = u64::from(last_bus.checked_sub(first_bus)?) + 1;
            if bytes < buses * BUS_BYTES {
                return None;
            }
            host.ecam.map()?;
            Some(Ecam { base, first_bus, last_bus })
        })
    }

    /// A register, if the space has it.
    fn register(address: PciAddress, offset: u16) -> Option<*mut u32> {
        let ecam = Self::ecam()?;
        if address.segment() != 0 || address.bus() > ecam.last_bus {
            return None;
        }
        let bus = u64::from(address.bus().checked_sub(ecam.first_bus)?);
        let function = u64::from(address.device()) << 15 | u64::from(address.function()) << 12;
        Some((ecam.base + bus * BUS_BYTES + function + u64::from(offset & 0xffc)) as *mut u32)
    }
}

impl ConfigRegionAccess for PciAccess {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        // SAFETY: mapped, aligned, and inside of the range that the device tree named; side effects of the register are the caller's.
        Self::register(address, offset).map_or(u32::MAX, |register| unsafe { register.read_volatile() })
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        if let Some(register) = Self::register(address, offset) {
            // SAFETY: as for reading.
            unsafe { register.write_volatile(value) };
        }
    }
}

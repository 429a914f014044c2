//! Access to PCI configuration space: through memory where ACPI says so, else through two I/O ports.
//!
//! PCI Express Base Specification, §7.2 (ECAM); PCI Local Bus Specification 3.0, §3.2.2.3.2 (configuration mechanism 1).

use core::ops::RangeInclusive;

use pci_types::{ConfigRegionAccess, PciAddress};
use spin::{Mutex, Once};
use virtio_guest::hal::MapMmio;

use super::acpi::{self, EcamRange};
use super::ports;
use crate::dma::MMIO;

/// Bytes of configuration space of one bus.
const BUS_BYTES: usize = 1 << 20;
const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;
/// Ports reach as much of a function's configuration space; extended capabilities are behind that.
const PORTS_END: u16 = 0x100;

/// Both ports belong to one access.
static PORTS: Mutex<()> = Mutex::new(());
static ECAM: Once<Option<EcamRange>> = Once::new();

/// This machine's configuration space.
#[derive(Clone, Copy, Debug)]
pub struct PciAccess;

/// The buses of the machine's host bridge: what ECAM reaches, or all that ports do. `None` if there is no PCI at all: then nobody answers at the ports.
pub(super) fn buses() -> Option<RangeInclusive<u8>> {
    if let Some(ecam) = PciAccess::ecam() {
        return Some(ecam.first_bus..=ecam.last_bus);
    }
    let _ports = PORTS.lock();
    let enable = port_address(PciAddress::new(0, 0, 0, 0), 0);
    // SAFETY: the ports are ours while the lock is held.
    unsafe { ports::write_u32(ADDRESS_PORT, enable) };
    // SAFETY: as above; where PCI is, the port reads what was written.
    let answer = unsafe { ports::read_u32(ADDRESS_PORT) };
    (answer == enable).then_some(0..=u8::MAX)
}

impl PciAccess {
    /// How configuration space is reached.
    pub fn mechanism(self) -> &'static str {
        if Self::ecam().is_some() { "ECAM" } else { "ports 0xcf8 and 0xcfc" }
    }

    fn ecam() -> Option<EcamRange> {
        *ECAM.call_once(|| {
            let ecam = acpi::ecam()?;
            let buses = usize::from(ecam.last_bus.checked_sub(ecam.first_bus)?) + 1;
            // SAFETY: ACPI says that configuration space is there, and nobody but this module accesses it.
            unsafe { MMIO.map_mmio(bus_base(&ecam, ecam.first_bus), buses * BUS_BYTES) }?;
            Some(ecam)
        })
    }

    /// The register in memory, for buses that have it there.
    fn ecam_register(address: PciAddress, offset: u16) -> Option<*mut u32> {
        let ecam = Self::ecam()?;
        if !(ecam.first_bus..=ecam.last_bus).contains(&address.bus()) {
            return None;
        }
        let function = u64::from(address.device()) << 15 | u64::from(address.function()) << 12;
        Some((bus_base(&ecam, address.bus()) + function + u64::from(offset)) as *mut u32)
    }
}

/// Where a bus is. The table's base is where bus 0 is, or would be, whatever the first bus (PCI Firmware Specification, §4.1.2).
fn bus_base(ecam: &EcamRange, bus: u8) -> u64 {
    ecam.base + u64::from(bus) * BUS_BYTES as u64
}

fn port_address(address: PciAddress, offset: u16) -> u32 {
    1 << 31
        | u32::from(address.bus()) << 16
        | u32::from(address.device()) << 11
        | u32::from(address.function()) << 8
        | u32::from(offset & 0xfc)
}

impl ConfigRegionAccess for PciAccess {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        if let Some(register) = Self::ecam_register(address, offset) {
            // SAFETY: mapped, aligned (the caller's offset is), and inside of the range that ACPI named.
            return unsafe { register.read_volatile() };
        }
        if offset >= PORTS_END {
            return u32::MAX;
        }
        let _ports = PORTS.lock();
        // SAFETY: the ports are ours while the lock is held.
        unsafe { ports::write_u32(ADDRESS_PORT, port_address(address, offset)) };
        // SAFETY: as above; side effects of the register are the caller's.
        unsafe { ports::read_u32(DATA_PORT) }
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        if let Some(register) = Self::ecam_register(address, offset) {
            // SAFETY: as for reading.
            return unsafe { register.write_volatile(value) };
        }
        if offset >= PORTS_END {
            return;
        }
        let _ports = PORTS.lock();
        // SAFETY: the ports are ours while the lock is held.
        unsafe { ports::write_u32(ADDRESS_PORT, port_address(address, offset)) };
        // SAFETY: as above; side effects of the register are the caller's.
        unsafe { ports::write_u32(DATA_PORT, value) };
    }
}

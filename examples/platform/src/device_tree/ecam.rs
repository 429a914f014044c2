//! Access to PCI configuration space: memory, which the device tree names.
//!
//! PCI Express Base Specification, §7.2 (ECAM); device tree binding `pci-host-ecam-generic`. It is accessed as the library accesses registers: each access is one plain instruction, for on
//! Arm a hypervisor cannot complete others, and a compiler may choose others for a volatile access.

use pci_types::{ConfigRegionAccess, PciAddress};
use spin::Once;
use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::Registers;

use super::pci_host;
use crate::dma::MMIO;

/// Bytes of configuration space of one bus.
const BUS_BYTES: usize = 1 << 20;

/// The space of all buses, the first one's at its beginning.
#[derive(Debug)]
struct Ecam {
    space: Registers,
    first_bus: u8,
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

    fn ecam() -> Option<&'static Ecam> {
        let find = || {
            let host = pci_host()?;
            let (first_bus, last_bus) = host.buses().into_inner();
            let bytes = (usize::from(last_bus.checked_sub(first_bus)?) + 1) * BUS_BYTES;
            if host.ecam.bytes < bytes as u64 {
                return None;
            }
            // SAFETY: the device tree says that configuration space is there, and nobody but this module accesses it.
            let space = unsafe { Registers::map(&MMIO, host.ecam.address, bytes) }?;
            Some(Ecam { space, first_bus })
        };
        ECAM.call_once(find).as_ref()
    }

    /// A register, if the space may have it: which buses there are is seen to by `Registers`.
    fn register(address: PciAddress, offset: u16) -> Option<(&'static Registers, usize)> {
        let ecam = Self::ecam().filter(|_| address.segment() == 0)?;
        let bus = usize::from(address.bus().checked_sub(ecam.first_bus)?) * BUS_BYTES;
        let function = usize::from(address.device()) << 15 | usize::from(address.function()) << 12;
        Some((&ecam.space, bus + function + usize::from(offset & 0xffc)))
    }
}

impl ConfigRegionAccess for PciAccess {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        Self::register(address, offset)
            .map_or(u32::MAX, |(space, place)| space.read(place, AccessWidth::Long))
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        if let Some((space, place)) = Self::register(address, offset) {
            space.write(place, AccessWidth::Long, value);
        }
    }
}

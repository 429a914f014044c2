//! The PC: `q35`, `pc` and `microvm` machines of QEMU, entered through PVH.

#![allow(
    clippy::cast_possible_truncation,
    reason = "addresses have 64 bits here, and table sizes are constants"
)]

mod acpi;
mod boot;
pub mod clock;
pub mod cpus;
mod descriptors;
mod exceptions;
pub(crate) mod exit;
pub(crate) mod interrupts;
pub mod iommu;
pub(crate) mod memory;
mod mp_table;
mod pci_access;
mod ports;
mod pvh;
pub(crate) mod serial;
mod topology;

use alloc::vec::Vec;

use virtio_guest::transport::mmio::command_line as words;

use crate::devices::Slot;
use crate::interrupts::Line;
use crate::pci::PciHost;

pub use pci_access::PciAccess;
pub use pvh::command_line;

/// Where virtio over MMIO may be: what the command line names; if that names nothing, what ACPI does.
pub(crate) fn slots() -> Vec<Slot> {
    let slot = |physical_address, size_bytes, interrupt| {
        let line = Line::Cells([interrupt, 0, 0]);
        Slot { physical_address, size_bytes, line }
    };
    let named = words::slots(command_line());
    let named: Vec<Slot> =
        named.map(|found| slot(found.physical_address, found.size_bytes, found.interrupt)).collect();
    if !named.is_empty() {
        return named;
    }
    // One without an interrupt can be polled.
    let found = acpi::slots().into_iter();
    found
        .map(|found| slot(found.physical_address, found.size_bytes, found.interrupt.unwrap_or(u32::MAX)))
        .collect()
}

/// PCI's host bridge: buses as ACPI has them, else all that ports reach. Firmware has given addresses to BARs.
pub(crate) fn pci_host() -> Option<PciHost> {
    pci_access::buses().map(|buses| PciHost { buses, apertures: None })
}

unsafe extern "C" {
    /// What the program's `entry!` made.
    safe fn kernel_main() -> !;
}

/// The first Rust code: brings the machine up, then runs the program.
#[unsafe(no_mangle)]
extern "C" fn machine_main(start_info: usize) -> ! {
    crate::console::init();
    descriptors::init();
    // SAFETY: the boot code passes on the address that the loader left in a register, once.
    unsafe { pvh::init(start_info) };
    memory::init(pvh::memory_map());
    clock::init();
    interrupts::init();
    kernel_main()
}

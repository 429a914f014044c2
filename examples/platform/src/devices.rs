//! Virtio devices, whatever they are behind: PCI, or MMIO registers that the command line names.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use virtio_guest::raw::Registers;
use virtio_guest::transport::Transport;
use virtio_guest::transport::mmio::MmioTransport;
use virtio_guest::transport::mmio::command_line::slots;
use virtio_guest::transport::pci::PciTransport;
use virtio_guest::wire::device_type::DeviceType;

use crate::{MMIO, command_line, pci};

/// A device, and where it was found.
pub struct Device {
    /// In words.
    pub place: String,
    /// The way to it.
    pub transport: Box<dyn Transport>,
}

/// Opens the first device of a type: on the PCI bus, else among the slots that the command line names. `None` if there is none.
///
/// # Errors
/// What is wrong with a device that should be one.
///
/// # Safety
/// Nobody else drives that device, and the command line names no other registers than those of virtio devices.
pub unsafe fn open_first(wanted: DeviceType) -> Result<Option<Device>, String> {
    // SAFETY: the caller's promise.
    if let Some(function) = unsafe { pci::claim_first(wanted) } {
        let mechanism = pci::PciAccess.mechanism();
        let place = alloc::format!("{} (PCI configuration through {mechanism})", function.address());
        let transport = PciTransport::open(function, &MMIO).map_err(|error| error.to_string())?;
        return Ok(Some(Device { place, transport: Box::new(transport) }));
    }
    for slot in slots(command_line()) {
        let (address, size_bytes) = (slot.physical_address, slot.size_bytes);
        let size_bytes = usize::try_from(size_bytes).map_err(|error| error.to_string())?;
        // SAFETY: the caller's promise.
        let registers = unsafe { Registers::map(&MMIO, address, size_bytes) };
        let registers = registers.ok_or_else(|| alloc::format!("no way to map {address:#x}"))?;
        match MmioTransport::open(registers).map_err(|error| error.to_string())? {
            Some(transport) if transport.device_type() == wanted => {
                let place = alloc::format!("{address:#x} (MMIO, {:?} interface)", transport.interface());
                return Ok(Some(Device { place, transport: Box::new(transport) }));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// A place where virtio over MMIO may be.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Where its registers are.
    pub physical_address: u64,
    /// Bytes of them.
    pub size_bytes: u64,
    /// Its interrupt line.
    pub line: crate::interrupts::Line,
}

//! Where a device's queues are, read from its own registers: whichever driver put them there has no part in it.
//!
//! Spec: §4.1.4.3 Common configuration structure layout.

use alloc::string::{String, ToString};

use example_platform::MMIO;
use example_platform::pci::{self, PciAccess};
use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::{MapMmio, RegisterWindow};
use virtio_guest::wire::device_type::DeviceType;

/// A queue in memory.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Descriptors.
    pub size: u16,
    /// Where the descriptor table, or the packed ring, is.
    pub descriptor_area: usize,
    /// Where the used ring, or the device's event suppression, is.
    pub device_area: usize,
}

/// In configuration space.
const BARS: u16 = 0x10;
const CAPABILITIES: u16 = 0x34;
const VENDOR_SPECIFIC: u32 = 9;
const COMMON: u32 = 1;

/// In the common configuration.
const QUEUE_SELECT: usize = 0x16;
const QUEUE_SIZE: usize = 0x18;
const QUEUE_DESCRIPTORS: usize = 0x20;
const QUEUE_DEVICE: usize = 0x30;
const COMMON_BYTES: usize = 0x38;

/// The functions that are devices of a type, in the order of their addresses.
pub fn functions(wanted: DeviceType) -> impl Iterator<Item = PciAddress> {
    pci::functions()
        .iter()
        .filter(move |found| found.device_type() == Some(wanted))
        .map(|found| found.address)
}

/// Reads where a device, which its driver has set up, has a queue.
///
/// # Errors
/// It is no such device.
pub fn of(device: PciAddress, queue: u16) -> Result<Place, String> {
    let registers = common_configuration(device).ok_or("no common configuration")?;
    // SAFETY: the register is inside of the window; what queue is selected matters to nobody between two calls of a driver's.
    unsafe { ((registers + QUEUE_SELECT) as *mut u16).write_volatile(queue) };
    // SAFETY: as above.
    let size = unsafe { ((registers + QUEUE_SIZE) as *mut u16).read_volatile() };
    let area = |offset| {
        // SAFETY: as above.
        let low = unsafe { ((registers + offset) as *mut u32).read_volatile() };
        // SAFETY: as above.
        let high = unsafe { ((registers + offset + 4) as *mut u32).read_volatile() };
        usize::try_from(u64::from(high) << 32 | u64::from(low)).map_err(|error| error.to_string())
    };
    Ok(Place { size, descriptor_area: area(QUEUE_DESCRIPTORS)?, device_area: area(QUEUE_DEVICE)? })
}

/// Where the registers are that all virtio devices have.
fn common_configuration(device: PciAddress) -> Option<usize> {
    // SAFETY: the walk along the buses found the function; what is read has no side effects.
    let read = |offset: u16| unsafe { PciAccess.read(device, offset) };
    let mut next = read(CAPABILITIES) & 0xfc;
    while next != 0 {
        let at = u16::try_from(next).ok()?;
        let head = read(at);
        if head & 0xff == VENDOR_SPECIFIC && head >> 24 == COMMON {
            let bar = BARS + 4 * u16::try_from(read(at + 4) & 0xff).ok()?;
            let (low, high) = (read(bar), read(bar + 4));
            let is_64_bit = low & 0b110 == 0b100;
            let base = u64::from(low & !0xf) | if is_64_bit { u64::from(high) << 32 } else { 0 };
            let physical = base + u64::from(read(at + 8));
            // SAFETY: the device says that its registers are there.
            let window = unsafe { MMIO.map_mmio(physical, COMMON_BYTES) };
            return match window {
                Some(RegisterWindow::Memory(pointer)) => Some(pointer.addr().get()),
                _ => None,
            };
        }
        next = head >> 8 & 0xfc;
    }
    None
}

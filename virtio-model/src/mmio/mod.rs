//! A virtio device behind MMIO registers, of version 2 or of version 1.
//!
//! Spec: §4.2 Virtio Over MMIO. What is behind the registers (status, features, queues, lies) is the same as behind those of a
//! [`PciDevice`], and so is the test's side: [`MmioDevice::device`]. Registers are strict, as they are there: an access of the wrong width, a write against the
//! rules, or an acknowledgement of what was not raised is a driver error.

mod registers;
#[cfg(test)]
mod tests;

use crate::pci::PciDevice;
use crate::pci::state::all_ones;

/// Where the configuration space begins.
const CONFIG: u64 = 0x100;

/// What only MMIO registers hold.
#[derive(Debug, Clone)]
pub(crate) struct Registers {
    magic: u32,
    version: u32,
    device_type: u32,
    /// Legacy: bytes of a page.
    page_bytes: u32,
    /// Legacy: where used rings may start.
    queue_align: u32,
    /// Shared memory regions: number, physical address, length.
    regions: Vec<(u8, u64, u64)>,
    region_select: u32,
}

/// One device; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct MmioDevice {
    device: PciDevice,
}

impl MmioDevice {
    /// A device of version 2 behind registers. What is PCI's about `device` is not used.
    pub fn new(device: PciDevice, device_type: u32) -> Self {
        Self::with_version(device, device_type, 2)
    }

    /// A device of version 1, which offers no feature beyond bit 31.
    pub fn legacy(device: PciDevice, device_type: u32) -> Self {
        device.lock().is_legacy = true;
        Self::with_version(device, device_type, 1)
    }

    fn with_version(device: PciDevice, device_type: u32, version: u32) -> Self {
        let registers = Registers {
            magic: 0x7472_6976,
            version,
            device_type,
            page_bytes: 0,
            queue_align: 0,
            regions: Vec::new(),
            region_select: 0,
        };
        {
            let mut state = device.lock();
            // There is no such switch here.
            state.config_space.make_bus_master();
            state.mmio = Some(registers);
        }
        Self { device }
    }

    /// The device behind the registers: what it was told, what its driver did wrong, its lies.
    pub const fn device(&self) -> &PciDevice {
        &self.device
    }

    /// Makes the magic value, or the version, another one.
    pub fn pretend(&self, magic: u32, version: u32) {
        self.change(|registers| (registers.magic, registers.version) = (magic, version));
    }

    /// Adds a shared memory region: its number, physical address and length.
    pub fn add_region(&self, number: u8, address: u64, bytes: u64) {
        self.change(|registers| registers.regions.push((number, address, bytes)));
    }

    fn change(&self, change: impl FnOnce(&mut Registers)) {
        let mut state = self.device.lock();
        if let Some(registers) = &mut state.mmio {
            change(registers);
        }
    }

    /// Reads `width` bytes (1, 2 or 4) at `offset` of the registers.
    pub fn read(&self, offset: u64, width: u8) -> u32 {
        let mut state = self.device.lock();
        if state.is_removed() { all_ones(width) } else { state.mmio_read(offset, width) }
    }

    /// Writes `width` bytes (1, 2 or 4) at `offset` of the registers.
    pub fn write(&self, offset: u64, width: u8, value: u32) {
        let mut state = self.device.lock();
        if !state.is_removed() {
            state.mmio_write(offset, width, value);
        }
    }
}

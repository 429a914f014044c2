//! MMIO registers as a driver sees them, with a modelled device behind them.
//!
//! Spec: §4.2 Virtio Over MMIO. Nothing here judges: what a driver does wrong is the model's to say.

use virtio_guest::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};
use virtio_guest::raw::Registers;
use virtio_model::mmio::MmioDevice;

use crate::pci::bytes;

struct Window(MmioDevice);

// SAFETY: each access goes to the modelled device, as it is.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        self.0.read(offset as u64, bytes(width))
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        self.0.write(offset as u64, bytes(width), value);
    }
}

struct Mapper(MmioDevice);

// SAFETY: the window is made of calls; there is no memory behind it.
unsafe impl MapMmio for Mapper {
    unsafe fn map_mmio(&self, _: u64, _: usize) -> Option<RegisterWindow> {
        Some(RegisterWindow::Handler(Box::leak(Box::new(Window(self.0.clone())))))
    }
}

/// The registers of the modelled device, for `MmioTransport::open`: a window of so many bytes. It lives as long as the test process, as those of a kernel do.
///
/// A second window is a second driver of one device, which confuses driver and device, and nothing else.
pub fn registers(device: &MmioDevice, size_bytes: usize) -> Registers {
    // SAFETY: the registers are modelled. Whatever a driver tells the device, the device reaches memory through an `AddressSpace` alone, which has in it what is
    // allocated or mapped, for as long as it is.
    let registers = unsafe { Registers::map(&Mapper(device.clone()), 0, size_bytes) };
    registers.expect("a call can always be mapped")
}

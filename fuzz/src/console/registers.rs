//! The way to the device: modelled registers, which a static window finds.
//!
//! Spec: §4.2 Virtio Over MMIO.

use std::cell::RefCell;

use virtio_guest::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};
use virtio_guest::raw::Registers;
use virtio_guest::transport::mmio::MmioTransport;
use virtio_model::mmio::MmioDevice;

/// Bytes of the device's registers.
const WINDOW_BYTES: usize = 0x200;

thread_local! {
    static DEVICE: RefCell<Option<MmioDevice>> = const { RefCell::new(None) };
}

fn with<R>(access: impl FnOnce(&MmioDevice) -> R) -> R {
    DEVICE.with_borrow(|device| access(device.as_ref().expect("a device")))
}

/// Puts a device behind the window, and opens it.
pub(super) fn open(device: MmioDevice) -> MmioTransport {
    DEVICE.set(Some(device));
    // SAFETY: the registers are modelled, and what they learn of is reached through the model's address space alone.
    let registers = unsafe { Registers::map(&Mapper, 0, WINDOW_BYTES) };
    let registers = registers.expect("a window that is made of calls");
    let transport = MmioTransport::open(registers).expect("registers of a device");
    transport.expect("a device that is there")
}

struct Window;

static WINDOW: Window = Window;

// SAFETY: each access goes to the modelled device, as it is.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        with(|device| device.read(offset as u64, width.bytes() as u8))
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        with(|device| device.write(offset as u64, width.bytes() as u8, value));
    }
}

struct Mapper;

// SAFETY: the window is made of calls; there is no memory behind it.
unsafe impl MapMmio for Mapper {
    unsafe fn map_mmio(&self, _: u64, _: usize) -> Option<RegisterWindow> {
        Some(RegisterWindow::Handler(&WINDOW))
    }
}

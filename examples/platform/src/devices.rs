//! Virtio devices, whatever they are behind: PCI, or MMIO registers that the machine names.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use pci_types::PciAddress;
use virtio_guest::raw::{PciFunction, Registers};
use virtio_guest::transport::mmio::MmioTransport;
use virtio_guest::transport::pci::{ConfigWindow, PciTransport};
use virtio_guest::transport::{AnyTransport, Transport};
use virtio_guest::wire::device_type::DeviceType;

use crate::interrupts::Line;
use crate::pci::{self, PciAccess};
use crate::{MMIO, machine};

pub use crate::wiring::{Interrupts, Prepared, Waiting, Wiring};

/// A place where virtio over MMIO may be.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Where its registers are.
    pub physical_address: u64,
    /// Bytes of them.
    pub size_bytes: u64,
    /// Its interrupt line.
    pub line: Line,
}

/// The way to a device.
pub type Way = AnyTransport<PciAccess>;

/// A device, and where it was found.
pub struct Device {
    /// In words.
    pub place: String,
    /// The way to it.
    pub transport: Way,
    address: Option<PciAddress>,
    line: Option<Line>,
}

/// Whether the command line asks for no BAR to be mapped: `registers=config-space`.
fn registers_through_config_space() -> bool {
    crate::command_line().split_ascii_whitespace().any(|word| word == "registers=config-space")
}

/// Opens all devices of a type: those on the PCI bus, then those in slots.
///
/// # Errors
/// What is wrong with a device that should be one.
///
/// # Safety
/// Nobody else drives these devices, now or later.
pub unsafe fn open_all(wanted: DeviceType) -> Result<Vec<Device>, String> {
    let functions = pci::functions().iter().filter(|found| found.device_type() == Some(wanted));
    let mut devices = Vec::new();
    for found in functions {
        // SAFETY: the function is on this machine's bus, its BARs are its own, and the caller promised the rest.
        let function = unsafe { PciFunction::claim(PciAccess, found.address) };
        let opened = if registers_through_config_space() {
            ConfigWindow::find(function)
                .map(|window| PciTransport::open_through_config_space(Box::leak(Box::new(window))).into())
        } else {
            AnyTransport::open_pci(function, &MMIO)
        };
        let transport = opened.map_err(|error| alloc::format!("{}: {error}", found.address))?;
        let (address, mechanism, interface) = (found.address, PciAccess.mechanism(), transport.interface());
        let line = found.line.map(|line| Line::Pci {
            root_device: line.device,
            root_pin: line.pin,
            line_register: line.register,
        });
        let registers =
            if registers_through_config_space() { ", registers through configuration space" } else { "" };
        let place = alloc::format!(
            "{address} (PCI, {interface:?} interface, configuration through {mechanism}{registers})"
        );
        devices.push(Device { place, transport, address: Some(address), line });
    }
    for slot in machine::slots() {
        let (address, size_bytes) = (slot.physical_address, slot.size_bytes);
        let size_bytes = usize::try_from(size_bytes).map_err(|error| error.to_string())?;
        // SAFETY: the machine says that registers of virtio over MMIO are there; the caller promised the rest.
        let registers = unsafe { Registers::map(&MMIO, address, size_bytes) };
        let registers = registers.ok_or_else(|| alloc::format!("no way to map {address:#x}"))?;
        let transport =
            MmioTransport::open(registers).map_err(|error| alloc::format!("{address:#x}: {error}"))?;
        if let Some(transport) = transport
            && transport.device_type() == wanted
        {
            let place = alloc::format!("{address:#x} (MMIO, {:?} interface)", transport.interface());
            let transport = AnyTransport::Mmio(transport);
            devices.push(Device { place, transport, address: None, line: Some(slot.line) });
        }
    }
    Ok(devices)
}

/// Opens the first device of a type; `None` if there is none.
///
/// # Errors
/// As [`open_all`].
///
/// # Safety
/// As [`open_all`].
pub unsafe fn open_first(wanted: DeviceType) -> Result<Option<Device>, String> {
    // SAFETY: the caller's promise.
    Ok(unsafe { open_all(wanted) }?.into_iter().next())
}

/// Opens all devices of a type, for a program that drives all of them: whoever asks again gets none.
///
/// # Errors
/// They were taken; or as [`open_all`].
pub fn take_all(wanted: DeviceType) -> Result<Vec<Device>, String> {
    /// One bit for each type.
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let bit = 1_u64.checked_shl(wanted.0.into()).ok_or("there is no such type of device")?;
    if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(alloc::format!("devices of type {} were taken before", wanted.0));
    }
    // SAFETY: they are opened here once; whoever opens devices otherwise has promised that nobody else drives them.
    unsafe { open_all(wanted) }
}

/// Opens the first disk, for a program that has one driver: whoever asks again gets none.
///
/// # Errors
/// There is no disk; or as [`take_all`].
pub fn take_disk() -> Result<Device, String> {
    let disk = take_all(DeviceType::BLOCK)?.into_iter().next();
    disk.ok_or_else(|| {
        "no virtio block device found, neither on the PCI bus nor behind MMIO: start QEMU with -device virtio-blk-pci,drive=... (or virtio-blk-device) and a matching -drive".into()
    })
}

/// Opens the first memory balloon, if there is one: whoever asks again gets none.
///
/// # Errors
/// As [`take_all`].
pub fn take_balloon() -> Result<Option<Device>, String> {
    Ok(take_all(DeviceType::BALLOON)?.into_iter().next())
}

/// Opens the first entropy device, if there is one: whoever asks again gets none.
///
/// # Errors
/// As [`take_all`].
pub fn take_entropy() -> Result<Option<Device>, String> {
    Ok(take_all(DeviceType::ENTROPY)?.into_iter().next())
}

/// Opens all network cards, for a program that drives all of them: whoever asks again gets none.
///
/// # Errors
/// There is none; or as [`take_all`].
pub fn take_network_cards() -> Result<Vec<Device>, String> {
    let cards = take_all(DeviceType::NETWORK)?;
    if cards.is_empty() {
        return Err("no virtio network card found, neither on the PCI bus nor behind MMIO: start QEMU with -device virtio-net-pci,netdev=... (or virtio-net-device) and a matching -netdev".into());
    }
    Ok(cards)
}

/// Opens the first console, for a program that has one driver: whoever asks again gets none.
///
/// # Errors
/// There is none; or as [`take_all`].
pub fn take_console() -> Result<Device, String> {
    let console = take_all(DeviceType::CONSOLE)?.into_iter().next();
    console.ok_or_else(|| {
        "no virtio console found, neither on the PCI bus nor behind MMIO: start QEMU with -device virtio-serial-pci (or virtio-serial-device), -device virtconsole,chardev=... and a matching -chardev".into()
    })
}

impl Device {
    /// The PCI function that it is, if it is one.
    pub fn address(&self) -> Option<PciAddress> {
        self.address
    }

    /// Its interrupt line, if it has one.
    pub fn line(&self) -> Option<Line> {
        self.line
    }
}

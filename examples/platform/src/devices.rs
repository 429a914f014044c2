//! Virtio devices, whatever they are behind: PCI, or MMIO registers that the machine names.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pci_types::PciAddress;
use virtio_guest::hal::{MsiMessage, Patience};
use virtio_guest::raw::{PciFunction, Registers};
use virtio_guest::transport::mmio::MmioTransport;
use virtio_guest::transport::pci::{ConfigWindow, PciTransport};
use virtio_guest::transport::{AnyTransport, Transport};
use virtio_guest::wire::device_type::DeviceType;

use crate::clock::{self, Deadline};
use crate::interrupts::{Line, Sleep, Source};
use crate::pci::{self, PciAccess};
use crate::{MMIO, machine};

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

/// A device, and where it was found.
pub struct Device {
    /// In words.
    pub place: String,
    /// The way to it.
    pub transport: AnyTransport<PciAccess>,
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

/// How a program learns that a device is done with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// Messages.
    Messages,
    /// The device's interrupt line.
    Line,
    /// Not at all: it looks again and again.
    None,
}

impl Interrupts {
    /// In the words that a command line has for it.
    const NAMES: [(&str, Self); 3] =
        [("msi-x", Self::Messages), ("line", Self::Line), ("polling", Self::None)];

    /// What the command line asks for with `interrupts=`; an error names a word that it does not know.
    pub fn asked_for() -> Result<Option<Self>, String> {
        let mut words = crate::command_line().split_ascii_whitespace();
        let Some(word) = words.find_map(|word| word.strip_prefix("interrupts=")) else { return Ok(None) };
        let known = Self::NAMES.into_iter().find(|(name, _)| *name == word);
        known.map(|(_, kind)| Some(kind)).ok_or_else(|| alloc::format!("interrupts={word} is not known"))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// What a device interrupts with.
#[derive(Debug)]
pub struct Wiring {
    /// How.
    pub kind: Interrupts,
    /// One per message, or one for the line.
    pub sources: Vec<Source>,
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

    /// Connects the device's interrupts before it is started: for a driver with one queue. With `wanted` that way and no other, else the best that device and machine have.
    ///
    /// # Errors
    /// The wanted way is not there.
    pub fn connect(&mut self, wanted: Option<Interrupts>) -> Result<Wiring, String> {
        self.connect_at(wanted, 0)
    }

    /// The same, for a driver that waits on this processor ([`cpus`](crate::cpus)), which was started: lines are only there for the one that booted.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_at(&mut self, wanted: Option<Interrupts>, processor: usize) -> Result<Wiring, String> {
        let ways: Box<[Interrupts]> = match wanted {
            Some(way) => Box::new([way]),
            None => Box::new([Interrupts::Messages, Interrupts::Line, Interrupts::None]),
        };
        let wired = ways.iter().find_map(|way| {
            let sources = match way {
                Interrupts::Messages => self.connect_messages(processor),
                Interrupts::Line if processor != 0 => None,
                Interrupts::Line => self.connect_line().map(|source| alloc::vec![source]),
                Interrupts::None => Some(Vec::new()),
            }?;
            Some(Wiring { kind: *way, sources })
        });
        let name = wanted.map_or("", Interrupts::name);
        wired.ok_or_else(|| {
            alloc::format!("interrupts={name}: this device or this machine does not have them")
        })
    }

    /// A message for the configuration and one for the queue, or one for both.
    fn connect_messages(&mut self, processor: usize) -> Option<Vec<Source>> {
        let address = self.address?;
        let count = usize::from(self.transport.msi_x_entries().min(2));
        let messages = (0..count).map(|_| Source::message_at(address, processor));
        let messages = messages.collect::<Option<Vec<(Source, MsiMessage)>>>()?;
        let (sources, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        self.transport.enable_msi_x(&messages).ok()?;
        Some(sources)
    }

    fn connect_line(&mut self) -> Option<Source> {
        let line = self.line?;
        Source::line(line, self.transport.use_interrupt_line()?)
    }
}

impl Wiring {
    /// Patience for so many milliseconds from now on: asleep if something interrupts.
    pub fn patience(&self, millis: u64) -> Waiting {
        match self.kind {
            Interrupts::None => Waiting::Looking(clock::within_millis(millis)),
            _ => Waiting::Sleeping(Sleep::within_millis(millis)),
        }
    }

    /// How many interrupts arrived so far.
    pub fn arrived(&self) -> u64 {
        self.sources.iter().map(Source::arrived).sum()
    }
}

/// A wait that looks again and again, or sleeps.
#[derive(Clone, Copy, Debug)]
pub enum Waiting {
    /// Looks.
    Looking(Deadline),
    /// Sleeps.
    Sleeping(Sleep),
}

impl Patience for Waiting {
    fn keep_waiting(&mut self) -> bool {
        match self {
            Self::Looking(deadline) => deadline.keep_waiting(),
            Self::Sleeping(sleep) => sleep.keep_waiting(),
        }
    }
}

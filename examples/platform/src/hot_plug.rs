//! Slots whose device can be taken out while the machine runs: what is asked of a kernel then.
//!
//! PCI Express Base Specification, §6.7 PCI Express Hot-Plug Support, §7.5.3.9 to §7.5.3.11 (slot registers). Somebody presses the slot's attention button (QEMU does at `device_del`); the
//! kernel switches the slot off, and from then on there is no device. A driver that was not told first sees a surprise removal. There are no interrupts here: who wants to know asks.

use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::Patience;

use crate::clock;
use crate::pci::{self, PciAccess};

/// Where a function's list of capabilities begins, and how many there can be.
const CAPABILITIES: u16 = 0x34;
const CAPABILITIES_MAX: usize = 48;
/// The capability of PCI Express; in its first word: there is a slot behind the port.
const PCI_EXPRESS: u8 = 0x10;
const HAS_SLOT: u32 = 1 << 24;
/// Words of that capability: what the slot has; control (lower half) and status (upper half, cleared by ones).
const SLOT_CAPABILITIES: u16 = 0x14;
const SLOT_CONTROL: u16 = 0x18;
/// Slot capabilities: an attention button, power control, hot-plug; commands complete at once, without saying so.
const BUTTON: u32 = 1;
const POWER_CONTROLLER: u32 = 1 << 1;
const HOT_PLUG: u32 = 1 << 6;
const IS_SILENT: u32 = 1 << 18;
/// Slot control: the power indicator, on and off; the power is off.
const INDICATOR: u32 = 0b11 << 8;
const INDICATOR_ON: u32 = 0b01 << 8;
const INDICATOR_OFF: u32 = 0b11 << 8;
const POWER_OFF: u32 = 1 << 10;
/// Slot status: the button was pressed; a command is complete; there is a device.
const PRESSED: u32 = 1 << 16;
const COMPLETED: u32 = 1 << 20;
const PRESENT: u32 = 1 << 22;
/// How long a slot may take for a command.
const COMMAND_MILLIS: u64 = 1000;

/// The slot that a function is plugged into.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The port above it.
    port: PciAddress,
    /// Where the port has its PCI Express capability.
    capability: u16,
}

fn read(port: PciAddress, offset: u16) -> u32 {
    // SAFETY: a port that the walk along the buses found; offsets are aligned, and reading headers, capability lists and slot registers has no side effects.
    unsafe { PciAccess.read(port, offset & 0xfc) }
}

impl Slot {
    /// The slot of a function; `None` if nothing can be taken out of there.
    pub fn of(function: PciAddress) -> Option<Self> {
        let port = pci::port_above(function)?;
        let slot = Self { port, capability: capability(port)? };
        let (has, wanted) = (slot.word(SLOT_CAPABILITIES), BUTTON | POWER_CONTROLLER | HOT_PLUG);
        let is_one = slot.word(0) & HAS_SLOT != 0 && has & wanted == wanted;
        is_one.then_some(slot)
    }

    /// Whether the button was pressed since the slot was last told something: the device is to go. (People may press it once more within five seconds, to take that back; nobody does here.)
    pub fn removal_is_asked_for(&self) -> bool {
        self.word(SLOT_CONTROL) & PRESSED != 0
    }

    /// Whether there is a device in it.
    pub fn has_device(&self) -> bool {
        self.word(SLOT_CONTROL) & PRESENT != 0
    }

    /// Says with the indicator that the device is in use: nobody is to pull it out.
    ///
    /// Work: waits for the slot, for a second at most.
    pub fn mark_in_use(&self) {
        self.command(|control| control & !INDICATOR | INDICATOR_ON);
    }

    /// Takes the power away, whatever the device is at, then says with the indicator that it may be pulled out.
    ///
    /// Work: waits for the slot, twice, for a second at most.
    ///
    /// Spec: §6.7.1.5 Power Controller, §6.7.1.1 Indicators.
    pub fn switch_off(&self) {
        self.command(|control| control | POWER_OFF);
        self.command(|control| control & !INDICATOR | INDICATOR_OFF);
    }

    /// Changes the control register, and waits until the slot has done what that means.
    fn command(&self, change: impl Fn(u32) -> u32) {
        let control = self.word(SLOT_CONTROL) & 0xffff;
        let word = change(control) & 0xffff | PRESSED | COMPLETED;
        // SAFETY: the word is the slot's control register, which nobody else here writes, and bits of its status that are cleared. A device without power accesses no memory.
        unsafe { PciAccess.write(self.port, self.capability + SLOT_CONTROL, word) };
        let is_silent = self.word(SLOT_CAPABILITIES) & IS_SILENT != 0;
        let mut patience = clock::within_millis(COMMAND_MILLIS);
        while !is_silent && self.word(SLOT_CONTROL) & COMPLETED == 0 && patience.keep_waiting() {}
    }

    fn word(&self, offset: u16) -> u32 {
        read(self.port, self.capability + offset)
    }
}

/// Where a port has its PCI Express capability.
fn capability(port: PciAddress) -> Option<u16> {
    let [mut at, ..] = read(port, CAPABILITIES).to_le_bytes();
    for _ in 0..CAPABILITIES_MAX {
        // All slot registers are inside of the list's part of configuration space.
        if !(0x40..=0xe4).contains(&at) {
            return None;
        }
        let [id, next, ..] = read(port, at.into()).to_le_bytes();
        if id == PCI_EXPRESS {
            return Some(u16::from(at & 0xfc));
        }
        at = next;
    }
    None
}

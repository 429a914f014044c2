//! I/O APICs: what turns the level of a line into a message to a processor.
//!
//! Intel 82093AA datasheet, §3. Each has some pins, numbered through over all of them; each pin has an entry that says which vector goes to whom. Two registers
//! are in memory: one chooses, the other is what was chosen.

use alloc::vec::Vec;

use spin::Mutex;
use virtio_guest::hal::MapMmio;

use super::super::topology::IoApicPlace;
use crate::dma::MMIO;

const SELECT: usize = 0;
const WINDOW: usize = 0x10;
const BYTES: usize = 0x20;

const VERSION: u32 = 1;
/// The first entry; two registers each.
const ENTRIES: u32 = 0x10;

const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// A line as a pin sees it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Pin {
    /// Its number over all I/O APICs.
    pub(in super::super) number: u32,
    /// Whether it is low while there is an interrupt.
    pub(in super::super) is_active_low: bool,
}

struct IoApic {
    base: usize,
    first_pin: u32,
    pins: u32,
}

static IO_APICS: Mutex<Vec<IoApic>> = Mutex::new(Vec::new());

impl IoApic {
    fn read(&self, register: u32) -> u32 {
        self.select(register);
        // SAFETY: mapped when it was found, aligned, and the table's lock is held.
        unsafe { ((self.base + WINDOW) as *const u32).read_volatile() }
    }

    fn write(&self, register: u32, value: u32) {
        self.select(register);
        // SAFETY: as for reading; vectors are those of this kernel's gates.
        unsafe { ((self.base + WINDOW) as *mut u32).write_volatile(value) };
    }

    fn select(&self, register: u32) {
        // SAFETY: as for reading; choosing a register changes nothing else.
        unsafe { ((self.base + SELECT) as *mut u32).write_volatile(register) };
    }
}

/// Takes over all of them, and masks every pin.
pub(super) fn init(places: &[IoApicPlace]) {
    let mut found = IO_APICS.lock();
    for place in places {
        // SAFETY: firmware says that an I/O APIC is there, and nobody but this module uses it.
        if unsafe { MMIO.map_mmio(place.address, BYTES) }.is_none() {
            continue;
        }
        let mut io_apic = IoApic { base: place.address as usize, first_pin: place.first_pin, pins: 0 };
        io_apic.pins = (io_apic.read(VERSION) >> 16 & 0xff) + 1;
        for pin in 0..io_apic.pins {
            io_apic.write(ENTRIES + 2 * pin, MASKED);
        }
        found.push(io_apic);
    }
}

/// Lets a level-triggered line through, as a vector of one processor's. `None` if no I/O APIC has the pin.
pub(super) fn route(pin: Pin, vector: u8, processor: u8) -> Option<()> {
    let io_apics = IO_APICS.lock();
    let has_it =
        |io_apic: &&IoApic| (io_apic.first_pin..io_apic.first_pin + io_apic.pins).contains(&pin.number);
    let io_apic = io_apics.iter().find(has_it)?;
    let entry = ENTRIES + 2 * (pin.number - io_apic.first_pin);
    let polarity = if pin.is_active_low { ACTIVE_LOW } else { 0 };
    io_apic.write(entry, MASKED);
    io_apic.write(entry + 1, u32::from(processor) << 24);
    io_apic.write(entry, u32::from(vector) | LEVEL | polarity);
    Some(())
}

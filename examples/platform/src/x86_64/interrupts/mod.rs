//! Interrupts: from devices, by message or by line, and from a timer, for a program that waits.
//!
//! Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller (APIC)".
//!
//! ```text
//!   device ── message (MSI-X) ─────────────────────────▶ local APIC ──▶ vector ──▶ arrived(source)
//!   device ── line ──▶ I/O APIC: pin to vector ────────▶     │
//!                                       timer ───────────────┘
//! ```
//!
//! Each source has a vector of its own. Lines go to the boot processor, messages to any. A processor takes what comes to it in [`wait`] and nowhere else.

mod entry;
mod io_apic;
pub(super) mod local_apic;
mod timer;

use core::arch::asm;
use core::time::Duration;

use pci_types::PciAddress;
use spin::Mutex;
use virtio_guest::hal::MsiMessage;

pub(super) use self::entry::entry_point;
pub(super) use self::io_apic::Pin;
use super::{cpus, ports, topology};
use crate::clock;
use crate::interrupts::{Line, SOURCES_MAX, halt, set_up};

/// Where messages to local APICs go; the processor's number is in bits 12 to 19.
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

/// Finds the interrupt controllers, masks everything, and gets the boot processor ready to wait.
pub(crate) fn init() {
    mask_legacy_controllers();
    local_apic::init();
    io_apic::init(&topology::get().io_apics);
    timer::init();
    set_up();
}

/// Gets another processor ready to wait: the one that runs this.
pub(super) fn init_other() {
    local_apic::enable();
    timer::enable();
    set_up();
}

/// The two 8259 controllers, if the machine has them: all they could say comes through the I/O APIC, too.
fn mask_legacy_controllers() {
    for data_port in [0x21, 0xa1] {
        // SAFETY: masks all lines of one controller, or goes nowhere.
        unsafe { ports::write_u8(data_port, 0xff) };
    }
}

/// A source's vector.
fn vector(source: usize) -> Option<u8> {
    u8::try_from(source)
        .ok()
        .filter(|source| *source < entry::SOURCES)
        .map(|source| entry::FIRST_SOURCE + source)
}

/// The message which, when a device sends it, is an interrupt of a source's at a processor that was started.
pub(crate) fn message(source: usize, _: PciAddress, processor: usize) -> Option<MsiMessage> {
    let address = MESSAGE_ADDRESS | u64::from(cpus::apic_number(processor)?) << 12;
    let vector = u32::from(vector(source)?); // fixed delivery, edge-triggered: no more bits
    // SAFETY: a write there is an interrupt with that vector at that processor, which has a gate for it, and nothing else.
    Some(unsafe { MsiMessage::new(address, vector) })
}

/// Lets a level-triggered line through.
///
/// A PCI function's line is where firmware says, in the function's own register: firmware routed it to one of the ISA bus's interrupts, and ACPI says which pin that is.
/// Elsewhere the number is the pin's.
pub(crate) fn connect(source: usize, line: Line) -> Option<()> {
    let pin = match line {
        Line::Pci { line_register, .. } => topology::get().pci_pin(line_register)?,
        Line::Cells([number, ..]) => Pin { number, is_active_low: false },
    };
    let mut lines = LINES.lock();
    // A pin has one vector: that of the first source with this line, for which `sharing` finds the others.
    let first = lines.iter().position(|number| *number == Some(pin.number)).unwrap_or(source);
    *lines.get_mut(source)? = Some(pin.number);
    io_apic::route(pin, vector(first)?, local_apic::boot_processor())
}

/// Which pin each source has, if it has a line. Several may have the same.
static LINES: Mutex<[Option<u32>; SOURCES_MAX]> = Mutex::new([None; SOURCES_MAX]);

/// All sources that an interrupt of this one's vector may be for.
fn sharing(source: usize) -> impl Iterator<Item = usize> {
    let lines = *LINES.lock();
    let line = lines.get(source).copied().flatten();
    let has_line =
        move |other: &usize| lines.get(*other).is_some_and(|number| number.is_some() && *number == line);
    let others = (0..SOURCES_MAX).filter(has_line);
    core::iter::once(source).filter(move |_| line.is_none()).chain(others)
}

/// Has this processor sleep until it has handled an interrupt, or until that moment of the clock. One that arrived before is handled at once.
pub(crate) fn wait(until: Duration) {
    let before = entry::handled();
    // SAFETY: lets one interrupt through; its handler keeps all registers, and switches interrupts off again.
    unsafe { asm!("sti", "nop", "cli") };
    while entry::handled() == before {
        let left = until.saturating_sub(clock::now());
        if left.is_zero() {
            break;
        }
        timer::start(left);
        // SAFETY: as above. Interrupts are let in after the instruction behind `sti`: none comes between it and `hlt`, which any interrupt ends.
        halt(|| unsafe { asm!("sti", "hlt", "cli") });
    }
    timer::stop();
}

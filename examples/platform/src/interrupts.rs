//! Interrupts of devices: counted, quieted, and waited for.
//!
//! Where they come from and how they are routed is the machine's business; a [`Source`] is what a program has of one. The programs here take interrupts only while
//! they wait for them (everywhere else they are masked), so a handler never runs beside the code that it interrupts.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;

use pci_types::PciAddress;
use spin::Once;
use virtio_guest::hal::{MsiMessage, Patience};
use virtio_guest::transport::InterruptLine;

use crate::{clock, machine};

/// As many sources as there can be.
pub(crate) const SOURCES_MAX: usize = 32;

/// How often a device is asked for its cause, at most, until it has none.
const LOOKS_MAX: usize = 4;

/// What is known of a source.
struct Entry {
    arrived: AtomicU64,
    line: Once<(InterruptLine, usize)>,
}

static ENTRIES: [Entry; SOURCES_MAX] =
    [const { Entry { arrived: AtomicU64::new(0), line: Once::new() } }; SOURCES_MAX];
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// How a line is named where it was found.
#[derive(Clone, Copy, Debug)]
pub enum Line {
    /// A PCI function's.
    Pci {
        /// The device on the root bus that it arrives through: the function's own, or the first bridge's.
        root_device: u8,
        /// The pin that it arrives at there: 1 to 4.
        root_pin: u8,
        /// What firmware left in the function's Interrupt Line register.
        line_register: u8,
    },
    /// As a device tree has it (an interrupt specifier, filled up with zeros), or by a number alone.
    Cells([u32; 3]),
}

/// Interrupts of one kind, from one device.
#[derive(Debug)]
pub struct Source(usize);

impl Source {
    /// A source that nothing arrives at yet; `None` if all are taken.
    fn new() -> Option<Self> {
        let index = TAKEN.fetch_add(1, Ordering::Relaxed);
        (index < SOURCES_MAX).then_some(Self(index))
    }

    /// A source, and the message that a function is to send for it. `None` if the machine has no such interrupts.
    pub fn message(function: PciAddress) -> Option<(Self, MsiMessage)> {
        let source = Self::new()?;
        let message = machine::interrupts::message(source.0, function)?;
        Some((source, message))
    }

    /// A source for the line of a device. `None` if the machine cannot route it.
    pub fn line(line: Line, device: InterruptLine) -> Option<Self> {
        let source = Self::new()?;
        // Lines of PCI are levels. Others may be wired so that their rising is what interrupts: then a line has to fall before it interrupts again, and what comes
        // while one cause is acknowledged keeps it up.
        let looks = if matches!(line, Line::Pci { .. }) { 1 } else { LOOKS_MAX };
        ENTRIES.get(source.0)?.line.call_once(|| (device, looks));
        machine::interrupts::connect(source.0, line)?;
        Some(source)
    }

    /// How many interrupts arrived; with lines those that had a cause.
    pub fn arrived(&self) -> u64 {
        ENTRIES.get(self.0).map_or(0, |entry| entry.arrived.load(Ordering::Acquire))
    }
}

/// Takes an interrupt: counts it, and has its device let go of its line. Called by the machine's handler.
pub(crate) fn arrived(source: usize) {
    let Some(entry) = ENTRIES.get(source) else { return };
    let has_cause = entry.line.get().is_none_or(|(line, looks)| {
        let causes = (0..*looks).map(|_| line.acknowledge());
        causes.take_while(|cause| cause.used_buffer || cause.configuration_change).count() > 0
    });
    if has_cause {
        entry.arrived.fetch_add(1, Ordering::Release);
    }
}

/// Patience that sleeps until something interrupts, for so many milliseconds in all.
#[derive(Clone, Copy, Debug)]
pub struct Sleep {
    until: Duration,
}

impl Sleep {
    /// For so many milliseconds from now on.
    pub fn within_millis(millis: u64) -> Self {
        Self { until: clock::now() + Duration::from_millis(millis) }
    }
}

impl Patience for Sleep {
    fn keep_waiting(&mut self) -> bool {
        machine::interrupts::wait(self.until);
        clock::now() < self.until
    }
}

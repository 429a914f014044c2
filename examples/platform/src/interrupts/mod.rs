//! Interrupts of devices: handled, counted, and waited for.
//!
//! Where they come from and how they are routed is the machine's business; a [`Source`] is what a program has of one. Lines interrupt the processor that booted, messages whichever
//! they are made for. A processor takes interrupts only while it waits for them (everywhere else they are masked), so a handler never runs beside the code that it interrupts.

mod processors;

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;

use pci_types::PciAddress;
use spin::Once;
use virtio_guest::hal::{MsiMessage, Patience};
use virtio_guest::transport::InterruptLine;

use crate::{clock, machine};

pub use processors::{Idle, idle};
#[cfg(target_arch = "x86_64")]
pub(crate) use processors::{PROCESSORS_MAX, woken};
pub(crate) use processors::{halt, set_up, wait_until_up};

/// As many sources as there can be.
pub(crate) const SOURCES_MAX: usize = 32;

/// How often a handler is asked for a cause, at most, until it has none.
const LOOKS_MAX: usize = 4;

/// What a program does about an interrupt. Says whether there was one.
type Handler = Box<dyn Fn() -> bool + Send + Sync>;

/// What is known of a source.
struct Entry {
    arrived: AtomicU64,
    handler: Once<Handler>,
    /// How often the handler of a line is asked; messages are no lines.
    line_looks: Once<usize>,
}

static ENTRIES: [Entry; SOURCES_MAX] =
    [const { Entry { arrived: AtomicU64::new(0), handler: Once::new(), line_looks: Once::new() } };
        SOURCES_MAX];
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

    /// A source, and the message that a function is to send for it, to the processor that booted. `None` if the machine has no such interrupts.
    pub fn message(function: PciAddress) -> Option<(Self, MsiMessage)> {
        Self::message_at(function, 0)
    }

    /// The same, to any processor, by its number in [`cpus`](crate::cpus). It takes the message once it waits; one that has halted for good never does. `None` also if that processor was not
    /// started.
    pub fn message_at(function: PciAddress, processor: usize) -> Option<(Self, MsiMessage)> {
        if !processors::is_up(processor) {
            return None;
        }
        let source = Self::new()?;
        let message = machine::interrupts::message(source.0, function, processor)?;
        Some((source, message))
    }

    /// A source for the line of a device, which lets go of it when it is asked for its cause. `None` if the machine cannot route it.
    pub fn line(line: Line, device: InterruptLine) -> Option<Self> {
        Self::shared_line(line, move || {
            let cause = device.acknowledge();
            cause.used_buffer || cause.configuration_change
        })
    }

    /// A source for a line that devices may share. `None` if the machine cannot route it.
    ///
    /// Each time the line is raised, all its sources' handlers are called. One says whether its own device had a cause, and has the device let go of the line: else the interrupt comes
    /// again and again. See [`attach`](Self::attach) for what handlers may do.
    pub fn shared_line(line: Line, handler: impl Fn() -> bool + Send + Sync + 'static) -> Option<Self> {
        let source = Self::new()?;
        // Lines of PCI are levels. Others may be wired so that their rising is what interrupts: then a line has to fall before it interrupts again, and what comes
        // while one cause is acknowledged keeps it up.
        let looks = if matches!(line, Line::Pci { .. }) { 1 } else { LOOKS_MAX };
        ENTRIES.get(source.0)?.line_looks.call_once(|| looks);
        source.attach(handler).ok()?;
        machine::interrupts::connect(source.0, line)?;
        // A line that rises no more because it is up already would stay silent, where its rising is what counts, and where a controller has not seen it rise while it was masked (QEMU's I/O APIC).
        // Some devices raise theirs as soon as their driver is ready.
        arrived(source.0);
        Some(source)
    }

    /// Has a handler called for each interrupt from now on, for as long as the machine runs. It says whether there was a cause; what has none is not counted.
    ///
    /// It runs inside of a wait, with interrupts masked, so it can take locks that nobody keeps while they wait. It must not wait itself.
    ///
    /// # Errors
    /// The source has a handler, as those of lines have.
    pub fn attach(&self, handler: impl Fn() -> bool + Send + Sync + 'static) -> Result<(), &'static str> {
        let entry = ENTRIES.get(self.0).ok_or("there is no such source")?;
        let mut is_taken = false;
        entry.handler.call_once(|| {
            is_taken = true;
            Box::new(handler)
        });
        if is_taken { Ok(()) } else { Err("the source has a handler") }
    }

    /// How many interrupts arrived that had a cause; messages without a handler need none.
    pub fn arrived(&self) -> u64 {
        ENTRIES.get(self.0).map_or(0, |entry| entry.arrived.load(Ordering::Acquire))
    }
}

/// Takes an interrupt: has it handled, and counts it. Called by the machine's handler.
pub(crate) fn arrived(source: usize) {
    let Some(entry) = ENTRIES.get(source) else { return };
    let looks = entry.line_looks.get().copied();
    let has_cause = match entry.handler.get() {
        Some(handler) => (0..looks.unwrap_or(1)).take_while(|_| handler()).count() > 0,
        None => looks.is_none(),
    };
    if has_cause {
        entry.arrived.fetch_add(1, Ordering::Release);
    }
}

/// Has this processor sleep until it has handled an interrupt, or until that moment of the clock. Another processor's interrupts do not end it.
///
/// Interrupts that came before are handled at once, and end it as well. So whoever waits for something looks whether it is there, and waits again.
pub fn wait(until: Duration) {
    machine::interrupts::wait(until);
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
        wait(self.until);
        clock::now() < self.until
    }
}

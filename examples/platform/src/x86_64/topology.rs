//! Processors and I/O APICs: how many there are, and where.
//!
//! From ACPI's MADT (ACPI Specification 6.5, §5.2.12), else from the tables of the MultiProcessor Specification 1.4, which firmware leaves on
//! machines without ACPI (`microvm,acpi=off`). Where there are neither, there is one processor, and an I/O APIC at that specification's default address.

use alloc::vec;
use alloc::vec::Vec;

use spin::Once;

use super::interrupts::Pin;
use super::{acpi, mp_table};

/// Where an I/O APIC is by default (MultiProcessor Specification, §3.6.5).
const DEFAULT_IO_APIC: u64 = 0xfec0_0000;

/// Where an I/O APIC is, and what its first pin is, counted over all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct IoApicPlace {
    pub(super) address: u64,
    pub(super) first_pin: u32,
}

/// An interrupt of the ISA bus that is not at the pin of its number, or not as that bus has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Override {
    pub(super) isa_interrupt: u8,
    pub(super) pin: u32,
    pub(super) polarity: Polarity,
}

/// What a line is while there is an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polarity {
    /// As the bus that it comes from has it.
    OfBus,
    High,
    Low,
}

/// What is known of the machine.
#[derive(Debug)]
pub(super) struct Topology {
    /// The numbers of the local APICs of processors that can be used, in firmware's order.
    pub(super) processors: Vec<u8>,
    pub(super) io_apics: Vec<IoApicPlace>,
    pub(super) overrides: Vec<Override>,
}

impl Topology {
    fn default() -> Self {
        let io_apics = vec![IoApicPlace { address: DEFAULT_IO_APIC, first_pin: 0 }];
        Self { processors: Vec::new(), io_apics, overrides: Vec::new() }
    }

    /// The pin of an interrupt that firmware routed a PCI line to. `None` if it says that there is none.
    pub(super) fn pci_pin(&self, line_register: u8) -> Option<Pin> {
        // PCI Local Bus Specification 3.0, §6.2.4: 255 is no connection, and the numbers are those of the two 8259 controllers.
        if line_register > 15 {
            return None;
        }
        let moved = self.overrides.iter().find(|moved| moved.isa_interrupt == line_register);
        let number = moved.map_or(u32::from(line_register), |moved| moved.pin);
        // PCI's lines are low while there is an interrupt.
        let is_active_low = moved.is_none_or(|moved| moved.polarity != Polarity::High);
        Some(Pin { number, is_active_low })
    }
}

/// What firmware says, looked up once.
pub(super) fn get() -> &'static Topology {
    static TOPOLOGY: Once<Topology> = Once::new();
    TOPOLOGY.call_once(|| acpi::topology().or_else(mp_table::topology).unwrap_or_else(Topology::default))
}

//! What modern and legacy devices have in common: a claimed function, and how it interrupts.
//!
//! Spec: §4.1.5.1.2 MSI-X Vector Configuration, §4.1.5.3 Notifications From The Device. From opening on a function interrupts in no way, until its kernel has chosen one:
//! messages, or the line.

use pci_types::{ConfigRegionAccess, PciAddress};

use super::capability::{Bars, walk};
use super::msi_x::{self, MsiX, MsiXError};
use crate::hal::{MapMmio, MsiMessage};
use crate::raw::{PciFunction, Registers};
use crate::transport::InterruptLine;

/// Command register: the function answers port accesses, answers memory accesses, may access memory itself, does not use its interrupt line.
pub(super) const IO_SPACE: u16 = 1;
pub(super) const MEMORY_SPACE: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
const LINE_DISABLED: u16 = 1 << 10;
/// Where the word with the interrupt pin is; the pin is its second byte, 0 for none.
const INTERRUPT: u8 = 0x3c;

/// See the module's head.
pub(super) struct Endpoint<A> {
    function: PciFunction<A>,
    msi_x: Option<MsiX>,
}

impl<A: ConfigRegionAccess> Endpoint<A> {
    /// Finds out how the function can interrupt, and switches all of it off. A capability list that cannot be walked has no MSI-X.
    pub(super) fn new(mut function: PciFunction<A>, bars: &Bars, mapper: &impl MapMmio) -> Self {
        let mut capability = None;
        let walked = walk(&function, |id, at, _| {
            if id == msi_x::CAPABILITY_ID && capability.is_none() {
                capability = Some(at);
            }
        });
        let msi_x = walked.ok().and_then(|()| MsiX::find(&mut function, capability?, bars, mapper));
        function.set_command(function.command() | LINE_DISABLED);
        Self { function, msi_x }
    }

    /// Lets the function answer in these spaces, and access memory.
    pub(super) fn switch_on(&mut self, spaces: u16) {
        self.function.set_command(self.function.command() | spaces | BUS_MASTER);
    }

    pub(super) const fn address(&self) -> PciAddress {
        self.function.address()
    }

    pub(super) fn msi_x_entries(&self) -> u16 {
        self.msi_x.as_ref().map_or(0, MsiX::entries)
    }

    pub(super) fn vectors(&self) -> u16 {
        self.msi_x.as_ref().map_or(0, MsiX::messages)
    }

    pub(super) fn enable_msi_x(&mut self, messages: &[MsiMessage]) -> Result<(), MsiXError> {
        self.msi_x.as_mut().ok_or(MsiXError::Absent)?.enable(&mut self.function, messages)
    }

    pub(super) fn disable_msi_x(&mut self) {
        if let Some(msi_x) = &mut self.msi_x {
            msi_x.disable(&mut self.function);
        }
    }

    /// Lets the function use its line, if it has one and MSI-X is off. The ISR status is at `offset` of `registers`.
    pub(super) fn use_line(&mut self, registers: &Registers, offset: usize) -> Option<InterruptLine> {
        let [_, pin, ..] = self.function.read(INTERRUPT).to_le_bytes();
        if pin == 0 || pin == u8::MAX || self.vectors() > 0 {
            return None;
        }
        self.function.set_command(self.function.command() & !LINE_DISABLED);
        Some(InterruptLine::pci(registers.share(), offset))
    }
}

//! What modern and legacy devices have in common: a claimed function, and how it interrupts.
//!
//! Spec: §4.1.5.1.2 MSI-X Vector Configuration, §4.1.5.3 Notifications From The Device. From opening on a function interrupts in no way, until its kernel has chosen one:
//! messages, or the line.

use pci_types::{ConfigRegionAccess, PciAddress};

use super::capability::{Bars, walk};
use super::msi_x::{self, MsiX, MsiXError};
use super::sr_iov;
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
    address: PciAddress,
    /// `None` if it is inside of a [`ConfigWindow`](super::ConfigWindow): then it never interrupts.
    function: Option<PciFunction<A>>,
    msi_x: Option<MsiX>,
    has_sr_iov: bool,
}

/// Lets a function answer in these spaces, and access memory.
fn switch_on<A: ConfigRegionAccess>(function: &mut PciFunction<A>, spaces: u16) {
    function.set_command(function.command() | spaces | BUS_MASTER);
}

/// Where a function's MSI-X capability is. A capability list that cannot be walked has none.
fn msi_x_capability<A: ConfigRegionAccess>(function: &PciFunction<A>) -> Option<u8> {
    let mut capability = None;
    let walked = walk(function, |id, at, _| {
        if id == msi_x::CAPABILITY_ID && capability.is_none() {
            capability = Some(at);
        }
    });
    walked.ok().and(capability)
}

fn has_sr_iov<A: ConfigRegionAccess>(function: &PciFunction<A>) -> bool {
    sr_iov::capability(|offset| function.read_extended(offset)).is_some()
}

impl<A: ConfigRegionAccess> Endpoint<A> {
    /// Finds out how the function can interrupt, switches all of it off, and lets it answer in these spaces and access memory.
    pub(super) fn new(mut function: PciFunction<A>, bars: &Bars, mapper: &impl MapMmio, spaces: u16) -> Self {
        let msi_x = msi_x_capability(&function).and_then(|at| MsiX::find(&mut function, at, bars, mapper));
        function.set_command(function.command() | LINE_DISABLED);
        switch_on(&mut function, spaces);
        let has_sr_iov = has_sr_iov(&function);
        Self { address: function.address(), function: Some(function), msi_x, has_sr_iov }
    }

    /// For a function that answers in no space: switches off what may interrupt, and lets it access memory.
    pub(super) fn windowed(function: &mut PciFunction<A>) -> Self {
        if let Some(at) = msi_x_capability(function) {
            msi_x::switch_off(function, at);
        }
        function.set_command(function.command() | LINE_DISABLED);
        switch_on(function, 0);
        Self { address: function.address(), function: None, msi_x: None, has_sr_iov: has_sr_iov(function) }
    }

    /// Whether it is a physical function with virtual ones.
    pub(super) const fn has_sr_iov(&self) -> bool {
        self.has_sr_iov
    }

    pub(super) const fn address(&self) -> PciAddress {
        self.address
    }

    pub(super) fn msi_x_entries(&self) -> u16 {
        self.msi_x.as_ref().map_or(0, MsiX::entries)
    }

    pub(super) fn vectors(&self) -> u16 {
        self.msi_x.as_ref().map_or(0, MsiX::messages)
    }

    pub(super) fn enable_msi_x(&mut self, messages: &[MsiMessage]) -> Result<(), MsiXError> {
        match (&mut self.msi_x, &mut self.function) {
            (Some(msi_x), Some(function)) => msi_x.enable(function, messages),
            _ => Err(MsiXError::Absent),
        }
    }

    pub(super) fn disable_msi_x(&mut self) {
        if let (Some(msi_x), Some(function)) = (&mut self.msi_x, &mut self.function) {
            msi_x.disable(function);
        }
    }

    /// Lets the function use its line, if it has one and MSI-X is off. The ISR status is at `offset` of `registers`.
    pub(super) fn use_line(&mut self, registers: &Registers, offset: usize) -> Option<InterruptLine> {
        let vectors = self.vectors();
        let function = self.function.as_mut()?;
        let [_, pin, ..] = function.read(INTERRUPT).to_le_bytes();
        if pin == 0 || pin == u8::MAX || vectors > 0 {
            return None;
        }
        function.set_command(function.command() & !LINE_DISABLED);
        Some(InterruptLine::pci(registers.share(), offset))
    }
}

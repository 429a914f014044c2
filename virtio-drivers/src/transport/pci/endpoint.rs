//! What modern and legacy devices have in common: a claimed function, and how it interrupts.
//!
//! Spec: §4.1.5.1.2 MSI-X Vector Configuration, §4.1.5.3 Notifications From The Device. From opening on a function interrupts in no way, until its kernel has chosen one:
//! messages, or the line. And it accesses no memory, until its driver has seen it reset: whoever drove it before may have left it queues.

use pci_types::{ConfigRegionAccess, PciAddress};

use super::capability::{Bars, walk};
use super::msi_x::{self, MsiX, MsiXError};
use super::sr_iov;
use crate::hal::{AccessWidth, MapMmio, MsiMessage};
use crate::raw::{CommandRegister, PciFunction, Registers, WindowedFunction};
use crate::transport::VectorRefused;
use crate::wire::pci::NO_VECTOR;
use crate::wire::status::Status;

/// Command register: the function answers port accesses, answers memory accesses, may access memory itself, does not use its interrupt line.
pub(super) const IO_SPACE: u16 = 1;
pub(super) const MEMORY_SPACE: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
const LINE_DISABLED: u16 = 1 << 10;
/// The capability of the older kind of messages, and the switch in its first word.
const MSI: u8 = 0x05;
const MSI_ENABLED: u32 = 1 << 16;
/// Where the word with the interrupt pin is; the pin is its second byte, 0 for none.
const INTERRUPT: u8 = 0x3c;

/// See the module's head.
pub(super) struct Endpoint<A> {
    address: PciAddress,
    /// `None` if it is inside of a [`ConfigWindow`](super::ConfigWindow): then it never interrupts.
    function: Option<PciFunction<A>>,
    /// The way to its command register, then.
    window: Option<&'static dyn CommandRegister>,
    /// Whether it may access memory.
    is_master: bool,
    msi_x: Option<MsiX>,
    has_sr_iov: bool,
}

/// Lets a function answer in these spaces, and neither use its line nor access memory.
fn switch_on<A: ConfigRegionAccess>(function: &mut PciFunction<A>, spaces: u16) {
    function.set_command(function.command() & !BUS_MASTER | LINE_DISABLED | spaces);
}

/// Where a function's MSI-X capability is, if it has one. Messages of the older kind (MSI), which it may have beside, are never used: they are switched off.
///
/// A capability list that leads nowhere in the end has what comes before: firmware may have switched that on.
fn message_capability<A: ConfigRegionAccess>(function: &mut PciFunction<A>) -> Option<u8> {
    let (mut msi_x, mut msi) = (None, None);
    // Who needs the whole list says what is wrong with it.
    let _ = walk(function, |id, at, _| match id {
        msi_x::CAPABILITY_ID => msi_x = msi_x.or(Some(at)),
        MSI => msi = msi.or(Some(at)),
        _ => {}
    });
    if let Some(at) = msi {
        let control = function.read(at);
        if control & MSI_ENABLED != 0 {
            function.write(at, control & !MSI_ENABLED);
        }
    }
    msi_x
}

fn has_sr_iov<A: ConfigRegionAccess>(function: &PciFunction<A>) -> bool {
    sr_iov::capability(|offset| function.read_extended(offset)).is_some()
}

impl<A: ConfigRegionAccess> Endpoint<A> {
    /// Finds out how the function can interrupt, switches all of it off, and lets it answer in these spaces.
    pub(super) fn new(mut function: PciFunction<A>, bars: &Bars, mapper: &impl MapMmio, spaces: u16) -> Self {
        let msi_x =
            message_capability(&mut function).and_then(|at| MsiX::find(&mut function, at, bars, mapper));
        switch_on(&mut function, spaces);
        let (address, has_sr_iov) = (function.address(), has_sr_iov(&function));
        Self { address, function: Some(function), window: None, is_master: false, msi_x, has_sr_iov }
    }

    /// For a function that answers in no space: switches off what may interrupt.
    pub(super) fn windowed(window: &'static mut WindowedFunction<A>) -> (Self, &'static WindowedFunction<A>)
    where
        A: Send,
    {
        let function = window.function_mut();
        if let Some(at) = message_capability(function) {
            msi_x::switch_off(function, at);
        }
        switch_on(function, 0);
        let (address, has_sr_iov) = (function.address(), has_sr_iov(function));
        let window: &'static WindowedFunction<A> = window;
        let endpoint =
            Self { address, function: None, window: Some(window), is_master: false, msi_x: None, has_sr_iov };
        (endpoint, window)
    }

    /// Lets the function access memory from now on.
    pub(super) fn let_access_memory(&mut self) {
        if core::mem::replace(&mut self.is_master, true) {
            return;
        }
        if let Some(function) = &mut self.function {
            function.set_command(function.command() | BUS_MASTER);
        } else if let Some(window) = self.window {
            window.add_commands(BUS_MASTER);
        }
    }

    /// Whether nobody answers for the function any more, as far as that shows elsewhere than in its registers. (Registers in a window are in configuration space, too: all of them read
    /// all ones then.)
    pub(super) fn is_gone(&self) -> bool {
        self.function.as_ref().is_some_and(PciFunction::is_gone)
    }

    /// What a status register that reads this says. Registers of a function that is gone read all ones on most machines, and 0 behind some host bridges, QEMU's q35 for one: that is
    /// no device that was reset.
    pub(super) fn judge(&self, bits: u32) -> Status {
        match Status::from_bits_retain((bits & 0xff) as u8) {
            status if status.is_empty() && self.is_gone() => Status::REMOVED,
            status => status,
        }
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

    /// Writes the vector register at `offset` of these registers: the device's, or the selected queue's. It reads back what the device took.
    pub(super) fn set_vector(
        &self,
        registers: &Registers,
        offset: usize,
        vector: u16,
    ) -> Result<(), VectorRefused> {
        if vector >= self.vectors() {
            return Err(VectorRefused);
        }
        registers.write(offset, AccessWidth::Word, vector.into());
        let read = registers.read(offset, AccessWidth::Word);
        if read == u32::from(vector) {
            return Ok(());
        }
        if read != u32::from(NO_VECTOR) {
            // Neither what was asked for, nor nothing: what that would send is anyone's guess.
            registers.write(offset, AccessWidth::Word, NO_VECTOR.into());
        }
        Err(VectorRefused)
    }

    /// Lets the function use its line, if it has one and MSI-X is off, and says whether that is so.
    pub(super) fn use_line(&mut self) -> bool {
        let vectors = self.vectors();
        let Some(function) = &mut self.function else { return false };
        let [_, pin, ..] = function.read(INTERRUPT).to_le_bytes();
        if pin == 0 || pin == u8::MAX || vectors > 0 {
            return false;
        }
        function.set_command(function.command() & !LINE_DISABLED);
        true
    }
}

//! MSI-X: a table of messages in a BAR, and the switch for it.
//!
//! PCI Local Bus Specification 3.0, §6.8.2; spec: §4.1.5.1.2 MSI-X Vector Configuration. Which vector is sent when is in registers of virtio's own, which the
//! transports write; here is what all PCI functions have.

use pci_types::ConfigRegionAccess;

use super::capability::Bars;
use crate::hal::{AccessWidth, MapMmio, MsiMessage};
use crate::raw::{PciFunction, Registers};

/// The capability's id.
pub(super) const CAPABILITY_ID: u8 = 0x11;
/// Bytes of the capability.
const CAPABILITY_BYTES: u8 = 12;
/// In the capability's first word: entries less one, all masked, on.
const ENTRIES_SHIFT: u32 = 16;
const ENTRIES_MASK: u32 = 0x7ff;
const ALL_MASKED: u32 = 1 << 30;
const ENABLED: u32 = 1 << 31;
/// Bytes of an entry: address (two words), data, control.
const ENTRY_BYTES: u32 = 16;
const ENTRY_MASKED: u32 = 1;

/// Messages could not be given to a device; it sends none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MsiXError {
    /// The function has no MSI-X capability, or a table that is not inside of a BAR, or that the kernel could not map.
    #[error("the function has no usable MSI-X table")]
    Absent,
    /// There are more messages than entries for them, or none.
    #[error("{messages} messages do not go into a table of {entries} entries")]
    TableSize {
        /// How many messages there are.
        messages: usize,
        /// How many entries there are.
        entries: u16,
    },
}

/// A function's table.
#[derive(Debug)]
pub(super) struct MsiX {
    /// Where the capability is.
    at: u8,
    entries: u16,
    table: Registers,
    /// Entries in use; 0 if MSI-X is off.
    messages: u16,
}

impl MsiX {
    /// The table that the capability `at` speaks of, switched off; `None` if it is of no use.
    pub(super) fn find<A: ConfigRegionAccess>(
        function: &mut PciFunction<A>,
        at: u8,
        bars: &Bars,
        mapper: &impl MapMmio,
    ) -> Option<Self> {
        let control = function.read(at);
        // First of all: whatever is wrong with the table, what firmware may have left on is not to be used.
        switch_off(function, at);
        at.checked_add(CAPABILITY_BYTES - 1)?;
        let entries = (control >> ENTRIES_SHIFT & ENTRIES_MASK) + 1;
        let place = function.read(at.checked_add(4)?);
        let bar = bars.get((place & 7) as usize)?.as_ref()?;
        let table = bar.map(mapper, u64::from(place & !7), entries * ENTRY_BYTES)?;
        Some(Self { at, entries: u16::try_from(entries).ok()?, table, messages: 0 })
    }

    pub(super) const fn entries(&self) -> u16 {
        self.entries
    }

    pub(super) const fn messages(&self) -> u16 {
        self.messages
    }

    /// Fills the table and switches it on. Entries without a message stay masked.
    pub(super) fn enable<A: ConfigRegionAccess>(
        &mut self,
        function: &mut PciFunction<A>,
        messages: &[MsiMessage],
    ) -> Result<(), MsiXError> {
        let entries = self.entries;
        let count = match u16::try_from(messages.len()) {
            Ok(count) if (1..=entries).contains(&count) => count,
            _ => return Err(MsiXError::TableSize { messages: messages.len(), entries }),
        };
        write_control(function, self.at, ENABLED | ALL_MASKED);
        for (index, message) in
            (0..usize::from(entries)).zip(messages.iter().map(Some).chain(core::iter::repeat(None)))
        {
            self.write_entry(index, message);
        }
        write_control(function, self.at, ENABLED);
        self.messages = count;
        Ok(())
    }

    /// Switches MSI-X off.
    pub(super) fn disable<A: ConfigRegionAccess>(&mut self, function: &mut PciFunction<A>) {
        switch_off(function, self.at);
        self.messages = 0;
    }

    fn write_entry(&self, index: usize, message: Option<&MsiMessage>) {
        let at = index * ENTRY_BYTES as usize;
        let write = |offset, value| self.table.write(at + offset, AccessWidth::Long, value);
        write(12, ENTRY_MASKED);
        if let Some(message) = message {
            write(0, (message.address() & 0xffff_ffff) as u32);
            write(4, (message.address() >> 32) as u32);
            write(8, message.data());
            write(12, 0);
        }
    }
}

/// Switches MSI-X off, by its capability.
pub(super) fn switch_off<A: ConfigRegionAccess>(function: &mut PciFunction<A>, at: u8) {
    write_control(function, at, 0);
}

/// Writes the switches of the capability at `at`. Id, link and size in the same word are read-only.
fn write_control<A: ConfigRegionAccess>(function: &mut PciFunction<A>, at: u8, bits: u32) {
    let control = function.read(at) & !(ENABLED | ALL_MASKED);
    function.write(at, control | bits);
}

//! The BARs of virtual functions: one register for all of them.
//!
//! PCI Express Base Specification, §9.3.3.14 (VF BAR0 to BAR5). A BAR of the capability says how large that of one virtual function is; from its address on they lie one behind the other:
//!
//! ```text
//!   address            + size             + 2 · size
//!   ┌──────────────────┬──────────────────┬──────────────────┐
//!   │ virtual function │ virtual function │ virtual function │
//!   │ 0                │ 1                │ 2                │
//!   └──────────────────┴──────────────────┴──────────────────┘
//! ```

use pci_types::ConfigRegionAccess;

use super::super::space::Space;
use super::{EnableError, Settings, SrIov, register};
use crate::raw::{BarPlace, VirtualFunctionMemory};
use crate::wire::bar;

/// Registers for BARs; one of 64 bits takes two.
pub(super) const BARS: usize = bar::BARS as usize;

/// What a BAR asks for.
#[derive(Clone, Copy)]
struct Asked {
    size_bytes: u64,
    is_64: bool,
    prefetchable: bool,
}

/// The places of the first virtual function's BARs.
pub(super) type Places = [Option<BarPlace>; BARS];

/// The places of the BARs of virtual function `index`, counted from 0.
pub(super) fn places_of(first: &Places, index: u16) -> Places {
    first.map(|place| {
        place.map(|(address, bytes)| (address.saturating_add(bytes.saturating_mul(index.into())), bytes))
    })
}

impl<A: ConfigRegionAccess> SrIov<A> {
    /// Sizes all BARs, and gives each its address. None of them is answered to meanwhile.
    pub(super) fn place_bars(
        &mut self,
        settings: &Settings,
        memory: &VirtualFunctionMemory,
    ) -> Result<Places, EnableError> {
        let mut memory_32 = Space::new(memory.memory_32.start, memory.memory_32.end.min(1 << 32));
        let mut memory_64 = Space::new(memory.memory_64.start, memory.memory_64.end);
        let mut places = [None; BARS];
        let mut is_upper_half = false;
        for (index, place) in (0..).zip(&mut places) {
            if core::mem::take(&mut is_upper_half) {
                continue;
            }
            let Some(asked) = self.size_bar(index)? else { continue };
            is_upper_half = asked.is_64;
            if asked.size_bytes < settings.page_bytes {
                return Err(EnableError::ImpossibleBar { index });
            }
            let (bytes, times) = (asked.size_bytes, settings.count.into());
            let wide =
                if asked.is_64 && asked.prefetchable { memory_64.take_several(bytes, times) } else { None };
            let address = wide.or_else(|| memory_32.take_several(bytes, times));
            let address = address.ok_or(EnableError::NoRoom { index, bytes })?;
            self.write_bar(index, address, asked.is_64)?;
            *place = Some((address, bytes));
        }
        Ok(places)
    }

    /// What BAR `index` asks for; `None` if there is none. Its address is 0 afterwards.
    fn size_bar(&mut self, index: u8) -> Result<Option<Asked>, EnableError> {
        let low = self.probe(index);
        if low == 0 {
            return Ok(None);
        }
        let is_64 = bar::is_64_bit(low);
        // Virtual functions have no ports.
        if bar::is_ports(low) || is_64 && usize::from(index) + 1 >= BARS {
            return Err(EnableError::ImpossibleBar { index });
        }
        let high = is_64.then(|| self.probe(index + 1));
        let size_bytes = bar::memory_bytes(low, high).ok_or(EnableError::ImpossibleBar { index })?;
        Ok(Some(Asked { size_bytes, is_64, prefetchable: bar::is_prefetchable(low) }))
    }

    /// Which bits of a register can be written.
    fn probe(&mut self, index: u8) -> u32 {
        let register = register_of(index);
        self.write(register, u32::MAX);
        let writable = self.read(register);
        self.write(register, 0);
        writable
    }

    /// Gives a BAR its address. A BAR that has another one afterwards would have virtual functions answer where something else is.
    fn write_bar(&mut self, index: u8, address: u64, is_64: bool) -> Result<(), EnableError> {
        let (low, high) = ((address & 0xffff_ffff) as u32, (address >> 32) as u32);
        self.write(register_of(index), low);
        let mut taken = self.read(register_of(index)) & bar::MEMORY_ADDRESS == low;
        if is_64 {
            self.write(register_of(index + 1), high);
            taken &= self.read(register_of(index + 1)) == high;
        }
        if taken { Ok(()) } else { Err(EnableError::ImpossibleBar { index }) }
    }

    /// Takes all addresses away.
    pub(super) fn clear_bars(&mut self) {
        for index in (0..).take(BARS) {
            self.write(register_of(index), 0);
        }
    }
}

const fn register_of(index: u8) -> u16 {
    register::FIRST_BAR + 4 * index as u16
}

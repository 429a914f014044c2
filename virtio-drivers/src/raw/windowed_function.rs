//! A function whose registers are reached through its configuration space alone.
//!
//! Spec: §4.1.4.9 PCI configuration access capability. The capability's own fields say where in which BAR the next access goes, and how wide it is; the access
//! itself is one to the field behind them:
//!
//! ```text
//!   capability  + 4   BAR
//!               + 8   offset in the BAR
//!               + 12  width: 1, 2 or 4
//!               + 16  reading it reads the register, writing it writes the register
//! ```
//!
//! These four accesses belong together, so there is a lock around them. [`ConfigWindow`](crate::transport::pci::ConfigWindow) makes such a function, and the
//! windows of its transport are calls to here.

use core::fmt;
use core::ptr;

use pci_types::ConfigRegionAccess;
use spin::Mutex;

use super::pci_function::PciFunction;
use super::registers::{Registers, all_ones};
use crate::hal::{AccessWidth, RegisterHandler};
use crate::wire::pci::config_access;

/// As many structures as are reached.
pub(crate) const STRUCTURES: usize = 4;

/// Where a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StructurePlace {
    pub(crate) bar: u8,
    pub(crate) offset: u32,
    /// All of them are below 2³², counted from the BAR's start.
    pub(crate) bytes: u32,
}

/// See the module's head.
pub(crate) struct WindowedFunction<A> {
    function: Mutex<PciFunction<A>>,
    /// The capability's offset.
    at: u8,
    places: [Option<StructurePlace>; STRUCTURES],
}

impl<A> fmt::Debug for WindowedFunction<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowedFunction")
            .field("at", &self.at)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

/// The command register of such a function.
pub(crate) trait CommandRegister: Sync {
    /// Sets these bits.
    fn add_commands(&self, bits: u16);
}

impl<A: ConfigRegionAccess + Send> CommandRegister for WindowedFunction<A> {
    fn add_commands(&self, bits: u16) {
        let mut function = self.function.lock();
        let command = function.command();
        function.set_command(command | bits);
    }
}

/// A function together with the number of one of its structures.
#[repr(transparent)]
struct Structure<A, const N: usize>(WindowedFunction<A>);

impl<A: ConfigRegionAccess + Send> WindowedFunction<A> {
    /// A function whose access capability, all of it inside of the first 256 bytes, is `at`, and these structures of it.
    pub(crate) const fn new(
        function: PciFunction<A>,
        at: u8,
        places: [Option<StructurePlace>; STRUCTURES],
    ) -> Self {
        Self { function: Mutex::new(function), at, places }
    }

    /// The function itself, before anybody has registers.
    pub(crate) fn function_mut(&mut self) -> &mut PciFunction<A> {
        self.function.get_mut()
    }

    /// The registers of structure `N`; none of them, if there is no such structure.
    pub(crate) fn registers<const N: usize>(&'static self) -> Registers
    where
        A: 'static,
    {
        let bytes = self.places.get(N).copied().flatten().map_or(0, |place| place.bytes);
        // SAFETY: the wrapper is transparent, so it is the same value, under another type.
        let structure = unsafe { &*ptr::from_ref(self).cast::<Structure<A, N>>() };
        Registers::handled(structure, usize::try_from(bytes).unwrap_or(0))
    }

    /// Where in which BAR an access goes. That it is aligned and inside of the structure is seen to by the [`Registers`], and by the rules for where structures begin.
    fn place(&self, structure: usize, offset: usize) -> Option<(u8, u32)> {
        let place = self.places.get(structure)?.as_ref()?;
        Some((place.bar, place.offset.checked_add(u32::try_from(offset).ok()?)?))
    }

    /// Points the capability at a register.
    fn select(&self, function: &mut PciFunction<A>, bar: u8, offset: u32, width: AccessWidth) {
        // What shares a word with the BAR's number can only be read.
        function.write(self.field(config_access::BAR), u32::from(bar));
        function.write(self.field(config_access::OFFSET), offset);
        let bytes = match width {
            AccessWidth::Byte => 1,
            AccessWidth::Word => 2,
            AccessWidth::Long => 4,
        };
        function.write(self.field(config_access::LENGTH), bytes);
    }

    /// The offset of one of the capability's fields, which are inside.
    const fn field(&self, behind: u8) -> u8 {
        self.at.wrapping_add(behind)
    }
}

// SAFETY: an access goes to the claimed function's own register at that place, once, with its width, and in order, since the lock is held from the first of
// its parts to the last, and nobody else writes that function's configuration space. Where no device is, configuration space reads all ones.
unsafe impl<A: ConfigRegionAccess + Send, const N: usize> RegisterHandler for Structure<A, N> {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        let Some((bar, offset)) = self.0.place(N, offset) else { return all_ones(width) };
        let mut function = self.0.function.lock();
        self.0.select(&mut function, bar, offset, width);
        function.read(self.0.field(config_access::DATA)) & all_ones(width)
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        let Some((bar, offset)) = self.0.place(N, offset) else { return };
        let mut function = self.0.function.lock();
        self.0.select(&mut function, bar, offset, width);
        function.write(self.0.field(config_access::DATA), value & all_ones(width));
    }
}

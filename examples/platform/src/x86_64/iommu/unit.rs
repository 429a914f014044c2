//! A remapping unit: from a function to its domain, and the accesses that it did not let through.
//!
//! VT-d, chapter "DMA Remapping" (root and context tables). An entry of either has two words.

use core::fmt;
use core::sync::atomic::{AtomicU16, Ordering};

use pci_types::PciAddress;
use spin::Mutex;

use super::domain::Domain;
use super::registers::{Levels, Registers};
use super::table::Table;

const PRESENT: u64 = 1;
/// In the upper half of a fault's record: it was a read.
const WAS_READ: u64 = 1 << 62;

/// The unit that translates for the machine's PCI functions.
#[derive(Debug)]
pub struct Unit {
    registers: Registers,
    levels: Levels,
    root: Mutex<Table>,
    domains: AtomicU16,
}

impl Unit {
    /// Takes over the unit whose registers are there, and switches translation on: no function reaches memory until it is in a domain.
    pub(super) fn start(address: u64) -> Option<Self> {
        let registers = Registers::map(address)?;
        let levels = registers.levels()?;
        let root = Table::new(1, registers.walks_are_coherent())?;
        registers.start(root.address());
        Some(Self { registers, levels, root: Mutex::new(root), domains: AtomicU16::new(0) })
    }

    /// A domain that nothing is mapped in. `None` if there is no memory for its tables, or the unit tells no more domains apart.
    pub fn new_domain(&'static self) -> Option<Domain> {
        let after =
            |last: u16| last.checked_add(1).filter(|next| u32::from(*next) < self.registers.domains());
        // Numbers begin with 1: 0 is kept for what is in no domain.
        let last = self.domains.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).ok()?;
        let number = last + 1;
        Domain::new(number, &self.registers, self.levels)
    }

    /// Puts a function into a domain: from now on its addresses are the domain's. `None` if there is no memory for a table.
    ///
    /// Functions behind a bridge to conventional PCI speak in the name of the bridge, which is not provided for here.
    ///
    /// # Safety
    /// The function knows no addresses of another domain: it is reset, and what is mapped in this one is mapped for it, too.
    pub unsafe fn attach(&self, function: PciAddress, domain: Domain) -> Option<()> {
        let mut root = self.root.lock();
        let of_bus = 2 * usize::from(function.bus());
        if root.read(of_bus) & PRESENT == 0 {
            let contexts = Table::new(1, self.registers.walks_are_coherent())?;
            root.write(of_bus, contexts.address() | PRESENT);
        }
        let mut contexts = root.below(of_bus)?;
        let of_function = 2 * (usize::from(function.device()) << 3 | usize::from(function.function()));
        contexts.write(of_function + 1, u64::from(domain.number()) << 8 | self.levels as u64);
        contexts.write(of_function, domain.root() | PRESENT);
        self.registers.invalidate_everything();
        Some(())
    }

    /// Takes the next fault out of the unit's records. There are few of them, and of a function that goes on and on only the first is kept.
    pub fn next_fault(&self) -> Option<Fault> {
        let (address, high) = self.registers.next_fault()?;
        let [function, bus, ..] = high.to_le_bytes();
        Some(Fault {
            function: PciAddress::new(0, bus, function >> 3, function & 0b111),
            address,
            is_write: high & WAS_READ == 0,
            reason: (high >> 32) as u8,
        })
    }
}

/// An access that the unit did not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose.
    pub function: PciAddress,
    /// The page that it was for, as the function sees addresses.
    pub address: u64,
    /// Whether it would have written.
    pub is_write: bool,
    /// Why, as one of the specification's numbers: with 1 and 2 the function is in no domain, with 5 and 6 its domain does not let it write, or read, there.
    pub reason: u8,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, address, is_write, reason } = self;
        let kind = if *is_write { "write to" } else { "read from" };
        write!(f, "{function}: no {kind} {address:#x} (reason {reason})")
    }
}

//! A physical function's SR-IOV capability, and the functions that it brings onto the bus.
//!
//! PCI Express Base Specification, chapter 9 (Single Root I/O Virtualization). The steps are those of [`SrIov`](crate::transport::pci::sr_iov::SrIov); here are the
//! promises of whoever has the machine:
//!
//! ```text
//!   PhysicalFunction          nobody else uses that capability
//!   VirtualFunctionMemory     nothing else is at these addresses           ─▶  VirtualFunction     where one is, and its BARs
//! ```

use core::fmt;
use core::ops::Range;

use pci_types::{ConfigRegionAccess, PciAddress};

/// The SR-IOV capability of one function, ours alone.
pub struct PhysicalFunction<A> {
    access: A,
    address: PciAddress,
}

impl<A> fmt::Debug for PhysicalFunction<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhysicalFunction").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<A: ConfigRegionAccess> PhysicalFunction<A> {
    /// Claims a function's SR-IOV capability. The rest of the function may be its driver's.
    ///
    /// # Safety
    /// - `access` reads and writes the configuration space of the machine that this code runs on, that beyond 256 bytes, too, and gives all ones where none is. `address`
    ///   names a function in it.
    /// - Nobody else writes that function's SR-IOV capability, and nobody but drivers that claimed them (see [`PciFunction::claim_virtual`](super::PciFunction::claim_virtual))
    ///   drives its virtual functions.
    pub const unsafe fn claim(access: A, address: PciAddress) -> Self {
        Self { access, address }
    }

    /// Where the function is on the bus.
    pub const fn address(&self) -> PciAddress {
        self.address
    }

    /// Reads the 32-bit word at `offset` (the low two bits are ignored) of the first 4096 bytes.
    pub(crate) fn read(&self, offset: u16) -> u32 {
        // SAFETY: claiming promised a function there; the offset is aligned and inside. Reading a function's capabilities has no side effects.
        unsafe { self.access.read(self.address, offset & 0xffc) }
    }

    /// Writes the 32-bit word at `offset`, which is one of the SR-IOV capability.
    pub(crate) fn write(&mut self, offset: u16, value: u32) {
        // SAFETY: as for reading, and the capability is ours. What makes virtual functions answer to addresses is written of addresses that are free for them:
        // `VirtualFunctionMemory`, and places on the bus where nobody answered.
        unsafe { self.access.write(self.address, offset & 0xffc, value) };
    }

    /// Reads the 32-bit word at `offset` of another function's header; all ones if there is no such function.
    pub(crate) fn read_of(&self, address: PciAddress, offset: u8) -> u32 {
        // SAFETY: claiming promised that the access is sound. Reading a header has no side effects.
        unsafe { self.access.read(address, u16::from(offset & !3)) }
    }
}

/// Addresses that are free for the BARs of virtual functions of one physical function: they are its from when those are enabled until they are disabled. An empty range is
/// one that there is none of.
///
/// ```compile_fail,E0599
/// # fn example(memory: virtio_guest::raw::VirtualFunctionMemory) {
/// let for_another = memory.clone();
/// # }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct VirtualFunctionMemory {
    /// Memory below 4 GiB.
    pub(crate) memory_32: Range<u64>,
    /// Prefetchable memory, anywhere.
    pub(crate) memory_64: Range<u64>,
}

impl VirtualFunctionMemory {
    /// Memory below 4 GiB, and prefetchable memory anywhere.
    ///
    /// # Safety
    /// - Nothing else is at these addresses, and nothing will be, until the virtual functions that are put there are disabled.
    /// - The host bridge, and all bridges on the way to the physical function, pass these addresses on; the processor finds there what is on the bus.
    pub const unsafe fn new(memory_32: Range<u64>, memory_64: Range<u64>) -> Self {
        Self { memory_32, memory_64 }
    }
}

/// Where a BAR is: first address, and how many.
pub(crate) type BarPlace = (u64, u64);

/// A virtual function that is enabled: where it is, and what its own configuration space does not say. Not a claim on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualFunction {
    address: PciAddress,
    vendor_id: u16,
    device_id: u16,
    bars: [Option<BarPlace>; 6],
}

impl VirtualFunction {
    pub(crate) const fn new(
        address: PciAddress,
        (vendor_id, device_id): (u16, u16),
        bars: [Option<BarPlace>; 6],
    ) -> Self {
        Self { address, vendor_id, device_id, bars }
    }

    /// Where it is on the bus.
    pub const fn address(&self) -> PciAddress {
        self.address
    }

    /// Its vendor: that of the physical function.
    pub const fn vendor_id(&self) -> u16 {
        self.vendor_id
    }

    /// What it is, as the physical function says.
    pub const fn device_id(&self) -> u16 {
        self.device_id
    }

    /// The addresses of memory BAR `index`, if there is one.
    pub fn bar(&self, index: usize) -> Option<Range<u64>> {
        let (address, bytes) = self.bars.get(index).copied().flatten()?;
        Some(address..address.saturating_add(bytes))
    }

    pub(crate) const fn bars(&self) -> [Option<BarPlace>; 6] {
        self.bars
    }
}

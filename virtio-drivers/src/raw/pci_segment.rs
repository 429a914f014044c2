//! The configuration space of all functions of a PCI segment, for those who look for devices.
//!
//! PCI Local Bus Specification 3.0, chapter 6; PCI Express Base Specification, §7.2. Access itself is the kernel's, through `pci_types`.

use core::fmt;
use core::ops::Range;

use pci_types::{ConfigRegionAccess, PciAddress};

/// A segment's configuration space.
pub struct PciSegment<A> {
    access: A,
    segment: u16,
}

impl<A> fmt::Debug for PciSegment<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PciSegment").field("segment", &self.segment).finish_non_exhaustive()
    }
}

impl<A: ConfigRegionAccess> PciSegment<A> {
    /// The functions that `access` reaches with this segment number: 0 where there is one segment only.
    ///
    /// # Safety
    /// `access` reads and writes the configuration space of the machine that this code runs on, and gives all ones where no function is.
    pub const unsafe fn new(access: A, segment: u16) -> Self {
        Self { access, segment }
    }

    /// How configuration space is reached.
    pub const fn access(&self) -> &A {
        &self.access
    }

    /// A function's address.
    pub fn address(&self, bus: u8, device: u8, function: u8) -> PciAddress {
        PciAddress::new(self.segment, bus, device, function)
    }

    /// Reads the 32-bit word at `offset` (the low two bits are ignored) of a function's header.
    pub(crate) fn read(&self, address: PciAddress, offset: u8) -> u32 {
        // SAFETY: whoever made this value promised that the access is sound. Reading what is in a function's header has no side effects.
        unsafe { self.access.read(address, u16::from(offset & !3)) }
    }

    /// Writes the 32-bit word at `offset` of a function's header. [`Apertures`] say that this is up to the caller.
    pub(crate) fn write(&self, _: &Apertures, address: PciAddress, offset: u8, value: u32) {
        // SAFETY: as for reading; whoever made the apertures promised that nobody uses the functions yet.
        unsafe { self.access.write(address, u16::from(offset & !3), value) };
    }
}

/// The addresses that a host bridge passes on to its PCI buses, free to be given to functions: once, since then they are not free any more, and drivers rely on where
/// the functions' registers are.
///
/// They are what a device tree's `ranges` have, as PCI counts addresses. An empty range is one that the bridge does not have.
///
/// ```compile_fail,E0382
/// # fn example(bus: &mut virtio_guest::transport::pci::bus::Bus<impl pci_types::ConfigRegionAccess>, apertures: virtio_guest::raw::Apertures) {
/// bus.assign(apertures);
/// bus.assign(apertures);
/// # }
/// ```
/// ```compile_fail,E0599
/// # fn example(apertures: virtio_guest::raw::Apertures) {
/// let for_later = apertures.clone();
/// # }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Apertures {
    /// Memory below 4 GiB.
    pub(crate) memory_32: Range<u64>,
    /// Prefetchable memory, anywhere.
    pub(crate) memory_64: Range<u64>,
    /// Ports.
    pub(crate) ports: Range<u32>,
}

impl Apertures {
    /// Apertures from their ranges: memory below 4 GiB, memory anywhere, ports.
    ///
    /// # Safety
    /// - Nothing else is at these addresses, and nothing will be.
    /// - No function of the segment is in use: no driver has claimed it, and no interrupt or DMA of it is going on. It stays so until the value is spent or gone.
    pub const unsafe fn new(memory_32: Range<u64>, memory_64: Range<u64>, ports: Range<u32>) -> Self {
        Self { memory_32, memory_64, ports }
    }

    /// Memory below 4 GiB.
    pub const fn memory_32(&self) -> &Range<u64> {
        &self.memory_32
    }

    /// Prefetchable memory, anywhere.
    pub const fn memory_64(&self) -> &Range<u64> {
        &self.memory_64
    }

    /// Ports.
    pub const fn ports(&self) -> &Range<u32> {
        &self.ports
    }
}

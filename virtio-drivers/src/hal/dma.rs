//! Memory that a device may reach: the [`Hal`] trait and the addresses it deals in.
//!
//! Spec: §2.6 Virtqueues, §6 Reserved Feature Bits (`VIRTIO_F_ACCESS_PLATFORM`, `VIRTIO_F_ORDER_PLATFORM`).
//!
//! The drivers never assume that an address means the same to the device as to the CPU: an IOMMU, a
//! bounce buffer or an identity map all hide behind these four methods.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

/// An address as the device sees it: physical, or translated by an IOMMU. Never an address for the CPU.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceAddress(pub u64);

impl fmt::Debug for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceAddress({:#x})", self.0)
    }
}

/// A DMA domain: a set of devices to which a device address means the same memory. An IOMMU may make several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Domain(pub u16);

/// Which way the bytes of a buffer travel, named from the device's side as the specification does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The device reads what the driver wrote: a request header, data to be written to a disk.
    DeviceReadable,
    /// The device writes what the driver will read: data from a disk, a status byte.
    DeviceWritable,
}

/// Memory from [`Hal::allocate_dma`]: where the CPU finds it, where the device finds it, how big it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaRegion {
    /// First byte, for the CPU.
    pub pointer: NonNull<u8>,
    /// First byte, for the device.
    pub device_address: DeviceAddress,
    /// The layout that was asked for; size in bytes.
    pub layout: Layout,
}

/// No DMA memory could be had; nothing was allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaError;

impl fmt::Display for DmaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel has no DMA memory of that size and alignment to give")
    }
}

impl core::error::Error for DmaError {}

/// A buffer could not be mapped for the device; nothing was mapped and the device cannot reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapError;

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel could not map the buffer for the device")
    }
}

impl core::error::Error for MapError {}

/// A kernel's promise about memory that a device reaches. One value per DMA domain; clones speak for the same domain.
///
/// Each driver holds its own value, so two devices may live behind two IOMMU domains. In most kernels the
/// implementor is zero-sized and `clone` costs nothing.
///
/// ```
/// # extern crate std;
/// use core::{alloc::Layout, ptr::NonNull};
/// use virtio_guest::hal::{DeviceAddress, Direction, DmaError, DmaRegion, Hal, MapError};
///
/// /// A kernel whose memory is identity mapped and has no IOMMU.
/// #[derive(Clone)]
/// struct IdentityMapped;
///
/// // SAFETY: the global allocator gives memory that is exclusive, aligned and zeroed; physical addresses equal
/// // virtual ones in this kernel, and every byte of its memory is reachable for every device at all times.
/// unsafe impl Hal for IdentityMapped {
///     fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
///         if layout.size() == 0 {
///             return Err(DmaError);
///         }
///         // SAFETY: the size is not zero.
///         let pointer = unsafe { std::alloc::alloc_zeroed(layout) };
///         let pointer = NonNull::new(pointer).ok_or(DmaError)?;
///         let device_address = DeviceAddress(pointer.addr().get() as u64);
///         Ok(DmaRegion { pointer, device_address, layout })
///     }
///
///     unsafe fn free_dma(&self, region: DmaRegion) {
///         // SAFETY: the caller hands back a region from `allocate_dma`, once.
///         unsafe { std::alloc::dealloc(region.pointer.as_ptr(), region.layout) }
///     }
///
///     unsafe fn map(&self, buffer: NonNull<[u8]>, _: Direction) -> Result<DeviceAddress, MapError> {
///         Ok(DeviceAddress(buffer.addr().get() as u64))
///     }
///
///     unsafe fn unmap(&self, _: DeviceAddress, _: NonNull<[u8]>, _: Direction) {}
/// }
/// ```
///
/// # Safety
///
/// The drivers hand addresses from this trait to a device that reads and writes there on its own. The implementor promises:
///
/// - A region from [`allocate_dma`](Hal::allocate_dma) is valid for reads and writes by CPU and device, aligned as asked,
///   zeroed, contiguous in device addresses, overlaps nothing else that anybody uses, and stays so until
///   [`free_dma`](Hal::free_dma) gives it back, even if every clone of the `Hal` is gone by then.
///   Its device address is a multiple of the alignment asked for, and does not wrap around at its end.
/// - A mapping from [`map`](Hal::map) makes exactly the bytes of the buffer reachable at the device address, contiguously, until
///   [`unmap`](Hal::unmap). With bounce buffers, `map` copies device-readable bytes out and `unmap` copies
///   device-writable bytes back.
/// - CPU accesses to this memory are coherent with the device's (cache maintenance, if any, is done here).
/// - `clone` gives a value of the same domain: what one allocated or mapped, the other can free or unmap.
/// - Values (of any type) that name the same [`domain`](Hal::domain) speak for the same domain: an address from one means the same memory to every
///   device of the other.
pub unsafe trait Hal: Clone {
    /// Which domain this value speaks for. A buffer that was mapped for one domain is refused by the queues of others.
    ///
    /// Kernels with one domain leave it at the default.
    fn domain(&self) -> Domain {
        Domain(0)
    }

    /// Whether its addresses are physical ones: what a device finds memory at that does not offer `ACCESS_PLATFORM`. Such a device goes past IOMMUs, so with addresses that
    /// one translates it would reach somebody else's memory; it is told of none, and its queues are not installed.
    ///
    /// Kernels without an IOMMU leave it at the default.
    ///
    /// Spec: §6.1 Driver Requirements: Reserved Feature Bits.
    fn addresses_are_physical(&self) -> bool {
        true
    }

    /// Allocates zeroed memory that driver and device share for a long time: rings, request headers, bounce buffers.
    ///
    /// Called at bring-up only, never on a data path. `layout` has at least one byte.
    ///
    /// # Errors
    /// - [`DmaError`]: no such memory; the bring-up that asked ends with an error and undoes what it did.
    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError>;

    /// Takes back memory from [`allocate_dma`](Hal::allocate_dma).
    ///
    /// # Safety
    /// `region` came from `allocate_dma` of this domain, is given back once, and neither driver nor device uses it any more.
    unsafe fn free_dma(&self, region: DmaRegion);

    /// Makes a buffer reachable for the device until [`unmap`](Hal::unmap), and says where the device finds it.
    ///
    /// # Errors
    /// - [`MapError`]: no mapping could be made (no room in the IOMMU's or the bounce pool's space); nothing changed.
    ///
    /// # Safety
    /// `buffer` is valid for reads (and, if [`Direction::DeviceWritable`], for writes), stays where it is, and is
    /// used by nobody else until `unmap`.
    unsafe fn map(&self, buffer: NonNull<[u8]>, direction: Direction) -> Result<DeviceAddress, MapError>;

    /// Undoes one [`map`](Hal::map): afterwards the device reaches the buffer no more.
    ///
    /// # Safety
    /// The three arguments are those of one call of `map` of this domain, undone once; the device is done with the buffer.
    unsafe fn unmap(&self, address: DeviceAddress, buffer: NonNull<[u8]>, direction: Direction);
}

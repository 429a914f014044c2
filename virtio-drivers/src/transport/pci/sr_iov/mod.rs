//! Virtual functions: one PCI Express function that becomes several.
//!
//! PCI Express Base Specification, chapter 9 (Single Root I/O Virtualization); spec: §6.1 Driver Requirements: Reserved Feature Bits (`SR_IOV`). For any physical
//! function, virtio or not.
//!
//! ```text
//!   SrIov ── enable ─▶ Enabled ── virtual_functions ─▶ VirtualFunction ── PciFunction::claim_virtual ─▶ a transport
//!     ▲                   │
//!     └───── disable ─────┘
//!
//!   page size ─▶ BARs sized ─▶ BARs placed ─▶ number of functions ─▶ where they will be ─▶ on ─▶ 100 ms ─▶ each answers
//! ```
//!
//! A virtual function's own configuration space has no ids and no BARs: what it is, and where its registers are, is in that of the physical function. Nothing in there is
//! believed: places on the bus must be free, inside of the buses that the caller names, and no two the same; a BAR must have the address that it was given.
//!
//! A virtual function answers memory accesses from when it is enabled, so says the specification; QEMU's do when their own command register says so, too. Opening one
//! writes that as for any function.
//!
//! Bridges are left as they are. Where virtual functions have device numbers above 0 behind a PCI Express port, its ARI Forwarding must be on.
//!
//! ```no_run
//! # use pci_types::{ConfigRegionAccess, PciAddress};
//! # use virtio_guest::hal::Patience;
//! use virtio_guest::raw::{PciFunction, PhysicalFunction, VirtualFunctionMemory};
//! use virtio_guest::transport::pci::PciTransport;
//! use virtio_guest::transport::pci::sr_iov::{Settings, SrIov};
//! # fn within_millis(_: u32) -> impl Patience { || true }
//! # fn three<A: ConfigRegionAccess + Clone>(pci: A, address: PciAddress, mapper: &impl virtio_guest::hal::MapMmio) -> Result<(), Box<dyn core::error::Error>> {
//!
//! // SAFETY: nobody else uses the function's SR-IOV capability.
//! let function = unsafe { PhysicalFunction::claim(pci.clone(), address) };
//! // SAFETY: the bridge above passes these addresses on, and nothing is there.
//! let memory = unsafe { VirtualFunctionMemory::new(0xfea0_0000..0xfeb0_0000, 0..0) };
//! let settings = Settings { count: 3, page_bytes: 4096, buses: 1..=1 };
//! let enabled = SrIov::find(function)?.enable(&settings, memory, within_millis).map_err(|failed| failed.error)?;
//! for virtual_function in enabled.virtual_functions() {
//!     // SAFETY: this is the only claim on it, and it stays enabled while it has a driver.
//!     let function = unsafe { PciFunction::claim_virtual(pci.clone(), &virtual_function) };
//!     let transport = PciTransport::open(function, mapper)?;
//!     // ... to the driver ...
//!     # drop(transport);
//! }
//! enabled.disable(within_millis);
//! # Ok(()) }
//! ```

mod bars;
mod enable;
mod enabled;
mod routing;

pub use enable::{EnableError, EnableFailed, Settings};
pub use enabled::Enabled;

use core::fmt;

use pci_types::ConfigRegionAccess;

use super::extended;
use crate::raw::PhysicalFunction;
use crate::wire::features::CommonFeatures;
use crate::wire::pci::VENDOR_ID;

/// The extended capability's id, and its size.
const CAPABILITY_ID: u16 = 0x10;
const CAPABILITY_BYTES: u16 = 0x40;

/// Offsets in the capability.
mod register {
    /// Control (u16; status is in the upper half).
    pub(super) const CONTROL: u16 = 0x08;
    /// As many virtual functions as there are at first (u16), and in all (u16).
    pub(super) const INITIAL_AND_TOTAL: u16 = 0x0c;
    /// As many as are to be enabled (u16).
    pub(super) const COUNT: u16 = 0x10;
    /// How far the first one is from the physical function (u16), and each from the one before (u16).
    pub(super) const OFFSET_AND_STRIDE: u16 = 0x14;
    /// In the upper half: their device id.
    pub(super) const DEVICE_ID: u16 = 0x18;
    /// Sizes of pages that there can be; bit n is for 2^(n + 12) bytes.
    pub(super) const SUPPORTED_PAGES: u16 = 0x1c;
    /// The one that is used.
    pub(super) const PAGE: u16 = 0x20;
    /// The first BAR.
    pub(super) const FIRST_BAR: u16 = 0x24;
}

/// Where a function's SR-IOV capability is; `read` reads words of its configuration space.
pub(super) fn capability(read: impl Fn(u16) -> u32) -> Option<u16> {
    extended::find(CAPABILITY_ID, CAPABILITY_BYTES, read)
}

/// A function cannot have virtual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrIovError {
    /// It has no such capability, or the way to configuration space ends before it.
    #[error("the function has no SR-IOV capability")]
    Absent,
    /// It is a virtio device, and `SR_IOV` was not agreed on (§6.1).
    #[error("SR_IOV was not agreed on with the device")]
    NotNegotiated,
}

/// A physical function's capability for virtual functions, none of which is enabled by us.
pub struct SrIov<A> {
    function: PhysicalFunction<A>,
    at: u16,
}

impl<A> fmt::Debug for SrIov<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrIov").field("function", &self.function).field("at", &self.at).finish()
    }
}

impl<A: ConfigRegionAccess> SrIov<A> {
    /// Finds the capability of a function that is no virtio device. Nothing is changed.
    ///
    /// # Errors
    /// See [`SrIovError`]: of a virtio device, `NotNegotiated`.
    pub fn find(function: PhysicalFunction<A>) -> Result<Self, SrIovError> {
        Self::find_negotiated(function, CommonFeatures::empty())
    }

    /// The same for a virtio device with which these features were agreed on, this time or an earlier one.
    ///
    /// # Errors
    /// See [`SrIovError`].
    ///
    /// Spec: §6.1 Driver Requirements: Reserved Feature Bits.
    pub fn find_negotiated(
        function: PhysicalFunction<A>,
        negotiated: CommonFeatures,
    ) -> Result<Self, SrIovError> {
        let at = capability(|offset| function.read(offset)).ok_or(SrIovError::Absent)?;
        let is_virtio = function.read(0) & 0xffff == u32::from(VENDOR_ID);
        if is_virtio && !negotiated.contains(CommonFeatures::SR_IOV) {
            return Err(SrIovError::NotNegotiated);
        }
        Ok(Self { function, at })
    }

    /// As many virtual functions as can be enabled.
    pub fn count_max(&self) -> u16 {
        let counts = self.read(register::INITIAL_AND_TOTAL);
        let (initial, total) = ((counts & 0xffff) as u16, (counts >> 16) as u16);
        initial.min(total)
    }

    fn read(&self, register: u16) -> u32 {
        self.function.read(self.at + register)
    }

    fn write(&mut self, register: u16, value: u32) {
        self.function.write(self.at + register, value);
    }
}

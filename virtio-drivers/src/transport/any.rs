//! One type for devices of all transports, where there is no heap for `Box<dyn Transport>`.

use core::fmt;

use pci_types::ConfigRegionAccess;

use super::delegate::delegate;
use super::mmio::MmioTransport;
use super::pci::{LegacyPciTransport, MsiXError, OpenError, PciTransport, has_modern_interface};
use super::{
    Interface, InterruptCause, InterruptLine, QueueError, QueueSetup, SharedMemory, Transport, VectorRefused,
};
use crate::hal::{AccessWidth, MapMmio, MsiMessage};
use crate::raw::{AreaPlacement, Doorbell, PciFunction};
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;
use crate::wire::status::Status;

/// A transport of this crate, whichever. `A` is how the kernel reaches PCI configuration space.
#[expect(
    clippy::large_enum_variant,
    reason = "a kernel has few devices, and where this is needed it has no heap"
)]
pub enum AnyTransport<A> {
    /// A modern device behind PCI.
    Pci(PciTransport<A>),
    /// A legacy device behind PCI.
    LegacyPci(LegacyPciTransport<A>),
    /// A device behind MMIO registers, of either version.
    Mmio(MmioTransport),
}

impl<A: ConfigRegionAccess> AnyTransport<A> {
    /// Opens a claimed PCI function: through its modern interface if it has one, else through its legacy interface.
    ///
    /// # Errors
    /// See [`OpenError`]; a device that has neither is one whose modern interface lacks something.
    pub fn open_pci(mut function: PciFunction<A>, mapper: &impl MapMmio) -> Result<Self, OpenError> {
        if !LegacyPciTransport::is_transitional(&function) || has_modern_interface(&mut function) {
            PciTransport::open(function, mapper).map(Self::Pci)
        } else {
            LegacyPciTransport::open(function, mapper).map(Self::LegacyPci)
        }
    }

    /// Messages that the device has room for; 0 if it has no MSI-X.
    pub fn msi_x_entries(&self) -> u16 {
        match self {
            Self::Pci(transport) => transport.msi_x_entries(),
            Self::LegacyPci(transport) => transport.msi_x_entries(),
            Self::Mmio(_) => 0,
        }
    }

    /// Has the device send messages instead of using its line, as [`PciTransport::enable_msi_x`] does.
    ///
    /// # Errors
    /// See [`MsiXError`]; nothing was changed.
    pub fn enable_msi_x(&mut self, messages: &[MsiMessage]) -> Result<(), MsiXError> {
        match self {
            Self::Pci(transport) => transport.enable_msi_x(messages),
            Self::LegacyPci(transport) => transport.enable_msi_x(messages),
            Self::Mmio(_) => Err(MsiXError::Absent),
        }
    }
}

macro_rules! to_each {
    ($self:ident, $method:ident($($argument:ident),*)) => {
        match $self {
            Self::Pci(transport) => transport.$method($($argument),*),
            Self::LegacyPci(transport) => transport.$method($($argument),*),
            Self::Mmio(transport) => transport.$method($($argument),*),
        }
    };
}

impl<A: ConfigRegionAccess> fmt::Debug for AnyTransport<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_each!(self, fmt(f))
    }
}

#[expect(unsafe_code, reason = "passes on to an implementor that made the promise")]
// SAFETY: every call goes to the one transport inside.
unsafe impl<A: ConfigRegionAccess> Transport for AnyTransport<A> {
    delegate!(to_each);
}

impl<A> From<PciTransport<A>> for AnyTransport<A> {
    fn from(transport: PciTransport<A>) -> Self {
        Self::Pci(transport)
    }
}

impl<A> From<LegacyPciTransport<A>> for AnyTransport<A> {
    fn from(transport: LegacyPciTransport<A>) -> Self {
        Self::LegacyPci(transport)
    }
}

impl<A> From<MmioTransport> for AnyTransport<A> {
    fn from(transport: MmioTransport) -> Self {
        Self::Mmio(transport)
    }
}
